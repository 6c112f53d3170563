// Fires the schedules of one queue when they are due. Each heartbeat hears when the next one is (heartbeat.ts); one that
// comes before the next heartbeat gets a timer of its own. All workers of the queue do this: a run is enqueued once.
import type { Log } from '../log.ts'
import type { Queue } from '../queue/queue.ts'
import { RENEW_MS } from '../queue/settings.ts'

export interface SchedulesOptions {
  readonly queue: Queue
  readonly log: Log
}

/** Many workers know of the same due time: mostly the first one does the work of all. */
const SPREAD_MS = 100
/** Where something stays due: the queue is full. */
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

  /** In how many ms the next one fires; undefined where none does. */
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
