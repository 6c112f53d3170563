// Ends a child: first a message and SIGTERM to its group, after the grace SIGKILL to the group.
import { startDeadline } from '../deadline.ts'
import type { Child } from './child.ts'

export const GRACE_MS = 2_000
const EXIT_GRACE_MS = 1_000

/** Ends a child without work. Resolves when it is gone. */
export async function endChild(child: Child): Promise<void> {
  child.end()
  await letEnd(child)
}

/**
 * Waits up to the grace for a child that ends by itself, like one that is used once.
 */
export async function letEnd(child: Child, graceMs = EXIT_GRACE_MS): Promise<void> {
  const callOff = startDeadline(graceMs, () => child.kill('SIGKILL'))
  await child.closed
  callOff()
}

/** Ends a child at once, with its processes. */
export async function killChild(child: Child): Promise<void> {
  child.isSpent = true
  child.kill('SIGKILL')
  await child.closed
}
