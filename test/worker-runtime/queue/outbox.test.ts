// The outbox: what scripts of one queue decide for others arrives there, whoever dies on the way, and nothing of it
// is left behind.
import {
  type Connection,
  connectRedis,
  defaultSettings,
  newJob,
  openQueue,
  prefixOf,
  type Queue,
} from 'millhand/queue'
import { loadScripts } from '../../../worker-runtime/src/queue/scripts.ts'
import { run } from '../../../worker-runtime/src/queue/verbs.ts'
import { census } from '../../census.ts'
import { eventually } from '../../eventually.ts'
import { redisUrl } from '../../redis.ts'
import { startWorker, type WorkerProcess } from '../../worker-process.ts'
import { PLAYED, playWorkers } from './played-workers.ts'

/** An hour passes in the queue whose clock is turned. */
const HOUR_MS = 3_600_000
const CLOCK =
  "{ math.floor((redis.call('TIME')[1] * 1000 + (redis.call('GET', KEYS[1] .. 'clock') or 0)) / 1000), 0 }"

const scripts = loadScripts({ clock: CLOCK })

let redis: Connection
let from: Queue
let to: Queue
let tests = 0
beforeAll(() => {
  redis = connectRedis(redisUrl())
})
afterAll(() => redis.close())
beforeEach(() => {
  tests += 1
  from = openQueue(redis, `outbox.from-${process.pid}-${tests}`, scripts)
  to = openQueue(redis, `outbox.to-${process.pid}-${tests}`, scripts)
})
afterEach(async () => {
  for (const { name } of [from, to]) expect((await census(redis, name)).problems).toEqual([])
})

/** As lua/outbox.lua writes it. */
async function send(target: Queue, ids: readonly string[], verb = 'enqueue'): Promise<void> {
  for (const id of ids) {
    const { flags, lane, call, payload } = newJob('task', { id }, { id })
    const fields = ['verb', verb, 'id', id, 'head', `${flags}${lane} - ${call}`, 'text', payload]
    await redis.call('XADD', `${prefixOf(from.name)}outbox:${target.name}`, '*', ...fields)
  }
  await redis.call('ZADD', `${prefixOf(from.name)}outbox`, 0, target.name)
}

const named = (count: number) => Array.from({ length: count }, (_, i) => `job-${i}`)
const lengthOf = (target: Queue) => redis.call('XLEN', `${prefixOf(from.name)}outbox:${target.name}`)
const outboxes = async () => redis.call('KEYS', `${prefixOf(from.name)}outbox*`)
const arrived = () => redis.call('LRANGE', `${prefixOf(to.name)}ready:normal`, 0, -1)

test('takes jobs to another queue, in order, and leaves nothing', async () => {
  await send(to, named(250))
  expect(await from.forward()).toBe(250)
  expect(await arrived()).toEqual(named(250))
  expect(await to.depth()).toMatchObject({ ready: 250, counts: { enqueued: 250 } })
  expect(await outboxes()).toEqual([])
  expect(await from.forward()).toBe(0)
})

test('does once what was delivered, where the forwarder dies before it says so and the queue keeps no outcomes', async () => {
  await to.configure({ ...defaultSettings, ownerUid: 'me', completedMaxAgeMs: 0 })
  await to.register(PLAYED)
  await send(to, ['once'])
  const [queue, ...entries] = (await run(redis, scripts.forward, prefixOf(from.name), [''])) as string[]
  expect(queue).toBe(to.name)
  await run(redis, scripts.accept, prefixOf(to.name), [from.name, ...entries])
  expect(await playWorkers([to])).toHaveLength(1)
  expect(await to.job('once')).toBeUndefined()
  // Nobody forwards for 23 hours, and then another queue is first.
  await redis.call('SET', `${prefixOf(to.name)}clock`, 23 * HOUR_MS)
  const other = [`${from.name}-other`, '1-1', 'delete', 'nothing', '', '']
  await run(redis, scripts.accept, prefixOf(to.name), other)
  expect(await redis.call('PTTL', `${prefixOf(to.name)}receipts`)).toBeGreaterThan(23 * HOUR_MS)
  await redis.call('ZADD', `${prefixOf(from.name)}outbox`, 0, to.name)
  expect(await from.forward()).toBe(1)
  expect(await playWorkers([to])).toEqual([])
  await send(to, ['once']) // decided a second time
  await from.forward()
  expect(await playWorkers([to])).toHaveLength(1)
})

test('serves each of many queues', async () => {
  const others = named(5).map((name) => openQueue(redis, `${to.name}-${name}`))
  for (const other of others) await send(other, named(3))
  expect(await from.forward()).toBe(15)
  for (const other of others) expect((await other.depth()).ready).toBe(3)
})

test('takes each job there once, however many forward at the same time', async () => {
  await send(to, named(1_000))
  const forwarded = await Promise.all(named(8).map(() => from.forward()))
  expect(forwarded.reduce((sum, each) => sum + each, 0)).toBe(1_000)
  expect(await arrived()).toEqual(named(1_000))
})

test.each([
  ['before', 0],
  ['behind', 1],
])('loses nothing and does nothing twice when a forwarder ends %s any of its calls', async (_, isSent) => {
  let calls = 0
  for (let last = 1; ; last += 1) {
    const ids = named(150).map((id) => `${id}-${last}`)
    await send(to, ids)
    calls = 0
    const mortal: Connection = new Proxy(redis, {
      get(target, name) {
        if (name !== 'send') return Reflect.get(target, name)
        return async (command: Parameters<Connection['send']>[0]) => {
          calls += 1
          if (calls === last && isSent) await redis.send(command)
          if (calls >= last) throw new Error('killed')
          return redis.send(command)
        }
      },
    })
    const dying = openQueue(mortal, from.name, loadScripts({ clock: CLOCK }))
    const survived = await dying.forward().then(
      () => true,
      () => false,
    )
    await redis.call('SET', `${prefixOf(from.name)}clock`, last * HOUR_MS)
    await from.forward()
    const found = (await arrived()) as string[]
    expect(found.slice(-150)).toEqual(ids)
    expect(found).toHaveLength(150 * last)
    expect(await outboxes()).toEqual([])
    if (survived) break
  }
  expect(calls).toBeGreaterThanOrEqual(5) // two batches, and the question whether there is more
  await redis.call('DEL', `${prefixOf(from.name)}clock`)
})

test('keeps what a queue refuses, and lets no other queue wait for it', async () => {
  const newer = openQueue(redis, `${to.name}-newer`)
  await redis.call('HSET', `${prefixOf(newer.name)}config`, 'layout', 99)
  await send(newer, named(2))
  await send(to, named(2))
  await expect(from.forward()).rejects.toThrow(/was written by a newer Millhand/)
  expect(await arrived()).toEqual(named(2))
  expect(await lengthOf(newer)).toBe(2)
  await redis.call('DEL', `${prefixOf(newer.name)}config`)
  await redis.call('SET', `${prefixOf(from.name)}clock`, HOUR_MS)
  expect(await from.forward()).toBe(2)
  await redis.call('DEL', `${prefixOf(from.name)}clock`)
})

test('leaves what a newer release wrote to a newer release', async () => {
  await send(to, ['job'], 'levitate')
  await expect(from.forward()).rejects.toThrow(/"levitate".*upgrade/)
  expect(await lengthOf(to)).toBe(1)
})

test('is told what cannot be the name of a queue', async () => {
  await redis.call('XADD', `${prefixOf(from.name)}outbox:a}b`, '*', 'verb', 'enqueue')
  await redis.call('ZADD', `${prefixOf(from.name)}outbox`, 0, 'a}b')
  await expect(from.forward()).rejects.toThrow(/a queue in an outbox is "a}b", which cannot be/)
  await redis.call('DEL', `${prefixOf(from.name)}outbox`, `${prefixOf(from.name)}outbox:a}b`)
})

describe('a worker', () => {
  let worker: WorkerProcess | undefined
  afterEach(async () => {
    worker?.kill('SIGKILL')
    await worker?.ended
    for (const { name } of await from.workers())
      await from.reap({ worker: name, evidence: 'sure', reason: 'it was killed' })
  })

  test('forwards what lies in the outbox of its queue', async () => {
    const [namespace = '', name = ''] = from.name.split('.')
    const modules = [new URL('../../tasks/tiny.ts', import.meta.url).pathname]
    worker = await startWorker({ redisUrl: redisUrl(), namespace, queues: [name], modules })
    await send(to, named(3))
    await eventually(async () => (await to.depth()).ready === 3, { what: 'the jobs arrive' })
    await eventually(async () => `${await outboxes()}` === '', { what: 'the outbox is empty' })
  }, 60_000)
})
