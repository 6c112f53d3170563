// Schedules in a cluster: who enqueues where no worker runs, what two operators and the death of the leader do to
// it, what the API server shows and refuses, and what is left when a resource is deleted while no operator runs.
import { parseFilter } from 'millhand/queue'
import { onCluster } from '../../cluster/suites.ts'
import { eventually } from '../../eventually.ts'
import { openScene, type Scene, schedule as scheduleOf, taskQueue } from './scene.ts'

const MINUTE = { withinMs: 60_000, everyMs: 100 }
const behavior = { scaleDown: { stabilizationWindowSeconds: 1 } }
/** Leaders change within seconds. */
const LEASE = {
  MILLHAND_LEASE_DURATION_SECONDS: '3',
  MILLHAND_LEASE_RENEW_DEADLINE_SECONDS: '2',
  MILLHAND_LEASE_RETRY_PERIOD_SECONDS: '1',
}

const schedule = (name: string, spec: object) =>
  scheduleOf(name, { queue: 'mail', task: 'echo', input: { from: name }, ...spec })

onCluster('a schedule', () => {
  let scene: Scene
  beforeAll(async () => {
    scene = await openScene('schedules', { variables: LEASE })
    await scene.apply(taskQueue('mail'), scene.pool('mail', { scaling: { behavior } }))
    await eventually(async () => (await scene.condition('tq', 'mail', 'Ready'))?.status === 'True', MINUTE)
  }, 3_600_000)
  afterAll(() => scene?.remove(), 60_000)

  const ready = async (name: string) => {
    const { status, reason } = (await scene.condition('schedule', name, 'Ready')) ?? {}
    return `${status} ${reason}`
  }
  const says = (name: string, what: string) =>
    eventually(async () => (await ready(name)) === what, { ...MINUTE, what: `${name}: ${what}` })
  const schedules = async () => (await scene.queue('mail')).schedules
  const remove = (name: string, ...flags: string[]) =>
    scene.cluster.kubectl(['-n', scene.namespace, 'delete', 'schedule', name, ...flags])

  test('of a pool at 0 wakes it: the job runs once, and the status tells how it went', async () => {
    await scene.apply(schedule('often', { everySeconds: 20 }))
    await says('often', 'True Ready')
    const { last } = await eventually(async () => {
      const { status } = await scene.get('schedule', 'often')
      return status.last?.outcome === 'completed' ? status : undefined
    }, MINUTE)
    expect(last.jobId).toBe(`often@${Date.parse(last.dueAt)}`)
    expect(await (await scene.queue('mail')).job(last.jobId)).toMatchObject({
      attempts: 1,
      state: 'completed',
    })
    await remove('often')
    await eventually(async () => (await (await schedules()).get('often')) === undefined, MINUTE)
    // One may have come just before the deletion: it runs too.
    const counts = async () => (await (await scene.queue('mail')).depth()).counts
    await eventually(async () => (await counts()).completed === (await counts()).enqueued, {
      what: 'each job of it has run once',
      withinMs: 60_000,
    })
  }, 180_000)

  test('is enqueued once for each time by two operators, also when the leader is killed', async () => {
    await scene.apply(taskQueue('lonely'), schedule('counted', { queue: 'lonely', everySeconds: 2 }))
    const other = await scene.startOperator()
    const queue = await scene.queue('lonely')
    const enqueued = async () => (await queue.depth()).counts.enqueued
    await eventually(async () => (await enqueued()) >= 2, MINUTE)
    await scene.operator.stop('SIGKILL')
    const before = await enqueued()
    await eventually(async () => (await enqueued()) >= before + 3, MINUTE)
    await remove('counted')
    await eventually(async () => (await queue.schedules.get('counted')) === undefined, MINUTE)
    const { jobs } = await queue.find(parseFilter('state:ready', Date.now()), { limit: 200 })
    const dueTimes = jobs.map(({ id }) => Number(id.replace('counted@', '')))
    expect(dueTimes.filter((ms) => ms % 2_000 !== 0)).toEqual([])
    expect(new Set(dueTimes).size).toBe(await enqueued())
    await other.stop()
  }, 240_000)

  test('that was deleted while no operator ran is deleted by the next one', async () => {
    const first = await scene.startOperator()
    await scene.apply(schedule('orphan', { cron: '0 8 1 1 *' }))
    await says('orphan', 'True Ready')
    await (await schedules()).set('of-a-program', { cron: '@yearly', task: 'echo' })
    await first.stop()
    await remove('orphan', '--wait=true', '--timeout=10s')
    expect(await (await schedules()).get('orphan')).toBeDefined()
    await scene.startOperator()
    await eventually(async () => (await (await schedules()).get('orphan')) === undefined, MINUTE)
    expect(await (await schedules()).get('of-a-program')).toMatchObject({ ownerUid: '' })
  }, 240_000)

  test('says what is wrong with it', async () => {
    await scene.apply(
      schedule('nowhere', { cron: '@daily', queue: 'elsewhere' }),
      schedule('of-a-program', { cron: '@daily' }),
      schedule('zoneless', { cron: '@daily', timeZone: 'Europe/Berlim' }),
    )
    await says('nowhere', 'False QueueNotFound')
    await says('of-a-program', 'False NameTaken')
    await says('zoneless', 'False InvalidSchedule')
    const { message } = await scene.condition('schedule', 'zoneless', 'Ready')
    expect(message).toContain('did you mean Europe/Berlin?')
    await scene.apply(schedule('zoneless', { cron: '@daily', timeZone: 'Europe/Berlin', suspend: true }))
    await says('zoneless', 'True Ready')
    expect(await scene.condition('schedule', 'zoneless', 'Suspended')).toMatchObject({ status: 'True' })
    expect((await scene.get('schedule', 'zoneless')).status.nextDueAt).toBeUndefined()
  }, 120_000)
})
