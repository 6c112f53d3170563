// Checks a job of a client before it is sent.
import { type JobOptions, MAX_PAYLOAD_BYTES, type NewJob, newJob } from '../job.ts'
import type { Rules } from '../options.ts'
import { QueueRefused } from '../queue/refused.ts'

/** Refuses a payload that no queue takes before it is sent, so that no other job waits behind it. */
export function checkedJob(
  task: string,
  input: unknown,
  options: JobOptions | undefined,
  known: Rules,
): NewJob {
  const job = newJob(task, input, options, known)
  // A character has at most three bytes.
  const bytes = 3 * job.payload.length > MAX_PAYLOAD_BYTES ? Buffer.byteLength(job.payload) : 0
  if (bytes <= MAX_PAYLOAD_BYTES) return job
  throw new QueueRefused(
    'PAYLOAD_TOO_LARGE',
    `the payload of ${task} has ${bytes} bytes; a queue takes at most ${MAX_PAYLOAD_BYTES}: store the data elsewhere and enqueue where it is`,
  )
}
