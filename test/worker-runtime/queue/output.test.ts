// Live output: who looks at a running job sees its last lines and each new one; nothing is sent while nobody looks.
import { fileURLToPath } from 'node:url'
import {
  type Connection,
  connectRedis,
  newJob,
  type OutputEvent,
  openQueue,
  type Queue,
} from 'millhand/queue'
import { outputChannel } from '../../../worker-runtime/src/queue/keys.ts'
import { eventually } from '../../eventually.ts'
import { Monitor } from '../../monitor.ts'
import { RedisServer } from '../../redis-server.ts'
import { startWorker, type WorkerProcess } from '../../worker-process.ts'

const TINY = fileURLToPath(new URL('../../tasks/tiny.ts', import.meta.url))

let server: RedisServer
let redis: Connection
let messages: Connection
let queue: Queue
let worker: WorkerProcess
beforeAll(async () => {
  server = await RedisServer.start()
  redis = connectRedis(server.url)
  messages = connectRedis(server.url)
  queue = openQueue(redis, 'test.loud')
  worker = await startWorker({ redisUrl: server.url, queues: ['loud'], modules: [TINY], isolation: 'Reuse' })
}, 60_000)
afterAll(async () => {
  await worker.stop()
  redis.close()
  messages.close()
  await server.remove()
}, 60_000)

const count = (id: string, input: object, maxAttempts = 1) =>
  queue.enqueue([newJob('counts-aloud', input, { id, maxAttempts, backoffMs: 1, maxBackoffMs: 1 })])
const isHeld = (id: string) => eventually(async () => (await queue.job(id))?.state === 'held')

async function watch(
  id: string,
  until: (events: OutputEvent[]) => boolean = () => false,
): Promise<OutputEvent[]> {
  const events: OutputEvent[] = []
  const stopping = new AbortController()
  for await (const event of queue.output(id, { messages, signal: stopping.signal })) {
    events.push(event)
    if (until(events)) stopping.abort()
  }
  return events
}
const linesOf = (events: readonly OutputEvent[]) =>
  events.flatMap((event) => (event.kind === 'line' ? [event.line] : []))
const statesOf = (events: readonly OutputEvent[]) =>
  events.flatMap((event) => (event.kind === 'state' ? [event.state] : []))

test('who looks sees the last 20 lines, then each new one in order, and the end', async () => {
  await count('counts', { lines: 60, everyMs: 40 })
  await eventually(() => worker.lines.some(({ line }) => line === 'line 30'))
  const events = await watch('counts')
  const lines = linesOf(events)
  const from = Number(lines[0]?.split(' ')[1])
  expect(from).toBeGreaterThan(10)
  expect(lines).toEqual(Array.from({ length: 61 - from }, (_, n) => `line ${from + n}`))
  expect(statesOf(events)).toEqual(['held', 'completed'])
  expect(events.find((event) => event.kind === 'line' && event.line === 'line 45')).toEqual({
    ...{ kind: 'line', attempt: 1, stream: 'stderr', line: 'line 45', atMs: expect.any(Number) },
  })
}, 30_000)

test('a job that waits is followed from its first attempt on, over the next ones', async () => {
  const watching = watch('twice')
  expect(statesOf(await watching)).toEqual(['unknown'])
  await queue.pause()
  await count('twice', { lines: 3, everyMs: 300, fails: true }, 2)
  const both = watch('twice')
  await queue.resume()
  const events = await both
  expect(statesOf(events)[0]).toBe('ready')
  expect(statesOf(events).at(-1)).toBe('buried')
  const attempts = new Set(events.flatMap((event) => (event.kind === 'line' ? [event.attempt] : [])))
  expect([...attempts]).toEqual([1, 2])
  expect(linesOf(events).filter((line) => line === 'line 3')).toHaveLength(2)
}, 30_000)

test('several look at once, and one who stops is told no more', async () => {
  await count('shared', { lines: 40, everyMs: 50 })
  await isHeld('shared')
  const [few, all] = await Promise.all([
    watch('shared', (events) => linesOf(events).length >= 5),
    watch('shared'),
  ])
  expect(linesOf(few).length).toBeLessThan(linesOf(all).length)
  expect(linesOf(all).at(-1)).toBe('line 40')
}, 30_000)

test('nothing is sent for a job at which nobody looks, and nothing is kept', async () => {
  const monitor = await Monitor.start(server.url)
  await count('alone', { lines: 100, everyMs: 5 })
  await eventually(async () => (await queue.job('alone'))?.state === 'completed')
  const { sent, inScripts } = await monitor.take()
  monitor.stop()
  expect(sent.filter((verb) => verb === 'output' || verb === 'follow')).toEqual([])
  expect(inScripts.length).toBeGreaterThan(0)
  const keys = (await redis.call('KEYS', '*')) as string[]
  expect(keys.filter((key) => /output/.test(key))).toEqual([])
}, 30_000)

test('a flood is cut, and it is said by how much', async () => {
  await count('flood', { lines: 30_000, everyMs: 0 })
  await count('waits-behind', { lines: 1 })
  const events = await watch('flood')
  const dropped = events.reduce((sum, event) => sum + (event.kind === 'dropped' ? event.lines : 0), 0)
  expect(linesOf(events).length).toBeLessThan(10_000)
  if (linesOf(events).length > 0) expect(dropped).toBeGreaterThan(0)
}, 60_000)

test('what others write to the channel is passed over, or cut', async () => {
  await count('forged', { lines: 20, everyMs: 50 })
  await isHeld('forged')
  const watching = watch('forged')
  const channel = outputChannel(queue.name, 0, 'forged')
  const forged = [
    'no JSON',
    'null',
    '[]',
    '{"attempt":1}',
    '{"attempt":"1","lines":[],"dropped":0}',
    '{"attempt":1,"lines":[["x",1,"a"],["o","1","b"],["o",1,2],null],"dropped":-5}',
    JSON.stringify({ attempt: 1, dropped: 0, lines: [['o', 1, 'y'.repeat(100_000)]] }),
  ]
  await new Promise((resolve) => setTimeout(resolve, 200)) // it has subscribed
  for (const message of forged) await redis.call('PUBLISH', channel, message)
  const lines = linesOf(await watching)
  expect(lines.filter((line) => !/^line \d+$/.test(line))).toEqual(['y'.repeat(2_000)])
  expect(lines.at(-1)).toBe('line 20')
}, 30_000)
