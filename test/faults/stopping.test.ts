// F9, F10: SIGTERM under load.
import { eventually } from '../eventually.ts'
import { scene } from './scene.ts'

describe('a worker told to stop', () => {
  test(
    'claims nothing more, lets its jobs end, and runs none twice (F9)',
    scene(async (scene) => {
      await scene.enqueue(200, 'naps', { ms: 50 })
      const worker = await scene.worker({ slots: 4, isolation: 'Reuse' })
      await eventually(() => scene.history.of('ended').length > 20, { what: 'it is in full swing' })
      const { code } = await worker.stop()
      expect(code).toBe(0)
      const stoppedAtMs = Date.parse(String(worker.said('told to stop')?.time))
      const late = scene.history.of('started').filter(({ atMs }) => atMs > stoppedAtMs + 100)
      expect(late).toEqual([])
      const { ready, busy, counts } = await scene.queue.depth()
      expect({ busy, lost: counts.lost, left: ready }).toEqual({
        busy: 0,
        lost: 0,
        left: 200 - scene.history.of('ended').length,
      })
      await scene.worker({ slots: 4, isolation: 'Reuse' })
      await scene.idle()
      expect(scene.history.of('started')).toHaveLength(200)
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
