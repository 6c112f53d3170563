// The verb of whoever finds a worker dead: what it held is put back, or buried after too many crashes.
import { fingerprintOf } from '../fingerprint.ts'
import { amountOf, listOf } from './answers.ts'
import { seed } from './hold.ts'
import { workers } from './people.ts'
import type { Verbs } from './verbs.ts'

/** To put back a job takes a dozen commands. */
const REAP_SLICE = 100
/** The longest time for one call of reap, however often the server answers that more is left. */
const REAP_WITHIN_MS = 5_000

export interface Death {
  /** For people: how it died. It stands in the record of each attempt. */
  readonly reason: string
  /** Whether it counts as a crash of each job: 'counted' where nothing is said. */
  readonly counting?: 'counted' | 'uncounted'
}

/** A worker that is dead, and how the caller knows. */
export interface DeadWorker extends Death {
  readonly worker: string
  /** 'silent': it is dead only if its heartbeat ran out, which Redis decides. */
  readonly evidence: 'sure' | 'silent'
}

/**
 * Puts back what a dead worker held, slice by slice; answers how many jobs. One call ends after 5 s; the next
 * one puts back the rest.
 */
async function reap(
  verbs: Verbs,
  { worker, evidence, reason, counting = 'counted' }: DeadWorker,
): Promise<number> {
  // A reason that was cut may end in half a character, which Redis cannot read as JSON.
  const message = reason.toWellFormed()
  const outcome = 'worker-lost'
  const group = fingerprintOf({ outcome, message })
  const record = JSON.stringify({ outcome, group, message, worker, endedAtMs: Date.now() })
  let putBack = 0
  const untilMs = performance.now() + REAP_WITHIN_MS
  do {
    const args = [worker, evidence, counting, record, seed(), REAP_SLICE]
    const [done, left] = await verbs.write('reap', args, (answer) => listOf(answer, 'what was put back'))
    if (done === -1) break
    putBack += amountOf(done, 'what was put back')
    if (amountOf(left, 'what is left to put back') === 0) break
  } while (performance.now() < untilMs)
  return putBack
}

/** All workers that this process registered are dead for sure. Answers how many jobs were put back. */
async function reapProcess(
  verbs: Verbs,
  { process, ...death }: Death & { readonly process: string },
): Promise<number> {
  let putBack = 0
  for (const worker of await workers(verbs))
    if (worker.name.startsWith(`${process}:`))
      putBack += await reap(verbs, { worker: worker.name, evidence: 'sure', ...death })
  return putBack
}

export const reaping = { reap, reapProcess }
