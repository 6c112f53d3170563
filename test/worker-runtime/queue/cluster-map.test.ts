// How a connection to a Cluster learns who serves what, where the nodes themselves are away or do not agree. Nodes that say what a test wants:
// forms.test.ts has the real ones.
import { type Connection, connectRedis, RedisUnavailable } from 'millhand/queue'
import { eventually } from '../../eventually.ts'
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
  ['many times', 100],
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
