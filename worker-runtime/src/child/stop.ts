// Ending a child. Asking comes first (a message, SIGTERM to its group), then SIGKILL to the group when the
// grace is over.
import { startDeadline } from '../deadline.ts'
import type { Child } from './child.ts'

export const GRACE_MS = 2_000
const EXIT_GRACE_MS = 1_000

/** Ends a child that has nothing more to do. Resolves when it is gone. */
export async function endChild(child: Child): Promise<void> {
  child.end()
  await letEnd(child)
}

/**
 * Waits for a child that ends by itself, as one that is used once does after its job; not longer than the
 * grace.
 */
export async function letEnd(child: Child, graceMs = EXIT_GRACE_MS): Promise<void> {
  const callOff = startDeadline(graceMs, () => child.kill('SIGKILL'))
  await child.closed
  callOff()
}

/** Ends a child at once, with all it started. */
export async function killChild(child: Child): Promise<void> {
  child.isSpent = true
  child.kill('SIGKILL')
  await child.closed
}
