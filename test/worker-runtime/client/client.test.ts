// The public face for those who enqueue.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import {
  type Client,
  connect,
  JobBuried,
  JobCancelled,
  JobExpired,
  JobNotFound,
  QueueRefused,
  RedisUnavailable,
  ResultTimeout,
} from 'millhand/client'
import { connectRedis, defaultSettings, openQueue, stirredChannel } from 'millhand/queue'
import { eventually } from '../../eventually.ts'
import { FaultProxy } from '../../fault-proxy.ts'
import { freePort } from '../../free-port.ts'
import { redisUrl } from '../../redis.ts'
import { RedisServer } from '../../redis-server.ts'
import { valkey } from '../../redis-versions.ts'
import type { hasDefault, succeeds, throws } from '../../tasks/tiny.ts'
import { startWorker, type WorkerProcess } from '../../worker-process.ts'

const TINY = fileURLToPath(new URL('../../tasks/tiny.ts', import.meta.url))
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
    const late = await client.queue('no-worker').enqueue('succeeds', null, { expiresInMs: 1 })
    const looker = connectRedis(redisUrl())
    const looked = openQueue(looker, `${namespace}.no-worker`)
    const hearing = expect(late.result({ timeoutMs: 20_000 })).rejects.toBeInstanceOf(JobExpired)
    await eventually(async () => {
      await looked.sample(await looked.depth(), { replicas: 0 })
      return (await late.state()) === 'expired'
    })
    await hearing
    looker.close()
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

  test.each([
    ['says which address is none', { redis: 'localhost:6379' }, /^the option redis is not a Redis URL: /],
    ['takes an address as text or object', { redis: 6379 }, /^invalid redis 6379: use a URL, or an object/],
    ['knows the fields of an address', { redis: { URL: 'redis://x' } }, /did you mean url\?$/],
    [
      'knows its options',
      { redisUrl: 'redis://x' },
      /^unknown option of connect "redisUrl": did you mean redis\?|known are redis/,
    ],
    [
      'takes its options as an object',
      'redis://x',
      /^invalid options of connect \("redis:\/\/x"\): use an object of redis/,
    ],
    [
      'takes a deadline in ms',
      { redis: 'redis://x', deadlineMs: '5s' },
      /^invalid deadlineMs "5s": use a whole number/,
    ],
    ['takes a namespace', { redis: 'redis://x', namespace: '' }, /^invalid namespace "": use the name/],
    [
      'takes a known durability',
      { redis: 'redis://x', durability: 'disk' },
      /^invalid durability "disk": use one of fast/,
    ],
  ])('%s', (_, options, message) => {
    expect(() => connect(options as never).close()).toThrow(TypeError)
    expect(() => connect(options as never).close()).toThrow(message)
  })

  test('refuses what cannot be, with the field, the value and the remedy, and enqueues nothing', async () => {
    for (const name of ['', undefined, null, 5, 'A', '.x'])
      expect(() => client.queue(name as never)).toThrow(/^invalid queue name .*: use at most 127/)
    const queue = client.queue('refusing')
    for (const id of ['', undefined, 'a b', 7]) expect(() => queue.job(id as never)).toThrow(/invalid job id/)
    const fine = { task: 'succeeds', input: 1 }
    const refusals: [Promise<unknown>, string][] = [
      [queue.enqueue(undefined as never), 'invalid task name undefined'],
      [
        queue.enqueue('succeeds', 1, { delayMS: 5 } as never),
        'option of a job "delayMS": did you mean delayMs?',
      ],
      [queue.enqueue('succeeds', 1, { durability: 'disk' } as never), 'invalid durability "disk"'],
      [queue.enqueue('succeeds', 1, null as never), 'invalid options of a job (null)'],
      [queue.enqueue('succeeds', 10n), 'cannot be written as JSON'],
      [
        queue.enqueueMany([fine, { task: 'succeeds', input: 1, options: { delayMs: -1 } }]),
        'requests[1]: invalid delayMs -1',
      ],
      [
        queue.enqueueMany([fine, fine, { name: 'succeeds' } as never]),
        'requests[2]: unknown field of a request "name"',
      ],
      [queue.enqueueMany([fine, undefined as never]), 'requests[1]: invalid fields of a request (undefined)'],
      [queue.enqueueMany(fine as never), 'invalid requests of enqueueMany (an object): use an array'],
      [queue.enqueueMany([fine], { durabilty: 'fast' } as never), 'did you mean durability?'],
      [queue.job('x').result({ timeoutMs: Number.NaN }), 'invalid timeoutMs NaN: use a number of at least 0'],
      [queue.job('x').result({ timeoutMs: '5' as never }), 'invalid timeoutMs "5"'],
      [
        queue.job('x').result({ timeout: 5 } as never),
        'unknown option of result "timeout": did you mean timeoutMs?',
      ],
      [queue.job('x').result(5_000 as never), 'invalid options of result (5000)'],
    ]
    for (const [refusal, message] of refusals) {
      const error = await refusal.then(
        () => undefined,
        (reason) => reason,
      )
      expect(error).toBeInstanceOf(TypeError)
      expect(error.message).toContain(message)
    }
    const redis = connectRedis(redisUrl())
    expect((await openQueue(redis, `${namespace}.refusing`).depth()).counts.enqueued).toBe(0)
    redis.close()
  })

  test('refuses a payload that no queue takes before it is sent', async () => {
    const away = connect({ redis: `redis://127.0.0.1:${await freePort()}`, deadlineMs: 300_000 })
    const mebibyte = 'ü'.repeat(512 * 1024)
    await expect(away.queue('jobs').enqueue('succeeds', Array(16).fill(mebibyte))).rejects.toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
      message: expect.stringContaining('a queue takes at most 16777216'),
    })
    away.close()
  })

  test('passes no input as undefined, so that defaults of the task hold', async () => {
    const queue = client.queue('jobs')
    const [none, nothing, given] = await queue.enqueueMany<typeof hasDefault>([
      { task: 'has-default' },
      { task: 'has-default', input: undefined },
      { task: 'has-default', input: { n: 2 } },
    ])
    const results = [none, nothing, given].map((job) => job?.result({ timeoutMs: 20_000 }))
    expect(await Promise.all(results)).toEqual([1, 1, 2])
  }, 30_000)

  test('frees the id of a job that has ended', async () => {
    const queue = client.queue('jobs')
    const job = await queue.enqueue('succeeds', 1, { id: 'once' })
    await job.result({ timeoutMs: 20_000 })
    expect((await queue.enqueue('succeeds', 2, { id: 'once' })).enqueued).toBe('completed')
    expect(await job.delete()).toBe('deleted')
    const again = await queue.enqueue('succeeds', 2, { id: 'once' })
    expect(again.enqueued).toBe('created')
    expect(await again.result({ timeoutMs: 20_000 })).toMatchObject({ input: 2 })
  }, 30_000)

  test('has the handle of the job that has the unique key, alone and among many', async () => {
    const queue = client.queue('unique')
    const unique = { key: 'acme', onDuplicate: 'replace' } as const
    const [first, second, other] = await queue.enqueueMany([
      { task: 'noop', input: 1, options: { unique, delayMs: 60_000 } },
      { task: 'noop', input: 2, options: { unique: { key: 'acme' } } },
      { task: 'noop', input: 3, options: { unique: { key: 'beta' } } },
    ])
    const third = await queue.enqueue('noop', 4, { unique, delayMs: 120_000 })
    expect([first?.enqueued, second?.enqueued, other?.enqueued]).toEqual(['created', 'duplicate', 'created'])
    expect([second?.id, third.id, third.enqueued]).toEqual([first?.id, first?.id, 'replaced'])
    expect(await third.details()).toMatchObject({
      state: 'delayed',
      envelope: { uniqueKey: 'acme', payload: '4' },
    })
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

describe('a client whose Redis or network fails for a while', () => {
  let server: RedisServer
  const opened: { close(): void }[] = []
  beforeAll(async () => {
    server = await RedisServer.start({ binary: await valkey() }) // fsync needs Redis 7.2 or Valkey
  }, 30_000)
  afterEach(() => {
    for (const each of opened.splice(0)) each.close()
  })
  afterAll(() => server.remove())
  const open = (options: Parameters<typeof connect>[0]) => {
    const client = connect(options)
    opened.push(client)
    return client
  }
  const settleNext = async (url: string, queueName: string) => {
    const redis = connectRedis(url)
    opened.push(redis)
    const queue = openQueue(redis, queueName)
    const nothing = { pod: '', poolUid: '', node: '', isolation: '', isolationNote: '', version: '' }
    await queue.register({ ...nothing, worker: 'p:1', process: 'p', podUid: 'u', slots: 1 })
    const { claims } = await queue.settleAndClaim({ worker: 'p:1', wanted: 1 })
    const settlements = claims.map(({ id, token }) => ({
      id,
      token,
      verdict: 'completed' as const,
      text: '1 task 1\n"done"',
    }))
    await queue.settleAndClaim({ worker: 'p:1', settlements })
  }

  test.each(['fast', 'fsync'] as const)(
    'and whose own loop stood still for longer than its deadline reads the answer first (%s)',
    async (durability) => {
      const standStill = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2_500)
      const queue = open({ redis: server.url, deadlineMs: 1_000, durability }).queue(`still-${durability}`)
      await queue.enqueue('task', 0)
      const beforeItIsSent = queue.enqueue('task', 1)
      standStill()
      expect((await beforeItIsSent).enqueued).toBe('created')
      const onItsWay = queue.enqueue('task', 2)
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
      standStill()
      expect((await onItsWay).enqueued).toBe('created')
      const looked = onItsWay.then((job) => job.details())
      await new Promise((resolve) => setImmediate(resolve))
      standStill()
      expect(await looked).toMatchObject({ state: 'ready' })
    },
    30_000,
  )

  test('uses another connection within its deadline when the idle one is dead', async () => {
    const proxy = await FaultProxy.start(server.port)
    try {
      const queue = open({ redis: proxy.url, deadlineMs: 4_000 }).queue('idle')
      const first = await queue.enqueue('task', 0, { delayMs: 60_000 })
      proxy.forgetConnections()
      const second = await queue.enqueue('task', 1)
      expect(second.enqueued).toBe('created')
      proxy.forgetConnections()
      expect(await first.state()).toBe('delayed')
      proxy.forgetConnections()
      expect(await first.cancel()).toBe('cancelled')
      const result = second.result({ timeoutMs: 20_000 })
      await eventually(async () => (await second.state()) === 'ready')
      proxy.forgetConnections()
      await settleNext(server.url, 'default.idle')
      expect(await result).toBe('done')
    } finally {
      await proxy.stop()
    }
  }, 60_000)

  test('waits for a result through an outage, with and without an end of its own', async () => {
    const outage = await RedisServer.start()
    const queue = open({ redis: outage.url, deadlineMs: 400 }).queue('outage')
    const job = await queue.enqueue('task', 0)
    const results = [job.result({ timeoutMs: 120_000 }), job.result()]
    const tooShort = job.result({ timeoutMs: 1_000 }).catch((error) => error)
    await outage.crash()
    expect(await tooShort).toBeInstanceOf(ResultTimeout)
    // One command after the other fails.
    for (let i = 0; i < 3; i += 1) await expect(job.details()).rejects.toBeInstanceOf(RedisUnavailable)
    const later = job.result({ timeoutMs: 120_000 })
    await outage.start()
    await settleNext(outage.url, 'default.outage')
    expect(await Promise.all([...results, later])).toEqual(['done', 'done', 'done'])
    await outage.remove()
  }, 60_000)

  test('that is closed rejects waits for results at once, and its process ends', async () => {
    const client = open({ redis: server.url })
    const job = await client.queue('closing').enqueue('task', 0)
    const waits = [job.result(), job.result({ timeoutMs: 60_000 })]
    const rejected = waits.map((wait) => wait.catch((error) => error))
    await eventually(async () => (await job.state()) === 'ready')
    client.close()
    rejected.push(job.result().catch((error) => error))
    const settled = Promise.all(rejected)
    const turns = new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    for (const error of (await Promise.race([settled, turns.then(() => [])])) as unknown[])
      expect(error).toBeInstanceOf(RedisUnavailable)
    expect(await Promise.race([settled, turns])).toHaveLength(3)

    const program = `
      import { connect } from 'millhand/client'
      const client = connect({ redis: ${JSON.stringify(server.url)} })
      const job = await client.queue('closing').enqueue('task', 0)
      job.result().catch((error) => console.log(error.message))
      setTimeout(() => {
        client.close()
        setTimeout(() => console.log('it still lives'), 2_000).unref()
      }, 200)`
    const flags = ['--conditions=millhand-source', '--input-type=module', '-e', program]
    const { stdout } = await promisify(execFile)(process.execPath, flags, {
      cwd: fileURLToPath(new URL('../..', import.meta.url)),
    })
    expect(stdout).toBe('the client of default.closing was closed\n')
  }, 60_000)

  test('believes no message of another database', async () => {
    const [one, two] = [1, 2].map((database) => `${server.url}/${database}`) as [string, string]
    const [inOne, inTwo] = await Promise.all(
      [one, two].map((redis) => open({ redis }).queue('same').enqueue('task', 0, { id: 'same' })),
    )
    const resultInTwo = inTwo?.result({ timeoutMs: 2_000 }).catch((error) => error)
    const resultInOne = inOne?.result({ timeoutMs: 20_000 })
    await eventually(async () => (await inTwo?.state()) === 'ready')
    const stirs: string[] = []
    for (const [database, url] of [one, two].entries()) {
      const redis = connectRedis(url)
      opened.push(redis)
      await redis.subscribe(stirredChannel('default.other', redis.database), () =>
        stirs.push(String(database + 1)),
      )
    }
    await settleNext(one, 'default.same')
    expect(await resultInOne).toBe('done')
    expect(await resultInTwo).toBeInstanceOf(ResultTimeout)
    await open({ redis: two }).queue('other').enqueue('task', 0)
    await eventually(() => stirs.length > 0)
    expect(stirs).toEqual(['2'])
  }, 60_000)
})
