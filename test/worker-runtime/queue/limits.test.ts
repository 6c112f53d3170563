// Keys and their limits in Redis: whose turn it is, how many of a key run at once, and how many start in a time.
import {
  type Connection,
  defaultSettings,
  type JobOptions,
  newJob,
  prefixOf,
  type Queue,
  type QueueSettings,
} from 'millhand/queue'
import { BEGIN_MS, clockedQueues, NOTHING } from './clocked-queues.ts'

let redis: Connection
let queue: Queue
const at = clockedQueues('limits', (...own) => {
  ;[queue, redis] = own
})

const configure = (settings: Partial<QueueSettings>) => queue.configure({ ...defaultSettings, ...settings })
const enqueue = (key: string | undefined, jobs: number, options: JobOptions = {}) =>
  queue.enqueue(
    Array.from({ length: jobs }, () => newJob('send', key ?? null, { ...options, ...(key && { key }) })),
  )
const claim = async (wanted: number) => queue.settleAndClaim({ worker: 'p:1', wanted })
/** The keys of the next jobs, in the order in which they are claimed. */
const keysOf = ({ claims }: Awaited<ReturnType<typeof claim>>) =>
  claims.map(({ envelope }) => envelope.split('\n')[1]?.replaceAll('"', ''))
const complete = (claims: readonly { id: string; token: string }[], wanted = 0) =>
  queue.settleAndClaim({
    worker: 'p:1',
    settlements: claims.map(({ id, token }) => ({
      id,
      token,
      verdict: 'completed' as const,
      text: '1 send 1\nnull',
    })),
    wanted,
  })

test('the age of the oldest job that a limit holds back is told apart from that of the others', async () => {
  await configure({ perKey: { maxBusy: 1 } })
  await enqueue('acme', 2)
  const { claims } = await claim(9)
  expect(claims).toHaveLength(1)
  await at(5_000)
  await enqueue('acme', 1)
  await enqueue('beta', 1)
  await at(6_000)
  expect(await queue.depth()).toMatchObject({ blocked: 2, oldestBlockedMs: 6_000, oldestReadyMs: 1_000 })
  await complete(claims)
  const { oldestBlockedMs, oldestReadyMs } = await queue.depth()
  expect([oldestBlockedMs, oldestReadyMs]).toEqual([undefined, 6_000])
})

describe('jobs of several keys', () => {
  test('are served in turn, whatever their numbers', async () => {
    await enqueue('greedy', 500)
    await enqueue('modest', 4)
    await enqueue('shy', 2)
    const served = keysOf(await claim(20))
    expect(served.slice(0, 10).filter((key) => key === 'shy')).toHaveLength(2)
    expect(served.slice(0, 14).filter((key) => key === 'modest')).toHaveLength(4)
  })

  test('one job of a key waits for at most one turn of a key with many', async () => {
    await enqueue('greedy', 1_000)
    await claim(7)
    await enqueue('modest', 1)
    expect(keysOf(await claim(3))).toContain('modest')
  })

  test('a key whose jobs come one by one does not overtake others, though its lane runs empty each time', async () => {
    for (const key of ['a', 'b', 'c', 'd']) await enqueue(key, 100)
    const served: (string | undefined)[] = []
    for (let i = 0; i < 50; i += 1) {
      await enqueue('trickle', 1)
      served.push(...keysOf(await claim(1)))
    }
    expect(served.filter((key) => key === 'trickle').length).toBeLessThanOrEqual(50 / 5 + 2)
  })

  test('the priority of a job is the weight of its lane', async () => {
    await enqueue('a', 200, { priority: 'urgent' })
    await enqueue('b', 200, { priority: 'low' })
    const served: (string | undefined)[] = []
    for (let i = 0; i < 90; i += 1) served.push(...keysOf(await claim(1)))
    expect(served.filter((key) => key === 'b').length).toBeLessThanOrEqual(11)
    expect(served.filter((key) => key === 'b').length).toBeGreaterThanOrEqual(9)
  })
})

describe('perKey.maxBusy', () => {
  test('holds back the jobs of a key, counts them as blocked, and lets others pass', async () => {
    await configure({ perKey: { maxBusy: 2 } })
    await enqueue('greedy', 10)
    await enqueue(undefined, 3)
    const answer = await claim(10)
    expect(keysOf(answer).filter((key) => key === 'greedy')).toHaveLength(2)
    expect(answer.claims).toHaveLength(5)
    expect(await queue.depth()).toMatchObject({ ready: 8, blocked: 8, busy: 5 })
    expect(await queue.keyState('greedy')).toMatchObject({
      ...{ busy: 2, waiting: 8, isBlocked: true, blockedSinceMs: BEGIN_MS },
      limits: { maxBusy: 2 },
    })
    const mine = answer.claims.filter(({ envelope }) => envelope.includes('greedy'))
    expect(keysOf(await complete(mine.slice(0, 1), 10))).toEqual(['greedy'])
  })

  test('is shared by all priorities of a key', async () => {
    await configure({ perKey: { maxBusy: 3 } })
    for (const priority of ['urgent', 'high', 'normal', 'low'] as const) await enqueue('a', 2, { priority })
    expect((await claim(10)).claims).toHaveLength(3)
    expect(await queue.depth()).toMatchObject({ blocked: 5 })
  })

  test.each(['completed', 'terminal', 'cancelled', 'handed-back', 'failed'] as const)(
    'a %s job makes room for the next one',
    async (verdict) => {
      await configure({ perKey: { maxBusy: 1 }, backoffMs: 60_000 })
      await enqueue('a', 2)
      const [held] = (await claim(5)).claims
      if (!held) throw new Error('nothing was claimed')
      const text = verdict === 'completed' ? '1 send 1\nnull' : '{"outcome":"failed"}'
      const { claims } = await queue.settleAndClaim({
        worker: 'p:1',
        settlements: [{ ...held, verdict, text }],
        wanted: 5,
      })
      expect(claims).toHaveLength(1)
    },
  )

  test('a dead worker makes room', async () => {
    await configure({ perKey: { maxBusy: 1 } })
    await enqueue('a', 2)
    await claim(5)
    await queue.reap({ worker: 'p:1', evidence: 'sure', reason: 'it was killed' })
    await queue.register({ ...NOTHING, worker: 'p:2', process: 'p', podUid: 'v', slots: 100 })
    expect((await queue.settleAndClaim({ worker: 'p:2', wanted: 5 })).claims).toHaveLength(1)
  })

  test('a cancelled job that was blocked is blocked no more, and its id may be used anew', async () => {
    await configure({ perKey: { maxBusy: 1 } })
    await enqueue('a', 1)
    await enqueue('a', 1, { id: 'later' })
    await claim(5)
    await queue.cancel('later')
    expect(await queue.depth()).toMatchObject({ ready: 0, blocked: 0 })
    await queue.delete(['later'])
    await enqueue('a', 1, { id: 'later' })
    expect(await queue.depth()).toMatchObject({ ready: 1, blocked: 1 })
    expect(await queue.purge(['ready'])).toEqual({ deleted: 1, isMore: false })
    expect(await queue.depth()).toMatchObject({ ready: 0, blocked: 0 })
  })
})

describe('limits of one key', () => {
  test('win over those of the TaskQueue, at once, and are listed and removed', async () => {
    await configure({ perKey: { maxBusy: 1 } })
    await enqueue('acme', 10)
    expect((await claim(10)).claims).toHaveLength(1)
    await queue.setLimits('acme', { maxBusy: 4 })
    expect((await claim(10)).claims).toHaveLength(3)
    expect(await queue.listLimits()).toEqual([{ key: 'acme', limits: { maxBusy: 4 } }])
    expect(await queue.removeLimits('acme')).toBe(true)
    expect(await queue.removeLimits('acme')).toBe(false)
    expect((await claim(10)).claims).toHaveLength(0)
    expect(await queue.listLimits()).toEqual([])
  })

  test('of the whole queue win too, and the limit of the TaskQueue comes back', async () => {
    await configure({ maxBusy: 1 })
    await enqueue(undefined, 10)
    expect((await claim(10)).claims).toHaveLength(1)
    await queue.setLimits(undefined, { maxBusy: 3 })
    await configure({ maxBusy: 1 })
    expect((await claim(10)).claims).toHaveLength(2)
    await queue.removeLimits(undefined)
    expect(await queue.depth()).toMatchObject({ maxBusy: 1 })
  })

  test.each([
    [{}, 'no limit is given'],
    [{ maxBusy: -1 }, 'invalid maxBusy -1'],
    [{ maxbusy: 1 }, 'did you mean maxBusy?'],
    [{ rate: { jobs: 0, periodMs: 1 } }, 'invalid jobs 0'],
  ])('%j are refused with the field and the remedy', async (limits, message) => {
    await expect(queue.setLimits('a', limits as never)).rejects.toThrow(message)
  })

  test('a key that is none is refused', async () => {
    await expect(queue.setLimits('a b', { maxBusy: 1 })).rejects.toThrow('invalid key "a b"')
  })
})

describe('a rate', () => {
  /** Claims whenever a worker may be awake, and answers the times of all starts. */
  const startsOf = async (untilMs: number, looks: (fromMs: number, nextMs: number | undefined) => number) => {
    const starts: number[] = []
    for (let ms = 0; ms < untilMs; ) {
      await at(ms)
      const { claims, nextMs } = await claim(50)
      await complete(claims)
      for (const _ of claims) starts.push(ms)
      ms = looks(ms, nextMs)
    }
    return starts
  }
  const mostIn = (starts: readonly number[], windowMs: number) =>
    Math.max(...starts.map((from, i) => starts.slice(i).filter((ms) => ms <= from + windowMs).length))

  test.each([
    { jobs: 10, periodMs: 1_000, burst: 1 },
    { jobs: 7, periodMs: 1_000, burst: 3 },
    { jobs: 30, periodMs: 60_000, burst: 5 },
  ])(
    '%j lets at most burst + rate × window start, in any window, and no fewer in the long run',
    async (rate) => {
      await configure({ rate })
      await enqueue(undefined, 500)
      let seed = 7
      const random = () => {
        seed = (seed * 48_271) % 2_147_483_647
        return seed / 2_147_483_647
      }
      const untilMs = (40 * rate.periodMs) / rate.jobs
      const starts = await startsOf(
        untilMs,
        (ms, nextMs) => ms + Math.max(1, Math.min(nextMs ?? 1, random() * 900)),
      )
      for (const windowMs of [0, 1, 100, 142, 143, 1_000, 4_000, 60_000])
        expect(mostIn(starts, windowMs)).toBeLessThanOrEqual(
          rate.burst + (windowMs * rate.jobs) / rate.periodMs,
        )
      expect(starts.length).toBeGreaterThanOrEqual(39)
    },
  )

  test('workers are told to the millisecond when the next job may start', async () => {
    await configure({ rate: { jobs: 3, periodMs: 1_000, burst: 1 } })
    await enqueue(undefined, 5)
    expect(await claim(5)).toMatchObject({ nextMs: 334, claims: [expect.anything()] })
    await at(333)
    expect(await claim(5)).toMatchObject({ nextMs: 1, claims: [] })
    await at(334)
    expect(await claim(5)).toMatchObject({ nextMs: 334, claims: [expect.anything()] })
    expect(await queue.keyState()).toMatchObject({ isBlocked: true, untilMs: BEGIN_MS + 668 })
  })

  test('of each key holds back that key alone', async () => {
    await configure({ perKey: { rate: { jobs: 1, periodMs: 1_000, burst: 2 } } })
    await enqueue('a', 5)
    await enqueue('b', 1)
    await enqueue(undefined, 1)
    const answer = await claim(10)
    expect(keysOf(answer).sort()).toEqual(['a', 'a', 'b', 'null'])
    expect(answer.nextMs).toBe(1_000)
    expect(await queue.depth()).toMatchObject({ ready: 3, blocked: 3 })
    await at(1_000)
    expect(keysOf(await claim(10))).toEqual(['a'])
  })

  test('that was parked goes on at once when the limit is taken away', async () => {
    await configure({ rate: { jobs: 1, periodMs: 3_600_000 } })
    await enqueue(undefined, 5)
    expect((await claim(5)).claims).toHaveLength(1)
    await configure({})
    expect((await claim(5)).claims).toHaveLength(4)
  })

  test('goes on in time after the clock went back', async () => {
    await configure({ rate: { jobs: 1, periodMs: 1_000 } })
    await enqueue(undefined, 5)
    await claim(1)
    await at(-3_600_000)
    await queue.renew('p:1')
    await claim(1)
    await at(-3_600_000 + 1_000)
    expect((await claim(1)).claims).toHaveLength(1)
  })
})

describe('an enqueue at a limit of its key', () => {
  const idsOf = async (state: 'ready' | 'held') => (await queue.jobs(state)).map(({ id }) => id).sort()

  test('is refused beyond maxLength, as a whole, and other keys are not', async () => {
    await configure({ perKey: { maxLength: 3 } })
    await enqueue('a', 2)
    await expect(enqueue('a', 2)).rejects.toMatchObject({
      code: 'KEY_FULL',
      message: expect.stringContaining('key a of queue'),
    })
    expect(await enqueue('b', 3)).toEqual(['created', 'created', 'created'])
    expect(await queue.depth()).toMatchObject({ ready: 5 })
  })

  test('is not refused for a job that is there already, nor for one that is due later', async () => {
    await configure({ perKey: { maxLength: 1 } })
    await enqueue('a', 1, { id: 'known' })
    expect(await enqueue('a', 1, { id: 'known' })).toEqual(['ready'])
    expect(await enqueue('a', 1, { delayMs: 60_000 })).toEqual(['created'])
  })

  test('is refused with RejectNew when the job could not start at once', async () => {
    await configure({ perKey: { maxBusy: 2, whenAtLimit: 'RejectNew' } })
    await enqueue('a', 2)
    await expect(enqueue('a', 1)).rejects.toMatchObject({ code: 'KEY_FULL' })
    const { claims } = await claim(5)
    await expect(enqueue('a', 1)).rejects.toMatchObject({ code: 'KEY_FULL' })
    await complete(claims.slice(0, 1))
    expect(await enqueue('a', 1)).toEqual(['created'])
  })

  test('cancels the oldest of its key with CancelOldest: those that run first, then those that wait', async () => {
    await configure({ perKey: { maxBusy: 1, whenAtLimit: 'CancelOldest' } })
    await enqueue('a', 1, { id: 'first' })
    await enqueue('b', 1, { id: 'other' })
    const [first] = (await claim(1)).claims
    await enqueue('a', 1, { id: 'second' })
    expect(await queue.job('first')).toMatchObject({ state: 'held', cancelling: true })
    await at(1)
    await enqueue('a', 1, { id: 'third' })
    expect(await queue.job('second')).toMatchObject({ state: 'cancelled' })
    expect(await idsOf('ready')).toEqual(['other', 'third'])
    if (!first) throw new Error('nothing was claimed')
    await queue.settleAndClaim({ worker: 'p:1', settlements: [{ ...first, verdict: 'cancelled', text: '' }] })
    expect((await claim(5)).claims.map(({ id }) => id).sort()).toEqual(['other', 'third'])
    expect(await queue.job('first')).toMatchObject({ state: 'cancelled' })
  })

  test('of one call keeps the newest, as many as may wait', async () => {
    await configure({ perKey: { maxLength: 2, whenAtLimit: 'CancelOldest' } })
    await queue.enqueue(['1', '2', '3', '4', '5'].map((id) => newJob('send', null, { id, key: 'a' })))
    expect(await idsOf('ready')).toEqual(['4', '5'])
    expect(await queue.depth()).toMatchObject({ ready: 2, counts: { enqueued: 5, cancelled: 3 } })
  })
})

test('CancelOldest leaves no more entries of cancelled jobs in a lane than one', async () => {
  await configure({ perKey: { maxLength: 1, whenAtLimit: 'CancelOldest' } })
  await queue.pause()
  for (let i = 0; i < 30; i += 1) await enqueue('a', 1)
  expect(Number(await redis.call('LLEN', `${prefixOf(queue.name)}ready:normal/a`))).toBeLessThanOrEqual(2)
  expect(await queue.depth()).toMatchObject({ ready: 1, counts: { cancelled: 29 } })
})

test('ready jobs whose envelope another program deleted are not counted for ever', async () => {
  await configure({ perKey: { maxBusy: 1 } })
  await enqueue('a', 2)
  await enqueue('b', 1, { id: 'lost' })
  await enqueue(undefined, 1, { id: 'gone' })
  await redis.call('DEL', `${prefixOf(queue.name)}job:lost`, `${prefixOf(queue.name)}job:gone`)
  expect((await claim(10)).claims).toHaveLength(1)
  expect(await queue.depth()).toMatchObject({ ready: 1, blocked: 1 })
  // Nobody is woken for what may not run.
  expect(await redis.call('EXISTS', `${prefixOf(queue.name)}wake`)).toBe(0)
})

test('a job that CancelOldest cancels is told once to those who watch', async () => {
  await configure({ perKey: { maxLength: 1, whenAtLimit: 'CancelOldest' } })
  await redis.call('HSET', `${prefixOf(queue.name)}config`, 'watchedUntilMs', BEGIN_MS + 60_000, 'usual', '')
  await enqueue('a', 1, { id: 'old' })
  await enqueue('a', 1, { id: 'new' })
  const entries = JSON.stringify(await redis.call('XRANGE', `${prefixOf(queue.name)}events`, '-', '+'))
  expect(entries.match(/old send/g)).toHaveLength(2) // enqueued, and cancelled
})

test('what is known of keys goes with the last use', async () => {
  await configure({ perKey: { maxBusy: 1, rate: { jobs: 10, periodMs: 1_000 } } })
  for (let i = 0; i < 20; i += 1) await enqueue(`key-${i}`, 2)
  for (let ms = 0; ms < 1_000; ms += 100) {
    await at(ms)
    await complete((await claim(50)).claims)
  }
  await configure({})
  await at(60_000)
  await queue.renew('p:1')
  await claim(1)
  await queue.renew('p:1')
  const left = (await redis.call('KEYS', `${prefixOf(queue.name).replace('[', '')}*`)) as string[]
  const names = left
    .map((key) => key.slice(prefixOf(queue.name).length))
    .filter((name) => !name.startsWith('job:'))
  expect(
    names.filter((name) => /^(busy|full|blocked|parked|rates|limits|lanes|tombstones)/.test(name)),
  ).toEqual([])
  expect(await redis.call('HGET', `${prefixOf(queue.name)}config`, 'limits')).toBeNull()
})
