// The rules of a queue, as a TaskQueue declares them; in milliseconds. The scripts get these defaults, so
// that a queue that nobody declared behaves like an empty TaskQueue.
export interface QueueSettings {
  maxAttempts: number
  backoffMs: number
  maxBackoffMs: number
  maxCrashes: number
  timeoutMs: number
  maxLength: number
  maxPayloadBytes: number
  completedMaxAgeMs: number
  completedMaxCount: number
  buriedMaxAgeMs: number
  buriedMaxCount: number
  /** Entries of the stream of events; 0: the queue keeps none. */
  eventsMaxCount: number
  suspended: boolean
  /** The most jobs that may be held at once, over all workers; absent means no limit. */
  maxBusy?: number
  /** The owner of the queue; a second owner is refused. */
  ownerUid?: string
  /** The owner in words, for people. */
  owner?: string
}

export const defaultSettings: QueueSettings = {
  maxAttempts: 3,
  backoffMs: 5_000,
  maxBackoffMs: 3_600_000,
  maxCrashes: 3,
  timeoutMs: 600_000,
  maxLength: 1_000_000,
  maxPayloadBytes: 262_144,
  completedMaxAgeMs: 3_600_000,
  completedMaxCount: 100_000,
  buriedMaxAgeMs: 2_592_000_000,
  buriedMaxCount: 10_000,
  eventsMaxCount: 10_000,
  suspended: false,
}

/** The layout of the keys. A program that meets another one refuses to touch the queue. */
export const LAYOUT = 2

/** The most jobs that one worker, or one child, may run at once; also in the CRD of WorkerPools. */
export const MOST_SLOTS = 1_000

/** A worker is alive for this long after it last said so, and says so this often. */
export const LEASE_MS = 7_000
export const RENEW_MS = 2_000
