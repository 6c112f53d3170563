// The verb of the client: jobs go to Redis in calls, each done whole or not at all.
import type { NewJob } from '../job.ts'
import { RedisUnavailable } from '../redis/connection.ts'
import { counterOf, listOf, numberOf, oneOf, presentIn } from './answers.ts'
import { checkDurability, type Durability, runConfirmed } from './durability.ts'
import { type KeyTaken, keyTakenOf } from './key-taken.ts'
import { JOB_STATES, type JobState } from './reads.ts'
import { believed, type Verbs } from './verbs.ts'

/**
 * What an enqueue did. created; or the state of the job that has the id already; or, where another job has the unique
 * key: duplicate (nothing was done), replaced (that job waits, and is as the new one now), runs-again (that job runs,
 * and the new one follows).
 */
export type Enqueued = KeyTaken['enqueued'] | Exclude<EnqueueAnswer, KeyTaken>

/** The answer to the enqueue of one job. */
export type EnqueueAnswer = KeyTaken | 'created' | Exclude<JobState, 'unknown'>

const MAX_JOBS_A_CALL = 1_000
const MAX_BYTES_A_CALL = 1_000_000

/** Enqueues all in calls of at most 1,000 jobs or 1 MB; each call is done whole or not at all. Answers in the order of the jobs. */
async function enqueue(verbs: Verbs, jobs: readonly NewJob[]): Promise<EnqueueAnswer[]> {
  const answers: EnqueueAnswer[] = []
  for (const part of callsOf(jobs)) {
    try {
      answers.push(...(await enqueueAtOnce(verbs, part, 'fast')))
    } catch (error) {
      if (!(error instanceof RedisUnavailable) || answers.length === 0) throw error
      throw new RedisUnavailable(error.message, { maybeDone: true, code: error.code, cause: error })
    }
  }
  return answers
}

/** In one call: for what `callsOf` makes. What is not 'fast' keeps the connection waiting: use one for it alone. */
async function enqueueAtOnce(
  verbs: Verbs,
  jobs: readonly NewJob[],
  durability: Durability,
): Promise<EnqueueAnswer[]> {
  if (durability !== 'fast') await checkDurability(verbs, durability)
  const args = enqueueArgs(jobs)
  args.push(String(verbs.seen.enqueued))
  const answer = await (durability === 'fast'
    ? verbs.run('enqueue', args)
    : runConfirmed(verbs, durability, ['enqueue', args]))
  const { enqueued, answers } = believed(answer, (said) => enqueuedOf(said, jobs.length))
  verbs.note({ enqueued })
  return answers
}

export const enqueueing = { enqueue, enqueueAtOnce }

/** What scripts take of a job beside its id and payload. */
export const headOf = ({ flags, lane, when, call }: NewJob): string =>
  `${flags}${lane} ${when || '-'} ${call}`

/** Most jobs of a call are alike but for id and payload: what a job shares with the one before it is not said again. */
function enqueueArgs(jobs: readonly NewJob[]): string[] {
  const args: string[] = []
  let last = ''
  for (const job of jobs) {
    const head = headOf(job)
    args.push(job.id, head === last ? '' : head, job.payload)
    last = head
  }
  return args
}

/** Each of them goes to Redis as one call, done whole or not at all. */
export function* callsOf(jobs: readonly NewJob[], most = MAX_JOBS_A_CALL): Generator<readonly NewJob[]> {
  let part: NewJob[] = []
  let bytes = 0
  for (const job of jobs) {
    if (part.length === most || (part.length > 0 && bytes + job.payload.length > MAX_BYTES_A_CALL)) {
      yield part
      part = []
      bytes = 0
    }
    part.push(job)
    bytes += job.payload.length
  }
  if (part.length > 0) yield part
}

/**
 * The counter of all enqueues, and what became of each of so many jobs; where none was known the counter alone,
 * below zero.
 */
function enqueuedOf(answer: unknown, jobs: number): { enqueued: number; answers: EnqueueAnswer[] } {
  const answers: EnqueueAnswer[] = jobs === 1 ? ['created'] : new Array<EnqueueAnswer>(jobs).fill('created')
  if (typeof answer === 'number') return { enqueued: counterOf(-answer, 'counts.enqueued'), answers }
  const [enqueued, ...known] = listOf(answer, 'the answer to an enqueue', 1 + 2 * jobs)
  for (let i = 0; i < known.length; i += 2) {
    const at = numberOf(known[i], 'the place of a job', { least: 0, most: jobs - 1 })
    answers[at] = keyTakenOf(known[i + 1]) ?? oneOf(known[i + 1], 'the state of a job', ENDS_AND_WAITS)
  }
  return { enqueued: counterOf(presentIn(enqueued), 'counts.enqueued'), answers }
}
const ENDS_AND_WAITS = JOB_STATES.filter((state) => state !== 'unknown')
