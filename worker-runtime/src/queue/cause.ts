// What is said of a job that does not run (why.ts, flow-why.ts).
import type { JobState } from './reads.ts'

export interface Cause {
  /** One word: of WHY_CODES, or a reason of Kubernetes. */
  readonly code: string
  /** A sentence. */
  readonly text: string
  readonly sinceMs?: number
  readonly untilMs?: number
  /** What it is about: a worker, a key, a pool. */
  readonly subject?: string
}

export interface Why {
  readonly id: string
  /** waiting, skipped: of a job in a flow that is not enqueued. */
  readonly state: Exclude<JobState, 'unknown'> | 'waiting' | 'skipped'
  /** The first cause first; of a job that runs or has ended, what it is. Never empty. */
  readonly causes: readonly Cause[]
}
