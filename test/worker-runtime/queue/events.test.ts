// The events of a queue: what is told, to whom, and that nothing is told while nobody watches but what a person must hear of.
import { connect } from 'millhand/client'
import {
  type Connection,
  connectRedis,
  defaultSettings,
  newJob,
  openQueue,
  prefixOf,
  type Queue,
  type QueueEvent,
} from 'millhand/queue'
import { pageOf } from '../../../worker-runtime/src/queue/events.ts'
import { eventually } from '../../eventually.ts'
import { redisUrl } from '../../redis.ts'
import { RedisServer } from '../../redis-server.ts'

const GROUP = 'v1:0123456789abcdef'

let redis: Connection
let queue: Queue
let tests = 0
const ending: AbortController[] = []
beforeAll(() => {
  redis = connectRedis(redisUrl())
})
afterAll(() => redis.close())
beforeEach(() => {
  tests += 1
  queue = openQueue(redis, `events.${process.pid}-${tests}`)
})
afterEach(() => {
  for (const each of ending.splice(0)) each.abort()
})

const register = (worker: string) =>
  queue.register({
    ...{ worker, process: 'p', podUid: worker, pod: '', poolUid: '', node: '', slots: 1 },
    ...{ isolation: 'Spawn', isolationNote: '', version: '0.1.0' },
  })
const claim = async (wanted = 1) => (await queue.settleAndClaim({ worker: 'p:1', wanted })).claims
const settle = (
  claims: readonly { id: string; token: string }[],
  verdict: 'completed' | 'failed' | 'terminal' | 'handed-back' | 'cancelled',
  text = verdict === 'completed' ? '1 task ff\nnull' : JSON.stringify({ outcome: 'failed', group: GROUP }),
) =>
  queue.settleAndClaim({
    worker: 'p:1',
    settlements: claims.map(({ id, token }) => ({ id, token, verdict, text })),
  })

/** Collects events until the test ends; resolves when it watches. */
async function watched(options: { after?: string } = {}, from = queue): Promise<QueueEvent[]> {
  const ender = new AbortController()
  ending.push(ender)
  const heard: QueueEvent[] = []
  const reading = (async () => {
    for await (const event of from.events({ ...options, everyMs: 10, signal: ender.signal }))
      heard.push(event)
  })()
  const isWatched = async () =>
    Number(await from.redis.call('HGET', `${prefixOf(from.name)}config`, 'watchedUntilMs')) > 0
  await Promise.race([eventually(isWatched), reading])
  return heard
}
/** The whole stream, whoever watches. */
const kept = async () => {
  const entries = await redis.call('XRANGE', `${prefixOf(queue.name)}events`, '-', '+')
  return pageOf(['', '', entries]).entries.map(({ event }) => event)
}
const kindsOf = (events: readonly Pick<QueueEvent, 'changes'>[]) =>
  events.flatMap(({ changes }) => changes.map(({ kind }) => kind))

test('one event for each call, with all that it did', async () => {
  await register('p:1')
  const heard = await watched()
  await queue.enqueue([newJob('task', null, { id: 'a' }), newJob('other', null, { id: 'b' })])
  await queue.enqueue([newJob('task', null, { id: 'a' }), newJob('task', null, { id: 'c' })])
  await settle(await claim(2), 'completed')
  await settle(await claim(), 'handed-back', '')
  await settle(await claim(), 'handed-back', 'answer-lost')
  await settle(await claim(), 'failed')
  await eventually(() => heard.length === 10, { what: '10 events' })
  const jobs = heard.map(({ worker, changes }) => [
    worker,
    ...changes.map((each) => [each.kind, each.count, each.jobs]),
  ])
  expect(jobs).toEqual([
    [
      undefined,
      [
        'enqueued',
        2,
        [
          { id: 'a', task: 'task' },
          { id: 'b', task: 'other' },
        ],
      ],
    ],
    [undefined, ['enqueued', 1, [{ id: 'c', task: 'task' }]]],
    [
      'p:1',
      [
        'claimed',
        2,
        [
          { id: 'a', task: 'task', attempt: 1 },
          { id: 'b', task: 'other', attempt: 1 },
        ],
      ],
    ],
    [
      'p:1',
      [
        'completed',
        2,
        [
          { id: 'a', task: 'task', durationMs: 255 },
          { id: 'b', task: 'task', durationMs: 255 },
        ],
      ],
    ],
    ['p:1', ['claimed', 1, [{ id: 'c', task: 'task', attempt: 1 }]]],
    ['p:1', ['handed-back', 1, [{ id: 'c', task: 'task' }]]],
    ['p:1', ['claimed', 1, [{ id: 'c', task: 'task', attempt: 1 }]]],
    ['p:1', ['handed-back', 1, [{ id: 'c', task: 'task', outcome: 'answer-lost' }]]],
    ['p:1', ['claimed', 1, [{ id: 'c', task: 'task', attempt: 1 }]]],
    ['p:1', ['retried', 1, [{ id: 'c', task: 'task', attempt: 1, outcome: 'failed', group: GROUP }]]],
  ])
  expect(heard.map(({ isBehindGap }) => isBehindGap)).toEqual(Array(10).fill(false))
  for (const { atMs } of heard) expect(Math.abs(atMs - Date.now())).toBeLessThan(60_000)
})

test('acts of people are told, whoever watches', async () => {
  await register('p:1')
  await queue.enqueue(['a', 'b', 'c', 'd'].map((id) => newJob('task', null, { id })))
  await settle(await claim(2), 'terminal')
  await queue.cancel('c')
  await queue.retry(['a', 'd'])
  await queue.delete(['b', 'c'])
  await queue.purge(['ready'])
  await queue.pause()
  await queue.resume()
  await queue.configure({ ...defaultSettings, suspended: true })
  await queue.configure({ ...defaultSettings, suspended: true })
  await queue.configure(defaultSettings)
  const told = (await kept()).flatMap(({ changes }) =>
    changes.map(({ kind, jobs }) => [kind, ...jobs.map(({ id }) => id)]),
  )
  expect(told).toEqual([
    ['buried', 'a', 'b'],
    ['cancelled', 'c'],
    ['requeued', 'a'],
    ['deleted', 'b', 'c'],
    ['deleted', 'd', 'a'],
    ...[['paused'], ['resumed'], ['suspended'], ['unsuspended']],
  ])
})

test('the death of a worker is told, with what became of its jobs', async () => {
  await register('p:1')
  await queue.enqueue([newJob('task', null, { id: 'a' }), newJob('task', null, { id: 'b', maxCrashes: 1 })])
  await claim(2)
  await queue.reap({ worker: 'p:1', evidence: 'sure', reason: 'it was killed' })
  const [event, ...others] = await kept()
  expect(others).toEqual([])
  expect(event).toMatchObject({ worker: 'p:1' })
  expect(event?.changes.map(({ kind, jobs }) => [kind, ...jobs])).toEqual([
    ['retried', expect.objectContaining({ id: 'a', outcome: 'worker-lost' })],
    ['buried', expect.objectContaining({ id: 'b', outcome: 'worker-lost' })],
    ['reaped'],
  ])
})

test('while nobody watches, what every job has is not written', async () => {
  await register('p:1')
  await queue.enqueue([newJob('task', null)])
  await settle(await claim(), 'completed')
  expect(await kept()).toEqual([])
})

test('of more than 100 jobs of a call the first 100 are named, and all are counted', async () => {
  await watched()
  await queue.enqueue(Array.from({ length: 150 }, () => newJob('task', null)))
  const [change] = (await kept()).flatMap(({ changes }) => changes)
  expect([change?.count, change?.jobs.length]).toEqual([150, 100])
})

test('who goes on from an event gets what came behind it, and hears of a gap', async () => {
  await register('p:1')
  await queue.enqueue(['a', 'b', 'c'].map((id) => newJob('task', null, { id })))
  for (const claimed of await claim(3)) await settle([claimed], 'terminal')
  const [first] = await kept()
  const heard = await watched({ after: first?.id ?? '' })
  await eventually(() => heard.length === 2)
  // Nobody watched between them: claims and ends of other jobs were not written.
  expect(kindsOf(heard)).toEqual(['buried', 'buried'])
  await queue.pause()
  await eventually(() => heard.length === 3)
  expect(heard.map(({ isBehindGap }) => isBehindGap)).toEqual([false, false, true])
  const all = await watched({ after: '0' })
  await eventually(() => all.length === 4)
})

test('who goes on from an event that was dropped since hears of a gap', async () => {
  await queue.pause()
  const [first] = await kept()
  await queue.resume()
  await queue.pause()
  await redis.call('XTRIM', `${prefixOf(queue.name)}events`, 'MAXLEN', 1)
  const heard = await watched({ after: first?.id ?? '' })
  await eventually(() => heard.length === 1)
  expect(heard[0]).toMatchObject({ isBehindGap: true, changes: [{ kind: 'paused' }] })
})

test('the stream is bounded, and 0 turns it off and deletes it', async () => {
  await queue.configure({ ...defaultSettings, eventsMaxCount: 100 })
  for (let i = 0; i < 500; i += 1) await queue.pause()
  expect((await kept()).length).toBeLessThanOrEqual(200) // it is trimmed by whole nodes
  await queue.configure({ ...defaultSettings, eventsMaxCount: 0 })
  await queue.pause()
  expect(await kept()).toEqual([])
  await expect(queue.events().next()).rejects.toMatchObject({
    code: 'EVENTS_OFF',
    message: expect.stringContaining('spec.events.maxCount'),
  })
})

test('the watch ends by itself: the next renewal finds it over', async () => {
  await register('p:1')
  await watched()
  const config = `${prefixOf(queue.name)}config`
  expect(await redis.call('HGET', config, 'usual')).toBe('') // scripts read each setting
  await redis.call('HSET', config, 'watchedUntilMs', 1)
  await queue.renew('p:1')
  expect(await redis.call('HMGET', config, 'watchedUntilMs', 'usual')).toEqual([
    null,
    expect.stringMatching(/./),
  ])
})

test.each([{ after: 'x' }, { after: '5-x' }, { everyMs: 1 }, { since: 1 }])(
  '%j is refused',
  async (options) => {
    await expect(queue.events(options as object).next()).rejects.toThrow(TypeError)
  },
)

test('a client follows events through an outage of Redis', async () => {
  const server = await RedisServer.start()
  const client = connect({ redis: server.url, namespace: 'default', deadlineMs: 1_000 })
  const heard: string[] = []
  const ender = new AbortController()
  const other = connectRedis(server.url)
  try {
    const reading = (async () => {
      for await (const { changes } of client.queue('mail').events({ everyMs: 20, signal: ender.signal }))
        for (const { jobs } of changes) heard.push(...jobs.map(({ id }) => id))
    })()
    await eventually(
      async () => (await other.call('HGET', 'mh:{default.mail}:config', 'watchedUntilMs')) !== null,
    )
    await client.queue('mail').enqueue('task', null, { id: 'before' })
    await eventually(() => heard.includes('before'))
    server.freeze()
    await new Promise((resolve) => setTimeout(resolve, 2_500)) // longer than the deadline of a call
    server.thaw()
    await client.queue('mail').enqueue('task', null, { id: 'behind' })
    await eventually(() => heard.includes('behind'), { withinMs: 10_000 })
    ender.abort()
    await reading
    expect(heard).toEqual(['before', 'behind'])
  } finally {
    client.close()
    other.close()
    await server.remove()
  }
}, 30_000)
