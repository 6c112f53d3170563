// job.enqueue of the attempts that run: each job is checked here, and enqueued with the success of its
// attempt, or at once. calls.ts hands them in, worker.ts takes them when the attempt has succeeded.
import { CallRefused } from '../child/calls.ts'
import { JOB_OPTIONS, type JobOptions, newJob } from '../job.ts'
import { anything, checkOptions, type Rules } from '../options.ts'
import { type FollowUp, withFollowUps } from '../queue/follow-ups.ts'
import type { Settlement } from '../queue/hold.ts'
import { queueName } from '../queue/keys.ts'
import { openQueue } from '../queue/queue.ts'
import type { ClaimedJob } from './observers.ts'
import { whileHeld } from './saving.ts'

const MOST = 1_000
const MOST_BYTES = 1024 * 1024
const FIELDS: Rules = { queue: anything, task: anything, input: anything, options: anything }
/** A job whose unique key is taken would have no id to answer. */
const { unique: _, ...KNOWN } = JOB_OPTIONS
const OPTIONS: Rules = {
  ...KNOWN,
  now: { isValid: (value) => typeof value === 'boolean', is: 'true or false' },
}

interface Kept {
  readonly jobs: FollowUp[]
  bytes: number
}

export class FollowUps {
  readonly #kept = new WeakMap<ClaimedJob, Kept>()

  /**
   * `body` is `{queue, task, input?, options?}` as JSON text. Answers the id of the new job, as JSON text.
   */
  async enqueue(job: ClaimedJob, body: string): Promise<string> {
    const { followUp, isNow } = followUpOf(job, body)
    if (isNow) await enqueueNow(job, followUp)
    else this.#keep(job, followUp)
    return JSON.stringify(followUp.job.id)
  }

  /** The settlement of an attempt, with what comes with its success. */
  with(job: ClaimedJob, settlement: Settlement): Settlement {
    const kept = this.#kept.get(job)
    return kept && settlement.verdict === 'completed' ? withFollowUps(settlement, kept.jobs) : settlement
  }

  #keep(job: ClaimedJob, followUp: FollowUp): void {
    const kept = this.#kept.get(job) ?? { jobs: [], bytes: 0 }
    const bytes = kept.bytes + Buffer.byteLength(followUp.job.payload)
    if (kept.jobs.length >= MOST || bytes > MOST_BYTES)
      throw new CallRefused(
        'TOO_MANY_FOLLOW_UPS',
        `a job may enqueue ${MOST} jobs of ${MOST_BYTES} bytes together with its own success: let one of them enqueue the rest, or use { now: true }`,
      )
    kept.jobs.push(followUp)
    kept.bytes = bytes
    this.#kept.set(job, kept)
  }
}

function followUpOf(
  { consumer, envelope }: ClaimedJob,
  body: string,
): { followUp: FollowUp; isNow: boolean } {
  const wanted: unknown = JSON.parse(body)
  checkOptions('field of a call', wanted, FIELDS)
  const {
    queue,
    task,
    input,
    options = {},
  } = wanted as {
    queue: string
    task: string
    input?: unknown
    options?: JobOptions & { now?: boolean; at?: unknown }
  }
  const { now = false, at, ...rest } = options
  const jobOptions = {
    ...(envelope.headers && { headers: envelope.headers }),
    ...rest,
    ...(at !== undefined && { at: typeof at === 'string' ? new Date(at) : at }),
    now,
  } as JobOptions
  const [namespace = ''] = consumer.queue.name.split('.')
  return {
    followUp: { queue: queueName(namespace, queue), job: newJob(task, input, jobOptions, OPTIONS) },
    isNow: now,
  }
}

/** Its id stays the same while Redis is away and the call is made again. */
async function enqueueNow(job: ClaimedJob, { queue, job: newOne }: FollowUp): Promise<void> {
  await whileHeld(job, async (own) => {
    const to = queue === own.name ? own : openQueue(own.redis, queue)
    await to.enqueue([newOne])
  })
}
