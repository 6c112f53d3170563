// F9, F10: SIGTERM under load.
import { eventually } from '../eventually.ts'
import { ISOLATIONS, type Scene, scene as sceneOf } from './scene.ts'

describe.each(ISOLATIONS)('with %s a worker told to stop', (isolation) => {
  const jobs = isolation === 'Spawn' ? 60 : 200 // a fresh Node for each takes its time
  const scene = (play: (scene: Scene) => Promise<void>) => sceneOf(play, undefined, isolation)
  test(
    'claims nothing more, lets its jobs end, and runs none twice (F9)',
    scene(async (scene) => {
      await scene.enqueue(jobs, 'naps', { ms: 50 })
      const worker = await scene.worker({ slots: 4 })
      await eventually(() => scene.history.of('ended').length > 20, { what: 'it is in full swing' })
      worker.kill('SIGTERM')
      await new Promise((resolve) => setTimeout(resolve, 100)) // so long a claim may still be on its way
      const { claimed } = (await scene.queue.depth()).counts
      expect((await worker.ended).code).toBe(0)
      const { ready, busy, counts } = await scene.queue.depth()
      expect(counts.claimed).toBe(claimed)
      expect({ busy, lost: counts.lost, left: ready }).toEqual({
        busy: 0,
        lost: 0,
        left: jobs - scene.history.of('ended').length,
      })
      await scene.worker({ slots: 4 })
      await scene.idle()
      expect(scene.history.of('started')).toHaveLength(jobs)
      await scene.judge({ faults: 0 })
    }),
    60_000,
  )

  test(
    'hands back what does not end in time, uncounted, and another runs it at once (F10)',
    scene(async (scene) => {
      const worker = await scene.worker({ env: { MILLHAND_DRAIN_TIMEOUT_SECONDS: '1' } })
      const [handle] = await scene.enqueue(1, 'naps', { ms: 6_000 })
      await scene.started(handle?.id ?? '')
      await scene.worker()
      const { code } = await worker.stop()
      const stoppedAtMs = Date.now()
      expect(code).toBe(0)
      await eventually(() => scene.history.of('started', handle?.id).length === 2, {
        what: 'it runs elsewhere',
        withinMs: 5_000,
      })
      console.log(
        `handed back: ran again ${(scene.history.of('started', handle?.id).at(-1)?.atMs ?? 0) - stoppedAtMs} ms after the worker had ended`,
      )
      await scene.idle()
      expect(await handle?.details()).toMatchObject({
        state: 'completed',
        attempts: 1,
        crashes: 0,
        failures: [],
      })
      await scene.judge({ faults: 1 })
    }),
    60_000,
  )
})
