// The verbs of a client that waits for the end of a job.
import { type EndedJob, parseEnded } from '../job.ts'
import { oneOf, RedisDataInvalid, textOf } from './answers.ts'
import { JOB_STATES, type JobState } from './reads.ts'
import type { Verbs } from './verbs.ts'

const WAITS = ['noted', 'unnoted', 'buried', 'unknown'] as const

/**
 * How the job ended; where it has not, the client hears of its end on its channel (`noted`), or must look
 * again (`unnoted`).
 */
async function wait(verbs: Verbs, id: string, client: string): Promise<EndedJob | (typeof WAITS)[number]> {
  return endedOr(await verbs.run('wait', [id, client]), WAITS)
}

/**
 * This client no longer waits for the job; '' where other waits of it do. Answers how the job ended, or its
 * state.
 */
async function unwait(verbs: Verbs, id: string, client: string): Promise<EndedJob | JobState> {
  return endedOr(await verbs.run('unwait', [id, client]), JOB_STATES)
}

export const waiting = { wait, unwait }

/** An outcome, or one of these words. */
function endedOr<T extends string>(answer: unknown, words: readonly T[]): EndedJob | T {
  const text = textOf(answer, 'how a job ended', Number.POSITIVE_INFINITY)
  if (!text.startsWith('=')) return oneOf(text, 'a job', words)
  const ended = parseEnded(text)
  if (!ended) throw new RedisDataInvalid('how a job ended', text)
  return ended
}
