// The public face for those who enqueue.
import { fileURLToPath } from 'node:url'
import {
  type Client,
  connect,
  JobBuried,
  JobCancelled,
  JobNotFound,
  QueueRefused,
  RedisUnavailable,
  ResultTimeout,
} from 'millhand/client'
import { connectRedis, defaultSettings, openQueue } from 'millhand/queue'
import { FaultProxy } from '../fault-proxy.ts'
import { freePort } from '../free-port.ts'
import { redisUrl } from '../redis.ts'
import type { succeeds, throws } from '../tasks/tiny.ts'
import { startWorker, type WorkerProcess } from '../worker-process.ts'

const TINY = fileURLToPath(new URL('../tasks/tiny.ts', import.meta.url))
const namespace = `client${process.pid}`

describe('a client', () => {
  let client: Client
  let worker: WorkerProcess
  beforeAll(async () => {
    client = connect({ redis: redisUrl(), namespace })
    worker = await startWorker({
      redisUrl: redisUrl(),
      namespace,
      queues: ['jobs'],
      modules: [TINY],
      isolation: 'Reuse',
      slots: 4,
    })
  }, 30_000)
  afterAll(async () => {
    client.close()
    await worker.stop()
  })

  test('enqueues by the type of a task and has its result typed', async () => {
    const job = await client.queue('jobs').enqueue<typeof succeeds>('succeeds', { any: 1 })
    const result = await job.result({ timeoutMs: 20_000 })
    expect(result).toEqual({ input: { any: 1 }, id: job.id, attempt: 1 })
    expect(result.attempt).toBe(1)
    // @ts-expect-error: the task has another name
    const typed = () => client.queue('jobs').enqueue<typeof throws>('succeeds', { message: '' })
    expect(typeof typed).toBe('function')
  })

  test('waits for the results of many at once, in their order', async () => {
    const jobs = await client
      .queue('jobs')
      .enqueueMany(Array.from({ length: 200 }, (_, n) => ({ task: 'succeeds', input: n })))
    const results = await Promise.all(jobs.map((job) => job.result({ timeoutMs: 30_000 })))
    expect(results.map((result) => (result as { input: number }).input)).toEqual(
      Array.from({ length: 200 }, (_, n) => n),
    )
  }, 40_000)

  test('hears why a job has no result', async () => {
    const queue = client.queue('jobs')
    const buried = await (
      await queue.enqueue<typeof throws>('throws', { message: 'no luck' }, { maxAttempts: 1 })
    )
      .result({ timeoutMs: 20_000 })
      .catch((error) => error)
    expect(buried).toBeInstanceOf(JobBuried)
    expect(buried.message).toMatch(/is buried after 1 failed attempt; the last: TypeError: no luck/)
    expect(buried.failures[0]?.error).toMatchObject({
      name: 'TypeError',
      code: 'E_TINY',
      stack: expect.stringContaining('tiny.ts'),
    })
    const waiting = await queue.enqueue('succeeds', null, { delayMs: 60_000 })
    await expect(waiting.result({ timeoutMs: 50 })).rejects.toBeInstanceOf(ResultTimeout)
    expect(await waiting.cancel()).toBe('cancelled')
    await expect(waiting.result()).rejects.toBeInstanceOf(JobCancelled)
    await expect(queue.job('never-was').result()).rejects.toBeInstanceOf(JobNotFound)
    const terminal = await queue.enqueue('throws-terminal', null, { maxAttempts: 9 })
    await expect(terminal.result({ timeoutMs: 20_000 })).rejects.toMatchObject({
      failures: [{ error: { message: 'never again' } }],
    })
  }, 60_000)

  test('gets the result even when the queue keeps none', async () => {
    const redis = connectRedis(redisUrl())
    await openQueue(redis, `${namespace}.keepless`).configure({
      ...defaultSettings,
      ownerUid: 'test',
      completedMaxCount: 0,
    })
    const other = await startWorker({
      redisUrl: redisUrl(),
      namespace,
      queues: ['keepless'],
      modules: [TINY],
      isolation: 'Reuse',
    })
    const job = await client.queue('keepless').enqueue('sleeps', { ms: 5_000 })
    expect(await job.result({ timeoutMs: 20_000 })).toBe('slept')
    expect(await job.state()).toBe('unknown')
    await other.stop()
    redis.close()
  }, 40_000)

  test('has only the job over a limit refused, not its neighbours of the same tick', async () => {
    const queue = client.queue('limited')
    const [small, large] = await Promise.allSettled([
      queue.enqueue('succeeds', 1),
      queue.enqueue('succeeds', 'x'.repeat(300_000)),
    ])
    expect(small.status).toBe('fulfilled')
    expect(large).toMatchObject({ status: 'rejected', reason: expect.any(QueueRefused) })
  })

  test('enqueues nothing twice where a later call of the same tick is refused: each job that is new is created', async () => {
    const queue = client.queue('limited')
    const [many, large] = await Promise.allSettled([
      queue.enqueueMany(Array.from({ length: 1_500 }, (_, n) => ({ task: 'succeeds', input: n }))),
      queue.enqueue('succeeds', 'x'.repeat(300_000)),
    ])
    expect(large).toMatchObject({ status: 'rejected', reason: expect.any(QueueRefused) })
    const handles = many.status === 'fulfilled' ? many.value : []
    expect(handles).toHaveLength(1_500)
    expect(new Set(handles.map(({ enqueued }) => enqueued))).toEqual(new Set(['created']))
  })

  test('asks again only for what Redis has not answered, and tells each call its own answers', async () => {
    const proxy = await FaultProxy.start(Number(new URL(redisUrl()).port))
    const distant = connect({ redis: proxy.url, namespace })
    try {
      const queue = distant.queue('asked')
      const inputs = Array.from({ length: 3_000 }, (_, n) => (n === 1_700 ? 'the answer is lost' : n))
      const jobs = inputs.map((input) => ({ task: 'succeeds', input }))
      const lost = proxy.loseAnswerTo('the answer is lost')
      const handles = await Promise.all([
        queue.enqueueMany(jobs.slice(0, 1_500)),
        queue.enqueueMany(jobs.slice(1_500)),
      ])
      await lost
      const answers = handles.map((each) => each.map(({ enqueued }) => enqueued))
      const many = (count: number, state: string) => Array.from({ length: count }, () => state)
      expect(answers).toEqual([
        [...many(1_000, 'created'), ...many(500, 'ready')],
        [...many(500, 'ready'), ...many(1_000, 'created')],
      ])
    } finally {
      distant.close()
      await proxy.stop()
    }
  }, 30_000)

  test('that is closed rejects what waits for Redis at once, and says that nothing was enqueued', async () => {
    const redis = `redis://127.0.0.1:${await freePort()}`
    const closing = connect({ redis, deadlineMs: 300_000 })
    const nothing = {
      maybeDone: false,
      message: expect.stringMatching(/the connection was closed.*nothing was enqueued/),
    }
    const outcomes = (['fast', 'fsync', 'replicated'] as const).map((durability) =>
      expect(closing.queue('jobs').enqueue('succeeds', 1, { durability })).rejects.toMatchObject(nothing),
    )
    await new Promise((resolve) => setImmediate(resolve))
    closing.close()
    outcomes.push(expect(closing.queue('other').enqueue('succeeds', 1)).rejects.toMatchObject(nothing))
    await Promise.all(outcomes)
  })

  test('says which address is none', () => {
    expect(() => connect({ redis: 'localhost:6379' })).toThrow(/^the option redis is no URL of a Redis: /)
  })

  test('without a Redis says so in bounded time, with the address and without the password', async () => {
    const port = await freePort()
    const lonely = connect({ redis: `redis://user:geheim@127.0.0.1:${port}`, deadlineMs: 400 })
    const error = await lonely
      .queue('jobs')
      .enqueue('succeeds', null)
      .catch((each) => each)
    expect(error).toBeInstanceOf(RedisUnavailable)
    expect(error.message).toContain(`127.0.0.1:${port}`)
    expect(error.message).toContain('nothing was enqueued')
    expect(error.message).not.toContain('geheim')
    lonely.close()
    expect(() => connect({ redis: '' })).toThrow(/no Redis is given/)
  })
})
