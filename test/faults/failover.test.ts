// F17: a primary is killed whose replicas lag, and one of them takes over. What it had not been told is lost: the one exception to the promises,
// and the tool says so itself. Behind real Sentinels and in a real Cluster.
import { connect, flow, QueueRefused, RedisUnavailable } from 'millhand/client'
import { type Depth, openQueue, prefixOf, type RedisAccess, slotOf } from 'millhand/queue'
import { census } from '../census.ts'
import { millhand } from '../cli/millhand.ts'
import { eventually } from '../eventually.ts'
import { cutOff, RedisCluster, Sentinels } from '../redis-forms.ts'
import type { RedisServer } from '../redis-server.ts'
import { Scene } from './scene.ts'

interface Replicated {
  readonly access: RedisAccess
  /** Of the server that has this queue. */
  primary(queue: string): Promise<RedisServer>
  replicas(queue: string): Promise<RedisServer[]>
  /** Waits until another one has taken over. */
  promoted(queue: string, before: RedisServer): Promise<RedisServer>
  remove(): Promise<void>
}

const LOST = 'Redis lost enqueues that it had acknowledged'

async function behindSentinels(): Promise<Replicated> {
  const sentinels = await Sentinels.start()
  return {
    access: { url: sentinels.url },
    primary: () => sentinels.primary(),
    replicas: () => sentinels.replicas(),
    promoted: (_queue, before) => sentinels.promoted(before),
    remove: () => sentinels.remove(),
  }
}

async function inCluster(): Promise<Replicated> {
  const cluster = await RedisCluster.start()
  const slot = (queue: string) => slotOf(prefixOf(queue))
  return {
    access: { url: cluster.url },
    primary: (queue) => cluster.ownerOf(slot(queue)),
    replicas: (queue) => cluster.replicasOf(slot(queue)),
    promoted: (queue, before) => cluster.promoted(slot(queue), before),
    remove: () => cluster.remove(),
  }
}

const forms: [string, () => Promise<Replicated>][] = [
  ['behind Sentinels', behindSentinels],
  ['in a Cluster', inCluster],
]

describe.each(forms)('%s a primary that is killed', (_form, start) => {
  test('before its replicas were told of the last enqueues takes with it just these, and everybody can read how many (F17)', async () => {
    const redis = await start()
    const scene = new Scene(redis.access, 'Reuse')
    const { namespace, jobs } = scene
    try {
      await scene.settings({ maxAttempts: 5 })
      const workers = [await scene.worker({ slots: 3 }), await scene.worker({ slots: 3 })]
      await scene.enqueue(150, 'naps', { ms: 40 })
      await scene.enqueue(20, 'fails-once')
      await eventually(() => scene.history.of('ended').length > 10)

      const primary = await redis.primary(jobs.name)
      await cutOff(primary, await redis.replicas(jobs.name))
      const lost = await scene.enqueue(37, 'naps', { ms: 40 })
      const refused = await jobs
        .enqueue('naps', { history: scene.history.file }, { durability: 'replicated' })
        .catch((error) => error)
      expect(refused).toMatchObject({ code: 'NOT_DURABLE' })
      scene.fault('primary killed, its replicas lag')
      await primary.crash()
      await redis.promoted(jobs.name, primary)

      await scene.enqueue(30, 'naps', { ms: 10 })
      await scene.idle(120_000)
      for (const { id } of lost) expect(await scene.queue.job(id)).toBeUndefined()
      const { counts } = await scene.queue.depth()
      expect(counts).toMatchObject({ enqueued: 237, completed: 200, vanished: 37, busy: 0, buried: 0 })
      for (const [name, value] of Object.entries(counts)) expect([name, value >= 0]).toEqual([name, true])
      for (const worker of workers) {
        const said = () => worker.lines.filter(({ message }) => message === LOST)
        await eventually(() => said().reduce((sum, { atLeast }) => sum + Number(atLeast), 0) === 37, {
          what: 'the worker says how many were lost',
        })
      }
      const doctor = await millhand(['doctor', 'jobs', '--namespace', namespace], {
        env: { MILLHAND_REDIS_URL: redis.access.url },
      })
      expect(doctor.stdout).toContain('lost at least 37 enqueues')
      // A job of two attempts may have run both of them in the time that is lost.
      await scene.judge({ faults: 3, vanished: new Set(lost.map(({ id }) => id)) })
    } finally {
      await scene.end()
      await redis.remove()
    }
  }, 300_000)

  test('under load loses nothing that was enqueued with durability replicated, and counts at least what it lost of the rest (F17)', async () => {
    const redis = await start()
    const scene = new Scene(redis.access, 'Reuse')
    const { namespace, jobs } = scene
    const careful = connect({ redis: redis.access, namespace, durability: 'replicated' })
    const acknowledged: Record<'fast' | 'replicated', string[]> = { fast: [], replicated: [] }
    let isEnough = false
    const enqueueing = async (durability: 'fast' | 'replicated') => {
      const queue = (durability === 'fast' ? scene.client : careful).queue('jobs')
      while (!isEnough)
        try {
          acknowledged[durability].push((await queue.enqueue('naps', {})).id)
        } catch (error) {
          if (!(error instanceof RedisUnavailable || error instanceof QueueRefused)) throw error
          await new Promise((resolve) => setTimeout(resolve, 20)) // it is away
        }
    }
    const loops = [enqueueing('fast'), enqueueing('replicated')]
    try {
      const many = () => acknowledged.fast.length > 300 && acknowledged.replicated.length > 100
      await eventually(many, { what: 'both enqueue', withinMs: 60_000 })
      const primary = await redis.primary(jobs.name)
      await primary.crash()
      await redis.promoted(jobs.name, primary)
      await primary.start()
      const before = { fast: acknowledged.fast.length, replicated: acknowledged.replicated.length }
      const again = () =>
        acknowledged.fast.length > before.fast + 20 && acknowledged.replicated.length > before.replicated + 20
      await eventually(again, { what: 'both enqueue again', withinMs: 120_000 })
      isEnough = true
      await Promise.all(loops)
      const stateOf = (id: string) => eventually(() => jobs.job(id).state(), { withinMs: 60_000 })
      const lost = async (ids: readonly string[]) => {
        const gone: string[] = []
        for (const id of ids) if ((await stateOf(id)) === 'unknown') gone.push(id)
        return gone
      }
      expect(await lost(acknowledged.replicated)).toEqual([])
      const gone = await lost(acknowledged.fast)
      const { vanished } = (await scene.queue.depth()).counts
      console.log(
        `of ${acknowledged.fast.length} fast enqueues ${gone.length} were lost; ${vanished} counted`,
      )
      expect(vanished).toBeGreaterThanOrEqual(gone.length)
    } finally {
      isEnough = true
      await Promise.allSettled(loops)
      careful.close()
      await scene.end()
      await redis.remove()
    }
  }, 300_000)
})

// Where jobs and their flow are on one server, both go back to the same moment.
test('behind Sentinels flows that a failover takes back run on from there, and those that it loses are said not to be known', async () => {
  const redis = await behindSentinels()
  const scene = new Scene(redis.access, 'Reuse')
  const { jobs, history } = scene
  const start = (id: string) => {
    const built = flow(id, {
      onComplete: { queue: 'other', task: 'naps', input: { history: history.file } },
    })
    const of = (numbers: unknown) => ({ numbers, history: history.file, ms: 10 })
    const parts = Array.from({ length: 60 }, (_, i) =>
      built.add('jobs', 'adds', of([i]), { name: `part.${i}` }),
    )
    const sum = built.add('other', 'adds', of(parts.map(({ result }) => result)), { name: 'sum' })
    built.add('jobs', 'adds', of([sum.result, 1]), { name: 'last' })
    return scene.client.start<number>(built)
  }
  const ended = () => history.of('ended').length
  try {
    await scene.settings({ maxAttempts: 5 })
    await Promise.all([1, 2].map(() => scene.worker({ queues: ['jobs', 'other'], slots: 3 })))
    const kept = [await start('one'), await start('two')]
    await eventually(() => ended() > 20, { what: 'they run', withinMs: 60_000 })
    const primary = await redis.primary(jobs.name)
    await cutOff(primary, await redis.replicas(jobs.name))
    const before = ended()
    const lost = await start('three')
    await scene.enqueue(1, 'naps') // whoever enqueues sees how many there were, and tells it with the next one
    await eventually(() => ended() > before + 30, { what: 'they run on', withinMs: 60_000 })
    scene.fault('primary killed, its replicas lag')
    await primary.crash()
    await redis.promoted(jobs.name, primary)

    await scene.enqueue(1, 'naps')
    for (const run of kept) expect(await run.result({ timeoutMs: 120_000 })).toBe((60 * 59) / 2 + 1)
    await expect(lost.result({ timeoutMs: 60_000 })).rejects.toMatchObject({ code: 'FLOW_NOT_FOUND' })
    const other = openQueue(scene.redis, `${scene.namespace}.other`)
    await eventually(
      async () => (await Promise.all([scene.queue, other].map((queue) => queue.depth()))).every(isIdle),
      { what: 'all has ended', withinMs: 60_000 },
    )
    const { counts } = await scene.queue.depth()
    // All parts of the one that is lost, but for the jobs that came before anybody told of them: the last ones of the others.
    expect(counts.vanished).toBeGreaterThanOrEqual(58)
    for (const { id } of kept) {
      expect(await scene.client.queue('other').job(`${id}:onComplete`).state()).toBe('completed')
      expect((await scene.client.flow('jobs', id).facts())?.completed).toBe(62)
    }
    for (const queue of [scene.queue, other])
      expect((await census(scene.redis, queue.name)).problems).toEqual([])
  } finally {
    await scene.end()
    await redis.remove()
  }
}, 300_000)

const isIdle = ({ ready, delayed, busy }: Depth) => ready + delayed + busy === 0
