// connect({ beforeEnqueue }), and the headers of a job on their way to its task.
import { type Client, type ClientOptions, connect, type JobToEnqueue } from 'millhand/client'
import { newJob } from 'millhand/queue'
import { redisUrl } from '../../redis.ts'
import { resultOf, startTiny } from '../child/tiny-children.ts'

const clients: Client[] = []
afterEach(() => {
  for (const client of clients.splice(0)) client.close()
})
const queueOf = (beforeEnqueue: ClientOptions['beforeEnqueue']) => {
  const client = connect({
    redis: redisUrl(),
    namespace: `before-${process.pid}`,
    ...(beforeEnqueue && { beforeEnqueue }),
  })
  clients.push(client)
  return client.queue('jobs')
}

test('it sees each job and answers the options to enqueue with', async () => {
  const seen: JobToEnqueue[] = []
  const queue = queueOf((job) => {
    seen.push(job)
    return { ...job.options, headers: { ...job.options.headers, of: job.task } }
  })
  const one = await queue.enqueue('a', { n: 1 }, { priority: 'high', headers: { by: 'ann & bob' } })
  const [two] = await queue.enqueueMany([{ task: 'b' }])
  expect(seen).toEqual([
    {
      queue: queue.name,
      task: 'a',
      input: { n: 1 },
      options: { priority: 'high', headers: { by: 'ann & bob' } },
    },
    { queue: queue.name, task: 'b', input: undefined, options: {} },
  ])
  expect((await one.details())?.envelope).toMatchObject({
    lane: 'high',
    headers: { by: 'ann & bob', of: 'a' },
    payload: '{"n":1}',
  })
  expect((await two?.details())?.envelope).toMatchObject({ headers: { of: 'b' }, payload: '' })
})

test('one that answers nothing leaves the options as they are', async () => {
  const job = await queueOf(() => undefined).enqueue('a', null, { priority: 'low' })
  expect((await job.details())?.envelope).toMatchObject({ lane: 'low', headers: undefined })
})

test.each<[string, ClientOptions['beforeEnqueue'], string]>([
  [
    'throws',
    () => {
      throw new Error('not today')
    },
    'not today',
  ],
  ['answers a bad option', () => ({ colour: 'red' }) as object, 'unknown option of a job "colour"'],
  ['is async', (async () => ({})) as never, 'must be a function that is not async'],
])('one that %s lets the enqueue fail', async (_, beforeEnqueue, message) => {
  await expect(queueOf(beforeEnqueue).enqueue('a')).rejects.toThrow(message)
  await expect(queueOf(beforeEnqueue).enqueueMany([{ task: 'a' }])).rejects.toThrow(`requests[0]: `)
})

test('it is a function', () => {
  expect(() => queueOf('no' as never)).toThrow('invalid beforeEnqueue "no": use a function')
})

test.each([[{ 'a b': '' }], [{ ['x'.repeat(65)]: '' }], [{ a: 1 }], ['text'], [{ a: 'ä'.repeat(200) }]])(
  'the headers %j are refused',
  (headers) => {
    expect(() => newJob('a', null, { headers: headers as never })).toThrow(/headers.*at most 1024 bytes/)
  },
)

test('the largest headers come back whole, with the longest of all else', async () => {
  const headers = { a: '\n =&+%', b: 'x'.repeat(1_000) }
  const job = await queueOf(undefined).enqueue('t'.repeat(100), 'input', {
    headers,
    key: 'k'.repeat(128),
    tags: ['a', 'b', 'c', 'd', 'e'].map((letter) => letter.repeat(64)),
    unique: { key: `u-${Date.now()}`.padEnd(128, 'u'), while: { forMs: 60_000 } },
    maxAttempts: 1e12,
    backoffMs: 1e12,
    maxBackoffMs: 1e12,
    maxCrashes: 1e12,
    timeoutMs: 1e12,
    delayMs: 1e11,
  })
  expect((await job.details())?.envelope).toMatchObject({
    headers,
    task: 't'.repeat(100),
    payload: '"input"',
  })
  expect(await job.cancel()).toBe('cancelled')
})

test('a task finds them in its job', async () => {
  const tiny = await startTiny('Spawn')
  try {
    const headers = { traceparent: '00-1-2-01' }
    expect(resultOf(await tiny.perform('tells-headers', null, { headers }))).toEqual(headers)
    expect(resultOf(await tiny.perform('tells-headers'))).toEqual({})
  } finally {
    await tiny.stop()
  }
}, 60_000)
