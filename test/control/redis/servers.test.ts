// The operator's connections to real Redis servers: one that is away keeps nobody waiting, one that nobody needs is left, and a queue that
// runs empty again and again is looked at five times a second.
import { connectRedis, defaultSettings, newJob, openQueue, silent } from 'millhand/queue'
import { type Fence, NotLeading, openFence } from '../../../control/src/engine/fence.ts'
import { inSecret, problemOf } from '../../../control/src/redis/problems.ts'
import { Secrets } from '../../../control/src/redis/secrets.ts'
import { Servers } from '../../../control/src/redis/servers.ts'
import { eventually } from '../../eventually.ts'
import { freePort } from '../../free-port.ts'
import { redisUrl } from '../../redis.ts'
import { RedisServer } from '../../redis-server.ts'
import { RespServer } from '../../resp-server.ts'
import { openServers } from './open-servers.ts'

const place = { namespace: 'shop', secretName: 'millhand-redis' }
const opened: Servers[] = []
/** Time that a test lets pass at once. */
const clock = { skippedMs: 0 }
afterEach(() => {
  for (const servers of opened.splice(0)) servers.close()
})

function serversFor(url: { now: string }, fence: Fence = openFence) {
  const stirs: string[] = []
  const secrets = new Secrets({
    readSecret: async () => ({ url: url.now }),
    secretNames: ['millhand-redis'],
    denials: { servers: [], networks: ['127.0.0.0/8'] },
    nowMs: () => performance.now() + clock.skippedMs,
  })
  const servers = new Servers({
    name: 'test',
    reach: secrets,
    onStirred: ({ queueName }) => stirs.push(queueName),
    fence,
    log: silent,
    nowMs: () => performance.now() + clock.skippedMs,
    wallMs: () => Date.now(),
  })
  opened.push(servers)
  const open = async (name: string) => {
    const found = await servers.open(name, place)
    if (found.kind === 'problem') throw new Error(found.message)
    return found.seen
  }
  return { servers, stirs, open }
}

test('a server that is known to be away is not waited for', async () => {
  const { open } = serversFor({ now: `redis://127.0.0.1:${await freePort()}` })
  const seen = await open('shop.away')
  await expect(seen.look()).rejects.toThrow()
  const startedAt = performance.now()
  for (let times = 0; times < 100; times++) await expect(seen.look()).rejects.toThrow('the server is away')
  expect(performance.now() - startedAt).toBeLessThan(5_000)
})

test('after a Secret leads to another server, the old one is left', async () => {
  const [first, second] = await Promise.all([RedisServer.start(), RedisServer.start()])
  try {
    const url = { now: first.url }
    const { servers, open } = serversFor(url)
    await (await open('shop.moved')).look()
    url.now = second.url
    servers.distrust(place)
    clock.skippedMs += 5_001
    await (await open('shop.moved')).look()
    const there = connectRedis(first.url)
    await eventually(async () => !String(await there.call('CLIENT', 'LIST')).includes('name=test'))
    there.close()
    expect(servers.queues.length).toBe(1)
    servers.forget('shop.moved', place)
    expect(servers.queues).toEqual([])
  } finally {
    await Promise.all([first.remove(), second.remove()])
  }
})

test('what a queue without workers has for another one is taken there by who leads', async () => {
  const redis = await RedisServer.start()
  const fence = { isOpen: false }
  try {
    const { open } = serversFor({ now: redis.url }, fence)
    const there = connectRedis(redis.url)
    const [from, to] = [openQueue(there, 'shop.from'), openQueue(there, 'shop.to')]
    const { id, flags, lane, call, payload } = newJob('echo', 1)
    const entry = ['verb', 'enqueue', 'id', id, 'head', `${flags}${lane} - ${call}`, 'text', payload]
    await there.call('XADD', 'mh:{shop.from}:outbox:shop.to', '*', ...entry)
    await there.call('ZADD', 'mh:{shop.from}:outbox', 0, 'shop.to')
    const seen = await open('shop.from')
    expect((await seen.look()).depth.hasOutbox).toBe(true)
    expect((await to.depth()).ready).toBe(0)
    fence.isOpen = true
    clock.skippedMs += 1_000
    await seen.look()
    await eventually(async () => (await to.depth()).ready === 1, { what: 'the job is there' })
    await eventually(async () => !(await from.depth()).hasOutbox, { what: 'the outbox is empty' })
    there.close()
  } finally {
    await redis.remove()
  }
})

test('an instance that does not lead answers questions about queues, and writes nothing', async () => {
  const redis = await RedisServer.start()
  const fence = { isOpen: false }
  try {
    const { servers, open } = serversFor({ now: redis.url }, fence)
    const there = connectRedis(redis.url)
    const queue = openQueue(there, 'shop.read')
    await queue.enqueue([newJob('echo', 1), newJob('echo', 2)])
    const seen = await open('shop.read')
    const lostAtNextLook = async () => {
      clock.skippedMs += 1_000
      await seen.look()
      clock.skippedMs += 1_000
      return (await seen.look()).depth.counts.vanished
    }
    expect((await seen.look()).depth.ready).toBe(2)
    expect(() => seen.toWrite).toThrow(NotLeading)
    // As after a failover to a replica that lagged by one: only who leads tells Redis so.
    await there.call('HINCRBY', 'mh:{shop.read}:counts', 'enqueued', -1)
    expect(await lostAtNextLook()).toBe(0)
    fence.isOpen = true
    await there.call('HINCRBY', 'mh:{shop.read}:counts', 'enqueued', -1)
    expect(await lostAtNextLook()).toBe(2)
    // Nobody asks any more: it is left.
    clock.skippedMs += 200_000
    await open('shop.other')
    expect(servers.queues.map(({ name }) => name)).toEqual(['shop.other'])
    there.close()
  } finally {
    await redis.remove()
  }
})

test('jobs of a worker whose heartbeat ran out are put back by who looks and leads', async () => {
  const fence = { isOpen: false }
  const { open } = serversFor({ now: redisUrl() }, fence)
  const name = `shop.silent-${process.pid}`
  const redis = connectRedis(redisUrl())
  const queue = openQueue(redis, name)
  await queue.enqueue([newJob('echo', 1)])
  const nobody = { process: 'gone', pod: '', podUid: '', poolUid: '', node: '', slots: 1, version: '' }
  await queue.register({ ...nobody, worker: 'gone:1', isolation: '', isolationNote: '' })
  await queue.settleAndClaim({ worker: 'gone:1', wanted: 1 })
  const seen = await open(name)
  const look = async () => {
    clock.skippedMs += 1_000
    return (await seen.look()).depth
  }
  fence.isOpen = true
  expect(await look()).toMatchObject({ ready: 0, busy: 1 })
  fence.isOpen = false
  await redis.call('ZADD', `mh:{${name}}:workers`, 1, 'gone:1')
  expect(await look()).toMatchObject({ ready: 0, busy: 1 })
  expect(await look()).toMatchObject({ ready: 0, busy: 1 })
  fence.isOpen = true
  await eventually(async () => (await look()).ready === 1)
  expect(await queue.workers()).toEqual([])
  redis.close()
})

test('a queue that runs empty again and again stirs five times a second', async () => {
  const { stirs, open } = serversFor({ now: redisUrl() })
  const name = `shop.stirs-${process.pid}`
  const seen = await open(name)
  await seen.look()
  const redis = connectRedis(redisUrl())
  const queue = openQueue(redis, name)
  const job = () => queue.enqueue([newJob('echo', 1)])
  await eventually(async () => {
    await job()
    return stirs.length > 0
  })
  const before = stirs.length
  const startedAt = performance.now()
  for (let times = 0; times < 50; times++) seen.stir()
  await eventually(() => stirs.length > before)
  expect(stirs.length - before).toBeLessThanOrEqual(2 + (performance.now() - startedAt) / 200)
  expect((await seen.look()).depth.ready).toBeGreaterThan(0)
  redis.close()
})

test('two queues of one name in two servers are left alone by each other', async () => {
  const [first, second] = await Promise.all([RedisServer.start(), RedisServer.start()])
  const { servers, stirs } = openServers({ one: first.url, two: second.url })
  opened.push(servers)
  const open = async (secretName: string) => {
    const found = await servers.open('shop.same', { namespace: 'shop', secretName })
    if (found.kind === 'problem') throw new Error(found.message)
    return found.seen
  }
  try {
    const [one, two] = [await open('one'), await open('two')]
    await one.toWrite.enqueue([newJob('echo', 1)])
    for (let round = 0; round < 3; round++) {
      expect(await open('one')).toBe(one)
      expect(await open('two')).toBe(two)
    }
    expect((await one.look()).depth.ready).toBe(1)
    expect((await two.look()).depth.ready).toBe(0)
    stirs.length = 0
    two.stir()
    const isOfTwo = ({ secretName, queueName }: (typeof stirs)[number]) =>
      secretName === 'two' && queueName === 'shop.same'
    await eventually(() => stirs.some(isOfTwo))
    servers.forget('shop.same', { namespace: 'shop', secretName: 'two' })
    expect(servers.queues.map(({ place }) => place.secretName)).toEqual(['one'])
  } finally {
    await Promise.all([first.remove(), second.remove()])
  }
})

test('a loss of enqueues is told to Redis until it takes it, and keeps nobody from looking', async () => {
  const server = await RedisServer.start()
  const redis = connectRedis(server.url)
  const { servers, clock } = openServers({ 'millhand-redis': server.url })
  opened.push(servers)
  try {
    const found = await servers.open('shop.lossy', place)
    if (found.kind === 'problem') throw new Error(found.message)
    const { seen } = found
    await openQueue(redis, 'shop.lossy').enqueue(Array.from({ length: 10 }, () => newJob('echo', 1)))
    await seen.look()
    // As after a failover to a replica that lagged by four, and then misses its own replica.
    await redis.call('HINCRBY', 'mh:{shop.lossy}:counts', 'enqueued', -4)
    await redis.call('CONFIG', 'SET', 'min-replicas-to-write', 1)
    const later = async () => {
      clock.skippedMs += 1_000
      return (await seen.look()).depth.counts
    }
    for (let times = 0; times < 3; times++) expect(await later()).toMatchObject({ enqueued: 6, vanished: 0 })
    await redis.call('CONFIG', 'SET', 'min-replicas-to-write', 0)
    await later()
    expect(await later()).toMatchObject({ enqueued: 10, vanished: 4 })
    expect(await later()).toMatchObject({ enqueued: 10, vanished: 4 })
  } finally {
    redis.close()
    await server.remove()
  }
})

describe('what suits a queue', () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await RedisServer.start()
  })
  afterAll(() => server.remove())

  /** How often the server was examined: each time it is asked for three settings. */
  const examinations = async () => {
    const redis = connectRedis(server.url)
    const stats = String(await redis.call('INFO', 'commandstats'))
    redis.close()
    return Number(/^cmdstat_config(?:\|get)?:calls=(\d+)/m.exec(stats)?.[1] ?? 0) / 3
  }
  const set = async (...pairs: [string, string | number][]) => {
    const redis = connectRedis(server.url)
    for (const pair of pairs) await redis.call('CONFIG', 'SET', ...pair)
    redis.close()
  }
  const worst = async (seen: Awaited<ReturnType<ReturnType<typeof serversFor>['open']>>) => {
    const findings = await seen.examineServer()
    return findings === 'unknown' ? findings : findings[0]
  }

  test('is found out once for all queues of a server, again after minutes, and again after the server was away', async () => {
    const { open } = serversFor({ now: server.url })
    const queues = await Promise.all(['a', 'b', 'c'].map((name) => open(`shop.suits-${name}`)))
    const before = await examinations()
    for (let times = 0; times < 3; times++) await Promise.all(queues.map((seen) => seen.examineServer()))
    expect((await examinations()) - before).toBe(1)
    const [first] = queues
    if (!first) throw new Error('no queue was opened')

    await set(['maxmemory', '1gb'], ['maxmemory-policy', 'allkeys-lru'])
    expect(await worst(first)).not.toMatchObject({ check: 'Eviction' })
    clock.skippedMs += 121_000
    expect(await worst(first)).toMatchObject({ check: 'Eviction', severity: 'problem' })

    // The one that comes up again has forgotten what was set.
    await server.crash()
    await eventually(() => !first.isReachable)
    await server.start()
    await eventually(() => first.isReachable, { withinMs: 20_000 })
    expect(await worst(first)).not.toMatchObject({ check: 'Eviction' })
  }, 60_000)

  test('is unknown while the server is away', async () => {
    const { open } = serversFor({ now: `redis://127.0.0.1:${await freePort()}` })
    expect(await (await open('shop.nowhere')).examineServer()).toBe('unknown')
  })
})

test('a user that may run scripts, but not what they do, is refused by Redis: it is no fault of ours', async () => {
  const server = await RedisServer.start()
  const admin = connectRedis(server.url)
  try {
    const rules = ['on', '>pw', '~*', '+eval', '+evalsha', '+info', '+client|setname', '+time']
    await admin.call('ACL', 'SETUSER', 'weak', 'reset', 'allchannels', ...rules)
    const { open } = serversFor({ now: server.url.replace('//', '//weak:pw@') })
    const seen = await open('shop.weak')
    const error = await seen.toWrite.configure(defaultSettings).catch((thrown) => thrown)
    expect(problemOf(error, inSecret(place))).toMatchObject({ reason: 'RedisRefused' })
  } finally {
    admin.close()
    await server.remove()
  }
})

test('the refusal of a Cluster is known as one, so that its Secret is read again', async () => {
  const refusing = await RespServer.start((command) =>
    command === 'HELLO' || command === 'AUTH'
      ? '-WRONGPASS invalid username-password pair'
      : '-NOAUTH Authentication required.',
  )
  try {
    const { open } = serversFor({ now: `redis+cluster://:wrong@127.0.0.1:${refusing.port}` })
    const seen = await open('shop.refused')
    await eventually(() => seen.isKnownAway)
    for (let times = 0; times < 2; times++) {
      const error = await seen.look().catch((thrown) => thrown)
      expect(problemOf(error, inSecret(place))).toMatchObject({ reason: 'RedisRefused' })
    }
  } finally {
    refusing.stop()
  }
})

test('a server that was lost and then refuses the credentials is known to refuse them', async () => {
  const server = await RedisServer.start()
  const admin = connectRedis(server.url)
  try {
    const { open } = serversFor({ now: server.url })
    const seen = await open('shop.relocked')
    await seen.look()
    await admin.call('CONFIG', 'SET', 'requirepass', 'another')
    await admin.call('CLIENT', 'KILL', 'TYPE', 'normal')
    const problem = () =>
      seen.look().then(
        () => undefined,
        (error) => problemOf(error, inSecret(place))?.reason,
      )
    await eventually(async () => (await problem()) === 'RedisRefused')
  } finally {
    admin.close()
    await server.remove()
  }
})

test('a server that answers "not here" to what is written stirs nobody, however often it is there again', async () => {
  const server = await RedisServer.start()
  const admin = connectRedis(server.url)
  try {
    const { open, stirs } = serversFor({ now: server.url })
    const seen = await open('shop.replica')
    await seen.look()
    await new Promise((resolve) => setTimeout(resolve, 500)) // those of the first connection
    const before = stirs.length
    await admin.call('REPLICAOF', '127.0.0.1', await freePort())
    for (let times = 0; times < 5; times++) {
      await eventually(() => seen.isReachable)
      const error = await seen.toWrite.configure(defaultSettings).catch((thrown) => thrown)
      expect(problemOf(error, inSecret(place))).toMatchObject({ reason: 'RedisNotServing' })
    }
    await eventually(() => seen.isReachable)
    await new Promise((resolve) => setTimeout(resolve, 500)) // what stirs is told of within 200 ms
    expect(stirs.length).toBe(before)
  } finally {
    admin.close()
    await server.remove()
  }
})

test('what the leader sees goes into the history of the queue, and nothing of it from the others', async () => {
  const name = `shop.history-${process.pid}`
  const redis = connectRedis(redisUrl())
  const queue = openQueue(redis, name)
  try {
    await queue.enqueue([newJob('task', null)])
    const known = async () =>
      (await queue.history({ series: ['ready', 'replicas'] })).columns.map(({ total }) => total)
    const shut: Fence = { ...openFence, isOpen: false }
    const follower = await serversFor({ now: redisUrl() }, shut).open(name)
    await follower.sample(await follower.look())
    expect(await known()).toEqual([null, null])
    const leader = await serversFor({ now: redisUrl() }).open(name)
    await leader.sample(await leader.look())
    await eventually(async () => (await known())[0] === 1)
    expect(await known()).toEqual([1, 0])
  } finally {
    redis.close()
  }
})
