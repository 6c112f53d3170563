// How an attempt's outcome is told to Redis (pure). Redis decides whether a failed job is tried again, by the
// one rule that also serves the jobs of dead workers (queue/lua/try-again.lua).
import type { Outcome } from '../child/outcome.ts'
import { fingerprintOf } from '../fingerprint.ts'
import { type AttemptFacts, completedText, type Envelope } from '../job.ts'
import type { Claim, Settlement } from '../queue/hold.ts'

const MAX_RECORD_TEXT = 4_096

/** undefined: the worker no longer holds the job, so there is nothing to settle. */
export function settlementOf(
  { claim, envelope, worker }: { claim: Claim; envelope: Envelope; worker: string },
  outcome: Outcome,
): Settlement | undefined {
  const { id, token } = claim
  switch (outcome.kind) {
    case 'succeeded':
      return { id, token, verdict: 'completed', text: completedText(envelope, outcome) }
    case 'cancelled':
      return { id, token, verdict: 'cancelled', text: '' }
    case 'handed-back':
      return handedBack(claim)
    case 'could-not-start':
      return handedBack(claim, 'could-not-start')
    case 'rests': {
      const { ms, pause } = outcome.rest
      return { id, token, verdict: 'rests', text: `${ms} ${pause}\n${recordOf(outcome, worker)}` }
    }
    case 'lost-hold':
      return undefined
    default:
      return failed(claim, outcome, worker)
  }
}

/** A job whose envelope this release cannot read fails, so that a person sees it. */
export function unreadable(claim: Claim, worker: string): Settlement {
  const outcome = 'failed'
  const message = 'the envelope of this job cannot be read by this release of Millhand'
  const record = { outcome, group: fingerprintOf({ outcome, message }), message, worker }
  return { id: claim.id, token: claim.token, verdict: 'failed', text: JSON.stringify(record) }
}

/** `why`: no attempt began. The event of the hand back says it. */
export function handedBack(
  { id, token }: { id: string; token: string },
  why: 'could-not-start' | 'answer-lost' | 'no-slot' | '' = '',
): Settlement {
  return { id, token, verdict: 'handed-back', text: why }
}

function failed({ id, token }: Claim, outcome: Failure, worker: string): Settlement {
  return { id, token, verdict: outcome.terminal ? 'terminal' : 'failed', text: recordOf(outcome, worker) }
}

type Failure = Exclude<Outcome, { kind: 'succeeded' | 'rests' }>

function recordOf(outcome: Exclude<Outcome, { kind: 'succeeded' }>, worker: string): string {
  const { output, ...facts } = outcome.facts
  const { cpuSystemMs, cpuUserMs, ...rest } = facts
  const rounded: AttemptFacts = {
    ...(cpuUserMs !== undefined && { cpuUserMs: Math.round(cpuUserMs) }),
    ...(cpuSystemMs !== undefined && { cpuSystemMs: Math.round(cpuSystemMs) }),
  }
  const why = 'error' in outcome ? { error: outcome.error } : { message: outcome.message }
  // These two come first, for the script that counts them (queue/lua/errors.lua).
  return JSON.stringify({
    outcome: outcome.kind,
    group: fingerprintOf({ outcome: outcome.kind, ...why }),
    ...why,
    ...rest,
    ...rounded,
    durationMs: Math.round(facts.durationMs),
    endedAtMs: Math.round(facts.startedAtMs + facts.durationMs),
    ...(output && { output: output.slice(-MAX_RECORD_TEXT) }),
    worker,
  })
}
