// How many jobs may run at once: one a slot; fewer where the machine has no room for that many children; none
// for a while where children do not start. worker.ts asks before each claim.
import { isForWantOfResources } from '../child/limits.ts'
import type { Outcome } from '../child/outcome.ts'
import type { Log } from '../log.ts'
import type { ClaimedJob, Observer } from './observers.ts'

const MORE_AFTER_MS = 5_000

export interface StartsOptions {
  readonly slots: number
  readonly log: Log
  /** How many attempts run now. */
  readonly others: () => number
  /** More jobs may run now. */
  readonly onMore: () => void
}

export class Starts implements Observer {
  readonly #options: StartsOptions
  #failures = 0
  #pauseEndsAtMs = 0
  #mostAtOnce: number
  #growing: NodeJS.Timeout | undefined

  constructor(options: StartsOptions) {
    this.#options = options
    this.#mostAtOnce = options.slots
  }

  most(): number {
    return performance.now() < this.#pauseEndsAtMs ? 0 : this.#mostAtOnce
  }

  /** A job is not to blame for a child that does not start: the worker claims less. */
  ended(_job: ClaimedJob, outcome: Outcome): void {
    const running = this.#options.others()
    if (outcome.kind !== 'could-not-start') this.#failures = 0
    else if (running > 0 && isForWantOfResources(outcome.message)) this.#runFewer(outcome.message, running)
    else if (performance.now() >= this.#pauseEndsAtMs) this.#pause(outcome.message) // one pause for all attempts that failed together
  }

  /** Each pause is longer than the one before. */
  #pause(why: string): void {
    const waitMs = Math.min(30_000, 500 * 2 ** Math.min(this.#failures, 6))
    this.#failures += 1
    this.#pauseEndsAtMs = performance.now() + waitMs
    this.#options.log.error('a child could not start; claiming pauses', { why, waitMs })
    setTimeout(this.#options.onMore, waitMs + 1)
  }

  /** Limits the worker to the jobs that run now; later it tries more. */
  #runFewer(why: string, running: number): void {
    const { log, slots } = this.#options
    const facts = { why, atOnce: running, slots }
    if (!this.#growing) log.warn('no room for a child in every slot; running fewer jobs at once', facts)
    this.#mostAtOnce = Math.min(this.#mostAtOnce, running)
    clearTimeout(this.#growing)
    this.#growing = setTimeout(() => this.#runMore(), MORE_AFTER_MS)
  }

  #runMore(): void {
    const { slots, onMore } = this.#options
    this.#mostAtOnce = Math.min(slots, Math.ceil(this.#mostAtOnce * 1.25))
    this.#growing = this.#mostAtOnce < slots ? setTimeout(() => this.#runMore(), MORE_AFTER_MS) : undefined
    onMore()
  }
}
