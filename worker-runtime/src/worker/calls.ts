// What a task may ask its worker, through its child: the verbs that child/PROTOCOL.md lists. worker.ts has
// every attempt's calls answered here.
import type { AttemptHooks } from '../child/attempt.ts'
import { CallRefused } from '../child/calls.ts'
import type { ClaimedJob } from './observers.ts'
import type { Progress } from './progress.ts'

export function answersFor(job: ClaimedJob, { progress }: { progress: Progress }): AttemptHooks['onCall'] {
  return async ({ verb }) => {
    switch (verb) {
      case 'progress':
        await progress.isInRedis(job)
        return 'null'
      default:
        throw new CallRefused('UNKNOWN_CALL', `this worker answers no call ${JSON.stringify(verb)}`)
    }
  }
}
