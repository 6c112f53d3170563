// Progress that a task awaits is in Redis when the await returns, and is refused to an attempt that no longer holds its job.
import { eventually } from '../../eventually.ts'
import { type Isolation, type Scene, scene as sceneOf } from '../../faults/scene.ts'

describe.each<Isolation>(['Fork', 'Reuse'])('with %s', (isolation) => {
  const scene = (play: (scene: Scene) => Promise<void>) => sceneOf(play, undefined, isolation)

  test(
    'a value is in Redis when the await returns, and the log keeps its order with it',
    scene(async (scene) => {
      const worker = await scene.worker()
      const [handle] = await scene.enqueue(1, 'notes-progress', { values: 4, ms: 200 })
      const known = () => scene.history.of('progressed', handle?.id).map(({ detail }) => Number(detail))
      for (const value of [1, 2, 3]) {
        await eventually(() => known().includes(value), {
          what: `the await of ${value} returned`,
          everyMs: 5,
        })
        const { progress } = (await handle?.details()) ?? {}
        expect(Number(progress)).toBeGreaterThanOrEqual(value)
      }
      await scene.idle()
      const logged = worker.lines.flatMap(({ line, job }) => (job === handle?.id ? [line] : []))
      expect(logged).toEqual([1, 2, 3, 4].flatMap((value) => [`before ${value}`, `after ${value}`]))
    }),
    60_000,
  )

  test(
    'an attempt whose job was taken from it is told so',
    scene(async (scene) => {
      const worker = await scene.worker()
      const [handle] = await scene.enqueue(1, 'learns-by-progress')
      await eventually(() => scene.history.of('progressed', handle?.id).length > 0)
      const [held] = (await scene.redis.call('KEYS', `*${scene.namespace}*held:*`)) as string[]
      await scene.redis.call('DEL', held ?? '')
      const refused = await eventually(() => scene.history.of('refused', handle?.id)[0], {
        what: 'the refusal',
      })
      expect(refused?.detail).toBe('NOT_HELD')
      worker.kill('SIGKILL')
    }),
    60_000,
  )
})
