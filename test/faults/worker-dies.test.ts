// F2, F3, F7, F8, F29: the worker process itself dies, stands still, or is killed again and again by the same job.
import { prefixOf } from 'millhand/queue'
import { eventually } from '../eventually.ts'
import { isAlive, sendSignal } from '../processes.ts'
import { ISOLATIONS, type Scene, scene as sceneOf } from './scene.ts'

/** A worker that claims nothing yet: on a busy machine its start may outlast the jobs of the other one. */
async function waitingHeir(scene: Scene, slots: number) {
  const { process } = await scene.worker({ slots })
  const heir = (await scene.queue.workers()).find((each) => each.process === process)
  const uids = [heir?.podUid ?? '']
  await scene.queue.drain(uids, 600_000)
  return { takesJobs: () => scene.queue.undrain(uids) }
}

describe.each(ISOLATIONS)('with %s a worker that dies', (isolation) => {
  const scene = (play: (scene: Scene) => Promise<void>) => sceneOf(play, undefined, isolation)
  test(
    'leaves no child behind, and its jobs run elsewhere, counted as a crash and not as an attempt (F2)',
    scene(async (scene) => {
      const heir = await waitingHeir(scene, 3)
      const victim = await scene.worker({ slots: 3 })
      const ms = 10_000
      const handles = [
        ...(await scene.enqueue(2, 'naps', { ms })),
        ...(await scene.enqueue(1, 'spins', { ms })),
      ]
      for (const { id } of handles) await scene.started(id)
      const children = scene.childrenOf(victim)
      victim.kill('SIGKILL')
      scene.fault('worker killed')
      const killedAtMs = Date.now()
      await heir.takesJobs()
      await eventually(() => children.every((pid) => !isAlive(pid)), {
        what: 'its children are dead',
        withinMs: 30_000,
      })
      for (const { id } of handles)
        await eventually(() => scene.history.of('started', id).length === 2, {
          what: 'it runs again',
          withinMs: 60_000,
        })
      console.log(`killed worker: jobs ran again after ${Date.now() - killedAtMs} ms`)
      await scene.idle()
      for (const handle of handles) {
        const details = await handle.details()
        expect(details).toMatchObject({ state: 'completed', attempts: 1, crashes: 1 })
        expect(details?.failures).toMatchObject([{ outcome: 'worker-lost' }])
      }
      await scene.judge({ faults: 1 })
    }),
    240_000,
  )

  test(
    'together with every process of its container is found out all the same, and what its job had used is known (F7)',
    scene(async (scene) => {
      const victim = await scene.worker()
      const [handle] = await scene.enqueue(1, 'naps', { ms: 8_000 })
      await scene.started(handle?.id ?? '')
      const [{ name = '' } = {}] = await scene.queue.workers()
      const entry = `${prefixOf(scene.queue.name)}worker:${name}`
      const isTold = async () => Boolean(await scene.redis.call('HGET', entry, 'used'))
      await eventually(isTold, { what: 'a heartbeat tells what the job uses' })
      const all = [...scene.childrenOf(victim), victim.pid]
      for (const pid of all) sendSignal(pid, 'SIGKILL')
      scene.fault('all processes killed')
      await scene.worker()
      await scene.idle()
      expect(await handle?.details()).toMatchObject({
        state: 'completed',
        crashes: 1,
        failures: [{ outcome: 'worker-lost', maxRssBytes: expect.any(Number) }],
      })
      await scene.judge({ faults: 1 })
    }),
    60_000,
  )

  test(
    'in appearance only, standing still for three leases, is told so when it wakes, ends its children and writes nothing (F3)',
    scene(async (scene) => {
      const heir = await waitingHeir(scene, 1)
      const sleeper = await scene.worker({ slots: 1 })
      const [handle] = await scene.enqueue(1, 'naps', { ms: 25_000 })
      const { pid = 0 } = await scene.started(handle?.id ?? '')
      sleeper.kill('SIGSTOP')
      scene.fault('worker stopped')
      await heir.takesJobs()
      await eventually(() => scene.history.of('started', handle?.id).length === 2, {
        withinMs: 60_000,
        what: 'the job runs elsewhere',
      })
      await new Promise((resolve) => setTimeout(resolve, 12_000)) // the point of the test: three leases of standing still
      const before = await handle?.details()
      expect(before).toMatchObject({ state: 'held', crashes: 1 })
      sleeper.kill('SIGCONT')
      await eventually(() => sleeper.said('taken for dead'), { what: 'it learns that it was taken for dead' })
      await eventually(() => !isAlive(pid), { what: 'its child is ended' })
      await eventually(() => sleeper.lines.filter(({ message }) => message === 'registered').length === 2, {
        what: 'it takes a new name',
      })
      expect(await handle?.details()).toEqual(before)
      // And it works again, without a restart.
      await scene.enqueue(4, 'naps', { ms: 100 })
      await scene.idle()
      expect(await handle?.details()).toMatchObject({ state: 'completed', attempts: 1, crashes: 1 })
      await scene.judge({ faults: 1 })
    }),
    90_000,
  )
})

describe('a worker that is killed', () => {
  test(
    'and whose name and host another one has at once is another one all the same: nothing is adopted, what it held comes back as after any death (F29)',
    sceneOf(async (scene) => {
      const inPod = (uid: string) =>
        scene.worker({
          slots: 2,
          env: { MILLHAND_POD_NAME: 'mail-0', MILLHAND_POD_UID: uid, MILLHAND_NODE_NAME: 'node-1' },
        })
      const victim = await inPod('uid-1')
      const handles = await scene.enqueue(2, 'naps', { ms: 5_000 })
      for (const { id } of handles) await scene.started(id)
      victim.kill('SIGKILL')
      scene.fault('worker killed')
      await victim.ended
      const heir = await inPod('uid-2')
      const workers = (await scene.queue.workers()).map(({ pod, process, held }) => ({ pod, process, held }))
      expect(workers).toContainEqual({ pod: 'mail-0', process: victim.process, held: 2 })
      expect(workers).toContainEqual({ pod: 'mail-0', process: heir.process, held: 0 })
      await scene.idle()
      for (const handle of handles) {
        expect(scene.history.of('started', handle.id)).toHaveLength(2)
        expect(await handle.details()).toMatchObject({ state: 'completed', attempts: 1, crashes: 1 })
      }
      await scene.judge({ faults: 1 })
    }),
    60_000,
  )

  test(
    'because of one job loses that job to the grave after maxCrashes, and no good one (F8)',
    sceneOf(async (scene) => {
      await scene.settings({ maxCrashes: 3, backoffMs: 0 })
      const [poison] = await scene.enqueue(1, 'kills-its-worker')
      // More than the three workers get before they die. Each is a process.
      await scene.enqueue(15, 'naps', { ms: 1 })
      let restarts = 0
      let worker = await scene.worker({ isolation: 'Spawn', env: { MILLHAND_POD_UID: 'pod-1' } })
      // As a kubelet would: the container starts again in the same pod, which names the older worker as dead.
      while ((await scene.queue.depth()).buried === 0) {
        await Promise.race([worker.ended, new Promise((resolve) => setTimeout(resolve, 100))])
        if (worker.child.signalCode === null) continue
        restarts += 1
        worker = await scene.worker({ isolation: 'Spawn', env: { MILLHAND_POD_UID: 'pod-1' } })
      }
      await scene.idle(120_000)
      expect(restarts).toBe(3)
      const details = await poison?.details()
      expect(details).toMatchObject({ state: 'buried', crashes: 3, attempts: 0 })
      expect(details?.failures.map(({ outcome }) => outcome)).toEqual([
        'worker-lost',
        'worker-lost',
        'worker-lost',
      ])
      await scene.judge({ faults: 3, ends: ['completed', 'buried'] })
    }),
    300_000,
  )
})
