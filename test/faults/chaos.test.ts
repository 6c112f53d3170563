// Everything at once: workers and children are killed, workers frozen and told to stop, Redis restarted, failed over or moved, while jobs run. In each form of Redis. Random,
// but from a seed that stands in every message. The long form: npm run soak -- --faults.
import fc from 'fast-check'
import type { RedisAccess } from 'millhand/queue'
import { eventually } from '../eventually.ts'
import { isAlive, sendSignal } from '../processes.ts'
import { RedisCluster, Sentinels, TlsServer } from '../redis-forms.ts'
import { RedisServer, type RedisServerOptions } from '../redis-server.ts'
import { redis62, valkey } from '../redis-versions.ts'
import type { WorkerProcess } from '../worker-process.ts'
import { Scene } from './scene.ts'

const JOBS = Number(process.env.MILLHAND_CHAOS_JOBS ?? 500)
/** Of the forms beyond the first one. */
const FEWER_JOBS = Math.ceil(JOBS / 250) * 100
const seed = Number(process.env.MILLHAND_CHAOS_SEED ?? Date.now() % 2 ** 31)
const FAULTS = [
  'kill a child',
  'kill a child',
  'kill a child',
  'kill a worker',
  'kill a worker',
  'stop a worker',
  'freeze a worker',
  'hurt Redis',
] as const

/** A Redis in one of its forms, and what happens to it that loses nothing. */
interface Form {
  readonly access: RedisAccess
  hurt(forMs: number): Promise<void>
  remove(): Promise<void>
}

async function alone(options: RedisServerOptions = {}): Promise<Form> {
  return restarting(await RedisServer.start(options))
}

function restarting(server: RedisServer, remove = () => server.remove()): Form {
  const hurt = async (forMs: number) => {
    await server.shutDown()
    await after(forMs)
    await server.start()
  }
  return { access: server.access, hurt, remove }
}

async function behindSentinels(): Promise<Form> {
  const sentinels = await Sentinels.start()
  const failOver = once(() => sentinels.failOver())
  return { access: { url: sentinels.url }, hurt: failOver, remove: () => sentinels.remove() }
}

/** The slot of the queue goes to another node, and back, and its primary hands over to its replica. */
async function inCluster(): Promise<Form> {
  const cluster = await RedisCluster.start()
  const hurt = async () => {
    for (const slot of await cluster.busySlots()) {
      await cluster.moveSlot(slot)
      await cluster.handOver(slot)
    }
  }
  return { access: { url: cluster.url }, hurt: once(hurt), remove: () => cluster.remove() }
}

async function overTls(): Promise<Form> {
  const tls = await TlsServer.start()
  return restarting(tls.server, () => tls.remove())
}

/** One at a time. */
function once(work: () => Promise<void>): () => Promise<void> {
  let last = Promise.resolve()
  return () => {
    last = last.then(work)
    return last
  }
}

const after = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

const forms: [string, number, () => Promise<Form>][] = [
  ['one server', JOBS, alone],
  ['Sentinels that fail over', FEWER_JOBS, behindSentinels],
  ['a Cluster whose slots move and whose primaries hand over', FEWER_JOBS, inCluster],
  ['a server over TLS', FEWER_JOBS, overTls],
  ['Redis 6.2', FEWER_JOBS, async () => alone({ binary: await redis62() })],
  ['Valkey', FEWER_JOBS, async () => alone({ binary: await valkey() })],
]

describe.each(forms)(`chaos (seed ${seed}) on %s`, (_form, jobs, start) => {
  test(`${jobs} jobs over four workers each end exactly once, and nothing is left over`, async () => {
    const server = await start()
    const scene = new Scene(server.access)
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
      for (let i = 0; i < jobs / 100; i += 1) await scene.enqueue(60, 'naps', { ms: 20 + ((i * 7) % 60) })
      for (let i = 0; i < jobs / 100; i += 1) await scene.enqueue(40, 'fails-once')

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
      // What is special about a form happens at least once, also where the jobs are few.
      const surely = { fault: 'hurt Redis', at: 0, pick: 0, waitMs: 300 } as const
      for (const { fault, at, pick, waitMs } of [surely, ...dice]) {
        const { ready, delayed, busy } = await scene.queue
          .depth()
          .catch(() => ({ ready: 1, delayed: 0, busy: 0 }))
        if (ready + delayed + busy < jobs / 20) break
        const worker = team[at]
        if (!worker) continue
        scene.fault(`${fault} ${at}`)
        faults += 1
        if (fault === 'kill a child') {
          const children = scene.childrenOf(worker).filter(isAlive)
          const victim = children[pick % Math.max(1, children.length)]
          if (victim) sendSignal(victim, 'SIGKILL')
        } else if (fault === 'hurt Redis') {
          await server.hurt(waitMs)
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
        await after(waitMs)
      }
      for (const worker of team) worker.kill('SIGCONT')
      await scene.idle(120_000)
      const { counts } = await scene.queue.depth()
      expect(counts).toMatchObject({ enqueued: jobs, completed: jobs, buried: 0, cancelled: 0, busy: 0 })
      console.log(
        `${jobs} jobs, ${faults} faults: ${counts.lost} jobs taken back from dead workers, ${counts.retried} tried again, ${scene.history.of('started').length} starts`,
      )
      await eventually(() => team.every((worker) => worker.child.exitCode === null), {
        what: 'all workers live',
      })
      // Two jobs of five fail once, and a failover may roll both attempts back: two starts for each fault, and two without any.
      await scene.judge({ faults: 2 * faults + 1 })
    } finally {
      await scene.end()
      await server.remove()
    }
  }, 600_000)
})
