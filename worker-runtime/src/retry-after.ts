// What a task throws that meets a limit of somebody else: nothing has failed, and another try makes sense
// later.
import { shown } from './options.ts'

export const PAUSES = ['job', 'key', 'queue'] as const
const MOST_MS = 1e12
const RETRY_AFTER = Symbol.for('millhand.retryAfter')

/** What rests: the job alone, all jobs of its key, or the whole queue. Jobs that run already run on. */
export type RestOf = (typeof PAUSES)[number]

/** A job rests for so many ms from its end. */
export interface Rest {
  readonly ms: number
  readonly pause: RestOf
}

/**
 * Thrown by a task whose job is to be tried again in `ms` and not before: no attempt is counted. `pause` says
 * what rests until then, by the clock of Redis: this job (the default), all jobs of its key (the job alone
 * where it has none), or the whole queue. A job may rest 1,000 times; after that each is a failed attempt.
 * Throws RangeError for an `ms` that is no whole number from 1 to 1e12, or an unknown pause.
 */
export class RetryAfter extends Error {
  readonly [RETRY_AFTER]: Rest
  override name = 'RetryAfter'

  constructor(ms: number, { pause = 'job', message }: { pause?: RestOf; message?: string } = {}) {
    super(message ?? `the task asks for a rest of ${ms} ms (${pause})`)
    if (!isRest({ ms, pause }))
      throw new RangeError(
        `invalid RetryAfter(${shown(ms)}, { pause: ${shown(pause)} }): use a whole number of ms from 1 to 1e12, and one of ${PAUSES.join(', ')}`,
      )
    this[RETRY_AFTER] = { ms, pause }
  }
}

/** Modules of the user and the program of the child may have loaded two copies of this package. */
export function restIn(error: unknown): Rest | undefined {
  try {
    const rest = (error as { [RETRY_AFTER]?: Rest } | null | undefined)?.[RETRY_AFTER]
    return rest && isRest(rest) ? { ms: rest.ms, pause: rest.pause } : undefined
  } catch {
    return undefined // a getter that throws
  }
}

export function isRest({ ms, pause }: { ms?: unknown; pause?: unknown }): boolean {
  const isTime = Number.isSafeInteger(ms) && Number(ms) >= 1 && Number(ms) <= MOST_MS
  return isTime && PAUSES.some((each) => each === pause)
}
