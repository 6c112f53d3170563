// What an enqueue promises beyond the memory of one server, with real disks and replicas that do not answer.
import { type Client, connect } from 'millhand/client'
import { connectRedis, defaultSettings, openQueue } from 'millhand/queue'
import { eventually } from '../../eventually.ts'
import { ask } from '../../redis-forms.ts'
import { RedisServer } from '../../redis-server.ts'
import { valkey } from '../../redis-versions.ts'

const clientOf = (server: RedisServer, deadlineMs = 20_000): Client =>
  connect({ redis: server.access, deadlineMs })

describe('with a Valkey that keeps an append-only file', () => {
  let server: RedisServer
  let client: Client
  beforeAll(async () => {
    server = await RedisServer.start({ binary: await valkey() })
    client = clientOf(server)
  }, 120_000)
  afterAll(async () => {
    client.close()
    await server.remove()
  })

  test('fsync is done when the disk has it, and calls that come up meanwhile go together', async () => {
    const queue = client.queue('kept')
    const jobs = await Promise.all(
      Array.from({ length: 300 }, (_, at) => queue.enqueue('task', at, { durability: 'fsync' })),
    )
    expect(new Set(jobs.map(({ enqueued }) => enqueued))).toEqual(new Set(['created']))
    await server.crash()
    await server.start()
    expect(await jobs.at(-1)?.state()).toBe('ready')
  })

  test('where the disk never confirms it fails and says that the job may be there', async () => {
    await ask(server, 'CONFIG', 'SET', 'appendfsync', 'no')
    const patient = clientOf(server, 300_000)
    const enqueue = (id: string) => patient.queue('kept').enqueue('task', 1, { durability: 'fsync', id })
    const notConfirmed = (id: string) => ({ code: 'NOT_CONFIRMED', maybeDone: true, jobIds: [id] })
    const together = await Promise.allSettled([enqueue('perhaps'), enqueue('perhaps-too')])
    expect(together).toMatchObject([
      { status: 'rejected', reason: notConfirmed('perhaps') },
      { status: 'rejected', reason: notConfirmed('perhaps-too') },
    ])
    expect(await patient.queue('kept').job('perhaps').state()).toBe('ready')
    await ask(server, 'CONFIG', 'SET', 'appendfsync', 'everysec')
    const again = await client.queue('kept').enqueue('task', 1, { durability: 'fsync', id: 'perhaps' })
    expect(again.enqueued).toBe('ready')
    patient.close()
  }, 60_000)

  test('who was not sent yet when the disk did not confirm is sent after it', async () => {
    await ask(server, 'CONFIG', 'SET', 'appendfsync', 'no')
    const patient = clientOf(server, 300_000)
    const queue = patient.queue('kept')
    const fsync = { durability: 'fsync' } as const
    const call = Array.from({ length: 1_000 }, (_, at) => ({ task: 'task', input: at }))
    const first = queue.enqueueMany(call, fsync).catch((error) => error)
    const next = queue.enqueue('task', 1, { ...fsync, id: 'next' })
    expect(await first).toMatchObject({ code: 'NOT_CONFIRMED', maybeDone: true })
    await ask(server, 'CONFIG', 'SET', 'appendfsync', 'everysec')
    expect((await next).enqueued).toBe('created')
    patient.close()
  }, 60_000)

  test('without the file fsync is refused before anything is written', async () => {
    await ask(server, 'CONFIG', 'SET', 'appendonly', 'no')
    await expect(
      client.queue('kept').enqueue('task', 1, { durability: 'fsync', id: 'refused' }),
    ).rejects.toMatchObject({ code: 'NOT_DURABLE', message: expect.stringContaining('set appendonly yes') })
    expect(await client.queue('kept').job('refused').state()).toBe('unknown')
  })

  test('without a replica replicated is refused before anything is written', async () => {
    await expect(
      client.queue('kept').enqueue('task', 1, { durability: 'replicated', id: 'refused' }),
    ).rejects.toMatchObject({ code: 'NOT_DURABLE', message: expect.stringContaining('has no replica') })
    expect(await client.queue('kept').job('refused').state()).toBe('unknown')
  })
})

test('a server that is too old for fsync says which one is not', async () => {
  const server = await RedisServer.start()
  const client = clientOf(server)
  try {
    const version = String(await ask(server, 'INFO', 'server'))
    if (!/redis_version:(6|7\.0)/.test(version))
      return expect(version).toMatch(/redis_version:(7\.[2-9]|[89])/)
    await expect(client.queue('old').enqueue('task', 1, { durability: 'fsync' })).rejects.toMatchObject({
      code: 'NOT_DURABLE',
      message: expect.stringContaining('Redis 7.2 or Valkey'),
    })
  } finally {
    client.close()
    await server.remove()
  }
})

test('replicated is done when a replica has it: nothing acknowledged is lost with the primary', async () => {
  const primary = await RedisServer.start()
  const replica = await RedisServer.start({
    args: ['--replicaof', '127.0.0.1', String(primary.port), '--repl-diskless-sync-delay', '0'],
  })
  const client = connect({ redis: primary.access, durability: 'replicated', deadlineMs: 3_000 })
  try {
    await eventually(async () => String(await ask(primary, 'INFO')).includes('state=online'))
    const queue = client.queue('kept')
    const jobs = await Promise.all(Array.from({ length: 100 }, (_, at) => queue.enqueue('task', at)))
    replica.freeze()
    await expect(queue.enqueue('task', 'late')).rejects.toMatchObject({ maybeDone: true })
    const fast = await queue.enqueue('task', 'fast', { durability: 'fast' })
    await primary.crash()
    replica.thaw()
    await ask(replica, 'REPLICAOF', 'NO', 'ONE')
    const promoted = connectRedis(replica.access)
    const left = openQueue(promoted, queue.name)
    for (const { id } of jobs) expect((await left.job(id))?.state).toBe('ready')
    // What was only fast was in the stream to the frozen replica, or lost with the primary: nobody promised.
    expect(['ready', undefined]).toContain((await left.job(fast.id))?.state)
    promoted.close()
  } finally {
    client.close()
    await primary.remove()
    await replica.remove()
  }
}, 60_000)

describe('while a replica stands still', () => {
  let primary: RedisServer
  let replica: RedisServer
  let client: Client
  beforeAll(async () => {
    const binary = await valkey()
    primary = await RedisServer.start({ binary, args: ['--appendfsync', 'always'] })
    const args = ['--replicaof', '127.0.0.1', String(primary.port), '--repl-diskless-sync-delay', '0']
    replica = await RedisServer.start({ binary, args })
    await eventually(async () => String(await ask(primary, 'INFO')).includes('state=online'))
    replica.freeze()
  }, 120_000)
  afterEach(() => client.close())
  afterAll(async () => {
    await primary.remove()
    await replica.remove()
  })
  const replicated = { durability: 'replicated' } as const
  const open = (deadlineMs: number) => {
    client = clientOf(primary, deadlineMs)
    return client
  }
  const enqueueAs = (id: string) => {
    const enqueued = client.queue('kept').enqueue('task', 1, { ...replicated, id })
    enqueued.catch(() => {})
    return enqueued
  }
  const isThere = (id: string) =>
    eventually(async () => (await client.queue('kept').job(id).state()) === 'ready')

  test('an enqueue that it does not confirm is not repeated: the job runs once, also where nothing of it is kept', async () => {
    const redis = connectRedis(primary.access)
    try {
      const jobs = open(300_000).queue('forgets')
      const queue = openQueue(redis, jobs.name)
      await queue.configure({ ...defaultSettings, completedMaxCount: 0 })
      await queue.register({
        ...{ worker: 'here:1', process: 'here', pod: 'here', podUid: 'uid', poolUid: '', node: 'node' },
        ...{ slots: 1, isolation: 'Fork', isolationNote: '', version: '0' },
      })
      await queue.resync('here:1', 1)
      const runs: string[] = []
      const work = async () => {
        await queue.renew('here:1')
        const { claims } = await queue.settleAndClaim({ worker: 'here:1', sequence: 1, wanted: 1 })
        for (const { id, token } of claims) {
          runs.push(id)
          const settled = { id, token, verdict: 'completed', text: '1 task {}\nnull' } as const
          await queue.settleAndClaim({ worker: 'here:1', sequence: 1, settlements: [settled] })
        }
      }
      const enqueued = jobs.enqueue('task', 1, { ...replicated, id: 'once' }).catch((error) => error)
      let error: unknown
      enqueued.then((outcome) => (error = outcome))
      await eventually(() => work().then(() => error), { withinMs: 60_000 })
      await work()
      expect(error).toMatchObject({ code: 'NOT_CONFIRMED', maybeDone: true, jobIds: ['once'] })
      expect(runs).toEqual(['once'])
    } finally {
      redis.close()
    }
  }, 90_000)

  test('those who wait for it do not wait for each other, and who asks for the disk waits for none of them', async () => {
    const connections = async () =>
      String(await ask(primary, 'CLIENT', 'LIST')).match(/name=millhand-(fsync|replicated)/g)?.length ?? 0
    await eventually(async () => (await connections()) === 0)
    open(300_000)
    const queues = ['a', 'b', 'c', 'd'].map((name) => client.queue(name))
    expect(await connections()).toBe(0)
    let isOver = false
    const stalled = Promise.allSettled(queues.map((queue) => queue.enqueue('task', 1, replicated)))
    stalled.then(() => (isOver = true))
    await Promise.all(queues.map((queue) => queue.enqueue('task', 2, { durability: 'fsync' })))
    expect(isOver).toBe(false)
    expect(await connections()).toBe(8)
    const notConfirmed = { status: 'rejected', reason: expect.objectContaining({ code: 'NOT_CONFIRMED' }) }
    expect(await stalled).toEqual(queues.map(() => notConfirmed))
    client.close()
    await eventually(async () => (await connections()) === 0)
  }, 60_000)

  test('who has no time left when its turn comes is not enqueued any more', async () => {
    open(3_000)
    const first = enqueueAs('first')
    await isThere('first')
    await expect(enqueueAs('late')).rejects.toMatchObject({
      code: 'REDIS_UNAVAILABLE',
      maybeDone: false,
      message: expect.stringContaining('nothing was enqueued'),
    })
    await expect(first).rejects.toMatchObject({ code: 'NOT_CONFIRMED', jobIds: ['first'] })
    expect(await client.queue('kept').job('late').state()).toBe('unknown')
  }, 60_000)

  test('and the primary is made a replica of another: it says that the job may be there', async () => {
    open(3_000)
    const enqueued = enqueueAs('perhaps')
    await isThere('perhaps')
    await ask(primary, 'REPLICAOF', '127.0.0.1', String(replica.port))
    await expect(enqueued).rejects.toMatchObject({ code: 'NOT_SERVING', maybeDone: true })
  }, 60_000)
})
