// The rules of a queue, as a TaskQueue declares them; in milliseconds. The scripts get these defaults, so
// that a queue that nobody declared behaves like an empty TaskQueue.
export interface QueueSettings {
  maxAttempts: number
  backoffMs: number
  maxBackoffMs: number
  maxCrashes: number
  timeoutMs: number
  /** Where a job goes once, when an attempt has run out of memory: `<namespace>.<name>` of a queue in the same Redis. */
  escalateTo?: string
  /** A job that has not started so long after it was due ends as expired; absent: it waits for ever. */
  expiresInMs?: number
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
  /** How many jobs may start in a time, over all workers. */
  rate?: Rate
  /** Limits of each key. */
  perKey?: KeyLimits
  /** The owner of the queue; a second owner is refused. */
  ownerUid?: string
  /** The owner in words, for people. */
  owner?: string
}

/** At most `burst` + jobs / periodMs × window jobs start in any window. */
export interface Rate {
  readonly jobs: number
  readonly periodMs: number
  /** How many may start at once; default: a tenth of `jobs`, at least 1. */
  readonly burst?: number | undefined
}

export const WHEN_AT_LIMIT = ['Wait', 'RejectNew', 'CancelOldest'] as const
/** What an enqueue does when its key is at a limit. */
export type WhenAtLimit = (typeof WHEN_AT_LIMIT)[number]

/** The limits of one key; what is absent is not limited, or as the TaskQueue says. */
export interface KeyLimits {
  /** Jobs that run at once. */
  readonly maxBusy?: number | undefined
  readonly rate?: Rate | undefined
  /** Ready jobs. */
  readonly maxLength?: number | undefined
  /** What an enqueue does when the key is at a limit. */
  readonly whenAtLimit?: WhenAtLimit | undefined
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
