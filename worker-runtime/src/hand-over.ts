// What a task throws when its worker drains, to give its job back (child/outcome.ts).
const HAND_OVER = Symbol.for('millhand.handOver')

/**
 * Thrown by a task whose worker drains (`job.draining`): its job goes back to the queue at once, first in its
 * lane, and no attempt is counted. Where the worker does not drain the attempt has failed.
 */
export class HandOver extends Error {
  readonly [HAND_OVER] = true
  override name = 'HandOver'

  constructor(message = 'the task hands its job over') {
    super(message)
  }
}

/** Modules of the user and the program of the child may have loaded two copies of this package. */
export function isHandOver(error: unknown): boolean {
  try {
    return (error as { [HAND_OVER]?: unknown } | null | undefined)?.[HAND_OVER] === true
  } catch {
    return false // a getter that throws
  }
}
