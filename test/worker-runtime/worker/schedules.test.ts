// A worker fires the schedules of its queues: at their due time, not at its next heartbeat; two workers make one job.
import { fileURLToPath } from 'node:url'
import { connect } from 'millhand/client'
import { type Connection, connectRedis, openQueue, type Queue } from 'millhand/queue'
import { ownNamespace } from '../../cli/millhand.ts'
import { eventually } from '../../eventually.ts'
import { redisUrl } from '../../redis.ts'
import { startWorker, type WorkerProcess } from '../../worker-process.ts'

const TINY = fileURLToPath(new URL('../../tasks/tiny.ts', import.meta.url))

let redis: Connection
let queue: Queue
let namespace: string
let workers: WorkerProcess[]
beforeEach(() => {
  redis = connectRedis(redisUrl())
  namespace = ownNamespace()
  queue = openQueue(redis, `${namespace}.ticks`)
  workers = []
})
afterEach(async () => {
  await Promise.all(workers.map((worker) => worker.stop()))
  redis.close()
})
const start = async () => {
  const options = { redisUrl: redisUrl(), namespace, queues: ['ticks'], modules: [TINY] }
  workers.push(await startWorker({ ...options, isolation: 'Reuse' }))
}

test('two workers run each due time of a schedule of every second once', async () => {
  await queue.schedules.set('tick', { everyMs: 1_000, task: 'noop', missed: { maxRuns: 100 } })
  await Promise.all([start(), start()])
  const completed = async () => (await queue.depth()).counts.completed
  await eventually(async () => (await completed()) >= 5, { withinMs: 60_000 })
  await queue.schedules.pause('tick')
  await eventually(async () => (await queue.depth()).busy + (await queue.depth()).ready === 0)
  const { fired = 0, last } = (await queue.schedules.get('tick')) ?? {}
  expect(await completed()).toBe(fired)
  const runs = workers.flatMap(({ lines }) => lines.filter(({ message }) => message === 'schedule fired'))
  const dues = runs.map(({ job }) => Number(String(job).split('@')[1])).sort((a, b) => a - b)
  const first = dues[0] ?? 0
  expect(dues).toEqual(Array.from({ length: fired }, (_, n) => first + 1_000 * n))
  expect(last?.dueAtMs).toBe(dues.at(-1))
}, 90_000)

test('a task is told of which schedule its job is, and when it was due', async () => {
  await queue.schedules.set('nightly', { everyMs: 60_000, task: 'tells-schedule' })
  const id = (await queue.schedules.run('nightly')) ?? ''
  const client = connect({ redis: redisUrl(), namespace })
  try {
    await start()
    const jobs = client.queue('ticks')
    expect(await jobs.job(id).result({ timeoutMs: 60_000 })).toEqual({
      name: 'nightly',
      dueAtMs: Number(id.split('@')[1]),
    })
    const plain = await jobs.enqueue('tells-schedule', null)
    expect(await plain.result({ timeoutMs: 60_000 })).toBeNull()
  } finally {
    client.close()
  }
}, 90_000)
