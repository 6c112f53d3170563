// A job whose attempt ran out of memory goes on in another queue, once, and ends where it was enqueued.

import fc from 'fast-check'
import {
  type Connection,
  defaultSettings,
  type JobOptions,
  newJob,
  openQueue,
  type Queue,
} from 'millhand/queue'
import { census } from '../../census.ts'
import { BEGIN_MS, clockedQueues, NOTHING, scripts, setClock } from './clocked-queues.ts'

const DAY_MS = 86_400_000
const seed = Number(process.env.MILLHAND_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31))

let redis: Connection
let small: Queue
let big: Queue
const at = clockedQueues(
  'small',
  (...own) => {
    ;[small, redis] = own
    big = openQueue(redis, small.name.replace('small', 'big'), scripts)
  },
  async (queue) => {
    const settings = { ...defaultSettings, maxAttempts: 2, backoffMs: 0, ownerUid: 'test' }
    await setBoth(0)
    await queue.configure({ ...settings, escalateTo: big.name })
    await big.configure(settings)
    await big.register({ ...NOTHING, worker: 'p:2', process: 'p', podUid: 'v', slots: 100 })
  },
)
afterEach(async () => {
  expect((await census(redis, big.name)).problems).toEqual([])
})

async function setBoth(ms: number): Promise<void> {
  await at(ms)
  await setClock(redis, big, BEGIN_MS + ms)
}

const group = 'v1:0123456789abcdef'
const record = (outcome: string, message = 'no') => JSON.stringify({ outcome, group, message })
const enqueue = (id: string, options: JobOptions = {}) =>
  small.enqueue([newJob('render', { frames: 9 }, { id, ...options })])
const claim = async (queue: Queue) =>
  (await queue.settleAndClaim({ worker: queue === small ? 'p:1' : 'p:2', wanted: 10 })).claims
async function settle(
  queue: Queue,
  verdict: 'completed' | 'failed' | 'terminal',
  text: string,
): Promise<unknown> {
  const claims = await claim(queue)
  const settlements = claims.map(({ id, token }) => ({ id, token, verdict, text }))
  const worker = queue === small ? 'p:1' : 'p:2'
  const { became } = await queue.settleAndClaim({ worker, settlements })
  await queue.forward()
  return became
}
const runsOutOfMemory = (queue: Queue) => settle(queue, 'failed', record('out-of-memory'))
const eventsOf = async (queue: Queue) => {
  const entries = (await redis.call('XRANGE', `mh:{${queue.name}}:events`, '-', '+')) as [string, string[]][]
  return entries.flatMap(([, fields]) => fields.filter((_, i) => i % 2 === 0 && fields[i] !== 'worker'))
}

test('it goes on in the other queue with its id, its input and what it has saved, and ends where it was', async () => {
  await enqueue('a', { key: 'acme', tags: ['film'] })
  const [held] = await claim(small)
  await small.saveStep({ worker: 'p:1', id: 'a', token: held?.token ?? '' }, 'probe', '7')
  const failed = {
    id: 'a',
    token: held?.token ?? '',
    verdict: 'failed' as const,
    text: record('out-of-memory'),
  }
  expect((await small.settleAndClaim({ worker: 'p:1', settlements: [failed] })).became).toEqual(['delayed'])
  await small.forward()
  expect(await small.job('a')).toMatchObject({ state: 'delayed', escalatedTo: big.name, attempts: 1 })
  expect(await small.job('a')).not.toHaveProperty('dueAtMs')
  expect((await small.why('a'))?.causes.map(({ code }) => code)).toEqual(['escalated', 'next'])
  expect(await claim(small)).toEqual([])

  const [copy] = await claim(big)
  expect(copy).toMatchObject({ id: 'a', attempt: 2 })
  expect(copy?.envelope).toMatch(/^2\S normal\/acme \d+ render [^\n]*g=film[^\n]*\n\{"frames":9\}$/)
  expect(await big.saved({ worker: 'p:2', id: 'a', token: copy?.token ?? '' })).toMatchObject({
    steps: new Map([['probe', '7']]),
  })
  await setBoth(5_000)
  const done = {
    id: 'a',
    token: copy?.token ?? '',
    verdict: 'completed' as const,
    text: '1 render 3\n"film"',
  }
  await big.settleAndClaim({ worker: 'p:2', settlements: [done] })
  await big.forward()
  expect(await small.job('a')).toMatchObject({
    state: 'completed',
    attempts: 2,
    enqueuedAtMs: BEGIN_MS,
    ended: { result: '"film"', facts: { durationMs: 3 } },
    failures: [{ outcome: 'out-of-memory' }],
  })
  expect(await eventsOf(small)).toEqual(['escalated'])
})

test('only an attempt that ran out of memory does, and only where the queue says so', async () => {
  await enqueue('a')
  expect(await settle(small, 'failed', record('failed'))).toEqual(['delayed'])
  await small.configure({ ...defaultSettings, maxAttempts: 2, backoffMs: 0, ownerUid: 'test' })
  await runsOutOfMemory(small)
  expect(await small.job('a')).toMatchObject({ state: 'buried' })
  expect(await big.job('a')).toBeUndefined()
})

test('it goes there once: it has all its attempts there, and is then buried where it was enqueued', async () => {
  await enqueue('a')
  await runsOutOfMemory(small)
  expect(await runsOutOfMemory(big)).toEqual(['delayed'])
  expect(await settle(big, 'failed', record('failed', 'the last'))).toEqual(['buried'])
  expect(await big.job('a')).toBeUndefined()
  expect((await big.depth()).buried).toBe(0)
  expect(await small.job('a')).toMatchObject({
    state: 'buried',
    attempts: 3,
    failures: [{ outcome: 'out-of-memory' }, { outcome: 'out-of-memory' }, { message: 'the last' }],
  })
  expect((await small.errors.list()).groups).toMatchObject([{ group, count: 2 }])
  expect((await small.errors.get(group))?.jobs).toEqual(['a'])
  expect(await small.retry(['a'])).toEqual(['ready'])
  await runsOutOfMemory(small)
  await settle(big, 'completed', '1 render 3\n1')
  expect(await small.job('a')).toMatchObject({ state: 'completed' })
})

test('a job that is cancelled is cancelled in both queues, wherever a person asks for it', async () => {
  await enqueue('a')
  await enqueue('b')
  await runsOutOfMemory(small)
  expect(await small.cancel('a')).toBe('cancelled')
  expect(await big.cancel('b')).toBe('cancelled')
  await small.forward()
  await big.forward()
  for (const [queue, id] of [
    [small, 'a'],
    [small, 'b'],
    [big, 'a'],
    [big, 'b'],
  ] as const)
    expect([id, await queue.job(id)]).toMatchObject([id, { state: 'cancelled' }])
})

test('a job that is deleted in one queue is gone in both', async () => {
  await enqueue('a')
  await runsOutOfMemory(small)
  await small.purge(['delayed'])
  await small.forward()
  expect([await small.job('a'), await big.job('a')]).toMatchObject([undefined, { state: 'cancelled' }])

  await enqueue('b')
  await runsOutOfMemory(small)
  await big.purge(['ready'])
  await big.forward()
  expect([await small.job('b'), await big.job('b')]).toEqual([undefined, undefined])
})

test('a unique job keeps its key meanwhile, and runs again behind its end where that was asked for', async () => {
  const unique = { key: 'report', onDuplicate: 'runAgain' } as const
  await enqueue('a', { unique })
  await runsOutOfMemory(small)
  expect(await enqueue('b', { unique })).toMatchObject([{ enqueued: 'runs-again' }])
  await settle(big, 'completed', '1 render 3\n1')
  expect((await claim(small)).map(({ id }) => id)).toEqual(['b'])
})

test('a copy that is lost is made good: the job is due again after a day', async () => {
  await enqueue('a')
  await runsOutOfMemory(small)
  await redis.call('DEL', `mh:{${big.name}}:job:a`, `mh:{${big.name}}:attempt:a`)
  await claim(big)
  await setBoth(DAY_MS - 1)
  expect(await claim(small)).toEqual([])
  await setBoth(DAY_MS)
  await settle(small, 'completed', '1 render 3\n1')
  expect(await small.job('a')).toMatchObject({ state: 'completed' })
})

test('a job of the same id that is in the other queue already is left alone, and ours fails with the reason', async () => {
  await big.enqueue([newJob('other', null, { id: 'a' })])
  await enqueue('a')
  await runsOutOfMemory(small)
  await big.forward()
  expect(await small.job('a')).toMatchObject({
    state: 'buried',
    failures: [
      { outcome: 'out-of-memory' },
      { message: expect.stringContaining('another job with this id') },
    ],
  })
  expect((await claim(big)).map(({ envelope }) => envelope)).toEqual([expect.stringContaining(' other')])
})

type Step =
  | { do: 'enqueue'; id: number; key?: number }
  | {
      do: 'work'
      where: 'small' | 'big'
      ends: readonly ('completed' | 'out-of-memory' | 'failed' | 'terminal')[]
    }
  | { do: 'cancel' | 'retry' | 'delete'; where: 'small' | 'big'; id: number }
  | { do: 'forward' | 'purge' | 'lose-worker'; where: 'small' | 'big' }
  | { do: 'wait'; hours: number }

const where = fc.constantFrom<'small' | 'big'>('small', 'big')
const id = fc.nat(5)
const ends = fc.array(fc.constantFrom(...(['completed', 'out-of-memory', 'failed', 'terminal'] as const)), {
  ...{ minLength: 1, maxLength: 3 },
})
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record(
        { do: fc.constant('enqueue' as const), id, key: fc.nat(1) },
        { requiredKeys: ['do', 'id'] },
      ),
    },
    { weight: 6, arbitrary: fc.record({ do: fc.constant('work' as const), where, ends }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('forward' as const), where }) },
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constantFrom(...(['cancel', 'retry', 'delete'] as const)), where, id }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constantFrom(...(['purge', 'lose-worker'] as const)), where }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const), hours: fc.nat(30) }) },
  ),
  { minLength: 5, maxLength: 40 },
)

test(`whatever happens on the way, each job reaches one end, and every counter is right (seed ${seed})`, async () => {
  let hours = 0
  let nth = 0
  await fc.assert(
    fc.asyncProperty(steps, async (played) => {
      nth += 1
      for (const step of played) await play(step)
      for (let round = 0; round < 6; round += 1) {
        for (const queue of [small, big]) {
          await settle(queue, 'completed', '1 render 3\n1')
          await queue.forward()
        }
        hours += 12
        await setBoth(hours * 3_600_000)
      }
      for (const queue of [small, big]) {
        expect((await census(redis, queue.name)).problems).toEqual([])
        expect(await queue.depth()).toMatchObject({ ready: 0, delayed: 0, busy: 0 })
      }
      expect((await big.depth()).buried).toBe(0)
    }),
    { seed, numRuns: 60, endOnFailure: true },
  )

  async function play(step: Step): Promise<void> {
    const queue = 'where' in step && step.where === 'big' ? big : small
    const job = 'id' in step ? `${nth}-${step.id}` : ''
    switch (step.do) {
      case 'enqueue': {
        const unique = { key: `${nth}-${step.key}`, onDuplicate: 'runAgain' } as const
        return void (await enqueue(job, step.key === undefined ? {} : { unique }))
      }
      case 'work':
        return work(queue, step.ends)
      case 'cancel':
        return void (await queue.cancel(job))
      case 'retry':
        return void (await queue.retry([job]))
      case 'delete':
        return void (await queue.delete([job]))
      case 'forward':
        return void (await queue.forward())
      case 'purge':
        return void (await queue.purge(['ready', 'delayed', 'buried']))
      case 'lose-worker':
        return loseWorker(queue)
      case 'wait':
        hours += step.hours
        return void (await setBoth(hours * 3_600_000))
    }
  }

  async function work(queue: Queue, outcomes: readonly string[]): Promise<void> {
    const worker = queue === small ? 'p:1' : 'p:2'
    const claims = await claim(queue)
    const settlements = claims.map(({ id, token }, n) => {
      const outcome = outcomes[n % outcomes.length] ?? ''
      if (outcome === 'completed') return { id, token, verdict: outcome, text: '1 render 3\n1' } as const
      const verdict = outcome === 'terminal' ? 'terminal' : 'failed'
      return { id, token, verdict, text: record(outcome) } as const
    })
    await queue.settleAndClaim({ worker, settlements })
  }

  async function loseWorker(queue: Queue): Promise<void> {
    await claim(queue)
    const worker = queue === small ? 'p:1' : 'p:2'
    await queue.reap({ worker, evidence: 'sure', reason: 'killed' })
    await queue.register({
      ...NOTHING,
      worker,
      process: 'p',
      podUid: queue === small ? 'u' : 'v',
      slots: 100,
    })
  }
}, 120_000)
