// The worker's own process is held up, as by SIGSTOP, a debugger or a machine that freezes it: nothing that went well meanwhile is ended.
import type { JobHandle } from 'millhand/client'
import { eventually } from '../eventually.ts'
import { ISOLATIONS, type Scene, scene as sceneOf } from './scene.ts'

/** So long a process is held up: that is what these tests are about. */
const heldUpFor = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

describe.each(ISOLATIONS)('with %s a worker that was held up', (isolation) => {
  const scene = (play: (scene: Scene) => Promise<void>) => sceneOf(play, undefined, isolation)
  test(
    'reads the result of a job before it believes that its time is over',
    scene(async (scene) => {
      const worker = await scene.worker({ slots: 1 })
      const options = { timeoutMs: 4_000, maxAttempts: 1 }
      const [handle] = await scene.enqueue(1, 'naps', { ms: 2_000 }, options)
      const id = handle?.id ?? ''
      await scene.started(id)
      worker.kill('SIGSTOP')
      await eventually(() => scene.history.of('ended', id).length === 1, { what: 'its work is done' })
      await heldUpFor(3_000) // beyond its timeout
      worker.kill('SIGCONT')
      await scene.idle()
      expect(await handle?.details()).toMatchObject({ state: 'completed', attempts: 1, failures: [] })
      await scene.judge({ faults: 0 })
    }),
    60_000,
  )

  test(
    'again and again for longer than it waits for a new child ends no job, and claims nothing twice',
    scene(async (scene) => {
      const worker = await scene.worker({ slots: 8 })
      const [long] = await scene.enqueue(1, 'naps', { ms: 20_000 }, { maxAttempts: 1 })
      await scene.started(long?.id ?? '')
      const tiny: JobHandle[] = []
      for (let round = 1; round <= 2; round += 1) {
        tiny.push(...(await scene.enqueue(isolation === 'Spawn' ? 40 : 400, 'naps', { ms: 1 })))
        const before = scene.history.of('ended').length
        await eventually(() => scene.history.of('ended').length > before + 5, { what: 'it is in full swing' })
        worker.kill('SIGSTOP')
        await heldUpFor(5_700)
        worker.kill('SIGCONT')
        await eventually(() => tiny.every(({ id }) => scene.history.of('ended', id).length > 0), {
          what: 'the tiny jobs are done',
          withinMs: 30_000,
        })
      }
      await scene.idle()
      expect(scene.history.of('started', long?.id)).toHaveLength(1)
      expect(await long?.details()).toMatchObject({
        state: 'completed',
        attempts: 1,
        crashes: 0,
        failures: [],
      })
      await scene.judge({ faults: 2 })
    }),
    90_000,
  )
})
