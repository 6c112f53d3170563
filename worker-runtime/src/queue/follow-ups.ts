// A job that completes, and what its task enqueued with its success: one settlement (lua/follow-ups.lua).
import type { NewJob } from '../job.ts'
import { headOf } from './enqueue.ts'
import type { Settlement } from './hold.ts'

/** A job for any queue of the same Redis. */
export interface FollowUp {
  /** `<namespace>.<name>` */
  readonly queue: string
  readonly job: NewJob
}

export function withFollowUps(settlement: Settlement, followUps: readonly FollowUp[]): Settlement {
  const parts = followUps.flatMap(({ queue, job }) => [queue, job.id, headOf(job), job.payload])
  return { ...settlement, verdict: 'with-jobs', text: JSON.stringify([settlement.text, ...parts]) }
}
