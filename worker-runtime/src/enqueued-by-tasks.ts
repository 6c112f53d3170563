// The options of jobs that tasks enqueue and add (task.ts).
import type { JobOptions } from './job.ts'

/** The options of `job.add`. */
export interface AddedJobOptions extends Omit<JobOptions, 'id' | 'unique' | 'at'> {
  /** Names of jobs of the flow that it waits for. */
  after?: readonly string[]
}

/** The options of a job that a task enqueues. */
export interface FollowUpOptions extends Omit<JobOptions, 'unique'> {
  /** At once, and not with the success of the job that enqueues it. */
  now?: boolean
}
