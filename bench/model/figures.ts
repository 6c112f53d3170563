// Plays one load with one contestant, and computes its figures.
import type { Figure, Figures } from '../scenario.ts'
import { type Change, type Outcome, simulate } from './cluster.ts'
import type { Load } from './loads.ts'
import { type DecisionTimes, noDecisions, SCALE_DOWN_WINDOW_MS } from './millhand.ts'
import type { Contestant } from './policies.ts'
import { randomFor } from './random.ts'

export interface Conditions {
  isQuick: boolean
  podStartMs: number
  podsPerSecond: number
}

export interface Played {
  figures: Figures
  problems: string[]
  /** The figures of its pools, in their order. */
  outcomes: Outcome[]
  /** Real processor time, not time of the model. */
  times: DecisionTimes
}

/** The first one is the main figure. */
export const FIGURES: readonly Figure[] = [
  { name: 'p95', title: 'wait p95 s', better: 'less' },
  { name: 'p50', title: 'p50 s', better: 'less' },
  { name: 'p99', title: 'p99 s', better: 'less' },
  { name: 'longest', title: 'longest s', better: 'less' },
  { name: 'firstStart', title: 'to a first start, longest s', better: 'less' },
  { name: 'podHours', title: 'pod-hours', better: 'less' },
  { name: 'busy', title: 'busy %', better: 'more' },
  { name: 'turns', title: 'turns', better: 'less' },
  { name: 'created', title: 'pods created', better: 'less' },
  { name: 'killed', title: 'runs killed', better: 'less' },
  { name: 'wasted', title: 'hours lost', better: 'less' },
  { name: 'unfinished', title: 'never done', better: 'less' },
]

export function play(load: Load, contestant: Contestant, conditions: Conditions, seed: number): Played {
  const { isQuick, podStartMs, podsPerSecond } = conditions
  const pools = load.pools(randomFor(seed, load.id), isQuick)
  const times = noDecisions()
  const outcomes = pools.map(({ slots, maxReplicas, jobs }, index) => {
    const graceMs = contestant.graceMs(slots)
    const setting = { slots, maxReplicas, podStartMs, podsPerSecond, graceMs }
    const policy = contestant.policy(setting, randomFor(seed, `${load.id} clocks ${index}`), times)
    return simulate(setting, jobs, policy, randomFor(seed, `${load.id} pods ${index}`))
  })
  const problems = [...new Set(outcomes.flatMap((outcome) => outcome.problems))]
  const figures = figuresOf(
    outcomes,
    pools.map(({ slots }) => slots),
  )
  return { figures, problems, outcomes, times }
}

export function figuresOf(outcomes: readonly Outcome[], slots: readonly number[]): Figures {
  const waits = joined(outcomes.map((outcome) => outcome.waits)).sort()
  const firstStarts = joined(outcomes.map((outcome) => outcome.firstStarts))
  const total = (of: (outcome: Outcome, pool: number) => number) =>
    outcomes.reduce((sum, outcome, pool) => sum + of(outcome, pool), 0)
  const usefulMs = total((outcome) => outcome.usefulMs)
  const turns = outcomes.map(({ wanted }) => turnsOf(wanted))
  return {
    p50: seconds(rank(waits, 0.5)),
    p95: seconds(rank(waits, 0.95)),
    p99: seconds(rank(waits, 0.99)),
    longest: seconds(rank(waits, 1)),
    firstStart: seconds(firstStarts.reduce((most, ms) => Math.max(most, ms), 0)),
    podHours: total((outcome) => outcome.podMs) / HOUR_MS,
    leastPodHours: total((outcome, pool) => outcome.usefulMs / (slots[pool] ?? 1)) / HOUR_MS,
    busy: (100 * usefulMs) / total((outcome, pool) => outcome.podMs * (slots[pool] ?? 1)),
    turns: turns.reduce((sum, { length }) => sum + length, 0),
    turnsPerWindow: Math.max(
      ...outcomes.map(
        ({ beganAtMs, endedAtMs }, pool) =>
          (turns[pool]?.length ?? 0) / Math.max(1, (endedAtMs - beganAtMs) / SCALE_DOWN_WINDOW_MS),
      ),
    ),
    mostTurnsInWindow: Math.max(...turns.map((times) => mostWithin(times, SCALE_DOWN_WINDOW_MS))),
    created: total((outcome) => outcome.podsCreated),
    killed: total((outcome) => outcome.killedRuns),
    wasted: total((outcome) => outcome.wastedMs) / HOUR_MS,
    unfinished: total((outcome) => outcome.unfinished),
  }
}

/** The times at which the wanted number changed its direction: up after down, or down after up. */
export function turnsOf(wanted: readonly Change[]): number[] {
  const turns: number[] = []
  let before = { count: 0, direction: 0 }
  for (const { atMs, count } of wanted) {
    const direction = Math.sign(count - before.count)
    if (direction === 0) continue
    if (before.direction !== 0 && direction !== before.direction) turns.push(atMs)
    before = { count, direction }
  }
  return turns
}

/** The most of these times that lie within one window. */
export function mostWithin(times: readonly number[], windowMs: number): number {
  let first = 0
  return times.reduce((most, atMs, index) => {
    while (atMs - (times[first] ?? 0) >= windowMs) first += 1
    return Math.max(most, index - first + 1)
  }, 0)
}

const HOUR_MS = 3_600_000

const seconds = (ms: number): number => Math.round(ms / 100) / 10

/** Nearest rank. */
const rank = (sorted: Float64Array, share: number): number =>
  sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0

function joined(parts: readonly Float64Array[]): Float64Array {
  const whole = new Float64Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
