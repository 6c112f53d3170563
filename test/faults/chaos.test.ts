// Everything at once: workers and children are killed, workers frozen and told to stop, Redis stopped and started, while 2,000 jobs run. Random,
// but from a seed that stands in every message.
import fc from 'fast-check'
import { eventually } from '../eventually.ts'
import { RedisServer } from '../redis-server.ts'
import { isAlive, type WorkerProcess } from '../worker-process.ts'
import { Scene } from './scene.ts'

const JOBS = Number(process.env.MILLHAND_CHAOS_JOBS ?? 2_000)
const seed = Number(process.env.MILLHAND_CHAOS_SEED ?? Date.now() % 2 ** 31)
const FAULTS = [
  'kill a child',
  'kill a child',
  'kill a child',
  'kill a worker',
  'kill a worker',
  'stop a worker',
  'freeze a worker',
  'restart Redis',
] as const

describe(`chaos (seed ${seed})`, () => {
  test(`${JOBS} jobs over four workers each end exactly once, and nothing is left over`, async () => {
    const server = await RedisServer.start()
    const scene = new Scene(server.url)
    try {
      await scene.settings({ maxAttempts: 50, maxCrashes: 50, backoffMs: 100, maxBackoffMs: 500 })
      const team: WorkerProcess[] = []
      const hire = async (at: number) => {
        team[at] = await scene.worker({
          slots: 4,
          ...(at % 2 === 0
            ? { isolation: at === 0 ? 'Fork' : 'Spawn' }
            : {
                isolation: 'Reuse',
                env: { MILLHAND_JOBS_AT_ONCE_PER_CHILD: '2', MILLHAND_JOBS_PER_CHILD: '20' },
              }),
        })
      }
      await Promise.all([0, 1, 2, 3].map(hire))
      for (let i = 0; i < JOBS / 100; i += 1) await scene.enqueue(60, 'naps', { ms: 20 + ((i * 7) % 60) })
      for (let i = 0; i < JOBS / 100; i += 1) await scene.enqueue(40, 'fails-once')

      const dice = fc.sample(
        fc.record({
          fault: fc.constantFrom(...FAULTS),
          at: fc.nat(3),
          pick: fc.nat(1_000),
          waitMs: fc.nat(800),
        }),
        { seed, numRuns: 1_000 },
      )
      let faults = 0
      for (const { fault, at, pick, waitMs } of dice) {
        const { ready, delayed, busy } = await scene.queue
          .depth()
          .catch(() => ({ ready: 1, delayed: 0, busy: 0 }))
        if (ready + delayed + busy < JOBS / 20) break
        const worker = team[at]
        if (!worker) continue
        scene.fault(`${fault} ${at}`)
        faults += 1
        if (fault === 'kill a child') {
          const children = scene.childrenOf(worker).filter(isAlive)
          const victim = children[pick % Math.max(1, children.length)]
          if (victim) process.kill(victim, 'SIGKILL')
        } else if (fault === 'restart Redis') {
          await server.shutDown()
          await new Promise((resolve) => setTimeout(resolve, waitMs))
          await server.start()
        } else if (fault === 'freeze a worker') {
          worker.kill('SIGSTOP')
          setTimeout(() => worker.kill('SIGCONT'), pick % 2 === 0 ? 500 : 9_000)
        } else {
          scene.childrenOf(worker)
          worker.kill('SIGCONT')
          worker.kill(fault === 'kill a worker' ? 'SIGKILL' : 'SIGTERM')
          await worker.ended
          await hire(at)
        }
        await new Promise((resolve) => setTimeout(resolve, waitMs))
      }
      for (const worker of team) worker.kill('SIGCONT')
      await scene.idle(120_000)
      const { counts } = await scene.queue.depth()
      expect(counts).toMatchObject({ enqueued: JOBS, completed: JOBS, buried: 0, cancelled: 0, busy: 0 })
      console.log(
        `${JOBS} jobs, ${faults} faults: ${counts.lost} jobs taken back from dead workers, ${counts.retried} tried again, ${scene.history.of('started').length} starts`,
      )
      await eventually(() => team.every((worker) => worker.child.exitCode === null), {
        what: 'all workers live',
      })
      await scene.judge({ faults })
    } finally {
      await scene.end()
      await server.remove()
    }
  }, 600_000)
})
