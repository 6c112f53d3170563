// The model of scaling: its books agree, chance comes from the seed alone, KEDA does what its sources say, and Millhand in it does what
// the operator's plan does.
import { Cluster, type Jobs, type Outcome, type Policy, simulate } from '../../bench/model/cluster.ts'
import { mostWithin, type Played, play, turnsOf } from '../../bench/model/figures.ts'
import { KEDA_DEFAULTS, Keda, kedaTuned, recommendation } from '../../bench/model/keda.ts'
import { loads } from '../../bench/model/loads.ts'
import { Millhand, SCALE_DOWN_WINDOW_MS } from '../../bench/model/millhand.ts'
import { type Contestant, contestants, type PolicyName } from '../../bench/model/policies.ts'
import { randomFor, randomOf } from '../../bench/model/random.ts'
import { reportOf, tableOf } from '../../bench/model/report.ts'
import {
  deploymentWith,
  memoryOf,
  observed,
  planWorkerPool,
  podOf,
  poolOf,
  queueOf,
  workerOf,
} from '../operator/worker-pool/observed.ts'

const SEED = 7
const CONDITIONS = { isQuick: true, podStartMs: 2_000, podsPerSecond: 100 }
const SETTING = { slots: 1, maxReplicas: 100, podStartMs: 2_000, podsPerSecond: 100, graceMs: 30_000 }

const contestantNamed = (name: string): Contestant => contestants.find((each) => each.name === name)!
const loadNamed = (id: string) => loads.find((load) => load.id === id)!
const concurrency = (setting = SETTING) => new Millhand({ ...setting, target: { type: 'Concurrency' } })
/** Both clocks of KEDA in the middle of their interval. */
const halfway = () => 0.5

function jobsOf(...arrivals: [atMs: number, durationMs: number][]): Jobs {
  return {
    atMs: Float64Array.from(arrivals, ([atMs]) => atMs),
    durationMs: Float64Array.from(arrivals, ([, durationMs]) => durationMs),
  }
}

/** Down after up. */
const downTurns = (wanted: Outcome['wanted']) =>
  turnsOf(wanted).filter((turnMs) => {
    const at = wanted.findIndex(({ atMs }) => atMs === turnMs)
    return wanted[at]!.count < wanted[at - 1]!.count
  })

const wantedIn = ({ wanted }: Outcome) => wanted.map(({ atMs, count }) => [atMs / 1000, count])

/** Each is played once, whoever asks. */
const known = new Map<string, Played>()
function played(id: string, name: PolicyName): Played {
  const key = `${id} ${name}`
  const found = known.get(key) ?? play(loadNamed(id), contestantNamed(name), CONDITIONS, SEED)
  known.set(key, found)
  return found
}

describe.each(loads)('$id', ({ id, policies, pools }) => {
  test.each(policies)('each job completes once under %s, and the books agree', (name) => {
    const { problems, outcomes } = played(id, name)
    expect(problems).toEqual([])
    const loaded = pools(randomFor(SEED, id), true)
    outcomes.forEach(({ usefulMs, unfinished, waits, firstStarts }, pool) => {
      const { durationMs } = loaded[pool]!.jobs
      const needed = durationMs.reduce((sum, ms) => sum + ms, 0)
      // A job that completed twice, or was lost, would show as its duration.
      if (unfinished === 0) expect(usefulMs).toBeCloseTo(needed, 0)
      else expect(usefulMs).toBeLessThan(needed)
      expect(waits).toHaveLength(durationMs.length)
      expect(firstStarts.every((ms, job) => ms >= 0 && ms <= (waits[job] ?? 0))).toBe(true)
    })
  })

  test('Millhand kills no running job, and each is done', () => {
    for (const name of policies.filter((each) => each.startsWith('millhand'))) {
      const { figures } = played(id, name)
      expect(figures).toMatchObject({ killed: 0, wasted: 0, unfinished: 0 })
      expect(figures.created).toBeGreaterThan(0)
    }
  })
})

test.each(['burst', 'on-off', 'long'])(
  'the same seed gives the same table, another one another, in %s',
  (id) => {
    const load = loadNamed(id)
    const tableWith = (seed: number) =>
      tableOf(
        reportOf(
          load,
          load.policies.map((name) => {
            const contestant = contestantNamed(name)
            return { contestant, rounds: [play(load, contestant, CONDITIONS, seed)] }
          }),
        ),
      )
    const first = tableWith(SEED)
    expect(tableWith(SEED)).toBe(first)
    expect(tableWith(SEED + 1)).not.toBe(first)
  },
)

test('jobs that are killed show: with the defaults of KEDA and of pods long jobs are', () => {
  const { figures } = played('long', 'keda')
  expect(figures.killed).toBeGreaterThan(0)
  expect(figures.wasted).toBeGreaterThan(0)
})

describe('KEDA', () => {
  const keda = (jobs: Jobs, settings = KEDA_DEFAULTS) =>
    simulate({ ...SETTING, graceMs: settings.graceMs }, jobs, new Keda(settings, halfway), randomOf(SEED))

  test('at zero nothing happens before its poll, and then there is one pod', () => {
    expect(wantedIn(keda(jobsOf([1_000, 1_000])))[0]).toEqual([15, 1])
  })

  test('the HPA at most doubles at a sync, or goes to 4, where there is no behavior', () => {
    const { wanted } = keda(jobsOf(...Array.from({ length: 600 }, (): [number, number] => [1_000, 300_000])))
    expect(wanted.slice(0, 7).map(({ count }) => count)).toEqual([1, 4, 8, 16, 32, 64, 100])
    expect(wanted.slice(0, 3).map(({ atMs }) => atMs / 1000)).toEqual([15, 22.5, 37.5])
  })

  test('tuned it takes what it needs at the first sync', () => {
    const many = jobsOf(...Array.from({ length: 600 }, (): [number, number] => [1_000, 60_000]))
    expect(wantedIn(keda(many, kedaTuned(1))).slice(0, 2)).toEqual([
      [2.5, 1],
      [7.5, 100],
    ])
  })

  test.each([
    ['as many as the metric asks for, rounded up', 11, 5, 1, 3],
    ['the same where it is within a tenth, above', 21, 5, 4, 4],
    ['the same where it is within a tenth, below', 18, 5, 4, 4],
    ['more, beyond a tenth', 23, 5, 4, 5],
    ['none, of nothing', 0, 5, 3, 0],
  ])('the HPA recommends %s', (_, metric, perPod, current, expected) => {
    expect(recommendation(metric, perPod, current)).toBe(expected)
  })

  test('it goes to zero once nothing has waited for the cooldown, whatever runs: the job is killed and runs again', () => {
    const outcome = keda(jobsOf([1_000, 400_000]))
    expect(wantedIn(outcome).slice(0, 3)).toEqual([
      [15, 1],
      [345, 0],
      [375, 1],
    ])
    expect(outcome.killedRuns).toBeGreaterThan(1)
    expect(outcome.unfinished).toBe(1)
  })

  test('where it counts what runs too, it does not', () => {
    const outcome = keda(jobsOf([1_000, 400_000]), kedaTuned(1))
    expect(outcome).toMatchObject({ killedRuns: 0, unfinished: 0, podsCreated: 1 })
  })

  test('the highest recommendation of the window holds the number up, for as long as its settings say', () => {
    const jobs = jobsOf(
      ...Array.from({ length: 20 }, (): [number, number] => [1_000, 5_000]),
      [1_000, 900_000],
    )
    const lowered = ({ wanted }: Outcome) => downTurns(wanted)[0]!
    // Tuned: 20 and more were last recommended at 7.5 s. Without behavior: 5 were, at 22.5 s.
    expect(lowered(keda(jobs, kedaTuned(1)))).toBe(7_500 + 60_000)
    expect(lowered(keda(jobs))).toBe(22_500 + 300_000)
  })
})

describe('a cluster', () => {
  const cluster = (jobs = jobsOf()) => new Cluster(SETTING, jobs, randomOf(SEED))
  const upTo = (some: Cluster, ms: number) => {
    while (some.nextMs <= ms) some.advance(some.nextMs)
    some.nowMs = ms
  }

  test('removes pods that are not ready, then those with the mark, then the young ones', () => {
    const some = cluster()
    some.scaleTo(3)
    upTo(some, 1_000_000)
    const [first, marked, third] = some.live
    some.scaleTo(4)
    upTo(some, 1_010_000)
    const young = some.live[3]
    some.scaleTo(5)
    marked!.isMarked = true
    some.scaleTo(4)
    expect(some.live).toEqual([first, marked, third, young])
    some.scaleTo(3)
    expect(some.live).toEqual([first, third, young])
    some.scaleTo(2)
    expect(some.live).toEqual([first, third])
  })

  test('lets a pod that was told to end finish its job within the grace period, and claim no other', () => {
    const some = cluster(jobsOf([0, 20_000], [0, 1_000]))
    some.scaleTo(1)
    upTo(some, 5_000)
    some.scaleTo(0)
    upTo(some, 60_000)
    expect(some.outcome()).toMatchObject({ killedRuns: 0, unfinished: 1, usefulMs: 20_000, podMs: 22_000 })
  })

  test('kills it when the grace period is over, and counts what was lost', () => {
    const some = cluster(jobsOf([0, 60_000]))
    some.scaleTo(1)
    upTo(some, 5_000)
    some.scaleTo(0)
    upTo(some, 60_000)
    expect(some.outcome()).toMatchObject({ killedRuns: 1, unfinished: 1, wastedMs: 33_000, podMs: 35_000 })
    expect(some.waiting).toBe(1)
  })
})

describe('Millhand', () => {
  const millhand = (jobs: Jobs) => simulate(SETTING, jobs, concurrency(), randomOf(SEED))
  /** Ten jobs of 2 s a second. */
  const onAndOff = (onMs: number, offMs: number, times: number) =>
    jobsOf(
      ...Array.from({ length: times }, (_, cycle) => cycle * (onMs + offMs)).flatMap((startMs) =>
        Array.from({ length: onMs / 100 }, (_, n): [number, number] => [startMs + n * 100, 2_000]),
      ),
    )

  test('is woken by a job that comes to an empty queue', () => {
    expect(wantedIn(millhand(jobsOf([100_000, 1_000]))).slice(0, 2)).toEqual([
      [0, 0],
      [100.1, 1],
    ])
  })

  test('goes to zero a window after the last job', () => {
    const [lastAtMs, count] = wantedIn(millhand(jobsOf([100_000, 1_000]))).at(-1)!
    expect(count).toBe(0)
    expect(lastAtMs).toBeGreaterThanOrEqual(100 + 2 + 1 + 60)
    expect(lastAtMs).toBeLessThanOrEqual(100 + 2 + 1 + 63)
  })

  test('stays up while a load swings faster than the window', () => {
    const { wanted } = millhand(onAndOff(20_000, 20_000, 15))
    // Down at the end only.
    expect(turnsOf(wanted)).toHaveLength(1)
  })

  test('turns at most once in any window where a load swings slower', () => {
    const { wanted } = millhand(onAndOff(120_000, 300_000, 5))
    const turns = turnsOf(wanted)
    expect(turns).toHaveLength(2 * 5 - 1)
    expect(mostWithin(turns, SCALE_DOWN_WINDOW_MS)).toBe(1)
  })

  test.each(['day', 'on-off', 'many'])('turns once per window and pool at most, on average, in %s', (id) => {
    const { figures, outcomes } = played(id, 'millhand')
    expect(figures.turns).toBeGreaterThan(0)
    expect(figures.turnsPerWindow).toBeLessThanOrEqual(1)
    for (const { wanted } of outcomes)
      expect(mostWithin(downTurns(wanted), SCALE_DOWN_WINDOW_MS)).toBeLessThanOrEqual(1)
  })

  test.each(['burst', 'on-off', 'long'])(
    'does with victims what the plan of the operator does, in %s',
    (id) => {
      const [load] = loadNamed(id).pools(randomFor(SEED, id), true)
      const setting = { ...SETTING, slots: load!.slots, maxReplicas: load!.maxReplicas }
      const compared = comparedWithPlan(setting)
      simulate(setting, load!.jobs, compared.policy, randomOf(SEED))
      expect(compared.differences).toEqual([])
      expect(compared.marked).toBeGreaterThan(20)
    },
  )
})

/** Asks the operator's plan before each look of the model's Millhand, and keeps what they do differently. */
function comparedWithPlan(setting: typeof SETTING) {
  const ours = concurrency(setting)
  const pool = poolOf({ slots: setting.slots, scaling: { maxReplicas: setting.maxReplicas } })
  const seen = { differences: [] as unknown[], marked: 0 }
  let memory = memoryOf()
  const policy: Policy = {
    stirred: (nowMs) => ours.stirred(nowMs),
    look(cluster) {
      const { nowMs } = cluster
      const view = observed({ ...viewOf(cluster), pool, memory })
      const plan = planWorkerPool(view, { nowMs, wallMs: nowMs })
      const marks = new Map(plan.podPatches.map(({ name, isMarked }) => [name, isMarked]))
      const before = cluster.live.map(({ uid, isDraining, isMarked }) => ({
        uid,
        isDraining: (isDraining || plan.drain.includes(uid)) && !plan.undrain.includes(uid),
        isMarked: marks.get(`mail-${uid}`) ?? isMarked,
      }))
      const replicas = plan.deployment?.replicas ?? cluster.replicas
      const nextMs = ours.look(cluster)
      const survivors = new Map(cluster.live.map((pod) => [pod.uid, pod]))
      const differing = before.filter(({ uid, isDraining, isMarked }) => {
        const pod = survivors.get(uid)
        // Whoever was removed was marked.
        return pod ? pod.isDraining !== isDraining || pod.isMarked !== isMarked : !isMarked
      })
      if (
        differing.length > 0 ||
        replicas !== cluster.replicas ||
        plan.checkAgainAfterMs !== Math.round(nextMs - nowMs)
      )
        seen.differences.push({
          nowMs,
          differing,
          replicas,
          is: cluster.replicas,
          plan: plan.decision.message,
        })
      seen.marked += before.filter(({ isMarked }) => isMarked).length
      const hash = plan.deployment?.rendered.hash ?? memory.applied?.hash ?? ''
      memory = { ...plan.memory, applied: { hash, generation: 4, replicas: cluster.replicas } }
      return nextMs
    },
  }
  return Object.assign(seen, { policy })
}

function viewOf({ live, replicas, waiting, running }: Cluster) {
  return {
    queues: [queueOf({ ready: waiting, busy: running })],
    deployment: deploymentWith(replicas),
    pods: live.map(({ uid, createdAtMs, state, isMarked }) =>
      // Guards are about nodes, of which the model has none.
      podOf(uid, { startedAtMs: createdAtMs, isReady: state === 'ready', isMarked, guard: 'foreign' }),
    ),
    workers: live
      .filter(({ state }) => state === 'ready')
      .map(({ uid, held, isDraining }) => workerOf(uid, held.length, { isDraining })),
  }
}
