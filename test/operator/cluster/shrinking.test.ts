// Pools of several kinds shrink again and again under load, also while demand comes back, and no pod that holds a job is ever removed: each
// job starts once and ends where it began. Random, but from a seed that stands in every message. The long form: npm run soak -- --cluster.
import fc from 'fast-check'
import { onCluster } from '../../cluster/suites.ts'
import { eventually } from '../../eventually.ts'
import type { HistoryEvent } from '../../history.ts'
import { POD_UID_VARIABLE, type RecordedQueue, recordedQueue, recordedTasks } from './history.ts'
import { openScene, type Scene, taskQueue } from './scene.ts'
import { type SeenPod, type Watch, watchLowering, watchPods } from './workers.ts'

const SCALE_INS = Number(process.env.MILLHAND_SCALE_INS ?? 12)
const seed = Number(process.env.MILLHAND_SCALE_SEED ?? Date.now() % 2 ** 31)
const PLAYS_FOR_MS = 120_000 + SCALE_INS * 20_000

const KINDS = [
  { name: 'narrow', queues: ['narrow'], slots: 1, most: 4, windowSeconds: 0, isolation: { mode: 'Fork' } },
  {
    name: 'middle',
    queues: ['middle', 'shared'],
    slots: 2,
    most: 3,
    windowSeconds: 0,
    isolation: { mode: 'Spawn' },
  },
  {
    name: 'wide',
    queues: ['wide', 'shared'],
    slots: 4,
    most: 3,
    windowSeconds: 1,
    isolation: { mode: 'Reuse', reuse: { jobsAtOnce: 2 } },
  },
] as const
type Kind = (typeof KINDS)[number]

const steps = fc.record({
  queue: fc.nat(1),
  short: fc.integer({ min: 1, max: 12 }),
  shortMs: fc.integer({ min: 20, max: 1_500 }),
  long: fc.constantFrom(0, 0, 0, 1, 2),
  longMs: fc.integer({ min: 5_000, max: 20_000 }),
  /** When the next jobs come: most of the time while the pool is becoming smaller. */
  until: fc.constantFrom('a pause', 'a pod drains', 'a pod is to go', 'a pod goes', 'the last pod has gone'),
  pauseMs: fc.nat(4_000),
})
const PATIENCE_MS = 30_000

onCluster(`pools that shrink (seed ${seed})`, () => {
  let scene: Scene
  let queues: Map<string, RecordedQueue>
  let pods: ReadonlyMap<string, SeenPod>
  const watches: Watch[] = []
  const lowered = new Map<string, number>()
  beforeAll(async () => {
    scene = await openScene('shrinking')
    await scene.apply(recordedTasks())
    const redis = await scene.redis()
    const names = new Set(KINDS.flatMap((kind) => kind.queues))
    queues = new Map([...names].map((name) => [name, recordedQueue(redis, scene.namespace, name)]))
    const watched = watchPods(scene)
    pods = watched.pods
    watches.push(
      watched,
      watchLowering(scene, (pool) => lowered.set(pool, (lowered.get(pool) ?? 0) + 1)),
    )
    await scene.apply(...[...names].map((name) => taskQueue(name)), ...KINDS.map(poolOf))
  }, 3_600_000)
  afterAll(async () => {
    for (const watch of watches) watch.stop()
    await scene?.remove()
    for (const { history } of queues?.values() ?? []) history.remove()
  }, 60_000)

  test(
    `lose no pod that holds a job in ${SCALE_INS} scale-ins`,
    async () => {
      const startedAt = performance.now()
      const isOver = () => scaleIns() >= SCALE_INS || performance.now() - startedAt > PLAYS_FOR_MS
      let isQuiet = false
      const returns = watchReturns(() => isQuiet)
      try {
        await Promise.all(KINDS.map((kind, at) => play(kind, seed + at, isOver)))
        await eventually(
          async () => (await Promise.all(all().map((each) => each.isQuiet()))).every(Boolean),
          {
            what: `seed ${seed}: the end of all jobs`,
            withinMs: 180_000,
            everyMs: 200,
          },
        )
      } finally {
        isQuiet = true
      }
      const returned = await returns
      const problems = (await Promise.all(all().map(problemsOf))).flat()
      const jobs = all().reduce((sum, { history }) => sum + history.of('acknowledged').length, 0)
      const seconds = Math.round((performance.now() - startedAt) / 1000)
      process.stderr.write(
        `shrinking, seed ${seed}: ${scaleIns()} scale-ins and ${jobs} jobs in ${seconds} s, ${returned} pods were needed again while they drained\n`,
      )
      expect({ seed, problems }).toEqual({ seed, problems: [] })
      expect(scaleIns()).toBeGreaterThanOrEqual(SCALE_INS)
      expect(scene.operator.lines.filter(({ level }) => level === 'error')).toEqual([])
    },
    PLAYS_FOR_MS + 300_000,
  )

  const all = () => [...queues.values()]
  const scaleIns = () => [...pods.values()].filter(({ wasReady, deleted }) => wasReady && deleted).length

  function poolOf({ name, queues: served, slots, most, windowSeconds, isolation }: Kind): object {
    const spec = {
      queues: served.map((queue) => ({ name: queue })),
      slots,
      isolation,
      // Whoever is busy and told to go is cut short: it shows.
      drain: { timeoutSeconds: 1 },
      scaling: {
        maxReplicas: most,
        behavior: { scaleDown: { stabilizationWindowSeconds: windowSeconds } },
      },
    }
    return scene.pool(name, spec, { env: [POD_UID_VARIABLE] })
  }

  async function play(kind: Kind, itsSeed: number, isOver: () => boolean): Promise<void> {
    for (const step of fc.sample(steps, { seed: itsSeed, numRuns: SCALE_INS * 10 })) {
      if (isOver()) return
      const queue = queues.get(kind.queues[step.queue % kind.queues.length] ?? '')
      const long = Array.from({ length: step.long }, () => ({ ms: step.longMs }))
      const short = Array.from({ length: step.short }, () => ({ ms: step.shortMs }))
      await queue?.enqueue('naps', [...long, ...short])
      await waitUntil(step, kind, isOver)
    }
  }

  /** What does not come in a while is not waited for any longer: it depends on what other pools do. */
  async function waitUntil({ until, pauseMs }: Step, { name, queues: [queue] }: Kind, isOver: () => boolean) {
    const orders = lowered.get(name)
    const gone = goneOf(name).length
    const look = {
      'a pause': () => false,
      'a pod drains': async () => ((await queues.get(queue)?.queue.workers()) ?? []).some(isDraining),
      'a pod is to go': () => lowered.get(name) !== orders,
      'a pod goes': () => goneOf(name).length > gone,
      'the last pod has gone': () => ofPool(name).every(({ deleted }) => deleted),
    }[until]
    const giveUpAt = performance.now() + (until === 'a pause' ? pauseMs : PATIENCE_MS)
    while (!isOver() && performance.now() < giveUpAt && !(await look()))
      await new Promise((resolve) => setTimeout(resolve, 20))
  }

  const ofPool = (name: string) => [...pods.values()].filter(({ pool }) => pool === name)
  const goneOf = (name: string) => ofPool(name).filter(({ deleted }) => deleted)

  /** How many pods claimed again after they had drained. */
  async function watchReturns(isQuiet: () => boolean): Promise<number> {
    const drained = new Set<string>()
    const returned = new Set<string>()
    while (!isQuiet()) {
      for (const { queue } of all())
        for (const { name, podUid, alive, draining } of await queue.workers()) {
          if (draining) drained.add(name)
          else if (alive && drained.has(name) && !pods.get(podUid)?.deleted) returned.add(podUid)
        }
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    return returned.size
  }

  async function problemsOf(recorded: RecordedQueue): Promise<string[]> {
    await recorded.readHistory()
    const { name, queue, history } = recorded
    const ids = history.of('acknowledged').map(({ job }) => job)
    const { enqueued, claimed, completed, retried, lost, buried } = (await queue.depth()).counts
    // Each is claimed once: none is handed back. A worker of several queues may be given a job when its last
    // slot has just been taken by the other queue: that job goes back before it starts, and is claimed again.
    const isOneOfSeveral = KINDS.some(
      ({ queues: served }) => served.length > 1 && served.some((each) => each === name),
    )
    const counts = { enqueued, claimed, completed, retried, lost, buried }
    const expected = {
      enqueued: ids.length,
      claimed: isOneOfSeveral ? Math.max(claimed, ids.length) : ids.length,
      completed: ids.length,
      retried: 0,
      lost: 0,
      buried: 0,
    }
    return [
      ...(await recorded.judge({ faults: 0 })),
      ...(JSON.stringify(counts) === JSON.stringify(expected)
        ? []
        : [`${name}: ${ids.length} jobs, counted are ${JSON.stringify(counts)}`]),
      ...(await Promise.all(ids.map((id) => problemOfJob(recorded, id)))).flat(),
      ...attemptsOf(history.events()).flatMap(problemOfAttempt),
    ]
  }

  async function problemOfJob({ name, queue }: RecordedQueue, id: string): Promise<string[]> {
    const job = await queue.job(id)
    if (job?.state === 'completed' && job.attempts === 1 && job.crashes === 0 && job.failures.length === 0)
      return []
    return [`${name}: ${id} is ${JSON.stringify(job)}`]
  }

  /** A pod that was to go had ended all that it began, and began nothing any more. */
  function problemOfAttempt({ job, podUid = '', startedAtMs, endedAtMs }: Attempt): string[] {
    const pod = pods.get(podUid)
    const where = `${pod?.pool} pod ${podUid}, deleted at ${pod?.deleted?.afterMs} or up to a second later`
    if (!pod) return [`${job} ran in a pod that was never seen: ${podUid}`]
    if (endedAtMs === undefined) return [`${job} started at ${startedAtMs} and never ended in ${where}`]
    if (!pod.deleted || endedAtMs < pod.deleted.beforeMs) return []
    return [`${job} ran from ${startedAtMs} to ${endedAtMs} in ${where}`]
  }
})

type Step = typeof steps extends fc.Arbitrary<infer Value> ? Value : never

const isDraining = ({ alive, draining }: { alive: boolean; draining: boolean }) => alive && draining

interface Attempt {
  job: string
  podUid: string | undefined
  startedAtMs: number
  endedAtMs: number | undefined
}

function attemptsOf(events: readonly HistoryEvent[]): Attempt[] {
  const keyOf = ({ job, attempt, podUid, pid }: HistoryEvent) => [job, attempt, podUid, pid].join()
  const ended = new Map(events.filter(({ what }) => what === 'ended').map((event) => [keyOf(event), event]))
  return events
    .filter(({ what }) => what === 'started')
    .map((event) => ({
      job: event.job,
      podUid: event.podUid,
      startedAtMs: event.atMs,
      endedAtMs: ended.get(keyOf(event))?.atMs,
    }))
}
