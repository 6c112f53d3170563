// Answers what a task asks its worker through its child: the verbs of child/PROTOCOL.md. Called by worker.ts.
import { type Call, CallRefused } from '../child/calls.ts'
import { addToFlow } from './adding.ts'
import type { FollowUps } from './follow-ups.ts'
import type { ClaimedJob } from './observers.ts'
import type { Progress } from './progress.ts'
import { saveCheckpoint, savedOf, saveStep } from './saving.ts'

/** The parts that have state of running attempts. */
export interface Answering {
  readonly progress: Progress
  readonly followUps: FollowUps
}

export async function answer(
  { verb, body }: Call,
  job: ClaimedJob,
  { progress, followUps }: Answering,
): Promise<string> {
  switch (verb) {
    case 'progress':
      await progress.isInRedis(job)
      return 'null'
    case 'saved':
      return savedOf(job)
    case 'step':
      return saveStep(job, body)
    case 'checkpoint':
      return saveCheckpoint(job, body)
    case 'add':
      return addToFlow(job, body)
    case 'enqueue':
      return followUps.enqueue(job, body)
    default:
      throw new CallRefused('UNKNOWN_CALL', `this worker answers no call ${JSON.stringify(verb)}`)
  }
}
