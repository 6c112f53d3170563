// Children and workers are killed between steps and in the middle of them, and Redis goes away: each step has one value, and is not done again
// once that is saved.
import fc from 'fast-check'
import { eventually } from '../eventually.ts'
import { isAlive, sendSignal } from '../processes.ts'
import { RedisServer } from '../redis-server.ts'
import { type Isolation, Scene } from './scene.ts'

const seed = Number(process.env.MILLHAND_STEPS_SEED ?? Date.now() % 2 ** 31)
const JOBS = 4
const STEPS = 8
const FAULTS = ['kill a child', 'kill a child', 'kill a worker', 'restart Redis'] as const

describe.each<Isolation>(['Fork', 'Reuse'])('with %s', (isolation) => {
  test(`each step is saved once, whatever dies (seed ${seed})`, async () => {
    const server = await RedisServer.start()
    const scene = new Scene(server.access, isolation)
    try {
      await scene.settings({ maxAttempts: 1_000, maxCrashes: 1_000 })
      const handles = await scene.enqueue(JOBS, 'records-steps', { steps: STEPS, ms: 150 })
      let worker = await scene.worker({ slots: JOBS })
      const faults = fc.sample(fc.constantFrom(...FAULTS), { seed, numRuns: 12 })
      for (const fault of faults) {
        const before = scene.history.of('saved').length
        const isOver = () => scene.history.of('ended').length >= JOBS
        await eventually(() => scene.history.of('saved').length > before || isOver(), {
          what: 'a step is saved',
          withinMs: 60_000,
        })
        if (isOver()) break
        scene.fault(fault)
        if (fault === 'kill a worker') {
          worker.kill('SIGKILL')
          worker = await scene.worker({ slots: JOBS })
        } else if (fault === 'kill a child') {
          const pids = scene.history.of('stepped').map(({ pid = 0 }) => pid)
          const pid = pids.findLast(isAlive)
          if (pid !== undefined) sendSignal(pid, 'SIGKILL')
        } else {
          await server.shutDown()
          await server.start()
        }
      }
      await scene.idle(120_000)
      const hits = scene.history.of('fault').length
      for (const handle of handles) {
        const { values, checkpoint } = (await handle.result()) as { values: string[]; checkpoint: number }
        const stepped = scene.history.of('stepped', handle.id).map(({ detail = '' }) => detail)
        const saved = scene.history.of('saved', handle.id).map(({ detail = '' }) => detail)
        const ofStep = (all: string[], step: number) => all.filter((each) => each.startsWith(`${step} `))
        for (let step = 1; step <= STEPS; step += 1) {
          // Were a step done again after it was saved, the last time would not be the one that counts.
          expect(values[step - 1]).toBe(ofStep(stepped, step).at(-1))
          expect(new Set(ofStep(saved, step))).toEqual(new Set([values[step - 1]]))
        }
        expect(checkpoint).toBe(STEPS)
        expect(stepped.length).toBeLessThanOrEqual(STEPS + hits)
      }
      console.log(
        `${isolation}: ${hits} faults, ${scene.history.of('stepped').length} runs of ${JOBS * STEPS} steps`,
      )
      // In a shared child the neighbours of the one that was killed run once more, alone.
      await scene.judge({ faults: 2 * hits })
    } finally {
      await scene.end()
      await server.remove()
    }
  }, 300_000)
})
