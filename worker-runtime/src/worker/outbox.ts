// Forwards the outbox of one queue of a worker (queue/outbox.ts): when a message says that there is something, and
// when a heartbeat finds something that nobody has forwarded.
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

  /** Now, or once more when what is under way has ended. Never rejects: what failed stays in the outbox. */
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

  /** Another process forwards what is left. */
  stop(): void {
    this.#isStopped = true
  }

  #failed(error: unknown): void {
    if (!this.#isStopped) this.#log.warn('could not forward the outbox', { queue: this.#queue.name, error })
  }
}
