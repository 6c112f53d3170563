// What a job costs, in counts: round trips, commands, bytes. Counts do not depend on how fast the machine is; times are measured in bench/.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Client, connect } from 'millhand/client'
import {
  type Connection,
  connectRedis,
  defaultSettings,
  newJob,
  openQueue,
  type Queue,
  type Settlement,
} from 'millhand/queue'
import { eventually } from '../../eventually.ts'
import { Monitor } from '../../monitor.ts'
import { RedisServer } from '../../redis-server.ts'
import { startWorker, type WorkerProcess } from '../../worker-process.ts'

const TINY = fileURLToPath(new URL('../../tasks/tiny.ts', import.meta.url))
const ALLOCATIONS = fileURLToPath(new URL('./allocations.ts', import.meta.url))
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
  /** Bytes that Redis has read and written, this question left out. */
  const traffic = async () => {
    const text = String(await redis.call('INFO', 'stats'))
    const of = (field: string) => Number(new RegExp(`${field}:(\\d+)`).exec(text)?.[1])
    return of('total_net_input_bytes') + of('total_net_output_bytes')
  }
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
      const worker = await work(slots)
      await eventually(isEmpty)
      await monitor.take()
      await queue.enqueue(Array.from({ length: 2_000 }, () => newJob('noop', null)))
      await eventually(isEmpty, { withinMs: 40_000 })
      const { sent } = await monitor.take()
      const perJob = sent.filter((verb) => verb === 'exchange').length / 2_000
      console.log(`${slots} slots: ${perJob.toFixed(3)} round trips a job`)
      expect(perJob).toBeLessThanOrEqual(most)
      await worker.stop()
      await redis.call('FLUSHALL')
    }
  }, 120_000)

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

  test('at most 45 bytes on the wire besides id and payload to enqueue in bulk, at most 150 to claim and settle', async () => {
    monitor.stop() // what it is sent counts too
    const jobs = Array.from({ length: 1_000 }, () => newJob('noop', PAYLOAD))
    const own = 20 + 107
    await registerAs(queue, 'p:1')
    await queue.enqueue([newJob('noop', PAYLOAD)])
    await claimAndSettle(queue, 1) // a server is sent each script once
    const before = await traffic()
    await queue.enqueue(jobs)
    const enqueued = (await traffic()) - before
    for (let i = 0; i < 10; i += 1) await claimAndSettle(queue, 100)
    const settled = (await traffic()) - before - enqueued
    console.log(
      `${(enqueued / 1_000 - own).toFixed(0)} and ${(settled / 1_000 - own).toFixed(0)} bytes on the wire`,
    )
    expect(enqueued / 1_000 - own).toBeLessThanOrEqual(45)
    expect(settled / 1_000 - own).toBeLessThanOrEqual(150)
  })

  test('at most 9 commands inside Redis to enqueue alone, at most 20 and 3 a job to claim and settle', async () => {
    await client.queue('counts').enqueue('noop', null)
    expect((await monitor.take()).inScripts.length).toBeLessThanOrEqual(9)
    await registerAs(queue, 'p:1')
    await queue.enqueue(Array.from({ length: 400 }, () => newJob('noop', null)))
    const commandsOf = async (jobs: number) => {
      await claimAndSettle(queue, jobs)
      await monitor.take()
      await claimAndSettle(queue, jobs)
      return (await monitor.take()).inScripts.length
    }
    const [few, many] = [await commandsOf(10), await commandsOf(110)]
    const aJob = (many - few) / 100
    const aCall = (few - 10 * aJob) / 2
    console.log(`${aCall.toFixed(1)} commands a call to claim or settle, ${aJob} a job`)
    expect(aJob).toBeLessThanOrEqual(3)
    expect(aCall).toBeLessThanOrEqual(20)
  })

  test('at most 6 commands of keys that are always at their maxBusy, 16 a call', async () => {
    await queue.configure({ ...defaultSettings, perKey: { maxBusy: 2 } })
    const keyed = (_: unknown, i: number) => newJob('noop', null, { key: `key-${i % 100}` })
    await queue.enqueue(Array.from({ length: 400 }, keyed))
    await registerAs(queue, 'p:1')
    let settlements: Settlement[] = []
    const work = async (calls: number) => {
      for (let call = 0; call < calls; call += 1) {
        const { claims } = await queue.settleAndClaim({ worker: 'p:1', settlements, wanted: 16 })
        expect(claims.length).toBe(16)
        settlements = claims.map(({ id, token }) => ({ id, token, verdict: 'completed', text: DONE }))
      }
    }
    await work(3)
    await monitor.take()
    await work(10)
    expect((await monitor.take()).inScripts.length / 160).toBeLessThanOrEqual(6)
  })

  test('one command a tag more where a job has tags, when it is enqueued and when it ends, and nothing else', async () => {
    await registerAs(queue, 'p:1')
    const commandsOf = async (tags: string[]) => {
      await queue.enqueue([newJob('noop', null, { tags })])
      const enqueued = (await monitor.take()).inScripts
      await claimAndSettle(queue, 1)
      return [enqueued, (await monitor.take()).inScripts]
    }
    await commandsOf([])
    const plain = await commandsOf([])
    const tagged = await commandsOf(['a', 'b'])
    expect(tagged.map((commands) => commands.filter((each) => each === 'ZADD').length)).toEqual([
      (plain[0]?.filter((each) => each === 'ZADD').length ?? 0) + 2,
      plain[1]?.filter((each) => each === 'ZADD').length,
    ])
    expect((tagged[0]?.length ?? 0) - (plain[0]?.length ?? 0)).toBe(2)
    expect((tagged[1]?.length ?? 0) - (plain[1]?.length ?? 0)).toBeLessThanOrEqual(4) // its header, and two ZREM
  })

  test('at most 16 kB of heap to enqueue alone, 2.5 kB in bulk, and nothing that stays', async () => {
    const flags = ['--expose-gc', '--min-semi-space-size=128', '--max-semi-space-size=128']
    const { stdout } = await promisify(execFile)(process.execPath, [
      '--conditions=millhand-source',
      ...flags,
      ALLOCATIONS,
      server.url,
    ])
    const { alone, inBulk } = JSON.parse(stdout)
    console.log(`${alone.taken.toFixed(0)} bytes of heap an enqueue, ${inBulk.taken.toFixed(0)} in bulk`)
    expect(alone.taken).toBeLessThan(16_000)
    expect(inBulk.taken).toBeLessThan(2_500)
    expect(Math.max(alone.kept, inBulk.kept)).toBeLessThan(60)
  }, 120_000)
})

async function registerAs(queue: Queue, worker: string): Promise<void> {
  const nothing = { pod: '', poolUid: '', node: '', isolation: '', isolationNote: '', version: '' }
  await queue.register({ ...nothing, worker, process: 'p', podUid: 'u', slots: 100 })
}

const DONE = '1 noop 1\nnull'

async function claimAndSettle(queue: Queue, jobs: number): Promise<void> {
  const { claims } = await queue.settleAndClaim({ worker: 'p:1', wanted: jobs })
  const settlements = claims.map(({ id, token }) => ({
    id,
    token,
    verdict: 'completed' as const,
    text: DONE,
  }))
  await queue.settleAndClaim({ worker: 'p:1', settlements })
}
