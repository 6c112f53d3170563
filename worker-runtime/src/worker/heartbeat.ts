// The heartbeat of a worker in one queue: renews every 2 s and acts on the answer. It stops cancelled
// attempts, puts back the jobs of silent workers, logs lost enqueues, compares the held jobs, and fires
// schedules.
import type { PendingAttempt } from '../child/pool.ts'
import type { Log } from '../log.ts'
import type { Queue } from '../queue/queue.ts'
import { RENEW_MS } from '../queue/settings.ts'
import type { Holdings } from './holdings.ts'
import { Outbox } from './outbox.ts'
import { Schedules } from './schedules.ts'
import type { Standing } from './standing.ts'

export interface HeartbeatOptions {
  readonly queue: Queue
  readonly standing: Standing
  readonly holdings: Holdings<PendingAttempt>
  /**
   * How many exchanges have started. Between two of them only an enqueue changes the held jobs, and its
   * message comes at once.
   */
  readonly exchanges: () => number
  readonly log: Log
  readonly onBroken: (error: unknown) => void
}

/** Jitter: many workers may know when another one's heartbeat runs out. */
const SPREAD_MS = 100

export class Heartbeat {
  readonly #options: HeartbeatOptions
  readonly #queue: Queue
  readonly #standing: Standing
  readonly #holdings: Holdings<PendingAttempt>
  readonly #log: Log
  readonly #outbox: Outbox
  readonly #schedules: Schedules
  #interval: NodeJS.Timeout | undefined
  #isBeating = false
  #isBeatDue = false
  #vanished = 0
  #doubt: { held: number; exchanges: number } | undefined
  #isStopped = false

  constructor(options: HeartbeatOptions) {
    this.#options = options
    this.#queue = options.queue
    this.#standing = options.standing
    this.#holdings = options.holdings
    this.#log = options.log
    this.#outbox = new Outbox(options)
    this.#schedules = new Schedules(options)
  }

  /** Called when the worker has registered. */
  start(): void {
    this.#vanished = this.#standing.vanishedAtStart
    if (this.#isStopped) return
    this.#interval = setInterval(() => {
      this.#standing.beat()
      void this.#beat()
    }, RENEW_MS)
  }

  stop(): void {
    this.#isStopped = true
    clearInterval(this.#interval)
    this.#outbox.stop()
    this.#schedules.stop()
  }

  /**
   * Beats now, or after the answer of the running beat, which was sent before the news.
   */
  soon(): void {
    this.#isBeatDue = this.#isBeating
    void this.#beat()
  }

  /** A message, or a beat, says that the outbox of the queue has something to forward. */
  forward(): void {
    void this.#outbox.forward()
  }

  async #beat(): Promise<void> {
    // While the worker is unsure, standing.ts renews.
    if (this.#isBeating || !this.#standing.isSure) return
    this.#isBeating = true
    const { name } = this.#standing
    try {
      const answer = await this.#standing.renew()
      if (!answer) return
      this.#noteVanished(answer.counters.vanished)
      for (const id of answer.cancelled) this.#holdings.runningOf(id)?.stop('cancelled')
      this.#compare(answer.held)
      if (answer.hasOutbox) this.forward()
      this.#schedules.heard(answer.counters.nextScheduleMs)
      for (const each of answer.overdue) this.#reapLater(each)
      for (const worker of answer.silent) await this.#reap(worker)
    } catch (error) {
      if (!this.#standing.maySoonBeWell(error)) return this.#options.onBroken(error)
      this.#log.warn('could not renew', { queue: this.#queue.name, error })
      // An exchange may have learnt that the worker was taken for dead: then it registers already.
      if (this.#standing.name === name) void this.#standing.regain()
    } finally {
      this.#isBeating = false
      if (this.#isBeatDue) {
        this.#isBeatDue = false
        void this.#beat()
      }
    }
  }

  /**
   * Redis went back to an earlier state: a lagging replica became primary, or a restart lost the last writes.
   */
  #noteVanished(vanished: number): void {
    const atLeast = vanished - this.#vanished
    this.#vanished = vanished
    if (atLeast > 0)
      this.#log.error('Redis lost enqueues that it had acknowledged', { queue: this.#queue.name, atLeast })
  }

  /**
   * Reaps before the next heartbeat. Other workers set the same timer. The reap checks again: one of them
   * puts the jobs back, and none where the silent worker has renewed.
   */
  #reapLater({ worker, leftMs }: { worker: string; leftMs: number }): void {
    const reap = () => {
      if (this.#standing.isSure && !this.#isStopped) void this.#reap(worker).catch(() => {}) // the next heartbeat tries again
    }
    setTimeout(reap, leftMs + 1 + Math.random() * SPREAD_MS).unref()
  }

  async #reap(worker: string): Promise<void> {
    const why = 'its heartbeat ran out: the worker was killed, stopped or cut off'
    const jobs = await this.#queue.reap({ worker, evidence: 'silent', reason: why })
    if (jobs > 0)
      this.#log.warn('put back the jobs of a dead worker', { queue: this.#queue.name, worker, jobs })
  }

  /**
   * Two heartbeats with no exchange between them that count another number than here: a failover to a replica
   * that lagged looks like this. One is not enough: an exchange under way may have changed what is held, in
   * Redis or here, and not yet at the other end.
   */
  #compare(held: number): void {
    const exchanges = this.#options.exchanges()
    if (held === this.#holdings.size) {
      this.#doubt = undefined
    } else if (this.#doubt?.held === held && this.#doubt.exchanges === exchanges) {
      this.#doubt = undefined
      const facts = { queue: this.#queue.name, held, here: this.#holdings.size }
      this.#log.warn('Redis disagrees about what is held here', facts)
      void this.#standing.regain()
    } else {
      this.#doubt = { held, exchanges }
    }
  }
}
