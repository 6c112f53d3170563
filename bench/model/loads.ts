// The loads of the model: when jobs arrive, and in how many pools. A load is the same for each policy and for
// the same seed.
import type { Jobs } from './cluster.ts'
import type { PolicyName } from './policies.ts'
import { between, exponential, logNormal, type Random } from './random.ts'

export interface Load {
  id: string
  title: string
  about: string
  policies: readonly PolicyName[]
  pools(random: Random, isQuick: boolean): PoolLoad[]
}

export interface PoolLoad {
  slots: number
  maxReplicas: number
  jobs: Jobs
}

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE

const ALL: readonly PolicyName[] = ['millhand', 'millhand-latency', 'keda', 'keda-tuned']

export const loads: readonly Load[] = [
  {
    id: 'burst',
    title: 'A burst from zero',
    about:
      '600 jobs of 5 s at once into a pool of 0 pods; 1 slot a pod, at most 100 pods. Twenty such pools, so that luck with polling evens out.',
    policies: ALL,
    pools: (random, isQuick) =>
      times(isQuick ? 4 : 20, () => {
        const atMs = between(random, 0, MINUTE)
        const arrivals = times(600, () => ({ atMs, durationMs: 5 * SECOND }))
        return { slots: 1, maxReplicas: 100, jobs: jobsOf(arrivals) }
      }),
  },
  {
    id: 'day',
    title: 'A day',
    about:
      'Arrivals swing between almost none at night and about 8/s by day, with noise that lasts five minutes; jobs of 10 s (median; log-normal); 4 slots a pod, at most 100 pods.',
    policies: ALL,
    pools: (random, isQuick) => {
      const dayMs = isQuick ? HOUR : 24 * HOUR
      const noise = times(Math.ceil(dayMs / (5 * MINUTE)), () => logNormal(random, 1, 0.3))
      const rateAt = (ms: number) =>
        4 * (1 - Math.cos((2 * Math.PI * ms) / dayMs)) * (noise[Math.floor(ms / (5 * MINUTE))] ?? 1)
      const arrivals = arrivalsAt(random, rateAt, { most: 24, untilMs: dayMs }, () =>
        logNormal(random, 10 * SECOND, 0.8),
      )
      return [{ slots: 4, maxReplicas: 100, jobs: jobsOf(arrivals) }]
    },
  },
  {
    id: 'on-off',
    title: 'On and off',
    about:
      'Two minutes on (20 jobs/s at random, 3 s each on average), five minutes off, give or take half a minute so that no clock is in step, for two hours; 4 slots a pod, at most 50 pods.',
    policies: ALL,
    pools: (random, isQuick) => {
      const untilMs = (isQuick ? 0.5 : 2) * HOUR
      const lates = times(Math.ceil(untilMs / (7 * MINUTE)), () => between(random, 0, MINUTE))
      const sinceOn = (ms: number) => (ms % (7 * MINUTE)) - (lates[Math.floor(ms / (7 * MINUTE))] ?? 0)
      const isOn = (ms: number) => sinceOn(ms) >= 0 && sinceOn(ms) < 2 * MINUTE
      const arrivals = arrivalsAt(
        random,
        (ms) => (isOn(ms) ? 20 : 0),
        { most: 20, untilMs },
        () => exponential(random, 3 * SECOND),
      )
      return [{ slots: 4, maxReplicas: 50, jobs: jobsOf(arrivals) }]
    },
  },
  {
    id: 'long',
    title: 'Long jobs and a trickle',
    about:
      '40 jobs of 10 to 30 minutes, begun over 20 minutes, and one job of 5 s every 10 s on average for two hours; 1 slot a pod, at most 100 pods.',
    policies: ['millhand', 'keda', 'keda-tuned', 'keda-tuned-10-min'],
    pools: (random) => {
      const long = times(40, () => ({
        atMs: between(random, 0, 20 * MINUTE),
        durationMs: between(random, 10 * MINUTE, 30 * MINUTE),
      }))
      const short = arrivalsAt(
        random,
        () => 0.1,
        { most: 0.1, untilMs: 2 * HOUR },
        () => 5 * SECOND,
      )
      return [{ slots: 1, maxReplicas: 100, jobs: jobsOf([...long, ...short]) }]
    },
  },
  {
    id: 'many',
    title: 'Five hundred pools',
    about:
      '500 pools for an hour, each with its own slots (1 to 8), rate (median 3 jobs a minute), duration (median 4 s) and shape (steady, or on for a fifth of every ten minutes); at most 20 pods each.',
    policies: ALL,
    pools: (random, isQuick) =>
      times(isQuick ? 20 : 500, () => {
        const slots = 2 ** Math.floor(between(random, 0, 4))
        const medianMs = logNormal(random, 4 * SECOND, 1)
        // 20 pods are enough, so the maximum delays no job.
        const perSecond = Math.min(logNormal(random, 0.05, 1.5), (2 * slots * SECOND) / medianMs)
        const isSteady = random() < 0.5
        const offsetMs = between(random, 0, 10 * MINUTE)
        const isOn = (ms: number) => (ms + offsetMs) % (10 * MINUTE) < 2 * MINUTE
        const rateAt = (ms: number) => (isSteady ? perSecond : isOn(ms) ? 5 * perSecond : 0)
        const arrivals = arrivalsAt(random, rateAt, { most: 5 * perSecond, untilMs: HOUR }, () =>
          logNormal(random, medianMs, 0.5),
        )
        return { slots, maxReplicas: 20, jobs: jobsOf(arrivals) }
      }),
  },
  {
    id: 'flood',
    title: 'Ten thousand pods',
    about: '60,000 jobs of 30 to 90 s within ten seconds into one pool; 1 slot a pod, at most 10,000 pods.',
    policies: ['millhand', 'keda', 'keda-tuned'],
    pools: (random, isQuick) => {
      const pods = isQuick ? 1_000 : 10_000
      const arrivals = times(6 * pods, () => ({
        atMs: between(random, 0, 10 * SECOND),
        durationMs: between(random, 30 * SECOND, 90 * SECOND),
      }))
      return [{ slots: 1, maxReplicas: pods, jobs: jobsOf(arrivals) }]
    },
  },
]

interface Arrival {
  atMs: number
  durationMs: number
}

function jobsOf(arrivals: Arrival[]): Jobs {
  const sorted = arrivals.sort((a, b) => a.atMs - b.atMs)
  return {
    atMs: Float64Array.from(sorted, ({ atMs }) => atMs),
    durationMs: Float64Array.from(sorted, ({ durationMs }) => durationMs),
  }
}

/** A Poisson process with a variable rate: drawn at the highest rate, then thinned. */
function arrivalsAt(
  random: Random,
  perSecondAt: (ms: number) => number,
  { most, untilMs }: { most: number; untilMs: number },
  durationMs: () => number,
): Arrival[] {
  const arrivals: Arrival[] = []
  for (
    let atMs = exponential(random, SECOND / most);
    atMs < untilMs;
    atMs += exponential(random, SECOND / most)
  )
    if (random() * most < perSecondAt(atMs)) arrivals.push({ atMs, durationMs: durationMs() })
  return arrivals
}

const times = <T>(count: number, make: () => T): T[] => Array.from({ length: count }, make)
