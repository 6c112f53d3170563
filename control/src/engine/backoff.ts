// Back-off with jitter, and a sleep that a signal ends. Used by this folder and by the operator's kube/.

export interface BackOff {
  firstMs: number
  longestMs: number
}

/**
 * `firstMs`, doubled with each failure up to `longestMs`; the result is a random part of it, half at least.
 */
export function waitAfterFailuresMs(
  { firstMs, longestMs }: BackOff,
  failures: number,
  random: () => number,
): number {
  const doublings = Math.min(Math.max(failures - 1, 0), 40)
  return Math.min(longestMs, firstMs * 2 ** doublings) * (1 - random() / 2)
}

/** Resolves when the time is over or the signal aborts; never fails. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const end = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    signal.addEventListener('abort', end)
  })
}
