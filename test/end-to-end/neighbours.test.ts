// Two neighbouring releases on one queue, as during every upgrade: the one before, from its package, and this one. Whoever enqueues, works,
// dies or looks may be of either.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Client, JobHandle } from 'millhand/client'
import { type Connection, LAYOUT, newJob, prefixOf, type Queue } from 'millhand/queue'
import { Scene } from '../faults/scene.ts'
import { expectedVersion, installPreviousRelease, type PreviousRelease } from '../previous-release.ts'
import { redisUrl } from '../redis.ts'
import { WorkerProcess } from '../worker-process.ts'

let previous: PreviousRelease
let oldTasks: string
beforeAll(async () => {
  previous = await installPreviousRelease()
  oldTasks = join(previous.folder, 'tasks.ts')
  const tasks = readFileSync(new URL('../tasks/recorded.ts', import.meta.url), 'utf8')
  writeFileSync(oldTasks, tasks.replace('../../worker-runtime/src/index.ts', 'millhand'))
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

const releases = ['previous', 'present'] as const
type Release = (typeof releases)[number]
const other = (release: Release): Release => (release === 'present' ? 'previous' : 'present')
const clientOf = (release: Release) => (release === 'present' ? scene.client : oldClient).queue('jobs')
const queueOf = (release: Release) => (release === 'present' ? scene.queue : oldQueue)
const startWorkerOf = (release: Release, env: Record<string, string> = {}): Promise<WorkerProcess> =>
  scene.worker(release === 'present' ? { env } : { env, program: [previous.worker], modules: [oldTasks] })

async function enqueueBy(
  release: Release,
  {
    count = 1,
    task = 'naps',
    ms = 0,
    options = {},
  }: { count?: number; task?: string; ms?: number; options?: object },
): Promise<JobHandle[]> {
  const request = { task, input: { ms, history: scene.history.file }, options }
  const jobs = await clientOf(release).enqueueMany(Array(count).fill(request))
  for (const { id } of jobs) scene.history.add({ what: 'acknowledged', job: id })
  return jobs
}

test('the one before is the newest that the changelog calls released', () => {
  expect(previous.version).toBe(expectedVersion())
})

describe.each(releases)('a worker of the %s release', (release) => {
  test('runs the jobs of both, and each reads the results of what the other has enqueued', async () => {
    await startWorkerOf(release)
    const enqueued = await Promise.all(
      releases.map(
        async (by) =>
          [
            by,
            [
              ...(await enqueueBy(by, { count: 5 })),
              ...(await enqueueBy(by, { options: { priority: 'urgent', delayMs: 50 } })),
              ...(await enqueueBy(by, { task: 'fails-once', options: { backoffMs: 1 } })),
            ],
          ] as const,
      ),
    )
    for (const [by, jobs] of enqueued) {
      const reader = clientOf(other(by))
      for (const { id } of jobs) {
        expect(await reader.job(id).result({ timeoutMs: 30_000 })).toBeGreaterThan(0)
        // What both can tell of a job is the same.
        expect(await scene.queue.job(id)).toMatchObject((await oldQueue.job(id)) ?? {})
      }
    }
    await scene.judge({ faults: 1 })
  }, 60_000)

  test('is killed: one of the other release puts its jobs back and runs them', async () => {
    const victim = await startWorkerOf(release)
    const jobs = [
      ...(await enqueueBy('previous', { ms: 4_000 })),
      ...(await enqueueBy('present', { ms: 4_000 })),
    ]
    for (const { id } of jobs) await scene.started(id)
    victim.kill('SIGKILL')
    scene.fault('worker killed')
    await startWorkerOf(other(release))
    for (const { id } of jobs) {
      await clientOf(release).job(id).result({ timeoutMs: 60_000 })
      expect(await queueOf(other(release)).job(id)).toMatchObject({ crashes: 1, state: 'completed' })
    }
    await scene.judge({ faults: 1 })
  }, 120_000)

  test('stops for one of the other: what it runs is handed back, uncounted, and runs there', async () => {
    const leaving = await startWorkerOf(release, { MILLHAND_DRAIN_TIMEOUT_SECONDS: '0' })
    const [job] = await enqueueBy(release, { ms: 2_000 })
    await scene.started(job?.id ?? '')
    await startWorkerOf(other(release))
    expect((await leaving.stop()).code).toBe(0)
    scene.fault('worker stopped')
    await job?.result({ timeoutMs: 60_000 })
    expect(await job?.details()).toMatchObject({ attempts: 1, crashes: 0, failures: [] })
    await scene.judge({ faults: 1 })
  }, 60_000)
})

test('workers of both share a backlog of both, and each job runs as often as it must', async () => {
  await scene.settings({ maxBusy: 3 })
  const workers = [await startWorkerOf('previous'), await startWorkerOf('present')]
  const once: JobHandle[] = []
  const twice: JobHandle[] = []
  for (const by of releases) {
    once.push(...(await enqueueBy(by, { count: 60, ms: 20 })))
    const options = { priority: 'low', backoffMs: 10 }
    twice.push(...(await enqueueBy(by, { count: 10, task: 'fails-once', options })))
  }
  await scene.idle()
  const starts = (jobs: JobHandle[]) => jobs.map(({ id }) => scene.history.of('started', id).length)
  expect(new Set(starts(once))).toEqual(new Set([1]))
  expect(new Set(starts(twice))).toEqual(new Set([2]))
  for (const { lines } of workers) {
    expect(lines.filter(({ level }) => level === 'error')).toEqual([])
    const succeeded = lines.filter(
      ({ message, outcome }) => message === 'attempt ended' && outcome === 'succeeded',
    )
    expect(succeeded.length).toBeGreaterThan(0)
  }
  await scene.judge({ faults: 1 })
}, 60_000)

test('who looks and who declares may be of either', async () => {
  const [job] = await enqueueBy('present', { options: { delayMs: 60_000 } })
  await oldQueue.configure({ ...previous.queue.defaultSettings, ownerUid: 'me', maxLength: 2 })
  await enqueueBy('previous', { options: { delayMs: 60_000 } })
  await expect(scene.queue.enqueue([newJob('naps', {})])).rejects.toMatchObject({ code: 'QUEUE_FULL' })
  expect(await scene.queue.configure({ ...previous.queue.defaultSettings, ownerUid: 'me' })).toBe(
    'configured',
  )
  await startWorkerOf('previous')
  await startWorkerOf('present')
  await oldQueue.pause()
  const depth = await scene.queue.depth()
  expect(depth).toMatchObject({ paused: true, delayed: 2 })
  // The one before counted the entries of cancelled jobs; the present one has a key of their own for them.
  const before = await oldQueue.depth()
  const { tombstones: _, ...counts } = before.counts as Record<string, number>
  expect(depth).toMatchObject({ ...before, counts, nextMs: expect.any(Number) })
  const workers = await scene.queue.workers()
  expect(workers).toHaveLength(2)
  expect(workers).toMatchObject(await oldQueue.workers())
  expect(await scene.queue.jobs('delayed')).toMatchObject(await oldQueue.jobs('delayed'))
  expect(
    await clientOf('previous')
      .job(job?.id ?? '')
      .cancel(),
  ).toBe('cancelled')
  expect(
    await clientOf('present')
      .job(job?.id ?? '')
      .state(),
  ).toBe('cancelled')
}, 90_000)

test('the one before refuses a layout that it does not know', async () => {
  await enqueueBy('previous', { options: { delayMs: 60_000 } })
  // Before there was a second layout it was not exported.
  const known = previous.queue.LAYOUT ?? 1
  expect(known).toBeGreaterThanOrEqual(LAYOUT - 1)
  await scene.redis.call('HSET', `${prefixOf(scene.queue.name)}config`, 'layout', known + 1)
  await expect(clientOf('previous').enqueue('naps', {})).rejects.toMatchObject({ code: 'NEWER_LAYOUT' })
  const worker = new WorkerProcess({
    redisUrl: redisUrl(),
    namespace: scene.namespace,
    queues: ['jobs'],
    modules: [oldTasks],
    program: [previous.worker],
  })
  scene.workers.push(worker)
  expect((await worker.ended).code).not.toBe(0)
  expect(worker.stderr).toMatch(/newer Millhand/)
}, 60_000)
