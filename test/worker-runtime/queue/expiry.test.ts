// Jobs that expire in Redis: which ones end, who notices it, and what is counted, told and shown.
import {
  type Connection,
  defaultSettings,
  type JobOptions,
  newJob,
  parseFilter,
  prefixOf,
  type Queue,
} from 'millhand/queue'
import { pageOf } from '../../../worker-runtime/src/queue/events.ts'
import { BEGIN_MS, clockedQueues, NOTHING } from './clocked-queues.ts'

let redis: Connection
let queue: Queue
const at = clockedQueues(
  'expiry',
  (...own) => {
    ;[queue, redis] = own
  },
  (queue) => queue.configure({ ...defaultSettings, maxAttempts: 2, backoffMs: 0, ownerUid: 'test' }),
)

const enqueue = async (id: string, options: JobOptions = { expiresInMs: 1_000 }) =>
  (await queue.enqueue([newJob('send', { to: id }, { id, ...options })]))[0]
const claim = async (wanted = 10) => (await queue.settleAndClaim({ worker: 'p:1', wanted })).claims
const settle = (claims: Awaited<ReturnType<typeof claim>>, verdict: 'failed' | 'handed-back') =>
  queue.settleAndClaim({
    worker: 'p:1',
    settlements: claims.map(({ id, token }) => ({
      id,
      token,
      verdict,
      text: JSON.stringify({ outcome: 'failed' }),
    })),
  })
const stateOf = async (id: string) => (await queue.job(id))?.state

describe('a job that has not started by its time', () => {
  test('ends at the claim that meets it, which takes the next ones instead', async () => {
    for (const id of ['a', 'b']) await enqueue(id)
    await enqueue('c', {})
    await at(1_000)
    expect((await claim(1)).map(({ id }) => id)).toEqual(['c'])
    expect([await stateOf('a'), await stateOf('b')]).toEqual(['expired', 'expired'])
    expect(await queue.depth()).toMatchObject({ ready: 0, busy: 1, counts: { expired: 2, cancelled: 0 } })
  })

  test('ends at a renewal, where no slot is free', async () => {
    await enqueue('a')
    await enqueue('b', { expiresInMs: 1_000, delayMs: 500, key: 'tenant', tags: ['t'] })
    await at(999)
    await queue.renew('p:1')
    expect(await stateOf('a')).toBe('ready')
    await at(1_500)
    await queue.renew('p:1')
    expect([await stateOf('a'), await stateOf('b')]).toEqual(['expired', 'expired'])
  })

  test('ends when the operator looks, where there is no worker, and is in no number before', async () => {
    await enqueue('a')
    await at(1_000)
    expect(await queue.depth()).toMatchObject({ ready: 0, due: 0, delayed: 0 })
    expect((await queue.depth()).oldestReadyMs).toBeUndefined()
    await queue.sample(await queue.depth(), { replicas: 0 })
    expect(await stateOf('a')).toBe('expired')
  })

  test('is told and listed, and says why it does not run', async () => {
    await enqueue('a')
    await at(1_000)
    await queue.renew('p:1')
    const entries = await redis.call('XRANGE', `${prefixOf(queue.name)}events`, '-', '+')
    const [{ event } = { event: undefined }] = pageOf(['', '', entries]).entries
    expect(event?.changes).toEqual([{ kind: 'expired', count: 1, jobs: [{ id: 'a', task: 'send' }] }])
    const { jobs } = await queue.find(parseFilter('state:expired', 0))
    expect(jobs).toMatchObject([{ id: 'a', state: 'expired', task: 'send', enqueuedAtMs: BEGIN_MS }])
    expect((await queue.why('a'))?.causes).toMatchObject([{ code: 'expired' }])
    expect(await queue.cancel('a')).toBe('expired')
    expect(await queue.delete(['a'])).toEqual(['deleted'])
  })

  test('frees its unique key, also for an enqueue that comes before anybody noticed', async () => {
    const unique = { key: 'acme' }
    await enqueue('a', { unique, expiresInMs: 1_000 })
    await at(999)
    expect(await enqueue('b', { unique })).toEqual({ enqueued: 'duplicate', id: 'a' })
    await at(1_000)
    expect(await enqueue('c', { unique })).toBe('created')
    expect([await stateOf('a'), await stateOf('c')]).toEqual(['expired', 'ready'])
  })

  test('has the time of the enqueue that replaced it', async () => {
    const unique = { key: 'acme', onDuplicate: 'replace' } as const
    await enqueue('a', { unique, expiresInMs: 1_000 })
    await at(900)
    await enqueue('b', { unique, expiresInMs: 1_000 })
    await at(1_899)
    await queue.renew('p:1')
    expect(await stateOf('a')).toBe('ready')
    await enqueue('c', { unique })
    await at(1_000_000)
    expect((await claim()).map(({ id }) => id)).toEqual(['a'])
  })
})

describe('a job that has started', () => {
  test.each(['failed', 'handed-back'] as const)(
    'does not expire any more where it is %s',
    async (verdict) => {
      await enqueue('a')
      await settle(await claim(), verdict)
      await at(5_000)
      await queue.renew('p:1')
      expect((await claim()).map(({ id }) => id)).toEqual(['a'])
    },
  )

  test('does not expire while it runs, whoever comes with its unique key', async () => {
    const unique = { key: 'acme' }
    await enqueue('a', { unique, expiresInMs: 1_000 })
    const held = await claim()
    await at(5_000)
    expect(await enqueue('b', { unique })).toEqual({ enqueued: 'duplicate', id: 'a' })
    expect((await settle(held, 'handed-back')).became).toEqual(['ready'])
  })

  test('and was lost with its worker does not expire any more', async () => {
    await queue.register({ ...NOTHING, worker: 'q:1', process: 'q', podUid: 'v', slots: 1 })
    await enqueue('a')
    await queue.settleAndClaim({ worker: 'q:1', wanted: 1 })
    await at(5_000)
    await queue.reap({ worker: 'q:1', evidence: 'sure', reason: 'the test says so' })
    await queue.renew('p:1')
    expect((await claim()).map(({ id }) => id)).toEqual(['a'])
  })
})

test('a job that was given to an idle worker that is not there expires as any other', async () => {
  await queue.settleAndClaim({ worker: 'p:1', wanted: 5, given: '0' })
  await enqueue('a') // nobody listens
  await at(1_000)
  await queue.renew('p:1')
  expect(await stateOf('a')).toBe('expired')
})

test('a queue has a time for all jobs that say nothing, from when they are due', async () => {
  await queue.configure({ ...defaultSettings, expiresInMs: 2_000, ownerUid: 'test' })
  await enqueue('plain', {})
  await enqueue('own', { expiresInMs: 60_000, tags: ['t'] })
  await enqueue('later', { delayMs: 1_000, unique: { key: 'acme' } })
  expect((await queue.job('plain'))?.envelope).toMatchObject({ expiresAtMs: BEGIN_MS + 2_000 })
  await at(2_000)
  await queue.renew('p:1')
  expect([await stateOf('plain'), await stateOf('own'), await stateOf('later')]).toEqual([
    'expired',
    'ready',
    'delayed',
  ])
  await at(3_000)
  expect((await claim()).map(({ id }) => id)).toEqual(['own'])
  await queue.configure({ ...defaultSettings, ownerUid: 'test' })
  await enqueue('again', {})
  expect((await queue.job('again'))?.envelope?.expiresAtMs).toBeUndefined()
})
