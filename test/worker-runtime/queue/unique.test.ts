// Unique jobs in Redis: which enqueue adds a job, what becomes of the one that is there, and when its key is free.
import {
  type Connection,
  defaultSettings,
  type JobOptions,
  newJob,
  prefixOf,
  type Queue,
} from 'millhand/queue'
import { BEGIN_MS, clockedQueues, NOTHING } from './clocked-queues.ts'

let redis: Connection
let queue: Queue
const at = clockedQueues(
  'unique',
  (...own) => {
    ;[queue, redis] = own
  },
  (queue) => queue.configure({ ...defaultSettings, maxAttempts: 2, backoffMs: 0, ownerUid: 'test' }),
)

type Unique = Omit<NonNullable<JobOptions['unique']>, 'key'>
const named = (id: string, unique: Unique = {}, options: JobOptions = {}) =>
  newJob('sync', { of: id }, { id, unique: { key: 'acme', ...unique }, ...options })
const enqueue = async (...args: Parameters<typeof named>) => (await queue.enqueue([named(...args)]))[0]
const claim = async (wanted = 1) => (await queue.settleAndClaim({ worker: 'p:1', wanted })).claims
type Held = Awaited<ReturnType<typeof claim>>
const settle = (claims: Held, verdict: 'completed' | 'failed' | 'terminal' | 'handed-back' | 'cancelled') =>
  queue.settleAndClaim({
    worker: 'p:1',
    settlements: claims.map(({ id, token }) => ({
      ...{ id, token, verdict },
      text: verdict === 'completed' ? '1 sync 1\nnull' : JSON.stringify({ outcome: 'failed' }),
    })),
  })
const inputOf = ([claim]: Held) => claim?.envelope.split('\n')[1]
const duplicateOf = (id: string) => ({ enqueued: 'duplicate', id })

describe('a second job with the key', () => {
  test('is not enqueued while the first waits or runs, and names it', async () => {
    expect(await enqueue('a')).toBe('created')
    expect(await enqueue('b')).toEqual(duplicateOf('a'))
    const held = await claim()
    expect(await enqueue('c')).toEqual(duplicateOf('a'))
    expect(await queue.depth()).toMatchObject({ ready: 0, busy: 1, counts: { enqueued: 1 } })
    await settle(held, 'completed')
    expect(await enqueue('d')).toBe('created')
  })

  test('counts as the first where the call is repeated', async () => {
    expect(await enqueue('a')).toBe('created')
    expect(await enqueue('a')).toBe('ready')
    await settle(await claim(), 'completed')
    expect(await enqueue('a')).toBe('completed')
  })

  test('is one of many in one call: the first of them is created', async () => {
    const jobs = ['a', 'b', 'c'].map((id) => named(id))
    const others = [
      newJob('sync', null, { id: 'plain' }),
      newJob('sync', null, { id: 'tagged', tags: ['x'] }),
    ]
    expect(await queue.enqueue([...jobs, ...others])).toEqual([
      'created',
      duplicateOf('a'),
      duplicateOf('a'),
      'created',
      'created',
    ])
    expect(await queue.depth()).toMatchObject({ ready: 3, counts: { enqueued: 3 } })
  })

  test('needs no room in a full queue', async () => {
    await queue.configure({ ...defaultSettings, maxLength: 1, ownerUid: 'test' })
    expect(await enqueue('a')).toBe('created')
    expect(await enqueue('b')).toEqual(duplicateOf('a'))
    await expect(queue.enqueue([newJob('sync', null)])).rejects.toThrow(/has 1 waiting jobs/)
  })

  test('needs no room at a limit of its other key', async () => {
    const perKey = { maxLength: 1, whenAtLimit: 'RejectNew' } as const
    await queue.configure({ ...defaultSettings, perKey, ownerUid: 'test' })
    expect(await enqueue('a', {}, { key: 'tenant' })).toBe('created')
    expect(await enqueue('b', {}, { key: 'tenant' })).toEqual(duplicateOf('a'))
    await expect(queue.enqueue([newJob('sync', null, { key: 'tenant' })])).rejects.toThrow(/is at its limit/)
  })
})

describe('the key is free', () => {
  const ends: [string, () => Promise<unknown>][] = [
    ['is completed', async () => settle(await claim(), 'completed')],
    ['is buried', async () => settle(await claim(), 'terminal')],
    ['is cancelled while it waits', () => queue.cancel('a')],
    [
      'is cancelled while it runs',
      async () => {
        const held = await claim()
        await queue.cancel('a')
        await settle(held, 'cancelled')
      },
    ],
    ['is purged', () => queue.purge(['ready'])],
    [
      'is cancelled by an action',
      async () => {
        const action = { verb: 'cancel', filter: { terms: [] }, ids: ['a'] } as const
        await queue.actions.run(await queue.actions.create(action))
      },
    ],
    [
      'is lost with its worker once too often',
      async () => {
        for (let crashes = 0; crashes < defaultSettings.maxCrashes; crashes += 1) {
          await queue.register({ ...NOTHING, worker: `q:${crashes}`, process: 'q', podUid: 'v', slots: 1 })
          await queue.resume()
          await at((crashes + 1) * 10_000_000)
          await queue.settleAndClaim({ worker: `q:${crashes}`, wanted: 1 })
          expect(
            await queue.reap({
              worker: `q:${crashes}`,
              evidence: 'sure',
              reason: 'the test says so',
              counting: 'counted',
            }),
          ).toBe(1)
        }
        expect(await queue.job('a')).toMatchObject({ state: 'buried' })
      },
    ],
    ['loses its envelope', () => redis.call('DEL', `${prefixOf(queue.name)}job:a`)],
    [
      'loses its envelope while it runs',
      async () => {
        const held = await claim()
        await redis.call('DEL', `${prefixOf(queue.name)}job:a`)
        await settle(held, 'completed')
      },
    ],
  ]
  test.each(ends)('when its job %s', async (_, end) => {
    expect(await enqueue('a')).toBe('created')
    await end()
    expect(await enqueue('b')).toBe('created')
    expect(await enqueue('c')).toEqual(duplicateOf('b'))
    await settle(await claim(2), 'completed') // also what is left of the first in its lane
  })

  test('not when its job is tried again or handed back', async () => {
    await enqueue('a')
    await settle(await claim(), 'failed')
    expect(await enqueue('b')).toEqual(duplicateOf('a'))
    await settle(await claim(), 'handed-back')
    expect(await enqueue('c')).toEqual(duplicateOf('a'))
  })

  test('with `waiting`, when the first attempt begins', async () => {
    const unique = { while: 'waiting' } as const
    await enqueue('a', unique)
    expect(await enqueue('b', unique)).toEqual(duplicateOf('a'))
    const held = await claim()
    expect(await enqueue('c', unique)).toBe('created')
    await settle(held, 'failed')
    expect(await enqueue('d', unique)).toEqual(duplicateOf('c'))
    await settle(await claim(2), 'completed')
    expect(await enqueue('e', unique)).toBe('created')
  })

  test('with `forMs`, after so long, whatever became of its job', async () => {
    const unique = { while: { forMs: 60_000 } }
    await enqueue('a', unique)
    const left = await redis.call('PTTL', `${prefixOf(queue.name)}unique:acme`)
    expect(left).toBeGreaterThan(30_000)
    expect(left).toBeLessThanOrEqual(60_000)
    await settle(await claim(), 'completed')
    expect(await enqueue('b', unique)).toEqual(duplicateOf('a'))
    await queue.delete(['a'])
    expect(await enqueue('c', unique)).toEqual(duplicateOf('a'))
    await redis.call('PEXPIRE', `${prefixOf(queue.name)}unique:acme`, 0)
    expect(await enqueue('d', unique)).toBe('created')
  })
})

describe('`replace`', () => {
  const replace = { onDuplicate: 'replace' } as const
  test('gives a waiting job the newest input and puts off one that is delayed', async () => {
    await enqueue('a', replace, { delayMs: 1_000, tags: ['first'], priority: 'high' })
    await at(500)
    const second = newJob('other', 'new', {
      ...{ id: 'b', unique: { key: 'acme', ...replace }, delayMs: 2_000, maxAttempts: 9 },
    })
    expect(await queue.enqueue([second])).toEqual([{ enqueued: 'replaced', id: 'a' }])
    const { envelope } = (await queue.job('a')) ?? {}
    expect(envelope).toMatchObject({
      ...{ task: 'other', lane: 'high', tags: ['first'], payload: '"new"', uniqueKey: 'acme' },
      ...{ enqueuedAtMs: BEGIN_MS, dueAtMs: BEGIN_MS + 2_500 },
    })
    await at(2_499)
    expect(await claim()).toEqual([])
    await at(2_500)
    expect(inputOf(await claim())).toBe('"new"')
    expect(await queue.depth()).toMatchObject({ counts: { enqueued: 1 } })
  })

  test('takes the newest input and the first due time where both come in one call', async () => {
    const jobs = [1_000, 5_000].map((delayMs) =>
      newJob('sync', delayMs, { id: `in-${delayMs}`, unique: { key: 'acme', ...replace }, delayMs }),
    )
    expect(await queue.enqueue(jobs)).toEqual(['created', { enqueued: 'replaced', id: 'in-1000' }])
    await at(999)
    expect(await claim()).toEqual([])
    await at(1_000)
    expect(inputOf(await claim())).toBe('5000')
  })

  test('makes a delayed job ready where the newest is due at once', async () => {
    await enqueue('a', replace, { delayMs: 60_000 })
    expect(await queue.settleAndClaim({ worker: 'p:1', wanted: 1 })).toMatchObject({
      claims: [],
      nextMs: 60_000,
    })
    expect(await enqueue('b', replace)).toEqual({ enqueued: 'replaced', id: 'a' })
    expect(await redis.call('EXISTS', `${prefixOf(queue.name)}wake`)).toBe(1)
    expect(inputOf(await claim())).toBe('{"of":"b"}')
  })

  test('keeps the place of a job that is ready', async () => {
    await enqueue('a', replace)
    await queue.enqueue([newJob('sync', null, { id: 'plain' })])
    expect(await enqueue('b', replace, { delayMs: 60_000 })).toEqual({ enqueued: 'replaced', id: 'a' })
    const [first] = await claim()
    expect([first?.id, first && inputOf([first])]).toEqual(['a', '{"of":"b"}'])
  })

  test('leaves a job that runs alone', async () => {
    await enqueue('a', replace)
    const held = await claim()
    expect(await enqueue('b', replace)).toEqual(duplicateOf('a'))
    await settle(held, 'completed')
    expect(await queue.depth()).toMatchObject({ ready: 0, counts: { enqueued: 1, completed: 1 } })
  })

  test('changes nothing of another job that has the id of the one with the key by now', async () => {
    const forAWhile: Unique = { while: { forMs: 60_000 }, onDuplicate: 'replace' }
    await enqueue('a', forAWhile)
    await queue.purge(['ready'])
    await queue.enqueue([newJob('other', { of: 'another' }, { id: 'a', expiresInMs: 1_000 })])
    for (const onDuplicate of ['replace', 'runAgain', 'keep'] as const)
      expect(await enqueue('b', { onDuplicate })).toEqual(duplicateOf('a'))
    const held = await claim()
    expect(inputOf(held)).toBe('{"of":"another"}')
    await at(2_000)
    for (const onDuplicate of ['replace', 'runAgain'] as const)
      expect(await enqueue('c', { onDuplicate })).toEqual(duplicateOf('a'))
    expect((await settle(held, 'completed')).became).toEqual(['completed'])
    expect(await claim()).toEqual([])
  })

  test('changes nothing of a job that is buried, while its time runs', async () => {
    await enqueue('a', { while: { forMs: 60_000 }, onDuplicate: 'replace' })
    await settle(await claim(), 'terminal')
    expect(await enqueue('b', { onDuplicate: 'replace' })).toEqual(duplicateOf('a'))
    expect((await queue.job('a'))?.envelope?.payload).toContain('"a"')
  })

  test('changes nothing of a job that has ended, while its time runs', async () => {
    const unique = { ...replace, while: { forMs: 60_000 } }
    await enqueue('a', unique)
    await settle(await claim(), 'completed')
    expect(await enqueue('b', unique)).toEqual(duplicateOf('a'))
  })
})

describe('`runAgain`', () => {
  const again = { onDuplicate: 'runAgain' } as const
  test('lets the newest of those that came follow the job that runs', async () => {
    await enqueue('a', again)
    const held = await claim()
    for (const id of ['b', 'c', 'c'])
      expect(await enqueue(id, again)).toEqual({ enqueued: 'runs-again', id: 'a' })
    expect(await queue.depth()).toMatchObject({ ready: 0, busy: 1, counts: { enqueued: 1 } })
    await settle(held, 'completed')
    expect(await queue.depth()).toMatchObject({ ready: 1, counts: { enqueued: 2 } })
    expect(await enqueue('c', again)).toBe('ready')
    const next = await claim()
    expect([next[0]?.id, inputOf(next)]).toEqual(['c', '{"of":"c"}'])
    await settle(next, 'completed')
    expect(await queue.depth()).toMatchObject({ ready: 0, counts: { enqueued: 2, completed: 2 } })
  })

  test('follows also where the job is buried or cancelled', async () => {
    for (const verdict of ['terminal', 'cancelled'] as const) {
      await enqueue(`${verdict}-1`, again)
      const held = await claim()
      await enqueue(`${verdict}-2`, again)
      await settle(held, verdict)
      const next = await claim()
      expect(next.map(({ id }) => id)).toEqual([`${verdict}-2`])
      await settle(next, 'completed')
    }
  })

  test('gives its input to the job where that waits, also for another attempt', async () => {
    await enqueue('a', again)
    expect(await enqueue('b', again)).toEqual({ enqueued: 'replaced', id: 'a' })
    const held = await claim()
    expect(inputOf(held)).toBe('{"of":"b"}')
    await enqueue('c', again)
    await settle(held, 'failed')
    expect(await enqueue('d', again)).toEqual({ enqueued: 'replaced', id: 'a' })
    const second = await claim()
    expect([second[0]?.attempt, inputOf(second)]).toEqual([2, '{"of":"d"}'])
    await settle(second, 'completed')
    expect(await queue.depth()).toMatchObject({ ready: 0, delayed: 0, counts: { enqueued: 1 } })
  })

  test('begins its own time, and its own delay', async () => {
    const unique = { ...again, while: { forMs: 60_000 } }
    await enqueue('a', unique)
    const held = await claim()
    await enqueue('b', unique, { delayMs: 5_000 })
    await at(10_000)
    await settle(held, 'completed')
    expect(await queue.job('b')).toMatchObject({ state: 'delayed', dueAtMs: BEGIN_MS + 15_000 })
    expect(await redis.call('GET', `${prefixOf(queue.name)}unique:acme`)).toBe('b')
  })

  test('is gone where somebody deletes the job that waits for another attempt', async () => {
    await enqueue('a', again)
    const held = await claim()
    await enqueue('b', again)
    await settle(held, 'failed')
    await queue.purge(['ready', 'delayed'])
    expect(await queue.depth()).toMatchObject({ ready: 0, delayed: 0, counts: { enqueued: 1 } })
  })
})

describe('a buried job', () => {
  const bury = async (unique: Unique = {}) => {
    await enqueue('a', unique)
    await settle(await claim(), 'terminal')
  }
  test('has its key again when it is retried', async () => {
    await bury()
    expect(await queue.retry(['a'])).toEqual(['ready'])
    expect(await enqueue('b')).toEqual(duplicateOf('a'))
  })

  test('stays buried while another job has its key', async () => {
    await bury()
    await enqueue('b')
    expect(await queue.retry(['a'])).toEqual(['key-taken'])
    const action = { verb: 'retry', filter: { terms: [] }, ids: ['a'] } as const
    expect(await queue.actions.run(await queue.actions.create(action))).toMatchObject({
      ...{ done: 0, skipped: 1, failed: 0 },
      reasons: [{ id: 'a', reason: 'another job has its unique key' }],
    })
    expect(await queue.job('a')).toMatchObject({ state: 'buried' })
    await settle(await claim(), 'completed')
    expect(await queue.retry(['a'])).toEqual(['ready'])
  })

  test('is deleted, and comes back from the trash, without a word about the key', async () => {
    await bury()
    await enqueue('b')
    const action = { verb: 'delete', filter: { terms: [] }, ids: ['a'] } as const
    const id = await queue.actions.create(action)
    expect(await queue.actions.run(id)).toMatchObject({ done: 1 })
    expect(await queue.actions.undo(id)).toBe(1)
    expect(await enqueue('c')).toEqual(duplicateOf('b'))
  })
})
