// Progress of running attempts on its way to Redis: the last value of each wins, and one call a queue tells all that came up meanwhile.
import type { Log } from '../log.ts'
import type { Consumer } from './consumer.ts'
import type { ClaimedJob, Observer } from './observers.ts'

const EVERY_MS = 250

interface Value {
  readonly id: string
  readonly token: string
  readonly json: string
}

export class Progress implements Observer {
  readonly #waiting = new Map<Consumer, Map<string, Value>>()
  readonly #log: Log

  constructor(log: Log) {
    this.#log = log
  }

  note({ consumer, claim: { id, token } }: ClaimedJob, json: string): void {
    const waiting = this.#waiting.get(consumer) ?? new Map<string, Value>()
    this.#waiting.set(consumer, waiting)
    if (waiting.size === 0) setTimeout(() => void this.#tell(consumer), EVERY_MS)
    waiting.set(id, { id, token, json })
  }

  /** Its outcome says more. */
  ended({ consumer, claim }: ClaimedJob): void {
    this.#waiting.get(consumer)?.delete(claim.id)
  }

  async #tell(consumer: Consumer): Promise<void> {
    const values = [...(this.#waiting.get(consumer)?.values() ?? [])]
    this.#waiting.get(consumer)?.clear()
    if (values.length === 0) return
    const queue = consumer.queue.name
    await consumer
      .report(values)
      .catch((error) => this.#log.debug('could not report progress', { queue, error }))
  }
}
