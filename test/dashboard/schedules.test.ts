// Schedules over the API: the list, what comes next, how the last jobs went, run now, pause, delete.
import { planSchedule } from '../../control/src/decide/schedule.ts'
import type { ScheduleDetails, Schedules, Snapshot } from '../../dashboard/src/api.ts'
import { problemsOf } from '../../dashboard/src/server/check.ts'
import { matchOf } from '../../dashboard/src/server/input.ts'
import { routes } from '../../dashboard/src/server/routes.ts'
import { openQueue } from '../../worker-runtime/src/queue/queue.ts'
import { connectRedis } from '../../worker-runtime/src/redis/reconnect.ts'
import { seenSchedule } from '../control/decide/seen-schedule.ts'
import { scheduleManifest } from '../control/resources/crds.ts'
import { eventually } from '../eventually.ts'
import { redisUrl } from '../redis.ts'
import { type Served, serve } from './served.ts'

const NAME = `clock-${process.pid}`
const PATH = `queues/test/${NAME}/schedules`
const redis = connectRedis(redisUrl())
const queue = openQueue(redis, `test.${NAME}`)
const { schedules } = queue
let served: Served
beforeAll(async () => {
  served = await serve({ redisUrl: redisUrl(), queues: [NAME] })
})
afterAll(() => {
  served.stop()
  redis.close()
})

/** The answer, held against the schema of its route. */
async function ask<T>(method: string, path: string): Promise<T> {
  const response = await served.call(method, path, method === 'GET' ? undefined : {})
  const answer: unknown = await response.json()
  expect({ status: response.status, ...(response.status !== 200 && { answer }) }).toEqual({ status: 200 })
  const { route } = matchOf(routes, method, `/${path.split('?')[0]}`)
  expect(route.kind === 'answer' && problemsOf(answer, route.answer)).toEqual([])
  return answer as T
}

async function refused(method: string, path: string) {
  const response = await served.call(method, path, method === 'GET' ? undefined : {})
  const { error } = (await response.json()) as { error: { code: string; message: string } }
  return { status: response.status, ...error }
}

test('are listed in pages, next due first, each with its times', async () => {
  await schedules.set('yearly', { cron: '@yearly', task: 'report', timeZone: 'Europe/Berlin' })
  await schedules.set('hourly', { everyMs: 3_600_000, task: 'digest', overlap: 'Forbid' })
  await schedules.set('resting', { cron: '0 8 * * *', task: 'digest', suspend: true })
  const first = await ask<Schedules>('GET', `${PATH}?limit=2`)
  expect(first).toMatchObject({
    total: 3,
    schedules: [
      {
        name: 'hourly',
        when: 'every hour',
        everyMs: 3_600_000,
        overlap: 'Forbid',
        isLate: false,
        isSuspended: false,
        fired: 0,
      },
      { name: 'yearly', cron: '@yearly', timeZone: 'Europe/Berlin', task: 'report' },
    ],
  })
  const rest = await ask<Schedules>('GET', `${PATH}?limit=2&cursor=${encodeURIComponent(first.cursor ?? '')}`)
  expect(rest.schedules).toMatchObject([
    { name: 'resting', when: 'at 08:00 every day, UTC', isSuspended: true },
  ])
  expect(rest.schedules[0]).not.toHaveProperty('nextAtMs')
  expect(rest).not.toHaveProperty('cursor')
})

test('a schedule says its next ten times and its last jobs, newest first', async () => {
  await schedules.set('often', { everyMs: 1_000, task: 'digest' })
  await eventually(async () => {
    await schedules.fireDue()
    return ((await schedules.get('often'))?.fired ?? 0) >= 2
  })
  await schedules.pause('often')
  const resting = await ask<ScheduleDetails>('GET', `${PATH}/often`)
  expect(resting).toMatchObject({ isPaused: true, next: [] })
  await schedules.resume('often')
  const { next, runs, last } = await ask<ScheduleDetails>('GET', `${PATH}/often`)
  await schedules.delete('often')
  expect(next).toHaveLength(10)
  for (const [at, ms] of next.entries()) expect(ms).toBe((next[0] ?? 0) + 1_000 * at)
  expect(runs.length).toBeGreaterThanOrEqual(2)
  expect(runs[0]).toEqual({ id: last?.id, dueAtMs: last?.dueAtMs, state: 'ready' })
  expect((runs[0]?.dueAtMs ?? 0) - (runs[1]?.dueAtMs ?? 0)).toBeGreaterThanOrEqual(1_000)
})

test('a schedule is run now, paused, resumed and deleted, and each write is a line of the log', async () => {
  await schedules.set('weekly', { cron: '@weekly', task: 'digest' })
  const { id } = await ask<{ id: string }>('POST', `${PATH}/weekly/run`)
  expect(await queue.job(id)).toMatchObject({ state: 'ready', task: 'digest' })
  expect(await ask('POST', `${PATH}/weekly/pause`)).toEqual({ isPaused: true })
  expect(await schedules.get('weekly')).toMatchObject({ isPaused: true })
  expect(await ask('POST', `${PATH}/weekly/resume`)).toEqual({ isPaused: false })
  expect(await ask('DELETE', `${PATH}/weekly`)).toEqual({ isDeleted: true })
  expect(await schedules.get('weekly')).toBeUndefined()
  const writes = served.log.filter(({ resource }) => resource === 'schedules')
  expect(writes.map(({ verb }) => verb)).toEqual(['update', 'pause', 'pause', 'delete'])
})

test('one that a resource declares is not deleted: it would come back', async () => {
  await schedules.set(
    'declared',
    { cron: '@daily', task: 'digest' },
    { ownerUid: 'u', owner: 'Schedule test/a' },
  )
  expect(await ask<ScheduleDetails>('GET', `${PATH}/declared`)).toMatchObject({ owner: 'Schedule test/a' })
  expect(await refused('DELETE', `${PATH}/declared`)).toMatchObject({
    status: 409,
    code: 'SCHEDULE_DECLARED',
    message: expect.stringContaining('kubectl delete schedule'),
  })
  expect(await schedules.get('declared')).toBeDefined()
})

test('a Schedule that is not ready or late is a problem of its queue, a rest is none', async () => {
  const at = Date.parse('2026-11-22T08:00:00Z')
  const found = {
    waits: seenSchedule({ nextAtMs: at - 120_000 }, at),
    rests: seenSchedule({ isPaused: true }, at),
    lost: {
      ...seenSchedule({}, at),
      found: { kind: 'problem', reason: 'NameTaken', message: 'it is taken' },
    },
  } as const
  for (const [name, observed] of Object.entries(found)) {
    const metadata = { namespace: 'test', name, uid: name }
    const { spec } = scheduleManifest({ queue: NAME, cron: '@daily' })
    const { status } = planSchedule(observed, at)
    served.objects.change('Schedule', {
      key: `test/${name}`,
      now: { metadata, spec, ...(status && { status }) },
    })
  }
  const expected = [
    { severity: 'error', code: 'NameTaken', text: 'Schedule lost: it is taken' },
    { severity: 'warning', code: 'NotEnqueued', text: expect.stringMatching(/^Schedule waits: due since /) },
  ].map((problem) => expect.objectContaining({ ...problem, kind: 'Schedule', queue: NAME }))
  for (const path of ['snapshot', `queues/test/${NAME}`]) {
    const { problems } = await ask<Pick<Snapshot, 'problems'>>('GET', path)
    expect(problems.filter(({ kind }) => kind === 'Schedule')).toEqual(expected)
  }
})

test.each([
  ['GET', ''],
  ['POST', '/run'],
  ['POST', '/pause'],
  ['POST', '/resume'],
  ['DELETE', ''],
])('%s of one that there is not: %s', async (method, verb) => {
  expect(await refused(method, `${PATH}/nobody${verb}`)).toMatchObject({
    status: 404,
    code: 'SCHEDULE_NOT_FOUND',
  })
})
