// What is seen of a queue when something happens between its two round trips.
import { type Connection, connectRedis, newJob, openQueue, type Queue } from 'millhand/queue'
import { loadOfQueue, lookAt, type QueueView } from '../../../control/src/redis/view.ts'
import { redisUrl } from '../../redis.ts'

let redis: Connection
let queue: Queue
beforeAll(async () => {
  redis = connectRedis(redisUrl())
  queue = openQueue(redis, `view.${process.pid}`)
  await queue.register({
    ...{ worker: 'p:1', process: 'p', pod: '', podUid: 'u', poolUid: 'pool', node: '', slots: 2 },
    ...{ isolation: '', isolationNote: '', version: '' },
  })
})
afterAll(() => redis.close())

const claim = async () => (await queue.settleAndClaim({ worker: 'p:1', wanted: 1 })).claims
/** A look, and what happens when the workers have been read. */
const look = (before: QueueView | undefined, between = async (): Promise<unknown> => undefined) => {
  const workers = async () => {
    const seen = await queue.workers()
    await between()
    return seen
  }
  return lookAt(Object.create(queue, { workers: { value: workers } }), before, performance.now())
}
/** Of a pool that serves the queue alone. */
const jobsOf = (view: QueueView) =>
  view.workers.reduce((sum, { held }) => sum + held, 0) + loadOfQueue(view, 1).ready

test('a job that is claimed between them is counted once, also where nothing more may run', async () => {
  await queue.enqueue([newJob('task', null), newJob('task', null)])
  const first = await look(undefined)
  expect(jobsOf(first)).toBe(2)
  const torn = await look(first, claim)
  expect([jobsOf(torn), loadOfQueue(torn, 1).busy]).toEqual([2, 0])
  const whole = await look(torn)
  expect([jobsOf(whole), loadOfQueue(whole, 1).busy]).toEqual([2, 1])
})

test('a wrong counter of held jobs keeps no worker for longer than jobs are claimed', async () => {
  const before = await look(undefined)
  await redis.call('HINCRBY', `mh:{${queue.name}}:counts`, 'busy', 5)
  expect(jobsOf(await look(before))).toBe(jobsOf(before))
})
