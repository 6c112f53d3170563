// Sleeps on the wake markers of the queues, on a connection of its own, while the worker has free slots. A marker that was popped
// must be followed by a claim, even for nothing, because only that puts it back for the next idle worker.
import type { Log } from './log.ts'
import type { Membership } from './membership.ts'
import { wakeKey } from './queue/keys.ts'
import type { Connection } from './queue/redis.ts'

/** No block is longer, so that a dead connection is noticed and delayed jobs that nobody announced are found. */
const LONGEST_BLOCK_S = 5

export class Waker {
  readonly #redis: Connection
  readonly #log: Log
  readonly #onWake: () => void
  #isBlocking = false
  #isStopped = false

  constructor(redis: Connection, log: Log, onWake: () => void) {
    this.#redis = redis
    this.#log = log
    this.#onWake = onWake
  }

  /** Blocks in the background unless it already does; afterwards the memberships know that they may have work. */
  sleepOn(members: readonly Membership[]): void {
    if (this.#isBlocking || this.#isStopped) return
    this.#isBlocking = true
    void this.#block(members).finally(() => {
      this.#isBlocking = false
      if (!this.#isStopped) this.#onWake()
    })
  }

  /** From now on no marker is popped here. */
  stop(): void {
    this.#isStopped = true
    this.#redis.close()
  }

  async #block(members: readonly Membership[]): Promise<void> {
    const awake = members.filter((member) => !member.isDraining)
    const byKey = new Map(awake.map((member) => [wakeKey(member.queue.name), member]))
    if (byKey.size === 0) return this.#pause(1_000, members)
    try {
      const popped = await this.#redis.callWithin(
        (LONGEST_BLOCK_S + 3) * 1000,
        'BZPOPMIN',
        ...byKey.keys(),
        LONGEST_BLOCK_S,
      )
      const woken = Array.isArray(popped) ? byKey.get(String(popped[0])) : undefined
      if (woken) woken.owesClaim = true
      for (const member of woken ? [woken] : members) member.mayHaveWork = true
    } catch (error) {
      // Whatever it is: the claim that follows will meet it too, and say so.
      this.#log.debug('could not wait for work', { error })
      await this.#pause(500, members)
    }
  }

  async #pause(forMs: number, members: readonly Membership[]): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, forMs))
    for (const member of members) member.mayHaveWork = true
  }
}
