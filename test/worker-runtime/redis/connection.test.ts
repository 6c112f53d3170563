// What a connection says of a server, and to it: which failures pass, what is told as their reason, who is spoken to and by which name.
import { connectRedis, newJob, openQueue, RedisUnavailable } from 'millhand/queue'
import { eventually } from '../../eventually.ts'
import { endless, personas } from '../../hostile-redis/personas.ts'
import { array, bulk, civil, HostileServer } from '../../hostile-redis/server.ts'
import { redisUrl } from '../../redis.ts'
import { TlsServer } from '../../redis-forms.ts'
import { RedisServer } from '../../redis-server.ts'
import { type Answering, RespServer } from '../../resp-server.ts'

const READY = 'redis_version:7.0.15\r\nrole:master\r\nloading:0\r\n'

test('a password that was refused once is not told as the reason of a later loss', async () => {
  const server = await RedisServer.start()
  const told: [string, string | undefined][] = []
  const admin = connectRedis(server.url)
  await admin.call('CONFIG', 'SET', 'requirepass', 'another')
  const redis = connectRedis(server.url.replace('//', '//:password@'), {
    name: 'refused-once',
    onState: (state, error) => told.push([state, error?.message]),
  })
  await expect(redis.ready()).rejects.toMatchObject({ code: 'REDIS_REFUSED' })
  await admin.call('CONFIG', 'SET', 'requirepass', 'password')
  await eventually(() => redis.ready().then(() => true))
  await admin.call('CLIENT', 'KILL', 'ID', Number(await redis.call('CLIENT', 'ID')))
  await eventually(() => told.filter(([state]) => state === 'away').length === 2)
  expect(told).toEqual([
    ['away', expect.stringContaining('WRONGPASS')],
    ['ready', undefined],
    ['away', 'the server ended the connection'],
  ])
  admin.close()
  redis.close()
  await server.remove()
})

test('messages come also from a server that knows only the old protocol', async () => {
  const server = await RedisServer.start({ args: ['--rename-command', 'HELLO', 'HIDDEN'] })
  const messages: string[] = []
  const listening = connectRedis(server.url)
  const stop = await listening.subscribe('channel', (message) => messages.push(message))
  const redis = connectRedis(server.url)
  expect(await redis.call('PUBLISH', 'channel', 'first')).toBe(1)
  await eventually(() => messages.length > 0)
  stop()
  await eventually(async () => (await redis.call('PUBLISH', 'channel', 'second')) === 0)
  expect(messages).toEqual(['first'])
  listening.close()
  redis.close()
  await server.remove()
})

test('messages without end are read as fast as they may come, and the rest stays with the server', async () => {
  const server = await HostileServer.start((asked) => {
    if (asked.command !== 'SUBSCRIBE') return civil(asked)
    return endless(
      array(bulk('message'), bulk('channel'), bulk('x')),
      array(bulk('subscribe'), bulk('channel'), ':1\r\n'),
    )
  })
  let count = 0
  const redis = connectRedis(server.urlFor('server'), { maxMessagesPerSecond: 100 })
  const startedAtMs = performance.now()
  const listening = redis.subscribe('channel', () => {
    count += 1
  })
  // What is behind the messages comes too late, or never.
  listening.catch(() => {})
  await eventually(() => performance.now() - startedAtMs > 3_000)
  // One read of a socket brings at most 64 KiB, some 1,800 of them, and then there is quiet for as long as they may take.
  expect(count).toBeGreaterThan(0)
  expect(count).toBeLessThan(4_000)
  redis.close()
  server.stop()
})

test('a second try at one that breaks the protocol comes ever later, though it lets everybody in', async () => {
  const server = await HostileServer.start(personas.garbage)
  const redis = connectRedis(server.urlFor('server'))
  const startedAtMs = performance.now()
  while (performance.now() - startedAtMs < 3_000)
    await expect(redis.call('GET', 'key')).rejects.toMatchObject({ code: 'PROTOCOL' })
  expect(server.connections).toBeLessThan(15)
  redis.close()
  server.stop()
})

describe('what passes, and what does not', () => {
  test.each(['sync-BUSY', 'READONLY', 'x:-LOADING'])(
    'a payload that is too large stays so where the id of its job is %s',
    async (id) => {
      const redis = connectRedis(redisUrl())
      const job = newJob('task', 'x'.repeat(300_000), { id })
      await expect(openQueue(redis, 'connection.large').enqueue([job])).rejects.toMatchObject({
        code: 'PAYLOAD_TOO_LARGE',
      })
      redis.close()
    },
  )

  test.each([
    ['a server that has become a replica', "READONLY You can't write against a read only replica."],
    [
      'the same in a script, by Redis 6.2',
      "ERR Error running script (call to f_0123): @user_script:1: @user_script: 1: -READONLY You can't write against a read only replica.",
    ],
    [
      'a command of a script that is refused, by Redis 6.2',
      'ERR Error running script (call to f_0123): @user_script:1: MISCONF Redis is configured to save RDB snapshots',
    ],
    ['a script that takes long', 'BUSY Redis is busy running a script.'],
    ['one client too many', 'ERR max number of clients reached'],
    ['data that are still read', 'LOADING Redis is loading the dataset in memory'],
  ])('%s passes', async (_what, error) => {
    const server = await RespServer.start((command) => (command === 'GET' ? `-${error}` : READY))
    const redis = connectRedis(`redis://127.0.0.1:${server.port}`)
    await expect(redis.call('GET', 'key')).rejects.toBeInstanceOf(RedisUnavailable)
    redis.close()
    server.stop()
  })
})

describe('over TLS', () => {
  let tls: TlsServer
  beforeAll(async () => {
    tls = await TlsServer.start()
  })
  afterAll(() => tls.remove())

  /** A server, a Sentinel and a node of a Cluster at once, all of them called by this name. */
  async function startNamed(host: string): Promise<RespServer> {
    const { cert, key } = tls.access
    const answer: Answering = (command) => {
      if (command === 'INFO') return READY
      if (command === 'SENTINEL') return [host, String(server.port)]
      if (command === 'CLUSTER') return [[0, 16_383, [host, server.port, 'id']]]
      return 'value'
    }
    const server: RespServer = await RespServer.start(answer, { cert, key })
    return server
  }

  const forms = [
    ['a server', 'rediss', ''],
    ['Sentinels and the primary behind them', 'rediss+sentinel', '/jobs'],
    ['the nodes of a Cluster', 'rediss+cluster', ''],
  ] as const
  const guards = [
    ['', {}],
    [', also where it is looked who they are', { isDenied: () => false }],
  ] as const
  const cases = forms.flatMap(([what, scheme, path]) =>
    guards.map(([guarded, options]) => [`${what}${guarded}`, scheme, path, options] as const),
  )

  test.each(cases)('%s are asked for by their names', async (_what, scheme, path, options) => {
    const server = await startNamed('localhost')
    const access = { ...tls.access, url: `${scheme}://localhost:${server.port}${path}` }
    const redis = connectRedis(access, options)
    expect(await redis.call('GET', 'key')).toBe('value')
    const isSubscribed = () => path === '' || server.heard.includes('+switch-master')
    await eventually(isSubscribed)
    expect(new Set(server.names)).toEqual(new Set(['localhost']))
    redis.close()
    server.stop()
  })

  test('an address that is a number is no name', async () => {
    const server = await startNamed('127.0.0.1')
    const redis = connectRedis({ ...tls.access, url: `rediss://127.0.0.1:${server.port}` })
    expect(await redis.call('GET', 'key')).toBe('value')
    expect(server.names).toEqual([false])
    redis.close()
    server.stop()
  })
})
