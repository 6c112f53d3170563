// Flows over three queues, while workers and children are killed and frozen, and Redis is restarted or its slots move:
// each result is right, each callback came once, nothing ran behind a failed job, and no queue has anything left to do.
// Random, but from a seed that stands in every message. With more jobs: MILLHAND_FLOW_JOBS.
import fc from 'fast-check'
import { type FlowRun, flow } from 'millhand/client'
import { defaultSettings, openQueue, type Queue, type RedisAccess } from 'millhand/queue'
import { census, keptForEver } from '../census.ts'
import { eventually } from '../eventually.ts'
import { isAlive, sendSignal } from '../processes.ts'
import { RedisCluster } from '../redis-forms.ts'
import { RedisServer } from '../redis-server.ts'
import type { WorkerProcess } from '../worker-process.ts'
import { Scene } from './scene.ts'

const JOBS = Number(process.env.MILLHAND_FLOW_JOBS ?? 300)
/** More jobs take longer; a third of them have a process each. */
const PATIENCE_MS = JOBS * 200
const seed = Number(process.env.MILLHAND_CHAOS_SEED ?? Date.now() % 2 ** 31)
const QUEUES = ['jobs', 'left', 'right'] as const
const ISOLATIONS = ['Fork', 'Reuse', 'Spawn'] as const
/** Processes of a worker: its children, and what they are forked from. */
const FAULTS = ['kill a process', 'kill a process', 'kill a worker', 'freeze a worker', 'hurt Redis'] as const

interface Form {
  readonly access: RedisAccess
  hurt(): Promise<void>
  remove(): Promise<void>
}

async function alone(): Promise<Form> {
  const server = await RedisServer.start({ args: ['--appendfsync', 'always'] })
  const hurt = async () => {
    await server.crash()
    await new Promise((resolve) => setTimeout(resolve, 300))
    await server.start()
  }
  return { access: server.access, hurt, remove: () => server.remove() }
}

async function inCluster(): Promise<Form> {
  const cluster = await RedisCluster.start()
  let isFirst = true
  const hurt = async () => {
    const slots = await cluster.busySlots()
    // What one server knows of a slot that has moved, another one hears later: the hand-over comes before.
    if (isFirst) await cluster.handOver(slots[0] ?? 0)
    else for (const slot of slots) await cluster.moveSlot(slot)
    isFirst = false
  }
  return { access: { url: cluster.url }, hurt, remove: () => cluster.remove() }
}

const queueOf = (at: number) => QUEUES[at % QUEUES.length] ?? 'jobs'

/** Three flows with a known result, and one that fails. */
async function startFlows(
  scene: Scene,
): Promise<Record<'wide' | 'long' | 'woven' | 'broken', FlowRun<unknown>>> {
  const { client, history } = scene
  const of = (numbers: unknown) => ({ numbers, history: history.file, ms: 5 })
  const callback = (at: number) => ({ queue: queueOf(at), task: 'naps', input: { history: history.file } })
  const callbacks = { onSuccess: callback(0), onFailure: callback(1), onComplete: callback(2) }

  const wide = flow('wide', callbacks)
  const parts = Array.from({ length: JOBS }, (_, i) =>
    wide.add(queueOf(i), 'adds', of([i]), { name: `part.${i}` }),
  )
  wide.add('jobs', 'adds', of(parts.map(({ result }) => result)), { name: 'join' })

  const long = flow('long', { ...callbacks, home: 'left' })
  let last: unknown = 0
  for (let i = 0; i < JOBS / 5; i += 1)
    last = long.add(queueOf(i), 'adds', of([last, 1]), { name: `step.${i}` }).result

  const woven = flow('woven', { ...callbacks, home: 'right' })
  const width = Math.ceil(Math.sqrt(JOBS) / 2)
  const layer = (name: string, numbers: unknown) =>
    Array.from(
      { length: width },
      (_, i) => woven.add(queueOf(i), 'adds', of(numbers), { name: `${name}.${i}` }).result,
    )
  woven.add('left', 'adds', of(layer('lower', layer('upper', [1]))), { name: 'join' })

  const broken = flow('broken', callbacks)
  const input = { history: history.file }
  const bad = broken.add('right', 'fails-for-good', input, { name: 'bad' })
  broken.add('left', 'naps', input, { name: 'behind', after: [bad] })

  const [a, b, c, d] = await Promise.all([wide, long, woven, broken].map((each) => client.start(each)))
  if (!a || !b || !c || !d) throw new Error('a flow was not started')
  return { wide: a, long: b, woven: c, broken: d }
}

async function hurt(
  { fault, at, pick }: { fault: (typeof FAULTS)[number]; at: number; pick: number },
  { scene, team, hire, form }: Stage,
): Promise<void> {
  const worker = team[at]
  if (!worker) return
  scene.fault(`${fault} ${at}`)
  if (fault === 'kill a process') {
    const processes = scene.childrenOf(worker).filter(isAlive)
    const victim = processes[pick % Math.max(1, processes.length)]
    if (victim) sendSignal(victim, 'SIGKILL')
  } else if (fault === 'hurt Redis') {
    await form.hurt()
  } else if (fault === 'freeze a worker') {
    worker.kill('SIGSTOP')
    setTimeout(() => worker.kill('SIGCONT'), 8_000)
  } else {
    scene.childrenOf(worker)
    worker.kill('SIGKILL')
    await worker.ended
    await hire(at)
  }
}

interface Stage {
  scene: Scene
  team: WorkerProcess[]
  hire: (at: number) => Promise<void>
  form: Form
}

describe.each([
  ['one server', alone],
  ['a Cluster in which a primary hands over and slots move', inCluster],
])(`flows (seed ${seed}) on %s`, (_, start) => {
  test(`of ${JOBS} jobs in three queues come to their ends through faults`, async () => {
    const form = await start()
    const scene = new Scene(form.access)
    const queues: Queue[] = QUEUES.map((name) => openQueue(scene.redis, `${scene.namespace}.${name}`))
    const team: WorkerProcess[] = []
    const hire = async (at: number) => {
      const isolation = ISOLATIONS[at % 3] ?? 'Fork'
      team[at] = await scene.worker({ queues: [queueOf(at)], slots: 4, isolation })
    }
    try {
      for (const queue of queues)
        await queue.configure({
          ...defaultSettings,
          ...{ ownerUid: 'scene', maxAttempts: 50, maxCrashes: 50, backoffMs: 100, maxBackoffMs: 500 },
        })
      await Promise.all([0, 1, 2].map(hire))
      const runs = await startFlows(scene)
      const dice = fc.sample(
        fc.record({
          fault: fc.constantFrom(...FAULTS),
          at: fc.nat(2),
          pick: fc.nat(100),
          waitMs: fc.nat(800),
        }),
        {
          seed,
          numRuns: 12,
        },
      )
      const surely = { fault: 'hurt Redis', at: 0, pick: 0, waitMs: 300 } as const
      for (const { waitMs, ...what } of [surely, ...dice]) {
        await hurt(what, { scene, team, hire, form })
        await new Promise((resolve) => setTimeout(resolve, waitMs))
      }
      for (const worker of team) worker.kill('SIGCONT')

      const width = Math.ceil(Math.sqrt(JOBS) / 2)
      const timeoutMs = 180_000 + PATIENCE_MS
      expect(await runs.wide.result({ timeoutMs })).toBe((JOBS * (JOBS - 1)) / 2)
      expect(await runs.long.result({ timeoutMs })).toBe(Math.ceil(JOBS / 5))
      expect(await runs.woven.result({ timeoutMs })).toBe(width * width)
      await expect(runs.broken.result({ timeoutMs })).rejects.toMatchObject({ code: 'FLOW_FAILED' })

      const isIdle = async () => {
        const depths = await Promise.all(queues.map((queue) => queue.depth()))
        return depths.every(({ ready, delayed, busy }) => ready + delayed + busy === 0)
      }
      const callbacks = Object.keys(runs).map((id) => [
        ...[`${id}:onComplete`, `${id}:${id === 'broken' ? 'onFailure' : 'onSuccess'}`],
      ])
      const called = () =>
        new Set(
          scene.history
            .of('ended')
            .map(({ job }) => job)
            .filter((job) => job.includes(':on')),
        )
      await eventually(async () => called().size === 8 && (await isIdle()), {
        what: 'all callbacks have run',
        withinMs: 120_000 + PATIENCE_MS,
      })
      expect([...called()].sort()).toEqual(callbacks.flat().sort())
      expect(scene.history.of('started', 'broken:behind')).toEqual([])
      // 'deleted' would be a job that somebody lost.
      for (const [id, run] of Object.entries(runs)) {
        const { flowJobs = [] } = (await run.details()) ?? {}
        const states = new Set(flowJobs.map(({ state }) => state))
        expect([...states].sort()).toEqual(id === 'broken' ? ['buried', 'skipped'] : ['completed'])
      }
      await Promise.all(team.map((worker) => worker.stop()))
      for (const queue of queues) {
        expect((await census(scene.redis, queue.name)).problems).toEqual([])
        expect(await keptForEver(scene.redis, queue.name)).toEqual(
          // The one buried job is kept for its own time.
          queue.name.endsWith('.right') ? ['attempt:broken:bad', 'buried', 'failed', 'job:broken:bad'] : [],
        )
      }
    } finally {
      await scene.end()
      await form.remove()
    }
  }, 7_200_000)
})
