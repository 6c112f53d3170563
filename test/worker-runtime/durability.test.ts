// What an enqueue promises beyond the memory of one server, with real disks and replicas that do not answer.
import { type Client, connect, type RedisUnavailable } from 'millhand/client'
import { connectRedis, openQueue } from 'millhand/queue'
import { eventually } from '../eventually.ts'
import { ask } from '../redis-forms.ts'
import { RedisServer } from '../redis-server.ts'
import { valkey } from '../redis-versions.ts'

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
    const impatient = clientOf(server, 4_000)
    const error: RedisUnavailable = await impatient
      .queue('kept')
      .enqueue('task', 1, { durability: 'fsync', id: 'perhaps' })
      .catch((failure) => failure)
    expect(error).toMatchObject({ code: 'REDIS_UNAVAILABLE', maybeDone: true, jobIds: ['perhaps'] })
    expect(await impatient.queue('kept').job('perhaps').state()).toBe('ready')
    await ask(server, 'CONFIG', 'SET', 'appendfsync', 'everysec')
    const again = await client.queue('kept').enqueue('task', 1, { durability: 'fsync', id: 'perhaps' })
    expect(again.enqueued).toBe('ready')
    impatient.close()
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
    ).rejects.toMatchObject({ code: 'NOT_DURABLE', message: expect.stringContaining('needs a replica') })
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
