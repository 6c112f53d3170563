// Jobs on their way to Redis: those of one tick go together, again and again until they are there or the deadline is over. One line for each
// durability of a queue.
import type { NewJob } from './job.ts'
import { RedisUnavailable } from './queue/connection.ts'
import type { Durability, Enqueued, Queue } from './queue/queue.ts'

interface Waiting {
  readonly jobs: readonly NewJob[]
  resolve(answers: Enqueued[]): void
  reject(error: unknown): void
}

export class Line {
  readonly #queue: Queue
  readonly #durability: Durability
  readonly #deadlineMs: number
  #waiting: Waiting[] = []
  /** A server that waits for its disk answers nothing else on the connection: what comes up meanwhile goes together. */
  #confirming = Promise.resolve()

  constructor(queue: Queue, durability: Durability, deadlineMs: number) {
    this.#queue = queue
    this.#durability = durability
    this.#deadlineMs = deadlineMs
  }

  send(jobs: readonly NewJob[]): Promise<Enqueued[]> {
    if (jobs.length === 0) return Promise.resolve([])
    if (this.#waiting.length === 0) this.#flushSoon()
    return new Promise((resolve, reject) => this.#waiting.push({ jobs, resolve, reject }))
  }

  #flushSoon(): void {
    if (this.#durability === 'fast') setImmediate(() => void this.#flush())
    else this.#confirming = this.#confirming.then(nextTick).then(() => this.#flush())
  }

  async #flush(): Promise<void> {
    const waiting = this.#waiting
    this.#waiting = []
    try {
      const answers = await this.#untilDone(waiting.flatMap(({ jobs }) => jobs))
      for (const { jobs, resolve } of waiting) resolve(answers.splice(0, jobs.length))
    } catch (error) {
      // One job over a limit must not take down those that were only enqueued in the same tick.
      if (waiting.length === 1 || error instanceof RedisUnavailable)
        for (const { reject } of waiting) reject(error)
      else for (const { jobs, resolve, reject } of waiting) await this.#untilDone(jobs).then(resolve, reject)
    }
  }

  /** Enqueueing is safe to repeat, because a known id is left alone. So it is, until the deadline. */
  async #untilDone(jobs: readonly NewJob[]): Promise<Enqueued[]> {
    const giveUpAtMs = performance.now() + this.#deadlineMs
    for (let maybeDone = false; ; ) {
      try {
        return await this.#queue.enqueue(jobs, this.#durability)
      } catch (error) {
        if (!(error instanceof RedisUnavailable) || error.code === 'REDIS_REFUSED') throw error
        maybeDone ||= error.maybeDone
        if (performance.now() + 50 >= giveUpAtMs) throw unavailable(error, maybeDone, jobs, this.#queue.name)
        await new Promise((resolve) => setTimeout(resolve, 25 + Math.random() * 50))
      }
    }
  }
}

const nextTick = () => new Promise<void>((resolve) => setImmediate(resolve))

function unavailable(
  error: RedisUnavailable,
  maybeDone: boolean,
  jobs: readonly NewJob[],
  queue: string,
): RedisUnavailable {
  const which = jobs.length === 1 ? `job ${jobs[0]?.id}` : `${jobs.length} jobs`
  const hint = maybeDone
    ? 'it may or may not be there; enqueueing again with the same id (jobIds) is safe'
    : 'nothing was enqueued'
  return new RedisUnavailable(`could not enqueue ${which} in ${queue}: ${error.message}; ${hint}`, {
    maybeDone,
    cause: error,
    jobIds: jobs.map(({ id }) => id),
  })
}
