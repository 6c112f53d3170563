// The live output of a job over HTTP: from a real worker to whoever watches, and nothing where nobody does.
import { fileURLToPath } from 'node:url'
import { LinesDropped, OutputLine, StateNow } from '../../dashboard/src/api.ts'
import { problemsOf } from '../../dashboard/src/server/check.ts'
import { newJob } from '../../worker-runtime/src/job.ts'
import { openQueue, type Queue } from '../../worker-runtime/src/queue/queue.ts'
import { connectRedis } from '../../worker-runtime/src/redis/reconnect.ts'
import { eventually } from '../eventually.ts'
import { Monitor } from '../monitor.ts'
import { RedisServer } from '../redis-server.ts'
import { startWorker, type WorkerProcess } from '../worker-process.ts'
import { follow, type Reader } from './events.ts'
import { type Served, serve } from './served.ts'

const TASKS = fileURLToPath(new URL('../tasks/tiny.ts', import.meta.url))
const NAME = 'loud'
const EVENTS = { line: OutputLine, dropped: LinesDropped, state: StateNow } as const

let server: RedisServer
let redis: ReturnType<typeof connectRedis>
let queue: Queue
let served: Served
let worker: WorkerProcess
const open: Reader[] = []

beforeAll(async () => {
  server = await RedisServer.start()
  redis = connectRedis(server.url)
  queue = openQueue(redis, `test.${NAME}`)
  served = await serve({ redisUrl: server.url, queues: [NAME] })
  worker = await startWorker({
    redisUrl: server.url,
    queues: [NAME],
    namespace: 'test',
    modules: [TASKS],
    isolation: 'Spawn',
  })
}, 60_000)
afterEach(() => {
  for (const reader of open.splice(0)) reader.close()
})
afterAll(async () => {
  served.stop()
  await worker?.stop()
  redis.close()
  await server.remove()
}, 60_000)

async function watch(id: string): Promise<Reader> {
  const { reader } = await follow(served, `queues/test/${NAME}/jobs/${id}/output`)
  if (!reader) throw new Error('it reads')
  open.push(reader)
  return reader
}

const outputChannels = async () =>
  ((await redis.call('PUBSUB', 'CHANNELS', '*')) as string[]).filter((name) => name.includes('output:'))
const linesOf = (reader: Reader) => reader.of<OutputLine>('line').map(({ line }) => line)
const endOf = (reader: Reader) =>
  eventually(() => reader.of<{ code: string }>('end')[0], { withinMs: 60_000 })

test('who watches gets each line in order and each state, and is told that the job has ended', async () => {
  await queue.enqueue([newJob('counts-aloud', { lines: 20, everyMs: 100 }, { id: 'counts', delayMs: 1_000 })])
  const reader = await watch('counts')
  expect(await endOf(reader)).toMatchObject({ code: 'JOB_ENDED' })
  expect(linesOf(reader)).toEqual(Array.from({ length: 20 }, (_, n) => `line ${n + 1}`))
  expect(reader.of<StateNow>('state').map(({ state }) => state)).toEqual(
    expect.arrayContaining(['delayed', 'held', 'completed']),
  )
  expect(reader.of<OutputLine>('line')[4]).toMatchObject({ attempt: 1, stream: 'stderr', line: 'line 5' })
  for (const { event, data } of reader.events)
    if (event !== 'end') expect(problemsOf(data, EVENTS[event as keyof typeof EVENTS])).toEqual([])
}, 90_000)

test('secrets are replaced, and what a job writes is never more than a line of JSON', async () => {
  const lines = ['token=abcdefgh12345678', 'event: end', '', '\u2028 data: {}', '<script>alert(1)</script>']
  await queue.enqueue([newJob('repeats', { lines }, { id: 'hostile' })])
  const reader = await watch('hostile')
  await eventually(() => linesOf(reader).length > 2 * lines.length, { withinMs: 60_000 })
  expect(linesOf(reader)).toEqual(expect.arrayContaining(['event: end', '<script>alert(1)</script>']))
  expect(linesOf(reader).join('\n')).not.toContain('abcdefgh12345678')
  expect(reader.of('end')).toEqual([])
  await queue.cancel('hostile')
  expect(await endOf(reader)).toMatchObject({ code: 'JOB_ENDED' })
}, 90_000)

test('the channel of a job is left when its last viewer has gone, and its worker sends nothing more', async () => {
  await queue.enqueue([newJob('repeats', { lines: ['tick'] }, { id: 'ticks' })])
  const readers = [await watch('ticks'), await watch('ticks')]
  await eventually(() => readers.every((reader) => linesOf(reader).length > 0), { withinMs: 60_000 })
  expect(await outputChannels()).toHaveLength(1)
  for (const reader of readers) reader.close()
  await eventually(async () => (await outputChannels()).length === 0, { withinMs: 30_000 })
  // The next batch that nobody hears is the last one.
  const monitor = await Monitor.start(server.url)
  await eventually(
    async () => {
      const { sent } = await monitor.take()
      return sent.includes('renew') && !sent.includes('output')
    },
    { withinMs: 60_000, everyMs: 2_000 },
  )
  const { sent } = await monitor.take()
  expect(sent.filter((verb) => verb === 'output' || verb === 'follow')).toEqual([])
  monitor.stop()
  await queue.cancel('ticks')
}, 120_000)

test('a job that is not known is an error, not a stream', async () => {
  const response = await served.call('GET', `queues/test/${NAME}/jobs/nobody/output`)
  expect(response.status).toBe(404)
  expect(await response.json()).toMatchObject({ error: { code: 'JOB_NOT_FOUND' } })
  await eventually(async () => (await outputChannels()).length === 0)
})
