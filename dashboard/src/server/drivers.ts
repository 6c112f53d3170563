// Bulk actions run here, in the background, whoever has asked for them. One that another server began and
// left is taken up when somebody looks at it: Redis says who drives it now.
import { type Action, type Log, type Queue, reasonOf } from 'millhand/queue'

export class Drivers {
  readonly #log: Log
  readonly #running = new Set<string>()
  #isClosed = false

  constructor(log: Log) {
    this.#log = log
  }

  /** `key`: of the queue. */
  drive(key: string, queue: Queue, { id, state }: Pick<Action, 'id' | 'state'>): void {
    const name = `${key}/${id}`
    if (state !== 'running' || this.#running.has(name) || this.#isClosed) return
    this.#running.add(name)
    void queue.actions
      .run(id, { isStopped: () => this.#isClosed })
      .catch((error: unknown) =>
        this.#log.warn('a bulk action stopped; it goes on when somebody looks at it', {
          queue: key,
          action: id,
          error: reasonOf(error),
        }),
      )
      .finally(() => this.#running.delete(name))
  }

  /** Actions stop behind the jobs of their last script. */
  close(): void {
    this.#isClosed = true
  }
}
