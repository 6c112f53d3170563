// Leader election by a Lease. main.ts runs it and reconciles only while `isLeader`. The rules are those of
// client-go's leaderelection, so that its experience and numbers apply.
//
//   candidate ──the lease is free, or unchanged for its duration──▶ leader ──not renewed by the deadline, or the signal──▶ candidate
//
// No clocks are compared. A candidate waits for the duration since it saw the lease change. A leader counts
// its shorter deadline from before it sent its last successful write. So the old leader knows first, even if
// a call hangs or its process stood still.

import { sleep } from '@millhand/control/engine/backoff'
import type { Log } from 'millhand/queue'

export interface Lease {
  resourceVersion: string
  /** Empty: free. */
  holder: string
  durationSeconds: number
  transitions: number
  acquireTime: string
  renewTime: string
}

export type LeaseSpec = Omit<Lease, 'resourceVersion'>

/** Its errors may have a `status`; 409: another client wrote in between. */
export interface LeaseStore {
  read(): Promise<Lease | undefined>
  create(lease: LeaseSpec): Promise<Lease>
  /** Fails with 409 when the lease has another resourceVersion by now. */
  update(lease: Lease): Promise<Lease>
}

export interface LeaderDurations {
  leaseMs: number
  renewDeadlineMs: number
  retryMs: number
}

export interface LeaderOptions {
  identity: string
  store: LeaseStore
  log: Log
  onStarted(): void
  /** When the signal ends it, the lease is released after this. */
  onStopped(): void | Promise<void>
  durations?: LeaderDurations
  nowMs?: () => number
  wallNow?: () => Date
  random?: () => number
}

const DURATIONS: LeaderDurations = { leaseMs: 15_000, renewDeadlineMs: 10_000, retryMs: 2_000 }
/** Jitter of the retry period. client-go's 1.2 would delay the next leader by up to five seconds more. */
const JITTER = 0.2
/** Failures in a row between two lines of the log. */
const LOG_EVERY = 10

export class LeaderElection {
  readonly #options: LeaderOptions
  readonly #durations: LeaderDurations
  readonly #nowMs: () => number
  readonly #wallNow: () => Date
  #leadsUntilMs = Number.NEGATIVE_INFINITY
  /** The lease after our last write; undefined when it has to be read. */
  #mine: Lease | undefined
  #failures = 0
  /** The last change of the lease, and when it was seen. */
  #seen: { lease: Lease; atMs: number } | undefined

  constructor(options: LeaderOptions) {
    this.#options = options
    this.#durations = options.durations ?? DURATIONS
    this.#nowMs = options.nowMs ?? (() => performance.now())
    this.#wallNow = options.wallNow ?? (() => new Date())
  }

  /** False as soon as the deadline has passed, whatever is running. */
  get isLeader(): boolean {
    return this.#nowMs() < this.#leadsUntilMs
  }

  /** Runs until the signal; becomes a candidate again after it lost the lease. */
  async run(signal: AbortSignal): Promise<void> {
    const { log, identity, onStarted, onStopped, random = Math.random } = this.#options
    while (!signal.aborted) {
      await this.#try(this.#durations.renewDeadlineMs)
      if (signal.aborted) break
      if (!this.isLeader) {
        const pauseMs = this.#durations.retryMs * (1 + JITTER * random())
        const isFreeInMs = this.#seenFreeAtMs - this.#nowMs()
        await sleep(isFreeInMs > 0 ? Math.min(pauseMs, isFreeInMs) : pauseMs, signal)
        continue
      }
      log.info('became leader', { identity })
      onStarted()
      await this.#keepLeading(signal)
      // After the signal it leads until the running reconciles have ended.
      if (!signal.aborted) this.#leadsUntilMs = Number.NEGATIVE_INFINITY
      await onStopped()
      log[signal.aborted ? 'info' : 'warn']('lost leadership', { identity })
    }
    this.#leadsUntilMs = Number.NEGATIVE_INFINITY
    const over = new AbortController()
    await Promise.race([this.#release(), sleep(this.#durations.renewDeadlineMs, over.signal)])
    over.abort()
  }

  async #keepLeading(signal: AbortSignal): Promise<void> {
    const leftMs = () => Math.max(0, this.#leadsUntilMs - this.#nowMs())
    while (this.isLeader && !signal.aborted) {
      await sleep(Math.min(this.#durations.retryMs, leftMs()), signal)
      if (this.isLeader && !signal.aborted) await this.#try(leftMs())
    }
  }

  /**
   * Resolves when the attempt succeeded, failed or timed out; a success after the time-out makes no leader.
   */
  async #try(withinMs: number): Promise<void> {
    const over = new AbortController()
    const succeeded = () => {
      this.#failures = 0
    }
    const trying = this.#acquireOrRenew(over.signal).then(succeeded, (error: unknown) => {
      // The write may have succeeded nevertheless, or the lease may be gone.
      if (!over.signal.aborted) this.#mine = undefined
      this.#failures += 1
      const level = this.#failures % LOG_EVERY === 1 ? 'warn' : 'debug'
      const facts = { failures: this.#failures, error }
      this.#options.log[level]('The lease of the leader cannot be read or written: trying again', facts)
    })
    await Promise.race([trying, sleep(withinMs, over.signal)])
    over.abort()
  }

  async #acquireOrRenew(over: AbortSignal): Promise<void> {
    try {
      await this.#acquireOrRenewOnce(over)
    } catch (error) {
      if (!isConflict(error) || over.aborted) throw error
      // Reads the write of another candidate, or our own whose answer was lost.
      this.#mine = undefined
      await this.#acquireOrRenewOnce(over)
    }
  }

  async #acquireOrRenewOnce(over: AbortSignal): Promise<void> {
    const { store, identity } = this.#options
    const { leaseMs } = this.#durations
    const lease = this.#mine ?? (await store.read())
    if (over.aborted) return
    if (lease) this.#look(lease)
    if (lease && this.#belongsToAnother(lease)) return
    const startedMs = this.#nowMs()
    const renewTime = this.#wallNow().toISOString()
    const durationSeconds = Math.ceil(leaseMs / 1000)
    const wanted: LeaseSpec =
      lease?.holder === identity
        ? { ...lease, durationSeconds, renewTime }
        : {
            holder: identity,
            durationSeconds,
            renewTime,
            acquireTime: renewTime,
            transitions: lease ? lease.transitions + 1 : 0,
          }
    const written = await (lease
      ? store.update({ ...wanted, resourceVersion: lease.resourceVersion })
      : store.create(wanted))
    this.#look(written)
    if (over.aborted) return
    this.#mine = written
    this.#leadsUntilMs = startedMs + this.#durations.renewDeadlineMs
  }

  #look(lease: Lease): void {
    const before = this.#seen?.lease
    if (before && isSameClaim(before, lease)) return
    const isAnothers = lease.holder !== '' && lease.holder !== this.#options.identity
    if (isAnothers && before?.holder !== lease.holder)
      this.#options.log.info('another instance is the leader', { holder: lease.holder })
    this.#seen = { lease, atMs: this.#nowMs() }
  }

  #belongsToAnother(lease: Lease): boolean {
    if (lease.holder === '' || lease.holder === this.#options.identity) return false
    return this.#nowMs() < this.#seenFreeAtMs
  }

  /** When the lease that was seen last expires, unless it is renewed. */
  get #seenFreeAtMs(): number {
    if (!this.#seen) return Number.NEGATIVE_INFINITY
    const { lease, atMs } = this.#seen
    return atMs + (lease.durationSeconds * 1000 || this.#durations.leaseMs)
  }

  async #release(): Promise<void> {
    if (this.#seen?.lease.holder !== this.#options.identity) return
    try {
      await this.#releaseOnce(this.#mine).catch((error: unknown) => {
        if (isConflict(error)) return this.#releaseOnce(undefined)
        throw error
      })
    } catch (error) {
      this.#options.log.warn('could not release the lease: it expires by itself', { error })
    }
  }

  async #releaseOnce(known: Lease | undefined): Promise<void> {
    const { store, identity } = this.#options
    const lease = known ?? (await store.read())
    if (lease?.holder !== identity) return
    const now = this.#wallNow().toISOString()
    await store.update({ ...lease, holder: '', durationSeconds: 1, renewTime: now, acquireTime: now })
  }
}

function isSameClaim(a: Lease, b: Lease): boolean {
  return a.holder === b.holder && a.renewTime === b.renewTime && a.transitions === b.transitions
}

function isConflict(error: unknown): boolean {
  return error instanceof Error && 'status' in error && error.status === 409
}
