// Why a job does not run: one row a cause, and the facts as the script reads them from a real queue.
import {
  type Connection,
  causesOf,
  connectRedis,
  defaultSettings,
  type JobOptions,
  type KeyState,
  newJob,
  openQueue,
  prefixOf,
  type Queue,
  WHY_CODES,
  type WhyFacts,
} from 'millhand/queue'
import { flowHead } from '../../../worker-runtime/src/queue/flows.ts'
import { redisUrl } from '../../redis.ts'

const NOW = 1_000_000
const READY: WhyFacts = {
  state: 'ready',
  nowMs: NOW,
  enqueuedAtMs: 1_000,
  isCancelling: false,
  attempts: 0,
  crashes: 0,
  maxAttempts: 3,
  maxCrashes: 3,
  readySinceMs: 2_000,
  before: 4,
  rests: 0,
  isSuspended: false,
  isPaused: false,
  busy: 2,
  renewedAtMs: NOW - 500,
  aliveWorkers: 2,
  lookedAt: { workers: 2, draining: 0, slots: 4, held: 2 },
}
const UNLIMITED: KeyState = { limits: {}, overrides: {}, busy: 0, waiting: 0, isBlocked: false, rests: false }
const workers = (workers: number, draining: number, slots: number, held: number): Partial<WhyFacts> => ({
  aliveWorkers: workers,
  lookedAt: { workers: Math.min(workers, 100), draining, slots, held },
})
const delayed = { state: 'delayed', atMs: NOW + 5_000 } as const

const RESTS: KeyState = { ...UNLIMITED, isBlocked: true, rests: true, untilMs: NOW + 700 }

test.each<[string, Partial<WhyFacts>, [code: string, text: RegExp, times?: object][]]>([
  ['free slots', {}, [['next', /nothing holds it back.*; 4 jobs of its lane before it/, { sinceMs: 2_000 }]]],
  [
    'a rest of the job',
    { ...delayed, rests: 2, restsUntilMs: NOW + 5_000 },
    [['rests', /its task asked for a rest.*it did so 2 times/, { untilMs: NOW + 5_000 }]],
  ],
  [
    'a rest of the queue',
    { queueState: RESTS },
    [['queue-rests', /a rest of the queue/, { untilMs: NOW + 700 }]],
  ],
  [
    'a rest of its key',
    { key: 'acme', keyState: RESTS },
    [['key-rests', /a rest of the key acme/, { untilMs: NOW + 700, subject: 'acme' }]],
  ],
  ['the first of its lane', { before: 0 }, [['next', /it is the next one of its lane/]]],
  [
    'far behind',
    { before: undefined as never },
    [['next', /more than 10,000 jobs of its lane are before it/]],
  ],
  ['paused', { isPaused: true }, [['paused', /a person paused the queue/]]],
  ['suspended', { isSuspended: true }, [['suspended', /spec\.suspend/]]],
  [
    'both',
    { isSuspended: true, isPaused: true },
    [
      ['paused', /./],
      ['suspended', /./],
    ],
  ],
  ['delayed', delayed, [['delayed', /enqueued with a delay/, { untilMs: NOW + 5_000 }]]],
  ['due', { ...delayed, atMs: NOW }, [['next', /nothing holds it back: a worker claims it within moments$/]]],
  [
    'after a failure',
    { ...delayed, attempts: 1, lastFailure: 'Error: boom' },
    [['back-off', /before attempt 2 of 3; the last one: Error: boom/, { untilMs: NOW + 5_000 }]],
  ],
  ['after crashes', { ...delayed, crashes: 2 }, [['back-off', /before attempt 1 of 3$/]]],
  [
    'at its limit',
    { maxBusy: 2 },
    [['max-busy', /2 jobs of the queue run, and spec\.limits\.maxBusy allows 2/]],
  ],
  ['below its limit', { maxBusy: 3 }, [['next', /./]]],
  [
    'no worker any more',
    { ...workers(0, 0, 0, 0), renewedAtMs: 7 },
    [['no-workers', /no worker serves the queue any more/, { sinceMs: 7 }]],
  ],
  [
    'no worker ever',
    { ...workers(0, 0, 0, 0), renewedAtMs: undefined as never },
    [['no-workers', /no worker has ever served/]],
  ],
  ['all drain', workers(2, 2, 0, 0), [['draining', /all 2 workers of the queue drain/]]],
  ['one of two drains', workers(2, 1, 2, 2), [['slots-busy', /all 2 slots of 1 worker are busy/]]],
  ['all slots busy', workers(2, 0, 4, 4), [['slots-busy', /all 4 slots of 2 workers are busy; 4 jobs/]]],
  ['too many workers to look at', workers(200, 0, 400, 400), [['next', /./]]],
  [
    'the rate of the queue',
    {
      queueState: {
        ...UNLIMITED,
        ...{ limits: { rate: { jobs: 100, periodMs: 1_000 } }, isBlocked: true, untilMs: NOW + 10 },
      },
    },
    [['rate', /the queue has used up its rate of 100 jobs in 1 s/, { untilMs: NOW + 10 }]],
  ],
  [
    'the rate of its key',
    {
      key: 'acme',
      keyState: {
        ...UNLIMITED,
        ...{ limits: { rate: { jobs: 1, periodMs: 60_000 } }, isBlocked: true, untilMs: NOW + 10 },
      },
    },
    [['rate-of-key', /the key acme has used up its rate of 1 job in 60 s/, { subject: 'acme' }]],
  ],
  [
    'the busy jobs of its key, while the queue has free slots',
    {
      key: 'acme',
      keyState: { ...UNLIMITED, busy: 2, isBlocked: true, blockedSinceMs: 5, limits: { maxBusy: 2 } },
    },
    [['max-busy-of-key', /2 jobs of the key acme run, and its maxBusy allows 2/, { sinceMs: 5 }]],
  ],
  ['a key within its limits', { key: 'acme', keyState: { ...UNLIMITED, busy: 2 } }, [['next', /./]]],
  [
    'everything at once',
    { ...delayed, isPaused: true, maxBusy: 1, ...workers(0, 0, 0, 0) },
    [
      ['paused', /./],
      ['delayed', /./],
      ['max-busy', /./],
      ['no-workers', /./],
    ],
  ],
  [
    'it runs',
    { state: 'held', worker: 'pod:1', attempts: 2 },
    [['running', /attempt 2 of 3 runs in pod:1/, { subject: 'pod:1' }]],
  ],
  ['it is being cancelled', { state: 'held', worker: 'pod:1', isCancelling: true }, [['cancelling', /./]]],
  [
    'it has failed',
    { state: 'buried', atMs: 9, attempts: 3, crashes: 1, lastFailure: 'x: y' },
    [['buried', /it has failed: x: y; .*3 of 3 attempts, and 1 worker died with it/, { sinceMs: 9 }]],
  ],
  ['it has completed', { state: 'completed', endedAtMs: 8 }, [['completed', /./, { sinceMs: 8 }]]],
  ['it was cancelled', { state: 'cancelled', endedAtMs: 8, isPaused: true }, [['cancelled', /./]]],
])('%s', (_what, facts, expected) => {
  const causes = causesOf({ ...READY, ...facts })
  expect(causes.map(({ code }) => code)).toEqual(expected.map(([code]) => code))
  for (const [i, [, text, times = {}]] of expected.entries()) {
    expect(causes[i]?.text).toMatch(text)
    expect(causes[i]).toMatchObject(times)
    expect(WHY_CODES).toContain(causes[i]?.code)
  }
})

describe('of a real queue', () => {
  let redis: Connection
  let queue: Queue
  let tests = 0
  beforeAll(() => {
    redis = connectRedis(redisUrl())
  })
  afterAll(() => redis.close())
  beforeEach(() => {
    tests += 1
    queue = openQueue(redis, `why.${process.pid}-${tests}`)
  })
  const register = (worker = 'p:1', slots = 1) =>
    queue.register({
      ...{ worker, process: 'p', pod: '', podUid: worker, poolUid: '', node: '', slots },
      ...{ isolation: '', isolationNote: '', version: '' },
    })
  const add = (id: string, options: JobOptions = {}) => queue.enqueue([newJob('task', 1, { id, ...options })])
  const codes = async (id: string) => (await queue.why(id))?.causes.map(({ code }) => code)
  const claim = async () => (await queue.settleAndClaim({ worker: 'p:1', wanted: 1 })).claims[0]

  test('a job that is not known has no reason', async () => {
    expect(await queue.why('nobody')).toBeUndefined()
  })

  test('the causes come and go with what causes them', async () => {
    await add('a')
    await add('b')
    expect(await codes('b')).toEqual(['no-workers'])
    await register()
    expect((await queue.why('b'))?.causes).toEqual([
      {
        code: 'next',
        text: expect.stringMatching(/1 job of its lane before it/),
        sinceMs: expect.any(Number),
      },
    ])
    await claim()
    expect(await codes('a')).toEqual(['running'])
    expect(await codes('b')).toEqual(['slots-busy'])
    await queue.cancel('a')
    expect(await codes('a')).toEqual(['cancelling'])
    await queue.pause()
    await queue.configure({ ...defaultSettings, ownerUid: 'test', maxBusy: 1, suspended: true })
    expect(await codes('b')).toEqual(['paused', 'suspended', 'max-busy', 'slots-busy'])
    await queue.resume()
    await queue.configure({ ...defaultSettings, ownerUid: 'test' })
    await queue.drain(['p:1'], 60_000)
    expect(await codes('b')).toEqual(['draining'])
  })

  describe('a job of a flow', () => {
    const job = (name: string, after: string[] = []) => ({
      ...{ name, queue: queue.name, after, payload: 'null' },
      head: flowHead(newJob('task', null), queue.name),
    })
    const start = (jobs: ReturnType<typeof job>[]) =>
      queue.flows.start({
        ...{
          id: 'f',
          onFailure: 'stop',
          keepMs: 60_000,
          expiresInMs: undefined,
          returns: 'null',
          callbacks: {},
          jobs,
        },
      })
    const texts = async (id: string) => (await queue.why(id))?.causes.map(({ text }) => text)

    test('waits for others, and these for a worker: the chain is told', async () => {
      await start([job('a'), job('b', ['a']), job('c', ['b', 'a'])])
      expect(await queue.why('f:c')).toMatchObject({
        state: 'waiting',
        causes: [
          { code: 'waits-for', text: 'it waits for a and b', subject: 'a' },
          { code: 'no-workers', text: 'a is ready: no worker has ever served the queue' },
        ],
      })
      expect(await texts('f:b')).toEqual(['it waits for a', expect.stringMatching(/^a is ready: /)])
      expect(await codes('f:a')).toEqual(['no-workers'])
      expect(await queue.why('f:d')).toBeUndefined()
      expect(await queue.why('g:a')).toBeUndefined()
    })

    test('of a long chain ten links are told, and of many that it waits for three', async () => {
      const chain = Array.from({ length: 15 }, (_, n) => job(`n${n}`, n === 0 ? [] : [`n${n - 1}`]))
      const many = ['n0', 'p1', 'p2', 'p3', 'p4']
      await start([...chain, ...many.slice(1).map((name) => job(name)), job('last', many)])
      expect(await codes('f:n14')).toEqual(Array(10).fill('waits-for'))
      expect((await texts('f:last'))?.[0]).toBe('it waits for n0, p1, p2 and 2 more')
    })

    test('whose keys another program has deleted is said to be on its way', async () => {
      await start([job('a'), job('b', ['a'])])
      await redis.call('DEL', `${prefixOf(queue.name)}job:f:a`)
      expect(await codes('f:b')).toEqual(['waits-for', 'on-its-way'])
    })
  })

  test('a limit of its key, and the rate of the queue, are said while they hold', async () => {
    await register('p:1', 9)
    await queue.configure({ ...defaultSettings, ownerUid: 'test', perKey: { maxBusy: 1 } })
    await add('a', { key: 'acme' })
    await add('b', { key: 'acme' })
    await add('c', { key: 'other' })
    const held = await claim()
    expect((await queue.why('b'))?.causes).toEqual([
      {
        code: 'max-busy-of-key',
        text: '1 job of the key acme runs, and its maxBusy allows 1',
        subject: 'acme',
        sinceMs: expect.any(Number),
      },
    ])
    expect(await codes('c')).toEqual(['next'])
    if (held)
      await queue.settleAndClaim({
        worker: 'p:1',
        settlements: [{ ...held, verdict: 'completed', text: '1 task 1\n1' }],
      })
    expect(await codes('b')).toEqual(['next'])
    const rate = { jobs: 1, periodMs: 3_600_000, burst: 1 }
    await queue.configure({ ...defaultSettings, ownerUid: 'test', rate })
    expect((await claim())?.id).toBe('c')
    expect(await codes('b')).toEqual(['rate'])
    await queue.configure({ ...defaultSettings, ownerUid: 'test', perKey: { rate } })
    expect((await claim())?.id).toBe('b')
    await add('d', { key: 'acme' })
    expect(await codes('d')).toEqual(['rate-of-key'])
  })

  test('a job that failed tells which attempt comes next, when, and what the last one said', async () => {
    await register()
    await add('x', { maxAttempts: 2, backoffMs: 3_600_000, maxBackoffMs: 3_600_000 })
    const record = JSON.stringify({
      outcome: 'failed',
      error: { name: 'Error', message: 'boom', stack: 'at x' },
    })
    for (const verdict of ['failed', 'terminal'] as const) {
      const held = await claim()
      if (!held) break // its back-off, which is random, is not over
      await queue.settleAndClaim({
        worker: 'p:1',
        settlements: [{ id: 'x', token: held.token, verdict, text: record }],
      })
    }
    const [cause] = (await queue.why('x'))?.causes ?? []
    expect(cause?.text).toMatch(/Error: boom/)
    expect(cause?.code === 'back-off' ? cause.untilMs : cause?.sinceMs).toBeGreaterThan(0)
  })

  test('a delayed and an ended job say so', async () => {
    await add('later', { delayMs: 60_000 })
    expect(await codes('later')).toEqual(['delayed', 'no-workers'])
    await queue.cancel('later')
    expect(await codes('later')).toEqual(['cancelled'])
  })
})
