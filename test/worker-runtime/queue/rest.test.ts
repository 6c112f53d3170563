// A task asks for a rest (RetryAfter), in Redis: what rests and until when, what counts, and what is shown.
import {
  type Connection,
  defaultSettings,
  type JobOptions,
  newJob,
  prefixOf,
  type Queue,
} from 'millhand/queue'
import { pageOf } from '../../../worker-runtime/src/queue/events.ts'
import { BEGIN_MS, clockedQueues } from './clocked-queues.ts'

let redis: Connection
let queue: Queue
const at = clockedQueues(
  'rest',
  (...own) => {
    ;[queue, redis] = own
  },
  (queue) => queue.configure({ ...defaultSettings, maxAttempts: 2, backoffMs: 0, ownerUid: 'test' }),
)

const enqueue = (id: string, options: JobOptions = {}) =>
  queue.enqueue([newJob('send', { to: id }, { id, ...options })])
const claim = async (wanted = 10) => (await queue.settleAndClaim({ worker: 'p:1', wanted })).claims
const idsOf = (claims: Awaited<ReturnType<typeof claim>>) => claims.map(({ id }) => id)
const rest = async (claims: Awaited<ReturnType<typeof claim>>, ms: number, pause: 'job' | 'key' | 'queue') =>
  queue.settleAndClaim({
    worker: 'p:1',
    settlements: claims.map(({ id, token }) => ({
      ...{ id, token, verdict: 'rests' as const },
      text: `${ms} ${pause}\n${JSON.stringify({ outcome: 'rests' })}`,
    })),
  })
const causesOf = async (id: string) =>
  (await queue.why(id))?.causes.map(({ code, untilMs }) => [code, untilMs])

test('a job rests to the millisecond, and no attempt is counted', async () => {
  await enqueue('a')
  for (const begin of [0, 1_000, 2_000]) {
    await at(begin)
    const held = await claim()
    expect(held).toMatchObject([{ id: 'a', attempt: 1, crashes: 0 }])
    expect((await rest(held, 1_000, 'job')).became).toEqual(['delayed'])
    await at(begin + 999)
    expect(await claim()).toEqual([])
    expect(await causesOf('a')).toEqual([['rests', BEGIN_MS + begin + 1_000]])
  }
  expect((await queue.why('a'))?.causes[0]?.text).toContain('3 times')
  expect(await queue.job('a')).toMatchObject({ attempts: 0, failures: [] })
  expect((await queue.depth()).counts).toMatchObject({ retried: 0, buried: 0 })
})

test('a rest is told', async () => {
  await enqueue('a')
  await rest(await claim(), 1_000, 'job')
  const entries = await redis.call('XRANGE', `${prefixOf(queue.name)}events`, '-', '+')
  const changes = pageOf(['', '', entries]).entries.flatMap(({ event }) => event.changes)
  expect(changes).toEqual([{ kind: 'rested', count: 1, jobs: [{ id: 'a', task: 'send' }] }])
})

test('a key rests: its jobs wait, and others go on', async () => {
  for (const id of ['a', 'b', 'c'])
    await enqueue(id, { key: 'acme', priority: id === 'c' ? 'urgent' : 'normal' })
  await enqueue('other', { key: 'beta' })
  const [first] = await claim(1)
  expect(first?.id).toBe('c')
  expect((await rest(first ? [first] : [], 5_000, 'key')).became).toEqual(['ready'])
  expect(await queue.depth()).toMatchObject({ ready: 4, blocked: 3 })
  expect(await causesOf('a')).toEqual([['key-rests', BEGIN_MS + 5_000]])
  expect(idsOf(await claim())).toEqual(['other'])
  await enqueue('d', { key: 'acme' })
  await queue.renew('p:1')
  await at(4_999)
  expect(await queue.settleAndClaim({ worker: 'p:1', wanted: 9 })).toMatchObject({ claims: [], nextMs: 1 })
  await at(5_000)
  expect(idsOf(await claim()).sort()).toEqual(['a', 'b', 'c', 'd'])
})

test('a key rests through a change of its limits and the end of a job that ran', async () => {
  await queue.setLimits('acme', { maxBusy: 2 })
  for (const id of ['a', 'b', 'c']) await enqueue(id, { key: 'acme' })
  const held = await claim()
  expect(idsOf(held)).toEqual(['a', 'b'])
  await rest(held.slice(0, 1), 5_000, 'key')
  await queue.setLimits('acme', { maxBusy: 9 })
  await rest(held.slice(1), 1, 'job')
  await at(4_999)
  expect(await claim()).toEqual([])
  await at(5_000)
  expect(idsOf(await claim()).sort()).toEqual(['a', 'b', 'c'])
})

test('a job without a key rests alone where its key should', async () => {
  await enqueue('a')
  await enqueue('b')
  await rest(await claim(1), 5_000, 'key')
  expect(idsOf(await claim())).toEqual(['b'])
})

test('the queue rests, says for how long, and goes on by itself', async () => {
  for (const id of ['a', 'b']) await enqueue(id)
  await rest(await claim(1), 5_000, 'queue')
  await at(1_000)
  expect(await queue.depth()).toMatchObject({ ready: 2, restsMs: 4_000, paused: false })
  expect(await causesOf('b')).toEqual([['queue-rests', BEGIN_MS + 5_000]])
  expect(await claim()).toEqual([])
  await at(5_000)
  expect((await queue.depth()).restsMs).toBeUndefined()
  expect(idsOf(await claim())).toEqual(['a', 'b'])
  await queue.renew('p:1')
  expect(await redis.call('HGET', `${prefixOf(queue.name)}config`, 'limits')).toBe(null)
})

test('a rest of the queue is over when a person resumes it', async () => {
  await enqueue('a')
  await rest(await claim(), 5_000, 'queue')
  await queue.resume()
  expect((await queue.depth()).restsMs).toBeUndefined()
  expect(idsOf(await claim())).toEqual(['a'])
})

test('a person ends the rest of one key, and those of others last', async () => {
  for (const [id, key] of [
    ['a', 'acme'],
    ['b', 'acme'],
    ['c', 'beta'],
  ] as const)
    await enqueue(id, { key })
  const held = await claim()
  await rest(held.slice(0, 2), 5_000, 'key')
  await rest(held.slice(2), 9_000, 'key')
  expect(await queue.rests()).toEqual({
    total: 2,
    rests: [
      { key: 'beta', untilMs: BEGIN_MS + 9_000 },
      { key: 'acme', untilMs: BEGIN_MS + 5_000 },
    ],
  })
  expect(await queue.endRest({ key: 'acme' })).toBe(true)
  expect(await queue.endRest({ key: 'acme' })).toBe(false)
  expect(await queue.depth()).toMatchObject({ ready: 3, blocked: 1 })
  expect(idsOf(await claim()).sort()).toEqual(['a', 'b'])
  expect(await queue.rests({ limit: 1 })).toMatchObject({ total: 1, rests: [{ key: 'beta' }] })
})

test('a key whose rest was ended is held back by its limits as before', async () => {
  await queue.setLimits('acme', { maxBusy: 1 })
  for (const id of ['a', 'b']) await enqueue(id, { key: 'acme' })
  await rest(await claim(), 5_000, 'key')
  await queue.endRest({ key: 'acme' })
  expect(idsOf(await claim())).toEqual(['a'])
  expect(await queue.depth()).toMatchObject({ ready: 1, blocked: 1 })
})

test('a person ends the rest of one job, and of the queue without a pause', async () => {
  await enqueue('a')
  await rest(await claim(), 5_000, 'job')
  expect(await queue.endRest({ job: 'a' })).toBe(true)
  expect(idsOf(await claim())).toEqual(['a'])
  await enqueue('later', { delayMs: 5_000 })
  for (const job of ['a', 'later', 'unknown']) expect(await queue.endRest({ job })).toBe(false)
  await enqueue('b')
  await queue.pause()
  await queue.resume()
  await rest(await claim(), 5_000, 'queue')
  expect(await queue.rests()).toEqual({ total: 1, rests: [{ untilMs: BEGIN_MS + 5_000 }] })
  expect(await queue.endRest({ key: undefined })).toBe(true)
  expect(idsOf(await claim())).toEqual(['b'])
})

test('the end of a rest is told, one that was over is not', async () => {
  await enqueue('a', { key: 'acme' })
  await rest(await claim(), 1_000, 'key')
  await at(1_000)
  expect(await queue.endRest({ key: 'acme' })).toBe(false)
  await rest(await claim(), 1_000, 'key')
  await queue.endRest({ key: 'acme' })
  await rest(await claim(), 1_000, 'job')
  await queue.endRest({ job: 'a' })
  const entries = await redis.call('XRANGE', `${prefixOf(queue.name)}events`, '-', '+')
  const changes = pageOf(['', '', entries]).entries.flatMap(({ event }) => event.changes)
  expect(changes.filter(({ kind }) => kind === 'rest-ended')).toEqual([
    { kind: 'rest-ended', count: 0, jobs: [] },
    { kind: 'rest-ended', count: 1, jobs: [{ id: 'a', task: 'send' }] },
  ])
})

test('a shorter rest does not end a longer one', async () => {
  for (const id of ['a', 'b']) await enqueue(id)
  const held = await claim()
  await rest(held.slice(0, 1), 5_000, 'queue')
  await rest(held.slice(1), 1_000, 'queue')
  await at(4_999)
  expect(await claim()).toEqual([])
})

test('a job that is cancelled does not rest', async () => {
  await enqueue('a')
  const held = await claim()
  await queue.cancel('a')
  expect((await rest(held, 1_000, 'job')).became).toEqual(['cancelled'])
})

test('a job that rested 1,000 times fails from then on', async () => {
  await enqueue('a', { maxAttempts: 2 })
  await redis.call('HSET', `${prefixOf(queue.name)}attempt:a`, 'rests', '999')
  expect((await rest(await claim(), 1, 'job')).became).toEqual(['delayed'])
  await at(10)
  await rest(await claim(), 1, 'job')
  expect(await queue.job('a')).toMatchObject({ attempts: 1, failures: [{ outcome: 'rests' }] })
  await at(20)
  expect((await rest(await claim(), 1, 'job')).became).toEqual(['buried'])
})
