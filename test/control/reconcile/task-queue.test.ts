// Reconciles of TaskQueues one after the other, against real Redis servers: what is remembered between them. What is written is kept here, as
// an API server with these CRDs would.

import { connectRedis, defaultSettings, newJob, openQueue, silent } from 'millhand/queue'
import { taskQueueReconciler } from '../../../control/src/reconcile/task-queue.ts'
import type { TaskQueueObject, TaskQueueStatus } from '../../../control/src/resources/task-queue.ts'
import { RedisServer } from '../../redis-server.ts'
import { openServers } from '../redis/open-servers.ts'
import { declared, ownerName } from './declared.ts'

/** Of server-side apply: the whole status, of which an older CRD keeps only fields that it knows. */
const withoutNewFields = ({ vanishedEnqueues: _, ...known }: TaskQueueStatus): TaskQueueStatus => known
const whole = (status: TaskQueueStatus) => status

let first: RedisServer
let second: RedisServer
beforeAll(async () => {
  ;[first, second] = await Promise.all([RedisServer.start(), RedisServer.start()])
})
afterAll(() => Promise.all([first.remove(), second.remove()]))

let end = () => {}
afterEach(() => end())

function operator(kept: (status: TaskQueueStatus) => TaskQueueStatus = whole) {
  const objects = new Map<string, TaskQueueObject>()
  const told: { name: string; reason: string; message: string }[] = []
  const opened = openServers({ one: first.url, two: second.url })
  end = () => opened.servers.close()
  const reconcile = taskQueueReconciler({
    world: {
      get: (_kind, name) => objects.get(name) as never,
      find: (_kind, _index, uid) =>
        [...objects.values()].filter(({ metadata }) => metadata.uid === uid) as never[],
      isGone: async () => true,
      writeStatus: async ({ name }, status) => {
        const object = objects.get(name)
        if (object) objects.set(name, { ...object, status: kept(status as TaskQueueStatus) })
        return true
      },
      tell: ({ name }, { reason, message }) => void told.push({ name, reason, message }),
    },
    servers: opened.servers,
    ownerName,
    log: silent,
    wallMs: () => Date.now(),
  })
  return {
    objects,
    servers: opened.servers,
    messageOf: (name: string) =>
      objects.get(name)?.status?.conditions.find(({ type }) => type === 'Ready')?.message,
    clock: opened.clock,
    told,
    readyOf: (name: string) =>
      objects.get(name)?.status?.conditions.find(({ type }) => type === 'Ready')?.reason,
    set: (object: TaskQueueObject) => {
      objects.set(object.metadata.name, object)
      return reconcile(object.metadata.name)
    },
    remove: (name: string) => {
      objects.delete(name)
      return reconcile(name)
    },
    reconcile,
  }
}

test.each([
  ['the CRD', whole],
  ['an older CRD, which drops the number,', withoutNewFields],
])('with %s in place a loss of enqueues is told once', async (what, kept) => {
  const { set, reconcile, told, clock } = operator(kept)
  const losses = () => told.filter(({ reason }) => reason === 'EnqueuesLost').map(({ message }) => message)
  const queueName = `shop.lossy-${what.length}`
  const redis = connectRedis(first.url)
  const queue = openQueue(redis, queueName)
  const again = async () => {
    clock.skippedMs += 15_000
    await reconcile('mail')
  }
  /** As by a failover to a replica that lagged. */
  const lose = async (count: number) => {
    const { enqueued, claimed } = (await queue.depth()).counts
    await redis.call('HINCRBY', `mh:{${queueName}}:counts`, 'enqueued', -count)
    await queue.witness({ enqueued, claimed })
  }
  try {
    await queue.enqueue(Array.from({ length: 10 }, () => newJob('echo', 1)))
    await set(declared({ queueName, secretName: 'one' }))
    await again()
    expect(losses()).toEqual([])
    await lose(3)
    for (let times = 0; times < 4; times++) await again()
    expect(losses()).toEqual([expect.stringContaining('lost at least 3 enqueues')])
    await lose(2)
    for (let times = 0; times < 4; times++) await again()
    expect(losses().slice(1)).toEqual([expect.stringContaining('lost at least 2 enqueues')])
  } finally {
    redis.close()
  }
})

test('a loss that could not be told to Kubernetes is told by the next reconcile', async () => {
  let isRefusing = false
  const { set, reconcile, told, clock } = operator((status) => {
    if (isRefusing) throw new Error('the API server is away')
    return status
  })
  const redis = connectRedis(first.url)
  try {
    const queue = openQueue(redis, 'shop.untold')
    await set(declared({ queueName: 'shop.untold', secretName: 'one' }))
    await queue.witness({ enqueued: 5, claimed: 0 })
    clock.skippedMs += 15_000
    isRefusing = true
    await expect(reconcile('mail')).rejects.toThrow('the API server is away')
    isRefusing = false
    clock.skippedMs += 15_000
    await reconcile('mail')
    expect(told.filter(({ reason }) => reason === 'EnqueuesLost')).toHaveLength(1)
  } finally {
    redis.close()
  }
})

describe('a queue that takes over a name', () => {
  const heir = (formerOwner: string, queueName: string) =>
    declared({ name: 'heir', uid: 'heir', queueName, secretName: 'one', formerOwner })

  test('gets it from an owner that is gone, and not from another one', async () => {
    const redis = connectRedis(first.url)
    try {
      const queue = openQueue(redis, 'shop.left')
      await queue.configure({ ...defaultSettings, ownerUid: 'gone' })
      const running = operator()
      await running.set(heir('somebody', 'shop.left'))
      expect(running.readyOf('heir')).toBe('NameTaken')
      expect(running.messageOf('heir')).toContain('if that owner is gone for good, set spec.takeOver')
      await running.set(heir('gone', 'shop.left'))
      expect(running.readyOf('heir')).toBe('Ready')
      expect((await queue.owner())?.uid).toBe('heir')
    } finally {
      redis.close()
    }
  })

  test('does not get it while the owner is there, and gets it then', async () => {
    const running = operator()
    await running.set(declared({ name: 'owner', uid: 'owner', queueName: 'shop.held', secretName: 'one' }))
    await running.set(heir('owner', 'shop.held'))
    expect(running.readyOf('heir')).toBe('NameTaken')
    expect(running.messageOf('heir')).toContain('spec.takeOver names a TaskQueue that exists')
    await running.remove('owner')
    await running.reconcile('heir')
    expect(running.readyOf('heir')).toBe('Ready')
  })
})

describe('of queues with one name', () => {
  const seenBy = ({ servers }: ReturnType<typeof operator>) =>
    servers.queues.map((seen) => ({ seen, in: seen.place.secretName }))

  test('in two servers both are kept open, and what was seen of them', async () => {
    const running = operator()
    const both = ['one', 'two'].map((secretName) =>
      declared({ name: `in-${secretName}`, uid: secretName, queueName: 'shop.twice', secretName }),
    )
    for (const object of both) await running.set(object)
    const before = seenBy(running)
    expect(before.map((each) => each.in)).toEqual(['one', 'two'])
    for (let round = 0; round < 3; round++)
      for (const { metadata } of both) await running.reconcile(metadata.name)
    for (const [at, { seen }] of seenBy(running).entries()) expect(seen).toBe(before[at]?.seen)
    expect(running.servers.queues).toHaveLength(2)
    expect([running.readyOf('in-one'), running.readyOf('in-two')]).toEqual(['Ready', 'Ready'])
  })

  test('in one server, the one that has not got it goes without taking the other along', async () => {
    const running = operator()
    const both = ['owner', 'late'].map((name) =>
      declared({ name, uid: name, queueName: 'shop.wanted', secretName: 'one' }),
    )
    for (const object of both) await running.set(object)
    expect([running.readyOf('owner'), running.readyOf('late')]).toEqual(['Ready', 'NameTaken'])
    const [before] = seenBy(running)
    await running.remove('late')
    expect(seenBy(running)).toHaveLength(1)
    expect(seenBy(running)[0]?.seen).toBe(before?.seen)
    await running.remove('owner')
    expect(seenBy(running)).toEqual([])
  })

  test('a queue that moves to another Secret leaves its old server', async () => {
    const running = operator()
    const moving = (secretName: string) => declared({ queueName: 'shop.moving', secretName })
    await running.set(moving('one'))
    await running.set(moving('two'))
    expect(seenBy(running).map((each) => each.in)).toEqual(['two'])
  })
})

test('a queue escalates to a TaskQueue of its namespace in the same Redis, and says why it does not', async () => {
  const { set, reconcile, objects, told } = operator()
  const small = declared({ name: 'small', secretName: 'one' })
  const big = (secretName: string) =>
    declared({ name: 'big', uid: '5d3b4a52-5b0e-4b7f-9d42-3c2b6d2c2f1f', secretName })
  await set({
    ...small,
    spec: { ...small.spec, retry: { ...small.spec.retry, outOfMemory: { escalateTo: 'big' } } },
  })
  const found = () => objects.get('small')?.status?.conditions.find(({ type }) => type === 'EscalationReady')
  const redis = connectRedis(first.url)
  const written = () => redis.call('HGET', 'mh:{shop.small}:config', 'escalateTo')
  expect([found()?.reason, await written()]).toEqual(['QueueNotFound', null])

  objects.set('shop/big', big('two'))
  await reconcile('small')
  expect([found()?.reason, await written()]).toEqual(['QueuesInDifferentRedis', null])

  objects.set('shop/big', big('one'))
  await reconcile('small')
  expect(found()).toMatchObject({
    status: 'True',
    reason: 'Ready',
    message: expect.stringContaining('shop.big'),
  })
  expect(await written()).toBe('shop.big')

  objects.delete('shop/big')
  await reconcile('small')
  expect([found()?.status, await written()]).toEqual(['False', null])
  expect(told.map(({ reason }) => reason)).toContain('QueuesInDifferentRedis')
  redis.close()
})
