// Arrival rate and mean duration of the jobs of a queue, measured from its counters for the target Latency.
// Pure.
import type { Rate } from './replicas.ts'

export interface Counters {
  /** Jobs enqueued since the queue exists. */
  enqueued: number
  /** Attempts that ended since the queue exists. */
  ended: number
  /** Jobs held now. */
  busy: number
}

/** Sums that decay with time. Begin with undefined. */
export interface Measured {
  last: Counters
  atMs: number
  elapsedMs: number
  arrivals: number
  endings: number
  busyMs: number
}

// The weight of a moment falls to a third in this time.
const MEMORY_MS = 60_000

export function measure(before: Measured | undefined, now: Counters, nowMs: number): Measured {
  // Counters that went back belong to a queue that was emptied from outside: begin again.
  if (!before || now.enqueued < before.last.enqueued || now.ended < before.last.ended) {
    return { last: now, atMs: nowMs, elapsedMs: 0, arrivals: 0, endings: 0, busyMs: 0 }
  }
  const elapsedMs = Math.max(0, nowMs - before.atMs)
  const kept = Math.exp(-elapsedMs / MEMORY_MS)
  return {
    last: now,
    atMs: nowMs,
    elapsedMs: before.elapsedMs * kept + elapsedMs,
    arrivals: before.arrivals * kept + now.enqueued - before.last.enqueued,
    endings: before.endings * kept + now.ended - before.last.ended,
    busyMs: before.busyMs * kept + ((before.last.busy + now.busy) / 2) * elapsedMs,
  }
}

/**
 * By Little's law: the mean duration is the busy time of slots per attempt that ended. Undefined until one
 * has ended.
 */
export function rateOf(measured: Measured): Rate | undefined {
  const { elapsedMs, arrivals, endings, busyMs } = measured
  if (elapsedMs === 0 || endings < 0.5) return undefined
  return { jobsPerSecond: (arrivals * 1000) / elapsedMs, meanDurationMs: busyMs / endings }
}
