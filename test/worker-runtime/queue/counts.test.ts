// What a job costs, in counts: round trips, commands, bytes. Counts do not depend on how fast the machine is; times are measured in bench/.
import { fileURLToPath } from 'node:url'
import { type Client, connect } from 'millhand/client'
import { type Connection, connectRedis, newJob, openQueue, type Queue } from 'millhand/queue'
import { eventually } from '../../eventually.ts'
import { Monitor } from '../../monitor.ts'
import { RedisServer } from '../../redis-server.ts'
import { startWorker, type WorkerProcess } from '../../worker-process.ts'

const TINY = fileURLToPath(new URL('../../tasks/tiny.ts', import.meta.url))
/** 107 bytes as JSON, the size that the comparison of queues in bench/ uses. */
const PAYLOAD = {
  to: 'somebody@example.com',
  subject: 'Your order has been shipped',
  template: 'order-shipped',
  n: 123456,
}

describe('a job costs', () => {
  let server: RedisServer
  let redis: Connection
  let client: Client
  let queue: Queue
  let monitor: Monitor
  let worker: WorkerProcess | undefined
  beforeEach(async () => {
    server = await RedisServer.start()
    redis = connectRedis(server.url)
    client = connect({ redis: server.url })
    queue = openQueue(redis, 'default.counts')
    await client.queue('counts').enqueue('noop', null) // scripts and connections are there
    monitor = await Monitor.start(server.url)
  }, 30_000)
  afterEach(async () => {
    worker?.kill('SIGKILL')
    await worker?.ended
    monitor.stop()
    client.close()
    redis.close()
    await server.remove()
  })
  const work = async (slots: number, queues = ['counts']) => {
    worker = await startWorker({
      redisUrl: server.url,
      namespace: 'default',
      queues,
      modules: [TINY],
      slots,
      isolation: 'Reuse',
      env: { MILLHAND_JOBS_AT_ONCE_PER_CHILD: '16' },
    })
    return worker
  }
  const used = async () => Number(/used_memory:(\d+)/.exec(String(await redis.call('INFO', 'memory')))?.[1])
  const isEmpty = async () => {
    const { ready, busy } = await queue.depth()
    return ready + busy === 0
  }

  test('one round trip to enqueue with an await', async () => {
    for (let i = 0; i < 50; i += 1) await client.queue('counts').enqueue('noop', null)
    expect((await monitor.take()).sent).toEqual(Array(50).fill('enqueue'))
  })

  test('a thousandth of a round trip when 1,000 awaits happen in one tick', async () => {
    await Promise.all(Array.from({ length: 1_000 }, () => client.queue('counts').enqueue('noop', null)))
    expect((await monitor.take()).sent).toEqual(['enqueue'])
  })

  test('at most 0.2 round trips to claim and settle with 32 slots, at most one with a single slot', async () => {
    for (const [slots, most] of [
      [32, 0.2],
      [1, 1.02],
    ] as const) {
      await queue.enqueue(Array.from({ length: 2_000 }, () => newJob('noop', null)))
      const worker = await work(slots)
      await monitor.take()
      const before = (await queue.depth()).counts.completed
      await eventually(isEmpty)
      const { sent } = await monitor.take()
      const jobs = 2_001 - before
      const perJob = sent.filter((verb) => verb === 'settle-and-claim').length / jobs
      console.log(`${slots} slots: ${perJob.toFixed(3)} round trips a job (${jobs} jobs watched)`)
      expect(perJob).toBeLessThanOrEqual(most)
      await worker.stop()
      await redis.call('FLUSHALL')
    }
  }, 60_000)

  test('at most 350 bytes while it waits with a payload of 107 bytes, and at most 250 when it is completed', async () => {
    expect(JSON.stringify(PAYLOAD)).toHaveLength(107)
    monitor.stop() // what it has not read yet lies in Redis
    const jobs = Array.from({ length: 50_000 }, () => newJob('noop', PAYLOAD))
    const before = await used()
    await queue.enqueue(jobs)
    const waiting = ((await used()) - before) / jobs.length
    const worker = await work(32)
    await eventually(isEmpty, { withinMs: 60_000 })
    await worker.stop()
    const kept = ((await used()) - before) / jobs.length
    console.log(`${waiting.toFixed(0)} bytes a waiting job, ${kept.toFixed(0)} bytes a completed one`)
    expect(waiting).toBeLessThanOrEqual(350)
    expect(kept).toBeLessThanOrEqual(250)
  }, 90_000)

  test('nothing while it is not there: an idle worker with three queues sends at most 5 commands a second', async () => {
    const worker = await work(4, ['counts', 'two', 'three'])
    await eventually(isEmpty)
    await monitor.take()
    await new Promise((resolve) => setTimeout(resolve, 12_000)) // what is counted
    const { sent } = await monitor.take()
    await worker.stop()
    console.log(`an idle worker with three queues sends ${(sent.length / 12).toFixed(1)} commands a second`)
    expect(sent.length / 12).toBeLessThanOrEqual(5)
  }, 30_000)

  test('the same commands at 1,000 and at 1,000,000 waiting jobs, none of which grows with the queue', async () => {
    await queue.register({
      worker: 'p:1',
      process: 'p',
      pod: '',
      podUid: 'u',
      poolUid: '',
      node: '',
      slots: 16,
      isolation: '',
      isolationNote: '',
      version: '',
    })
    const costOfRound = async () => {
      await monitor.take()
      const { claims } = await queue.settleAndClaim('p:1', 0, [], 16)
      const settlements = claims.map(({ id, token }) => ({
        id,
        token,
        verdict: 'completed' as const,
        text: '1 noop 1\nnull',
      }))
      await queue.settleAndClaim('p:1', 0, settlements, 0)
      await queue.enqueue([newJob('noop', null)])
      return (await monitor.take()).inScripts
    }
    const fill = async (upTo: number) => {
      while ((await queue.depth()).ready < upTo)
        await queue.enqueue(Array.from({ length: 1_000 }, () => newJob('noop', null)))
    }
    await fill(1_000)
    const few = await costOfRound()
    await queue.configure({ ...(await import('millhand/queue')).defaultSettings, maxLength: 2_000_000 })
    monitor.stop()
    await fill(1_000_000)
    monitor = await Monitor.start(server.url)
    await redis.call('SLOWLOG', 'RESET')
    const many = await costOfRound()
    await queue.depth()
    expect(many).toEqual(few)
    const slow = JSON.stringify(await redis.call('SLOWLOG', 'GET', 50))
    expect(slow).not.toMatch(/LRANGE|LREM|SMEMBERS|HGETALL|KEYS/i)
    console.log(`${few.length} commands inside scripts for a round of 16 jobs`)
  }, 120_000)
})
