// What a job started ends with it, however it was detached and however the job, its child, its zygote or its worker end.
import { eventually } from '../eventually.ts'
import { isAlive, sendSignal } from '../processes.ts'
import { theZygoteOf } from '../worker-runtime/child/tiny-children.ts'
import { ISOLATIONS, type Scene, scene as sceneOf } from './scene.ts'

const STARTED = 3

/** The processes that a job has detached, once they are there. */
function detachedBy(scene: Scene, job: string): Promise<number[]> {
  return eventually(
    () => {
      const pids = scene.history.of('detached', job).map(({ detail }) => Number(detail))
      return pids.length === STARTED ? pids : undefined
    },
    { what: 'it has detached all', withinMs: 30_000 },
  )
}

const allGone = (pids: number[]) =>
  eventually(() => pids.every((pid) => !isAlive(pid)), { what: `${pids} are gone`, withinMs: 10_000 })

describe.each(ISOLATIONS)('with %s what a job has detached is gone', (isolation) => {
  const scene = (play: (scene: Scene) => Promise<void>) => sceneOf(play, undefined, isolation)
  // With Reuse it may live as long as the child.
  const env = { MILLHAND_JOBS_PER_CHILD: '1' }

  test.each([
    ['has returned', 'return', { state: 'completed' }],
    ['has ended its process', 'exit', { failures: [{ outcome: 'exited' }] }],
    ['has run out of time', 'spin', { failures: [{ outcome: 'timed-out' }] }],
  ] as const)('when the job %s, and nothing of its neighbour', (_when, then, expected) =>
    scene(async (scene) => {
      const worker = await scene.worker({ slots: 2, env })
      const [neighbour] = await scene.enqueue(1, 'detaches', { lastly: 'wait' })
      const spared = await detachedBy(scene, neighbour?.id ?? '')
      const options = { timeoutMs: 3_000, maxAttempts: 1 }
      const [job] = await scene.enqueue(1, 'detaches', { lastly: then }, options)
      const detached = await detachedBy(scene, job?.id ?? '')
      await allGone(detached)
      await eventually(async () => (await job?.details())?.state !== 'held', { what: 'it is settled' })
      expect(await job?.details()).toMatchObject(expected)
      expect(spared.filter(isAlive)).toEqual(spared)
      await neighbour?.cancel()
      await allGone(spared)
      await scene.idle()
      expect(await worker.stop()).toMatchObject({ code: 0 })
    })(),
  )

  test(
    'when the worker is killed',
    scene(async (scene) => {
      const worker = await scene.worker({ slots: 2, env })
      const jobs = [
        ...(await scene.enqueue(1, 'detaches', { lastly: 'wait' })),
        ...(await scene.enqueue(1, 'detaches', { lastly: 'spin' })),
      ]
      const detached = []
      for (const { id } of jobs) detached.push(...(await detachedBy(scene, id)))
      worker.kill('SIGKILL')
      await allGone(detached)
    }),
  )
})

test(
  'when the zygote is killed, what jobs in its children had detached is gone',
  sceneOf(async (scene) => {
    const worker = await scene.worker({ slots: 2 })
    const [job] = await scene.enqueue(1, 'detaches', { lastly: 'wait' }, { maxAttempts: 1 })
    const detached = await detachedBy(scene, job?.id ?? '')
    sendSignal(theZygoteOf(worker.pid), 'SIGKILL')
    await allGone(detached)
    await scene.idle()
    expect(await worker.stop()).toMatchObject({ code: 0 })
  }),
)
