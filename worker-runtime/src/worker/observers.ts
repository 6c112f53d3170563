// The observers of each attempt: the log, the metrics, progress (progress.ts) and failed starts (starts.ts).
// worker.ts calls each of them when a job was claimed and when its attempt has ended.
import type { Outcome } from '../child/outcome.ts'
import { errorText } from '../errors.ts'
import type { Envelope } from '../job.ts'
import type { Log } from '../log.ts'
import type { Recorder } from '../metrics.ts'
import type { Claim } from '../queue/hold.ts'
import type { Consumer } from './consumer.ts'

/** A claim whose envelope was read. */
export interface ClaimedJob {
  readonly consumer: Consumer
  readonly claim: Claim
  readonly envelope: Envelope
  /**
   * The worker's name when it claimed the job, for the record of the attempt. The worker may have another
   * name at the end.
   */
  readonly worker: string
}

export interface Observer {
  claimed?(job: ClaimedJob): void
  ended(job: ClaimedJob, outcome: Outcome): void
}

export function logEnds(log: Log): Observer {
  return {
    ended({ consumer, claim, envelope }, outcome) {
      const facts = {
        queue: consumer.queue.name,
        job: claim.id,
        task: envelope.task,
        attempt: claim.attempt,
        outcome: outcome.kind,
        durationMs: outcome.facts.durationMs,
      }
      if (outcome.kind === 'succeeded') log.debug('attempt ended', facts)
      else if (outcome.kind === 'rests')
        log.info('the task asked for a rest', {
          ...facts,
          restMs: outcome.rest.ms,
          pause: outcome.rest.pause,
        })
      else log.warn('attempt ended', { ...facts, why: whyOf(outcome) })
    },
  }
}

export function record(recorder: Recorder): Observer {
  return {
    claimed({ consumer, claim, envelope }) {
      const isFirst = claim.attempt === 1 && claim.crashes === 0
      if (isFirst) recorder.claimed(consumer.queue.name, envelope.enqueuedAtMs)
    },
    ended({ consumer, envelope }, outcome) {
      recorder.ended(consumer.queue.name, envelope.task, outcome)
    },
  }
}

function whyOf(outcome: Exclude<Outcome, { kind: 'succeeded' }>): string {
  return 'error' in outcome ? errorText(outcome.error) : outcome.message
}
