// Work that a job has not awaited goes on after its result, for a moment: in a child of its own, as in any program of Node.
import { eventually } from '../eventually.ts'
import { isAlive } from '../processes.ts'
import { type Scene, scene as sceneOf } from './scene.ts'

describe.each(['Fork', 'Spawn'] as const)('with %s', (isolation) => {
  const scene = (play: (scene: Scene) => Promise<void>) => sceneOf(play, undefined, isolation)
  const jobs = isolation === 'Spawn' ? 20 : 100

  test.each(['notes-later', 'notes-before-exit'])(
    'what a job does after its return (%s) is done, for each of many jobs',
    (task) =>
      scene(async (scene) => {
        // A tenth of the time that a child has when other jobs wait for its slot.
        await scene.enqueue(jobs, task, { ms: 10 })
        const worker = await scene.worker({ slots: 4 })
        await scene.idle()
        expect(await worker.stop()).toMatchObject({ code: 0 })
        expect(scene.history.of('ended')).toHaveLength(jobs)
        expect(new Set(scene.history.of('ended').map(({ job }) => job)).size).toBe(jobs)
      })(),
    90_000,
  )

  test(
    'a result is not held up by what a job has left open, nor is the next job, and the log names it once',
    scene(async (scene) => {
      const worker = await scene.worker({ slots: 1 })
      const handles = await scene.enqueue(3, 'leaves-server-open')
      await scene.idle()
      const pids = scene.history.of('started').map(({ pid = 0 }) => pid)
      // The last one has its second, the others had to make room.
      expect(pids.filter(isAlive).length).toBeGreaterThan(0)
      await eventually(() => !pids.some(isAlive), { what: 'all are gone', withinMs: 10_000 })
      for (const handle of handles)
        expect(await handle.details()).toMatchObject({ state: 'completed', attempts: 1 })
      const told = worker.lines.filter(({ leftOpen }) => leftOpen)
      expect(told).toMatchObject([{ task: 'leaves-server-open', level: 'warn' }])
      expect(told[0]?.leftOpen).toContain('TCPServerWrap')
    }),
    60_000,
  )
})
