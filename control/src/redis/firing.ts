// Enqueues what the schedules of a queue have due, once for all who look at the queue (seen-queue.ts).
// Workers do the same; this is for a queue that has none. Two that fire at once make one job.
import { type Log, type Queue, RedisUnavailable } from 'millhand/queue'
import { type Fence, NotLeading } from '../engine/fence.ts'

export interface FiringOptions {
  /** Throws NotLeading or RedisUnavailable. */
  queue: () => Queue
  fence: Fence
  /** Called then: the next look says when the next one is due. */
  onFired: () => void
  log: Log
}

/** Looks come more often than this, and each says anew when something is due. */
const MOST_WAIT_MS = 60_000
/** A queue that is full takes no job: what is due stays due. */
const REST_MS = 5_000

export class Firing {
  readonly #options: FiringOptions
  #timer: NodeJS.Timeout | undefined
  #isFiring = false
  /** The last call fired nothing. */
  #isResting = false
  #isFailing = false
  #isClosed = false

  constructor(options: FiringOptions) {
    this.#options = options
  }

  /** After each look: in how many ms the next one is due; undefined for none. */
  due(inMs: number | undefined): void {
    clearTimeout(this.#timer)
    if (inMs === undefined || inMs > MOST_WAIT_MS) return
    if (this.#isFiring || this.#isClosed || !this.#options.fence.isOpen) return
    const waitMs = inMs === 0 && this.#isResting ? REST_MS : inMs
    this.#timer = setTimeout(() => void this.#fire(), waitMs).unref()
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
  }

  async #fire(): Promise<void> {
    const { queue, onFired, log } = this.#options
    this.#isFiring = true
    try {
      const { name, schedules } = queue()
      const { runs, unreadable } = await schedules.fireDue()
      this.#isResting = runs.length === 0
      this.#isFailing = false
      if (runs.length > 0) log.info('enqueued jobs of schedules', { queue: name, jobs: runs.length })
      if (unreadable.length > 0)
        log.warn('schedules are not readable: upgrade this program', { queue: name, schedules: unreadable })
    } catch (error) {
      this.#isResting = true
      if (error instanceof NotLeading || error instanceof RedisUnavailable) return
      if (!this.#isFailing) log.warn('could not enqueue jobs of schedules', { error })
      this.#isFailing = true
    } finally {
      this.#isFiring = false
      if (!this.#isClosed) onFired()
    }
  }
}
