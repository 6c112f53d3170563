// Sleeps on the wake markers of the queues, on a connection of its own, while the worker has free slots. In a Cluster
// each queue has a waker: one call cannot wait for keys of different slots. A marker that was popped
// must be followed by a claim, even for nothing, because only that puts it back for the next idle worker.
import type { Log } from '../log.ts'
import { wakeKey } from '../queue/keys.ts'
import type { Connection } from '../redis/connection.ts'
import type { Membership } from './membership.ts'

/** No block is longer, so that a dead connection is noticed and delayed jobs that nobody announced are found. */
const LONGEST_BLOCK_S = 5

export class Waker {
  readonly #redis: Connection
  readonly #members: readonly Membership[]
  readonly #log: Log
  readonly #onWake: () => void
  #isBlocking = false
  #isStopped = false

  constructor(redis: Connection, members: readonly Membership[], log: Log, onWake: () => void) {
    this.#redis = redis
    this.#members = members
    this.#log = log
    this.#onWake = onWake
  }

  /** Blocks in the background unless it already does; afterwards the memberships know that they may have work. */
  sleep(): void {
    if (this.#isBlocking || this.#isStopped) return
    this.#isBlocking = true
    void this.#block().finally(() => {
      this.#isBlocking = false
      if (!this.#isStopped) this.#onWake()
    })
  }

  /** From now on no marker is popped here. */
  stop(): void {
    this.#isStopped = true
    this.#redis.close()
  }

  async #block(): Promise<void> {
    const awake = this.#members.filter((member) => !member.isDraining)
    const byKey = new Map(awake.map((member) => [wakeKey(member.queue.name), member]))
    if (byKey.size === 0) return this.#pause(1_000)
    try {
      const popped = await this.#redis.callWithin(
        (LONGEST_BLOCK_S + 3) * 1000,
        'BZPOPMIN',
        ...byKey.keys(),
        LONGEST_BLOCK_S,
      )
      const woken = Array.isArray(popped) ? byKey.get(String(popped[0])) : undefined
      if (woken) woken.owesClaim = true
      for (const member of woken ? [woken] : this.#members) member.mayHaveWork = true
    } catch (error) {
      // Whatever it is: the claim that follows will meet it too, and say so.
      this.#log.debug('could not wait for work', { error })
      await this.#pause(500)
    }
  }

  async #pause(forMs: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, forMs))
    for (const member of this.#members) member.mayHaveWork = true
  }
}
