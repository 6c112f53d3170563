// Children that start ahead of time and have loaded the user's modules. pool.ts and shared-child.ts take
// them. At most `width` children are ready or starting, and starts back off after a failure.
import { startDeadline } from '../deadline.ts'
import type { Log } from '../log.ts'
import { type Child, type Failure, STOPPING } from './child.ts'
import { isForWantOfResources, withLimit } from './limits.ts'
import { loadTimedOut } from './load-failure.ts'
import { killChild } from './stop.ts'

export interface LoadOptions {
  start: () => Promise<Child | Failure>
  loadTimeoutMs: number
}

export interface SparesOptions extends LoadOptions {
  /** How many to keep ready; 0: starts one on request. */
  ahead: number
  /** How many may be ready or starting at once. */
  width: number
  log: Log
}

export interface Taking {
  /** A loaded child, or why there is none. */
  readonly child: Promise<Child | Failure>
  /** Stops waiting; `child` then resolves with a failure. */
  cancel(): void
}

/** After the last request for a child: in a backlog a rehearsal would only take the processor from jobs. */
const REHEARSE_AFTER_MS = 5
const FIRST_BACKOFF_MS = 100
const LONGEST_BACKOFF_MS = 10_000
/**
 * A start at once, a fork of milliseconds, would take the processor from the job that has just got a ready
 * child.
 */
const REFILL_AFTER_MS = 4
/** At a limit of the machine all children are for jobs, so it keeps none ready for this time. */
const NONE_AHEAD_MS = 30_000

export class Spares {
  readonly #options: SparesOptions
  readonly #ready = new Set<Child>()
  readonly #rehearsed = new WeakSet<Child>()
  /** How many were taken and have not ended. */
  #atWork = 0
  readonly #waiting = new Set<(child: Child | Failure) => void>()
  #starting = 0
  #failures = 0
  #backoff: NodeJS.Timeout | undefined
  #noneAheadBeforeMs = 0
  /** A replacement is due soon. */
  #refilling: NodeJS.Timeout | undefined
  #rehearsing: NodeJS.Timeout | undefined
  #isStopped = false

  constructor(options: SparesOptions) {
    this.#options = options
  }

  take(): Taking {
    this.#rehearsing?.refresh()
    let settle: (child: Child | Failure) => void = () => {}
    const child = new Promise<Child | Failure>((resolve) => {
      settle = resolve
    })
    if (this.#isStopped) settle(STOPPING)
    else this.#waiting.add(settle)
    this.#serve()
    const cancel = () => {
      if (this.#waiting.delete(settle)) settle({ failure: 'no longer needed' })
    }
    return { child, cancel }
  }

  /** A child that is already loaded. */
  add(child: Child): void {
    this.#failures = 0
    this.#ready.add(child)
    this.#rehearsing ??= setTimeout(() => this.#rehearse(), REHEARSE_AFTER_MS).unref()
    void child.closed.then(() => {
      if (this.#ready.delete(child)) this.#failed({ failure: 'a child ended while it waited for a job' })
      else this.#atWork -= 1
    })
    this.#serve()
  }

  /** A waiting child can prepare for its job, while a slot is free. */
  #rehearse(): void {
    this.#rehearsing = undefined
    if (this.#atWork >= this.#options.width) return
    for (const child of this.#ready) {
      if (this.#rehearsed.has(child)) continue
      this.#rehearsed.add(child)
      child.send({ kind: 'rehearse' })
    }
  }

  #refill(): void {
    clearTimeout(this.#refilling)
    this.#refilling = undefined
    if (this.#isStopped || this.#backoff) return
    const ahead = performance.now() < this.#noneAheadBeforeMs ? 0 : this.#options.ahead
    const missing = ahead + this.#waiting.size - this.#ready.size - this.#starting
    const room = Math.max(this.#options.width, 1) - this.#ready.size - this.#starting
    for (let count = Math.min(missing, room); count > 0; count -= 1) void this.#startOne()
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    clearTimeout(this.#backoff)
    clearTimeout(this.#refilling)
    for (const settle of this.#waiting) settle(STOPPING)
    this.#waiting.clear()
    const ready = [...this.#ready]
    this.#ready.clear()
    await Promise.all(ready.map(killChild))
  }

  #serve(): void {
    const isEnough = this.#waiting.size <= this.#ready.size
    for (const settle of this.#waiting) {
      const child = this.#takeReady()
      if (!child) break
      this.#waiting.delete(settle)
      settle(child)
    }
    if (isEnough) this.#refilling ??= setTimeout(() => this.#refill(), REFILL_AFTER_MS)
    else this.#refill()
  }

  #takeReady(): Child | undefined {
    for (const child of this.#ready) {
      this.#ready.delete(child)
      this.#atWork += 1
      if (!child.isSpent) return child
      void killChild(child)
    }
  }

  async #startOne(): Promise<void> {
    this.#starting += 1
    const child = await startLoaded(this.#options)
    this.#starting -= 1
    if ('failure' in child) return this.#failed(child)
    if (this.#isStopped) return void killChild(child)
    this.add(child)
  }

  /** Attempts without a starting child get the failure, and the next start waits. */
  #failed({ failure: reason }: Failure): void {
    if (this.#isStopped) return
    const failure = withLimit(reason)
    if (isForWantOfResources(failure)) this.#noneAheadBeforeMs = performance.now() + NONE_AHEAD_MS
    const delayMs = Math.min(FIRST_BACKOFF_MS * 2 ** this.#failures, LONGEST_BACKOFF_MS)
    this.#failures += 1
    this.#options.log.warn('a child could not be started', { reason: failure, nextStartInMs: delayMs })
    for (const settle of this.#waiting) {
      if (this.#waiting.size <= this.#starting) break
      this.#waiting.delete(settle)
      settle({ failure })
    }
    clearTimeout(this.#backoff)
    this.#backoff = setTimeout(() => {
      this.#backoff = undefined
      this.#refill()
    }, delayMs)
  }
}

/**
 * A child that is ready for attempts. Ends a child that cannot load the modules, or does not in time.
 */
export async function startLoaded({ start, loadTimeoutMs }: LoadOptions): Promise<Child | Failure> {
  const child = await start()
  if ('failure' in child) return child
  const { promise: tooLate, resolve } = Promise.withResolvers<Failure>()
  const callOff = startDeadline(loadTimeoutMs, () => resolve(loadTimedOut(loadTimeoutMs)))
  const loaded = await Promise.race([child.loaded, tooLate])
  callOff()
  if (!('failure' in loaded)) return child
  await killChild(child)
  return loaded
}
