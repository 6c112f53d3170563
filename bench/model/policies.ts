// The policies of the model, with their settings and the remark that a reader must know.
import type { Policy } from './cluster.ts'
import { KEDA_DEFAULTS, Keda, kedaTuned } from './keda.ts'
import { type DecisionTimes, Millhand } from './millhand.ts'
import type { Random } from './random.ts'

export type PolicyName = 'millhand' | 'millhand-latency' | 'keda' | 'keda-tuned' | 'keda-tuned-10-min'

export interface Contestant {
  name: PolicyName
  title: string
  graceMs(slots: number): number
  policy(pool: { slots: number; maxReplicas: number }, random: Random, times: DecisionTimes): Policy
}

/**
 * No grace: a pod of Millhand ends when it holds no job. A job in a pod that ends is killed at once, and
 * counted.
 */
const NO_GRACE_MS = 0
const LATENCY_MS = 30_000

export const contestants: readonly Contestant[] = [
  {
    name: 'millhand',
    title: 'Millhand, Concurrency',
    graceMs: () => NO_GRACE_MS,
    policy: (pool, _, times) => new Millhand({ ...pool, target: { type: 'Concurrency' } }, times),
  },
  {
    name: 'millhand-latency',
    title: 'Millhand, Latency 30 s',
    graceMs: () => NO_GRACE_MS,
    policy: (pool, _, times) =>
      new Millhand({ ...pool, target: { type: 'Latency', maxWaitMs: LATENCY_MS } }, times),
  },
  {
    name: 'keda',
    title: 'KEDA, defaults',
    graceMs: () => KEDA_DEFAULTS.graceMs,
    policy: (_, random) => new Keda(KEDA_DEFAULTS, random),
  },
  {
    name: 'keda-tuned',
    title: 'KEDA, tuned',
    graceMs: (slots) => kedaTuned(slots).graceMs,
    policy: ({ slots }, random) => new Keda(kedaTuned(slots), random),
  },
  {
    name: 'keda-tuned-10-min',
    title: 'KEDA, tuned, grace 10 min',
    graceMs: () => 600_000,
    policy: ({ slots }, random) => new Keda({ ...kedaTuned(slots), graceMs: 600_000 }, random),
  },
]
