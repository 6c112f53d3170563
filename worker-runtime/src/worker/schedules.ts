// Fires the due schedules of one queue. Each heartbeat tells the next due time (heartbeat.ts); a schedule
// that is due before the next heartbeat gets a timer. All workers of the queue do this, and each run is
// enqueued once.
import type { Log } from '../log.ts'
import type { Queue } from '../queue/queue.ts'
import { RENEW_MS } from '../queue/settings.ts'

export interface SchedulesOptions {
  readonly queue: Queue
  readonly log: Log
}

/** Jitter: many workers know the same due time, and the first one does the work of all. */
const SPREAD_MS = 100
/** The pause while a schedule stays due because the queue is full. */
const AGAIN_MS = 1_000

export class Schedules {
  readonly #queue: Queue
  readonly #log: Log
  #timer: NodeJS.Timeout | undefined
  #isStopped = false

  constructor({ queue, log }: SchedulesOptions) {
    this.#queue = queue
    this.#log = log
  }

  /** ms until the next schedule fires; undefined where there is none. */
  heard(nextMs: number | undefined): void {
    clearTimeout(this.#timer)
    if (nextMs === undefined || nextMs > RENEW_MS || this.#isStopped) return
    this.#timer = setTimeout(() => void this.#fire(), nextMs + Math.random() * SPREAD_MS)
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
  }

  async #fire(): Promise<void> {
    const queue = this.#queue.name
    try {
      const { runs, unreadable, nextMs } = await this.#queue.schedules.fireDue()
      for (const { name, id, lateMs } of runs)
        if (id) this.#log.info('schedule fired', { queue, schedule: name, job: id, lateMs })
        else this.#log.info('left out a run: the job before it has not ended', { queue, schedule: name })
      for (const schedule of unreadable)
        this.#log.warn('this worker cannot read a schedule: is it of a newer release?', { queue, schedule })
      this.heard(nextMs === 0 && runs.length === 0 ? AGAIN_MS : nextMs)
    } catch (error) {
      this.#log.warn('could not fire schedules', { queue, error }) // the next heartbeat tries again
    }
  }
}
