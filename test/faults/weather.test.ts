// What a Redis answers on a bad day, and what a worker meets when it serves several queues: none of it may end or stop a worker.
import { newJob, openQueue } from 'millhand/queue'
import { eventually } from '../eventually.ts'
import { Monitor } from '../monitor.ts'
import { RedisServer } from '../redis-server.ts'
import { scene } from './scene.ts'

describe('a worker', () => {
  let server: RedisServer
  beforeEach(async () => {
    server = await RedisServer.start()
  }, 30_000)
  afterEach(() => server.remove())
  const url = () => server.url

  test(
    'whose connections are killed again and again under load goes on',
    scene(async (scene) => {
      const worker = await scene.worker({ slots: 4, isolation: 'Reuse' })
      await scene.enqueue(600, 'naps', { ms: 5 })
      for (let kills = 0; kills < 25; kills += 1) {
        await scene.redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
        await new Promise((resolve) => setTimeout(resolve, 40))
      }
      await scene.idle()
      expect(worker.child.exitCode).toBe(null)
      // A settlement whose answer was lost is sent again, so nothing runs twice.
      await scene.judge({ faults: 0 })
    }, url),
    60_000,
  )

  test(
    'waits while Redis refuses writes for want of replicas, and goes on afterwards',
    scene(async (scene) => {
      const worker = await scene.worker({ slots: 2, isolation: 'Reuse' })
      await scene.enqueue(40, 'naps', { ms: 50 })
      await eventually(() => scene.history.of('ended').length > 5)
      await scene.redis.call('CONFIG', 'SET', 'min-replicas-to-write', 1)
      await new Promise((resolve) => setTimeout(resolve, 3_000)) // how long it refuses
      await scene.redis.call('CONFIG', 'SET', 'min-replicas-to-write', 0)
      await scene.idle()
      expect(worker.child.exitCode).toBe(null)
      await scene.judge({ faults: 0 })
    }, url),
    60_000,
  )

  test(
    'can start, settle, renew and be told to stop on a Redis that is out of memory, which takes no new jobs (F19)',
    scene(async (scene) => {
      await scene.enqueue(30, 'naps', { ms: 20 })
      const { used } = {
        used: Number(/used_memory:(\d+)/.exec(String(await scene.redis.call('INFO', 'memory')))?.[1]),
      }
      await scene.redis.call('CONFIG', 'SET', 'maxmemory', used - 100_000)
      await expect(scene.jobs.enqueue('naps', { history: scene.history.file })).rejects.toMatchObject({
        code: 'REDIS_FULL',
      })
      await scene.worker({ slots: 2, isolation: 'Reuse' })
      await scene.idle()
      await scene.judge({ faults: 0 })
    }, url),
    60_000,
  )

  test(
    'kept busy by one queue does not forget the other one',
    scene(async (scene) => {
      const other = openQueue(scene.redis, `${scene.namespace}.other`)
      await scene.enqueue(400, 'naps', { ms: 20 })
      await scene.worker({ slots: 1, isolation: 'Reuse', queues: ['jobs', 'other'] })
      await eventually(() => scene.history.of('ended').length > 10)
      await other.enqueue([newJob('naps', { history: scene.history.file }, { id: 'lonely' })])
      await eventually(async () => (await other.job('lonely'))?.state === 'completed', {
        what: 'the other queue is served',
        withinMs: 5_000,
      })
      expect((await scene.queue.depth()).ready).toBeGreaterThan(0)
      await scene.idle()
    }, url),
    60_000,
  )

  test(
    'and its Redis are left in peace by a due job that may not run yet',
    scene(async (scene) => {
      await scene.worker({ slots: 1 })
      const monitor = await Monitor.start(server.url)
      await scene.queue.pause()
      await scene.enqueue(1, 'naps', {}, { delayMs: 200 })
      await eventually(async () => (await scene.queue.depth()).due === 1)
      await monitor.take()
      await new Promise((resolve) => setTimeout(resolve, 4_000)) // what is counted
      const { sent } = await monitor.take()
      monitor.stop()
      expect(sent.length).toBeLessThan(20)
      await scene.queue.resume()
      await scene.idle()
      await scene.judge({ faults: 0 })
    }, url),
    60_000,
  )
})
