// Error groups, bulk actions and events through the API, over a real Redis and a real worker.
import { fileURLToPath } from 'node:url'
import type {
  Action,
  ActionCount,
  Actions,
  ErrorDetails,
  ErrorGroups,
  History,
  JobsPage,
  QueueEvent,
  Undone,
} from '../../dashboard/src/api.ts'
import { QueueEvent as QueueEventSchema } from '../../dashboard/src/api.ts'
import { problemsOf } from '../../dashboard/src/server/check.ts'
import { matchOf } from '../../dashboard/src/server/input.ts'
import { routes } from '../../dashboard/src/server/routes.ts'
import { newJob } from '../../worker-runtime/src/job.ts'
import { openQueue } from '../../worker-runtime/src/queue/queue.ts'
import { connectRedis } from '../../worker-runtime/src/redis/reconnect.ts'
import { eventually } from '../eventually.ts'
import { redisUrl } from '../redis.ts'
import { startWorker, type WorkerProcess } from '../worker-process.ts'
import { follow } from './events.ts'
import { type Served, serve } from './served.ts'

const TASKS = fileURLToPath(new URL('../tasks/tiny.ts', import.meta.url))
const NAME = `bulk-${process.pid}`
const QUEUE = `queues/test/${NAME}`
const FAILED = 30
const redis = connectRedis(redisUrl())
const queue = openQueue(redis, `test.${NAME}`)
let served: Served
let worker: WorkerProcess

beforeAll(async () => {
  served = await serve({ redisUrl: redisUrl(), queues: [NAME] })
  worker = await startWorker({ redisUrl: redisUrl(), queues: [NAME], modules: [TASKS], isolation: 'Reuse' })
  const input = { message: 'no route to host, password=hunter2' }
  const failing = Array.from({ length: FAILED }, (_, i) =>
    newJob('throws', input, { id: `f-${i}`, maxAttempts: 1 }),
  )
  await queue.enqueue(failing)
  await eventually(async () => (await queue.depth()).buried === FAILED, { withinMs: 60_000 })
}, 120_000)

afterAll(async () => {
  served.stop()
  await worker?.stop()
  redis.close()
})

async function ask<T>(method: string, path: string, body?: unknown, status = 200): Promise<T> {
  const response = await served.call(method, path, body)
  const text = await response.text()
  expect({ status: response.status, ...(response.status !== status && { text }) }).toEqual({ status })
  const { route } = matchOf(routes, method, `/${path.split('?')[0]}`)
  const answer: unknown = JSON.parse(text)
  if (route.kind === 'answer' && status === 200) expect(problemsOf(answer, route.answer)).toEqual([])
  return answer as T
}

const ended = (id: string) =>
  eventually(async () => {
    const action = await ask<Action>('GET', `${QUEUE}/actions/${id}`)
    return action.state === 'running' ? undefined : action
  })

test('failures of one kind are a group, whose jobs are found and which a person marks as known', async () => {
  const { groups, total } = await ask<ErrorGroups>('GET', `${QUEUE}/errors`)
  expect(total).toBe(1)
  expect(groups).toMatchObject([
    { type: 'TypeError', count: FAILED, buried: FAILED, tasks: { throws: FAILED }, isMuted: false },
  ])
  expect(groups[0]?.message).not.toContain('hunter2')
  const { group = '' } = groups[0] ?? {}
  const details = await ask<ErrorDetails>('GET', `${QUEUE}/errors/${group}?limit=5`)
  expect(details.jobs).toHaveLength(5)
  expect(await ask('POST', `${QUEUE}/errors/${group}/mute`)).toEqual({ isMuted: true })
  expect((await ask<ErrorDetails>('GET', `${QUEUE}/errors/${group}`)).isMuted).toBe(true)
  expect(await ask('POST', `${QUEUE}/errors/${group}/unmute`)).toEqual({ isMuted: false })
  const page = await ask<JobsPage>(
    'GET',
    `${QUEUE}/jobs?limit=7&filter=${encodeURIComponent(`error:${group}`)}`,
  )
  expect(page.jobs).toHaveLength(7)
  await ask('GET', `${QUEUE}/errors/v1:0000000000000000`, undefined, 404)
  expect((await served.call('GET', `${QUEUE}/errors/nonsense`)).status).toBe(400)
})

test('what failed is in the history, once its worker has told it', async () => {
  const failed = await eventually(async () => {
    const { columns, times } = await ask<History>(
      'GET',
      `${QUEUE}/history?series=failed,run.p95&stepMs=10000&lastMs=600000`,
    )
    expect(times.length).toBeGreaterThanOrEqual(60)
    expect(times.length).toBeLessThanOrEqual(61)
    expect(columns.every(({ values }) => values.length === times.length)).toBe(true)
    return columns.find(({ series }) => series === 'failed')?.total
  })
  expect(failed).toBeGreaterThanOrEqual(FAILED)
  await ask('GET', `${QUEUE}/history?series=nonsense`, undefined, 400)
  await ask('GET', `${QUEUE}/history?series=failed&stepMs=0`, undefined, 400)
  await ask('GET', `${QUEUE}/history?series=failed&fromMs=1&lastMs=60000`, undefined, 400)
})

test('a deletion is counted, told how far it has come, and undone', async () => {
  const filter = 'state:buried task:throws'
  const counted = await ask<ActionCount>(
    'GET',
    `${QUEUE}/actions/count?verb=delete&filter=${encodeURIComponent(filter)}`,
  )
  expect(counted).toMatchObject({ count: FAILED, isExact: true })
  expect(counted.samples).toHaveLength(5)
  const { id } = await ask<Action>('POST', `${QUEUE}/actions`, {
    verb: 'delete',
    filter,
    reason: 'too old',
    expectedCount: FAILED,
  })
  expect(await ended(id)).toMatchObject({
    state: 'done',
    done: FAILED,
    total: FAILED,
    reason: 'too old',
    skipped: 0,
  })
  expect((await queue.depth()).buried).toBe(0)
  expect(await ask<Undone>('POST', `${QUEUE}/actions/${id}/undo`)).toEqual({ restored: FAILED })
  expect((await queue.depth()).buried).toBe(FAILED)
  const { actions } = await ask<Actions>('GET', `${QUEUE}/actions`)
  expect(actions[0]).toMatchObject({ id, verb: 'delete', state: 'undone', restored: FAILED })
  expect(await ask<Actions>('GET', `${QUEUE}/actions?limit=1`)).toMatchObject({ cursor: id })
  expect(await ask<Actions>('GET', `${QUEUE}/actions?cursor=${id}`)).toEqual({ actions: [] })
  const undo = served.log.findLast(({ message }) => message === 'write by the dashboard')
  expect(undo).toMatchObject({ verb: 'update', resource: 'actions', ids: [id], count: FAILED })
  const write = served.log.findLast(
    ({ message, verb }) => message === 'write by the dashboard' && verb === 'create',
  )
  expect(write).toMatchObject({ resource: 'actions', filter, reason: 'too old', outcome: 'done' })
})

test('named jobs are retried; what cannot be done is refused with a sentence', async () => {
  const { id } = await ask<Action>('POST', `${QUEUE}/actions`, {
    verb: 'retry',
    ids: ['f-1', 'f-2', 'nobody'],
  })
  expect(await ended(id)).toMatchObject({ state: 'done', done: 2 })
  await ask('POST', `${QUEUE}/actions/${id}/abort`, undefined, 409)
  await ask('POST', `${QUEUE}/actions/${id}/undo`, undefined, 409)
  await ask('POST', `${QUEUE}/actions`, { verb: 'retry' }, 400)
  await ask('POST', `${QUEUE}/actions`, { verb: 'retry', filter: 'state:ready' }, 400)
  await ask('POST', `${QUEUE}/actions`, { verb: 'burn', filter: '' }, 400)
  await ask('GET', `${QUEUE}/actions/00000000-0000-0000-0000-000000000000`, undefined, 404)
  const response = await served.call('POST', `${QUEUE}/actions`, {
    verb: 'delete',
    ids: Array(1_001).fill('x'),
  })
  expect(await response.text()).toContain('ids has 1001 items; it may have 1000 at most')
})

test('what happens is told as it happens, to all who watch by one reader, and a viewer goes on where it was', async () => {
  const one = await follow(served, `${QUEUE}/events`)
  const other = await follow(served, `${QUEUE}/events`)
  await new Promise((resolve) => setTimeout(resolve, 1_000))
  const job = newJob('noop', {})
  await queue.enqueue([job])
  const kindsOf = (reader = one.reader) =>
    reader
      ?.of<QueueEvent>('change')
      .flatMap(({ changes }) =>
        changes.filter(({ jobs }) => jobs.some(({ id }) => id === job.id)).map(({ kind }) => kind),
      )
  await eventually(() => kindsOf()?.includes('completed') && kindsOf(other.reader)?.includes('completed'))
  expect(kindsOf()).toEqual(expect.arrayContaining(['enqueued', 'completed']))
  for (const each of one.reader?.of<QueueEvent>('change') ?? [])
    expect(problemsOf(each, QueueEventSchema)).toEqual([])
  const first = one.reader?.events.find(({ event }) => event === 'change')
  const all = one.reader?.events.length ?? 0
  one.reader?.close()
  const again = await follow(served, `${QUEUE}/events`, { lastEventId: first?.id ?? '' })
  await eventually(() => (again.reader?.events.length ?? 0) >= all - 1)
  expect(again.reader?.events.some(({ id }) => id === first?.id)).toBe(false)
  other.reader?.close()
  again.reader?.close()
}, 30_000)
