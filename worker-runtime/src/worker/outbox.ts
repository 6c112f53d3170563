// Forwards the outbox of one queue of a worker (queue/outbox.ts): when a message tells of an entry, and when
// a heartbeat finds an entry that nobody has forwarded.
import type { Log } from '../log.ts'
import type { Queue } from '../queue/queue.ts'

export class Outbox {
  readonly #queue: Queue
  readonly #log: Log
  #isForwarding = false
  #isAsked = false
  #isStopped = false

  constructor({ queue, log }: { queue: Queue; log: Log }) {
    this.#queue = queue
    this.#log = log
  }

  /** Forwards now, or after the running forward. Never rejects: entries that fail stay in the outbox. */
  async forward(): Promise<void> {
    this.#isAsked = true
    if (this.#isForwarding) return
    this.#isForwarding = true
    while (this.#isAsked && !this.#isStopped) {
      this.#isAsked = false
      await this.#queue.forward().catch((error) => this.#failed(error))
    }
    this.#isForwarding = false
  }

  /** Another process forwards the rest. */
  stop(): void {
    this.#isStopped = true
  }

  #failed(error: unknown): void {
    if (!this.#isStopped) this.#log.warn('could not forward the outbox', { queue: this.#queue.name, error })
  }
}
