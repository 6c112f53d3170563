// Blocks on the wake markers of queues, on its own connection, while the worker has free slots. In a Cluster
// each queue has a waker, because one call cannot wait for keys of different slots. A claim must follow each
// popped marker, even for 0 jobs: only that puts the marker back for the next idle worker.
import type { Log } from '../log.ts'
import { wakeKey } from '../queue/keys.ts'
import type { Connection } from '../redis/connection.ts'

/** A queue that it waits for. */
export interface Sleeper {
  readonly queue: { readonly name: string }
  /** Its pod drains: it must leave the marker to other workers. */
  readonly isDraining: boolean
  readonly turn: {
    readonly isUnderWay: boolean
    /** Its marker was popped. */
    woken(): void
    /** There may be work. */
    work(): void
  }
}

export interface WakerOptions {
  readonly redis: Connection
  readonly queues: readonly Sleeper[]
  readonly log: Log
  readonly onWake: () => void
}

/** The longest block: it finds a dead connection, and delayed jobs without a marker. */
const LONGEST_BLOCK_S = 5
const ALL_DRAIN_MS = 1_000
const AFTER_ERROR_MS = 500

export class Waker {
  readonly #options: WakerOptions
  #isBlocking = false
  #isStopped = false

  constructor(options: WakerOptions) {
    this.#options = options
  }

  /** Blocks in the background unless it already does. Then it tells the turns that there may be work. */
  sleep(): void {
    if (this.#isBlocking || this.#isStopped) return
    // An exchange is under way: it tells more than a marker, and the worker looks again after its answer.
    if (this.#options.queues.every(({ turn }) => turn.isUnderWay)) return
    this.#isBlocking = true
    void this.#block().finally(() => {
      this.#isBlocking = false
      if (!this.#isStopped) this.#options.onWake()
    })
  }

  /** Pops no marker from now on. */
  stop(): void {
    this.#isStopped = true
    this.#options.redis.close()
  }

  async #block(): Promise<void> {
    const { redis, queues, log } = this.#options
    const awake = queues.filter(({ isDraining }) => !isDraining)
    const byKey = new Map(awake.map((sleeper) => [wakeKey(sleeper.queue.name), sleeper]))
    if (byKey.size === 0) return this.#pause(ALL_DRAIN_MS)
    const deadlineMs = (LONGEST_BLOCK_S + 3) * 1000
    try {
      const popped = await redis.send(['BZPOPMIN', ...byKey.keys(), LONGEST_BLOCK_S], deadlineMs)
      const woken = Array.isArray(popped) ? byKey.get(String(popped[0])) : undefined
      if (woken) woken.turn.woken()
      else this.#lookEverywhere()
    } catch (error) {
      // The claim that follows meets the same error and reports it.
      log.debug('could not wait for work', { error })
      await this.#pause(AFTER_ERROR_MS)
    }
  }

  async #pause(forMs: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, forMs))
    this.#lookEverywhere()
  }

  #lookEverywhere(): void {
    for (const { turn } of this.#options.queues) turn.work()
  }
}
