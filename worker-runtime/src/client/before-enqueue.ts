// The hook that a program runs before each of its enqueues: `connect({ beforeEnqueue })`.
import type { JobOptions } from '../job.ts'
import { checkedJob } from './checked-job.ts'

/** A job that a program is about to enqueue. */
export interface JobToEnqueue {
  /** `<namespace>.<name>` */
  readonly queue: string
  readonly task: string
  readonly input: unknown
  /** As the caller gave them. */
  readonly options: JobOptions
}

/**
 * Of `enqueue`, `enqueueMany` and batches, not of flows. Answers the options to enqueue with; nothing leaves
 * them as they are. What it throws, the enqueue throws. It must not be async: jobs of one tick are one call
 * to Redis.
 */
export type BeforeEnqueue = (job: JobToEnqueue) => JobOptions | undefined

/** How a client makes a job of what it was given. */
export type CheckJob = typeof checkedJob

export function checkingFor(queue: string, beforeEnqueue: BeforeEnqueue | undefined): CheckJob {
  if (!beforeEnqueue) return checkedJob
  return (task, input, options = {}, known) =>
    checkedJob(task, input, optionsFor({ queue, task, input, options }, beforeEnqueue), known)
}

function optionsFor(job: JobToEnqueue, beforeEnqueue: BeforeEnqueue): JobOptions {
  const chosen: unknown = beforeEnqueue(job)
  if (chosen instanceof Promise) {
    chosen.catch(() => {})
    throw new TypeError('beforeEnqueue answered a promise: it must be a function that is not async')
  }
  return (chosen as JobOptions | undefined) ?? job.options
}
