// How a connection to a Cluster learns who serves what, where the nodes themselves are away or do not agree. Nodes that say what a test wants:
// forms.test.ts has the real ones.
import { type Connection, connectRedis, RedisUnavailable } from 'millhand/queue'
import { eventually } from '../../eventually.ts'
import { array, bulk, civil, HostileServer, slots } from '../../hostile-redis/server.ts'
import { type Answer, RespServer } from '../../resp-server.ts'

const nodes: RespServer[] = []
const connections: Connection[] = []
afterEach(() => {
  for (const connection of connections.splice(0)) connection.close()
  for (const node of nodes.splice(0)) node.stop()
})

/** All of them answer from one map, and everything else with their own port. */
async function startNodes(count: number, slotsOf: (nodes: readonly RespServer[]) => Answer) {
  const seen = { maps: 0, lastMapAtMs: performance.now() }
  const started: RespServer[] = []
  for (let at = 0; at < count; at++) {
    const node: RespServer = await RespServer.start((command) => {
      if (command === 'INFO') return READY
      if (command !== 'CLUSTER') return String(node.port)
      seen.maps += 1
      seen.lastMapAtMs = performance.now()
      return slotsOf(started)
    })
    started.push(node)
    nodes.push(node)
  }
  return { nodes: started, seen }
}

function connect(known: readonly RespServer[], deadlineMs: number): Connection {
  const hosts = known.map(({ port }) => `127.0.0.1:${port}`).join(',')
  const connection = connectRedis(`redis+cluster://${hosts}`, { deadlineMs })
  connections.push(connection)
  return connection
}

const READY = 'redis_version:7.0.15\r\nloading:0\r\n'
const range = (first: number, last: number, node: RespServer | undefined): Answer => [
  first,
  last,
  ['127.0.0.1', node?.port ?? 0, `id${node?.port}`],
]
/** In slot 3300. */
const KEY = '{b}'

test('a Cluster that is away when it is first looked for is found as soon as it is there, though nobody asks for anything', async () => {
  let isThere = false
  const { nodes: started } = await startNodes(1, ([a]) => (isThere ? [range(0, 16_383, a)] : []))
  const redis = connect(started, 500)
  await expect(redis.call('GET', KEY)).rejects.toThrow('serves no slots yet')
  isThere = true
  await eventually(() => redis.isReady)
})

test('a Cluster that was lost and then refuses the credentials says so, and is asked ever more rarely', async () => {
  const { nodes: started } = await startNodes(1, ([a]) => [range(0, 16_383, a)])
  const node = started[0] as RespServer
  const states: unknown[] = []
  const redis = connectRedis(`redis+cluster://127.0.0.1:${node.port}`, {
    deadlineMs: 5_000,
    onState: (state, error) => states.push([state, (error as RedisUnavailable | undefined)?.code]),
  })
  connections.push(redis)
  await redis.ready()
  node.answer = (command) => (command === 'INFO' ? READY : '-CLUSTERDOWN The cluster is down')
  await expect(redis.call('GET', KEY)).rejects.toMatchObject({ code: 'NOT_SERVING' })
  await eventually(() => states.length === 2)
  let asked = 0
  node.answer = () => {
    asked += 1
    return '-NOAUTH Authentication required.'
  }
  await eventually(() => states.length === 3)
  expect(states).toEqual([
    ['ready', undefined],
    ['away', 'NOT_SERVING'],
    ['away', 'REDIS_REFUSED'],
  ])
  const before = asked
  await new Promise((resolve) => setTimeout(resolve, 4_000))
  // Two commands at each of four times, where it would be at eight and more without a growing pause.
  expect(asked - before).toBeLessThan(12)
})

test('nodes that send a call to each other: it cannot be served now, and is when they agree', async () => {
  let areAgreed = false
  const { nodes: started } = await startNodes(2, ([a]) => [range(0, 16_383, a)])
  for (const [at, node] of started.entries()) {
    const { answer } = node
    const other = started[1 - at]?.port
    node.answer = (command, ...args) =>
      command === 'GET' && !areAgreed ? `-MOVED 3300 127.0.0.1:${other}` : answer(command, ...args)
  }
  const redis = connect(started, 20_000)
  const failed = await redis.call('GET', KEY).catch((error: unknown) => error)
  expect(failed).toBeInstanceOf(RedisUnavailable)
  expect(failed).toMatchObject({ maybeDone: false, message: expect.stringContaining('disagree') })
  expect((failed as Error).cause).toMatchObject({ message: expect.stringMatching(/^MOVED/) })
  areAgreed = true
  expect(await eventually(() => redis.call('GET', KEY))).toMatch(/^\d+$/)
})

test.each([
  ['once', 1],
  ['many times', 16],
])(
  'a replica has taken over, and the URL names %s the node that died, and no other',
  async (_what, times) => {
    let hasTakenOver = false
    const { nodes: started } = await startNodes(3, ([a, b, replica]) => [
      range(0, 8191, hasTakenOver ? replica : a),
      range(8192, 16_383, b),
    ])
    const [a, , replica] = started
    const redis = connect(Array(times).fill(a), 2_000)
    expect(await redis.call('GET', KEY)).toBe(String(a?.port))
    hasTakenOver = true
    a?.stop()
    expect(await eventually(() => redis.call('GET', KEY))).toBe(String(replica?.port))
  },
)

test('while a node is away and nobody asks for it, the map is read ever more rarely; a call has it read at once', async () => {
  let hasTakenOver = false
  const { nodes: started, seen } = await startNodes(4, ([a, b, c, replica]) => [
    range(0, 8191, hasTakenOver ? replica : a),
    range(8192, 12_000, b),
    range(12_001, 16_383, c),
  ])
  const [a, , , replica] = started
  const redis = connect(started.slice(0, 3), 2_000)
  await redis.call('GET', KEY)
  a?.stop()
  const silenceMs = () => performance.now() - seen.lastMapAtMs
  for (const _ of ['rare', 'rarer']) {
    await eventually(() => silenceMs() > 2_200, { withinMs: 60_000, what: 'a pause between two readings' })
    await eventually(() => silenceMs() < 100, { withinMs: 60_000, everyMs: 5, what: 'the next reading' })
  }
  // The next reading by itself is more than two seconds away.
  const before = seen.maps
  await expect(redis.call('GET', KEY)).rejects.toBeInstanceOf(RedisUnavailable)
  expect(seen.maps).toBeGreaterThan(before)
  hasTakenOver = true
  expect(await eventually(() => redis.call('GET', KEY))).toBe(String(replica?.port))
}, 150_000)

describe('a map that harms', () => {
  const addresses = (count: number) =>
    Array.from({ length: count }, (_, at) => ({ host: `127.8.${at >> 8}.${at & 255}`, port: 9 }))
  const cluster = (map: string) =>
    HostileServer.start((asked) => (asked.command === 'CLUSTER' ? map : civil(asked)))

  test.each([
    ['more than 1,000 nodes', slots(addresses(1_001)), 'DATA_INVALID'],
    [
      'a slot that is none',
      array(array(':0\r\n', ':16384\r\n', array(bulk('127.0.0.1'), ':9\r\n'))),
      'PROTOCOL',
    ],
    [
      'the same slots again and again',
      array(...Array<string>(100).fill(array(':0\r\n', ':16383\r\n', array(bulk('127.0.0.1'), ':9\r\n')))),
      'PROTOCOL',
    ],
    ['a host that is none', slots([{ host: 'a b;c', port: 9 }]), 'PROTOCOL'],
    ['a port that is none', slots([{ host: '127.0.0.1', port: 70_000 }]), 'PROTOCOL'],
    ['no map at all', array(bulk('x'), ':1\r\n'), 'PROTOCOL'],
  ])('with %s is not followed', async (_what, map, code) => {
    const server = await cluster(map)
    const redis = connectRedis(server.urlFor('cluster'), { deadlineMs: 500 })
    await expect(redis.call('GET', KEY)).rejects.toMatchObject({ code })
    redis.close()
    server.stop()
  })

  test('with 1,000 nodes is followed three at a time, and nobody who is denied is connected to', async () => {
    const server = await cluster(slots(addresses(1_000)))
    const asked = new Set<string>()
    const redis = connectRedis(server.urlFor('cluster'), {
      isDenied: (address) => {
        if (address.startsWith('127.8.')) asked.add(address)
        return address.startsWith('127.8.')
      },
    })
    let [now, most] = [0, 0]
    const found = await redis
      .atEachServer(async (node) => {
        now += 1
        most = Math.max(most, now)
        const told = await node.call('INFO').catch((error) => error.message)
        now -= 1
        if (asked.size > 10) redis.close()
        return told
      })
      .catch((error) => error)
    expect(most).toBeLessThanOrEqual(3)
    expect(asked.size).toBeGreaterThan(10)
    expect(found).toBeInstanceOf(RedisUnavailable)
    server.stop()
  }, 30_000)

  test('that sends from one node to the next without end is left after some', async () => {
    const server = await HostileServer.start((asked) => {
      if (asked.command !== 'GET') return civil(asked)
      return `-MOVED 3300 localhost:${asked.server.port}\r\n`
    })
    const redis = connectRedis(server.urlFor('cluster'), { deadlineMs: 3_000 })
    await expect(redis.call('GET', KEY)).rejects.toMatchObject({ code: 'NOT_SERVING' })
    expect(server.heard.filter((command) => command === 'GET').length).toBeLessThan(10)
    redis.close()
    server.stop()
  })
})
