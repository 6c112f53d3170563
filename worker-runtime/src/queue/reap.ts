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

/**
 * Puts back what a dead worker held, slice by slice; answers how many jobs. Of more than it can put back in 5
 * s the next call does more. 'silent': only if its heartbeat ran out.
 */
async function reap(
  verbs: Verbs,
  worker: string,
  evidence: 'sure' | 'silent',
  reason: string,
  counting: 'counted' | 'uncounted' = 'counted',
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
  process: string,
  reason: string,
  counting: 'counted' | 'uncounted' = 'counted',
): Promise<number> {
  let putBack = 0
  for (const worker of await workers(verbs))
    if (worker.name.startsWith(`${process}:`))
      putBack += await reap(verbs, worker.name, 'sure', reason, counting)
  return putBack
}

export const reaping = { reap, reapProcess }
