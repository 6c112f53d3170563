// Jobs on their way to Redis: those of one tick go together, again and again until they are there or their deadline is over. One line for each
// durability of a queue.
import { startDeadline } from '../deadline.ts'
import type { NewJob } from '../job.ts'
import { callsOf, type Durability, type Enqueued, type Queue, QueueRefused } from '../queue/queue.ts'
import { neverSent, RedisUnavailable } from '../redis/connection.ts'

interface Waiting {
  readonly jobs: readonly NewJob[]
  maybeDone: boolean
  /** Its deadline is over: no try begins any more. */
  isOver: boolean
  stopDeadline: (() => void) | undefined
  resolve(answers: Enqueued[]): void
  reject(error: unknown): void
}

interface LineOptions {
  queue: Queue
  durability: Durability
  deadlineMs: number
  /** Whether the connection was closed for good. */
  isClosed: () => boolean
}

export class Line {
  readonly #queue: Queue
  readonly #durability: Durability
  readonly #deadlineMs: number
  readonly #isClosed: () => boolean
  #waiting: Waiting[] = []
  /** A server that waits for its disk answers nothing else on the connection: what comes up meanwhile goes together. */
  #confirming = Promise.resolve()

  constructor({ queue, durability, deadlineMs, isClosed }: LineOptions) {
    this.#queue = queue
    this.#durability = durability
    this.#deadlineMs = deadlineMs
    this.#isClosed = isClosed
  }

  send(jobs: readonly NewJob[]): Promise<Enqueued[]> {
    if (jobs.length === 0) return Promise.resolve([])
    if (this.#waiting.length === 0) this.#flushSoon()
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        jobs,
        maybeDone: false,
        isOver: false,
        stopDeadline: undefined,
        resolve(answers) {
          waiting.stopDeadline?.()
          resolve(answers)
        },
        reject(error) {
          waiting.stopDeadline?.()
          reject(error)
        },
      }
      if (this.#durability !== 'fast') startDeadlineOf(waiting, this.#deadlineMs)
      this.#waiting.push(waiting)
    })
  }

  #flushSoon(): void {
    if (this.#durability === 'fast') setImmediate(() => void this.#untilDone(this.#takeAll()))
    else
      this.#confirming = this.#confirming
        .then(nextTick)
        .then(() => this.#untilDone(this.#inTime(this.#takeAll())))
  }

  #takeAll(): Waiting[] {
    const waiting = this.#waiting
    this.#waiting = []
    return waiting
  }

  /** Those before may have taken all the time that there was. */
  #inTime(waiting: readonly Waiting[]): Waiting[] {
    const error = new RedisUnavailable('those before it took until its deadline', { maybeDone: false })
    return this.#keep(waiting, ({ isOver }) => !isOver, error)
  }

  /**
   * Enqueueing is safe to repeat where an answer was lost, because a known id is left alone. So it is, until the deadline. What Redis has answered
   * is not sent again: it may have ended and be forgotten by then, and would run twice. `answers` are those of the first jobs.
   */
  async #untilDone(waiting: readonly Waiting[], answers: Enqueued[] = []): Promise<void> {
    for (let left = waiting; left.length > 0; ) {
      const beganAtMs = performance.now()
      const failure = await this.#sendTheRest(left, answers)
      left = resolveAnswered(left, answers)
      const [first] = left
      if (!first || !failure) return
      const { error, asked } = failure
      // Most jobs are there after one try, and need no timer. However late a process that stood still learns of a failure: its try is charged
      // with no more than a try may take.
      const leftMs = this.#deadlineMs - Math.min(performance.now() - beganAtMs, this.#queue.redis.deadlineMs)
      for (const each of left) if (!each.stopDeadline) startDeadlineOf(each, leftMs)
      if (answers.length > 0) first.maybeDone = true
      if (!(error instanceof RedisUnavailable)) return this.#refuse(left, answers, error)
      const tried = ofTheFirst(left, answers.length + asked)
      for (const each of tried) each.maybeDone ||= error.maybeDone
      left = this.#leftAfter(error, tried, left.slice(tried.length))
      if (left[0] !== first) answers.length = 0
      if (left.length > 0) await new Promise((resolve) => setTimeout(resolve, 25 + Math.random() * 50))
    }
  }

  /** `asked`: for how many jobs, behind those that were answered, the call that failed was. */
  async #sendTheRest(
    waiting: readonly Waiting[],
    answers: Enqueued[],
  ): Promise<{ error: unknown; asked: number } | undefined> {
    const { redis } = this.#queue
    let asked = 0
    try {
      if (!redis.isReady) await redis.ready().catch((error) => Promise.reject(neverSent(error)))
      for (const part of callsOf(waiting.flatMap(({ jobs }) => jobs).slice(answers.length))) {
        asked = part.length
        answers.push(...(await this.#queue.enqueueAtOnce(part, this.#durability)))
      }
    } catch (error) {
      return { error, asked }
    }
  }

  /** What nobody confirmed is done and not asked again; who was behind it was not asked for yet. */
  #leftAfter(error: RedisUnavailable, tried: readonly Waiting[], untried: readonly Waiting[]): Waiting[] {
    if (error.code === 'NOT_CONFIRMED') {
      this.#keep(tried, () => false, error)
      return this.#inTime(untried)
    }
    const mayHelp = error.code !== 'REDIS_REFUSED' && !this.#isClosed()
    const isKept = ({ isOver }: Waiting) => mayHelp && !isOver
    return this.#keep([...tried, ...untried], isKept, error)
  }

  /**
   * One job over a limit must not take down those that were only enqueued in the same tick. That durability cannot be had any more says nothing
   * of what was sent before.
   */
  async #refuse(waiting: readonly Waiting[], answers: Enqueued[], error: unknown): Promise<void> {
    const [first, ...others] = waiting
    if (!first) return
    if (others.length > 0) {
      await this.#untilDone([first], answers)
      for (const each of others) await this.#untilDone([each])
    } else if (first.maybeDone && error instanceof QueueRefused && error.code === 'NOT_DURABLE')
      first.reject(unavailable(error, first, this.#queue.name))
    else first.reject(error)
  }

  /** The others are told the error. */
  #keep(waiting: readonly Waiting[], isKept: (each: Waiting) => boolean, error: RedisUnavailable): Waiting[] {
    return waiting.filter((each) => {
      if (isKept(each)) return true
      each.reject(unavailable(error, each, this.#queue.name))
      return false
    })
  }
}

function startDeadlineOf(waiting: Waiting, ms: number): void {
  waiting.stopDeadline = startDeadline(ms, () => {
    waiting.isOver = true
  })
}

/** Takes from `answers` what it gives away, and answers who waits still. */
function resolveAnswered(waiting: readonly Waiting[], answers: Enqueued[]): readonly Waiting[] {
  let done = 0
  let at = 0
  for (const { jobs, resolve } of waiting) {
    if (at + jobs.length > answers.length) break
    resolve(answers.slice(at, at + jobs.length))
    at += jobs.length
    done += 1
  }
  answers.splice(0, at)
  return waiting.slice(done)
}

/** Those that have any of so many jobs, the first ones. */
function ofTheFirst(waiting: readonly Waiting[], jobs: number): readonly Waiting[] {
  let at = 0
  const end = waiting.findIndex((each) => {
    const isBehind = at >= jobs
    at += each.jobs.length
    return isBehind
  })
  return end < 0 ? waiting : waiting.slice(0, end)
}

const nextTick = () => new Promise<void>((resolve) => setImmediate(resolve))

function unavailable(error: Error, { jobs, maybeDone }: Waiting, queue: string): RedisUnavailable {
  const which = jobs.length === 1 ? `job ${jobs[0]?.id}` : `${jobs.length} jobs`
  const hint = maybeDone
    ? 'it may or may not be there; enqueueing again with the same id (jobIds) is safe'
    : 'nothing was enqueued'
  return new RedisUnavailable(`could not enqueue ${which} in ${queue}: ${error.message}; ${hint}`, {
    maybeDone,
    ...(error instanceof RedisUnavailable && { code: error.code }),
    cause: error,
    jobIds: jobs.map(({ id }) => id),
  })
}
