// Two neighbouring releases whose layouts in Redis differ: the one before, from its package, and this one. Each refuses a queue of the
// other in words that say what to do, and leaves it as it is.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Client } from 'millhand/client'
import { type Connection, LAYOUT, prefixOf, type Queue } from 'millhand/queue'
import { census } from '../census.ts'
import { Scene } from '../faults/scene.ts'
import { expectedVersion, installPreviousRelease, type PreviousRelease } from '../previous-release.ts'
import { redisUrl } from '../redis.ts'
import { WorkerProcess } from '../worker-process.ts'

const NEWER =
  /was written by a newer Millhand \(its layout is 2, this program knows 1\): upgrade this program/
const OLDER =
  /has jobs of an older Millhand \(its layout is 1, this program knows 2\): let workers of that release finish them, and retry or delete what is buried/

let previous: PreviousRelease
let oldTasks: string
beforeAll(async () => {
  previous = await installPreviousRelease()
  oldTasks = join(previous.folder, 'tasks.ts')
  const tasks = readFileSync(new URL('../tasks/recorded.ts', import.meta.url), 'utf8')
  writeFileSync(oldTasks, tasks.replaceAll('../../worker-runtime/src/index.ts', 'millhand'))
}, 120_000)
afterAll(() => previous?.remove())

let scene: Scene
let oldRedis: Connection
let oldClient: Client
let oldQueue: Queue
beforeEach(() => {
  scene = new Scene()
  oldRedis = previous.queue.connectRedis(redisUrl())
  oldClient = previous.client.connect({ redis: redisUrl(), namespace: scene.namespace })
  oldQueue = previous.queue.openQueue(oldRedis, scene.queue.name)
})
afterEach(async () => {
  oldClient.close()
  oldRedis.close()
  await scene.end()
})

const oldJobs = () => oldClient.queue('jobs')
const ofOld = () => ({ program: [previous.worker], modules: [oldTasks] })
const input = () => ({ ms: 0, history: scene.history.file })

/** A worker that is refused when it starts: it ends with one sentence. */
async function refusedWorker(options: { program?: string[]; modules: string[] }): Promise<string> {
  const worker = new WorkerProcess({
    ...{ redisUrl: redisUrl(), namespace: scene.namespace, queues: ['jobs'], ...options },
  })
  scene.workers.push(worker)
  expect((await worker.ended).code).toBe(70)
  return worker.stderr
}

/** Every key with its value, as Redis would write them down. */
async function everything(): Promise<unknown> {
  const keys = ((await scene.redis.call('KEYS', `${prefixOf(scene.queue.name)}*`)) as string[]).sort()
  const dumps = await Promise.all(keys.map((key) => scene.redis.call('DUMP', key)))
  return keys.map((key, i) => [key, dumps[i]])
}

const refused = async (call: Promise<unknown>, code: string, message: RegExp) =>
  expect(await call.catch((error) => error)).toMatchObject({ code, message: expect.stringMatching(message) })

test('the one before is the newest that the changelog calls released', () => {
  expect(previous.version).toBe(expectedVersion())
  expect([previous.queue.LAYOUT, LAYOUT]).toEqual([1, 2])
})

test('the one before refuses a queue of the present one, and touches nothing', async () => {
  const job = await scene.jobs.enqueue('naps', input(), { delayMs: 60_000 })
  await scene.jobs.enqueue('naps', input())
  const before = await everything()
  await refused(oldJobs().enqueue('naps', {}), 'NEWER_LAYOUT', NEWER)
  await refused(oldJobs().job(job.id).cancel(), 'NEWER_LAYOUT', NEWER)
  await refused(oldQueue.depth(), 'NEWER_LAYOUT', NEWER)
  const settings = { ...previous.queue.defaultSettings, ownerUid: 'me' }
  await refused(oldQueue.configure(settings), 'NEWER_LAYOUT', NEWER)
  expect(await refusedWorker(ofOld())).toMatch(NEWER)
  expect(await everything()).toEqual(before)
}, 60_000)

test.each([
  ['is ready', async () => void (await oldJobs().enqueue('naps', input()))],
  ['is delayed', async () => void (await oldJobs().enqueue('naps', input(), { delayMs: 60_000 }))],
  [
    'is buried',
    async () => {
      const worker = await scene.worker(ofOld())
      const job = await oldJobs().enqueue('no-such-task', {})
      await expect(job.result({ timeoutMs: 30_000 })).rejects.toMatchObject({ code: 'JOB_BURIED' })
      await worker.stop()
    },
  ],
])(
  'the present one refuses a queue in which a job of the one before %s, and touches nothing',
  async (_where, bring) => {
    await bring()
    const before = await everything()
    await refused(scene.jobs.enqueue('naps', {}), 'OLDER_LAYOUT', OLDER)
    await refused(scene.jobs.job('some-id').state(), 'OLDER_LAYOUT', OLDER)
    await refused(scene.queue.depth(), 'OLDER_LAYOUT', OLDER)
    expect(await refusedWorker({ modules: [scene.recorded] })).toMatch(OLDER)
    expect(await everything()).toEqual(before)
  },
  60_000,
)

test('a job that a worker of the one before holds is not taken from it', async () => {
  const worker = await scene.worker(ofOld())
  const job = await oldJobs().enqueue('naps', { ...input(), ms: 3_000 })
  scene.history.add({ what: 'acknowledged', job: job.id })
  await scene.started(job.id)
  await refused(scene.jobs.enqueue('naps', {}), 'OLDER_LAYOUT', OLDER)
  expect(await job.result({ timeoutMs: 30_000 })).toBeGreaterThan(0)
  expect((await worker.stop()).code).toBe(0)
}, 60_000)

test('when its last job has ended the present one takes the queue over: settings, counters and results stay', async () => {
  await oldQueue.configure({ ...previous.queue.defaultSettings, ownerUid: 'me', maxLength: 1 })
  const worker = await scene.worker(ofOld())
  const done = await oldJobs().enqueue('naps', input())
  const result = await done.result({ timeoutMs: 30_000 })
  expect(await scene.queue.depth()).toMatchObject({ ready: 0, counts: { enqueued: 1, completed: 1 } })

  const job = await scene.jobs.enqueue('naps', input())
  await refused(scene.jobs.enqueue('naps', input()), 'QUEUE_FULL', /takes at most 1/)
  expect((await worker.ended).code).toBe(70)
  expect(worker.stderr).toMatch(NEWER)
  await scene.worker()
  expect(await job.result({ timeoutMs: 30_000 })).toBeGreaterThan(0)
  expect(await scene.jobs.job(done.id).result({ timeoutMs: 30_000 })).toBe(result)
  expect(await scene.queue.depth()).toMatchObject({ ready: 0, counts: { enqueued: 2, completed: 2 } })
  expect((await census(scene.redis, scene.queue.name)).problems).toEqual([])
}, 60_000)
