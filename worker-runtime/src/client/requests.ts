// Requests for many jobs: of enqueueMany and of a batch.
import { JOB_OPTIONS, type JobOptions, type NewJob } from '../job.ts'
import { anything, checkOptions, type Rules } from '../options.ts'
import type { AnyTask, InputField, Task, TaskName } from '../task.ts'
import type { CheckJob } from './before-enqueue.ts'

/** The task type of calls without a type: any input, and an unknown result. */
type Untyped = Task<string, unknown, unknown>

/** One job of `enqueueMany`: the name of its task, its input, its options. */
export type EnqueueRequest<T extends AnyTask = Untyped> = InputField<T> & {
  task: TaskName<T>
  options?: JobOptions
}

const REQUEST_FIELDS: Rules = { task: anything, input: anything, options: anything }
/** A job whose key is taken would be missing in the numbers of a batch. */
const { unique: _, ...BATCH_JOB_OPTIONS } = JOB_OPTIONS

export const jobOfRequest = (request: unknown, index: number, check: CheckJob): NewJob =>
  jobOf(request, index, check, JOB_OPTIONS)
export const jobOfBatch = (request: unknown, index: number, check: CheckJob): NewJob =>
  jobOf(request, index, check, BATCH_JOB_OPTIONS)

function jobOf(request: unknown, index: number, check: CheckJob, known: Rules): NewJob {
  try {
    checkOptions('field of a request', request, REQUEST_FIELDS)
    const { task, input, options } = request as { task: string; input: unknown; options?: JobOptions }
    return check(task, input, options, known)
  } catch (error) {
    if (error instanceof Error) error.message = `requests[${index}]: ${error.message}`
    throw error
  }
}
