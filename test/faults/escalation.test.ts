// Real memory hogs: a job that is too large for the workers of its queue runs in a larger one, whoever dies on the way, and its handle,
// flow and batch get its end.

import { fileURLToPath } from 'node:url'
import { flow } from 'millhand/client'
import { defaultSettings, openQueue, type Queue } from 'millhand/queue'
import { census } from '../census.ts'
import { eventually } from '../eventually.ts'
import { type Scene, scene } from './scene.ts'

const TINY = fileURLToPath(new URL('../tasks/tiny.ts', import.meta.url))
const PATIENCE = { withinMs: 60_000 }
const MEGABYTES = 150

const heap = (megabytes: number) => ({
  env: { NODE_OPTIONS: `--max-old-space-size=${megabytes}` },
  modules: [TINY],
})
const smallWorker = (scene: Scene) => scene.worker(heap(64))
const bigWorker = (scene: Scene) => scene.worker({ ...heap(600), queues: ['big'] })

async function bigQueue(scene: Scene): Promise<Queue> {
  const big = openQueue(scene.redis, `${scene.namespace}.big`)
  await scene.settings({ escalateTo: big.name })
  await big.configure({ ...defaultSettings, backoffMs: 0, ownerUid: 'scene' })
  return big
}

async function nothingIsLeft(scene: Scene, big: Queue): Promise<void> {
  for (const queue of [scene.queue, big]) {
    expect((await census(scene.redis, queue.name)).problems).toEqual([])
    expect(await queue.depth()).toMatchObject({ ready: 0, delayed: 0, busy: 0, buried: 0 })
  }
}

test(
  'a job that runs out of memory completes in the larger queue, and everybody who waits for it hears of it',
  scene(async (scene) => {
    const big = await bigQueue(scene)
    await smallWorker(scene)
    await bigWorker(scene)
    const handle = await scene.jobs.enqueue(
      'needs-memory',
      { megabytes: MEGABYTES },
      { unique: { key: 'the-film' } },
    )
    const order = flow('film')
    const rendered = order.add('jobs', 'needs-memory', { megabytes: MEGABYTES })
    order.add('big', 'succeeds', rendered.result)
    const run = await scene.client.start(order)
    const batch = await scene.jobs.batch('films')
    await batch.add([{ task: 'needs-memory', input: { megabytes: MEGABYTES } }, { task: 'succeeds' }])
    await batch.close()

    const result = { id: handle.id, attempt: 2, megabytes: MEGABYTES, begunBy: 1 }
    expect(await handle.result({ timeoutMs: 60_000 })).toEqual(result)
    expect(await handle.details()).toMatchObject({
      state: 'completed',
      attempts: 2,
      crashes: 0,
      failures: [{ outcome: 'out-of-memory' }],
    })
    await run.result({ timeoutMs: 60_000 })
    expect(await run.facts()).toMatchObject({ state: 'completed', completed: 2, failed: 0 })
    expect(await batch.ended({ timeoutMs: 60_000 })).toMatchObject({ state: 'completed', completed: 2 })
    await nothingIsLeft(scene, big)
  }),
  180_000,
)

test(
  'it completes though both workers are killed on its way',
  scene(async (scene) => {
    const big = await bigQueue(scene)
    const small = await smallWorker(scene)
    const handle = await scene.jobs.enqueue('needs-memory', { megabytes: MEGABYTES, thenMs: 3_000 })
    await eventually(async () => (await handle.details())?.escalatedTo, PATIENCE)
    small.kill('SIGKILL')
    await smallWorker(scene)
    const first = await bigWorker(scene)
    await eventually(async () => (await big.job(handle.id))?.state === 'held', PATIENCE)
    first.kill('SIGKILL')
    await bigWorker(scene)
    expect(await handle.result({ timeoutMs: 60_000 })).toMatchObject({ id: handle.id, megabytes: MEGABYTES })
    expect(await handle.details()).toMatchObject({ state: 'completed', attempts: 2, crashes: 1 })
    await nothingIsLeft(scene, big)
  }),
  180_000,
)

test(
  'one that is too large there too is buried where it was enqueued, with the record of each attempt',
  scene(async (scene) => {
    const big = await bigQueue(scene)
    await big.configure({ ...defaultSettings, backoffMs: 0, maxAttempts: 1, ownerUid: 'scene' })
    await smallWorker(scene)
    await scene.worker({ ...heap(64), queues: ['big'] })
    const handle = await scene.jobs.enqueue('needs-memory', { megabytes: MEGABYTES })
    await expect(handle.result({ timeoutMs: 60_000 })).rejects.toMatchObject({ name: 'JobBuried' })
    expect(await handle.details()).toMatchObject({
      state: 'buried',
      attempts: 2,
      failures: [{ outcome: 'out-of-memory' }, { outcome: 'out-of-memory' }],
    })
    expect((await big.depth()).buried).toBe(0)
  }),
  180_000,
)
