// The back-off of a crash loop: the first replacement of a dead worker starts at once, each further one
// later, so that a pool of dying workers does not keep the machine busy.

export interface CrashLoop {
  failures: number
  notBeforeMs: number
}

const FIRST_WAIT_MS = 500
const LONGEST_WAIT_MS = 30_000
/** A worker that lives this long is healthy, and so is a pool without a death for this long. */
const HEALTHY_MS = 60_000

export const noCrashes: CrashLoop = { failures: 0, notBeforeMs: 0 }

export function afterDeath({ failures, notBeforeMs }: CrashLoop, livedMs: number, nowMs: number): CrashLoop {
  const wasHealthy = livedMs >= HEALTHY_MS || nowMs - notBeforeMs >= HEALTHY_MS
  const inARow = wasHealthy ? 1 : failures + 1
  const waitMs = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (inARow - 1))
  return { failures: inARow, notBeforeMs: nowMs + waitMs }
}

/** How many missing workers may start now: in a crash loop one at a time, until it is ready. */
export function allowedStarts(
  loop: CrashLoop,
  { missing, starting }: { missing: number; starting: number },
  nowMs: number,
): number {
  if (nowMs < loop.notBeforeMs) return 0
  return loop.failures > 1 && nowMs - loop.notBeforeMs < HEALTHY_MS
    ? Math.max(0, Math.min(missing, 1 - starting))
    : missing
}
