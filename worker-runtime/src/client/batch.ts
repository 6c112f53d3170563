// Sends enqueued jobs to Redis. The jobs of one tick share calls of up to 1,000 jobs. A call is answered or
// repeated as a whole, until the deadline of its requests. Each queue has one batcher for each durability.
// Used by client.ts.
import { startDeadline } from '../deadline.ts'
import type { NewJob } from '../job.ts'
import type { Durability } from '../queue/durability.ts'
import { callsOf, type EnqueueAnswer } from '../queue/enqueue.ts'
import type { Queue } from '../queue/queue.ts'
import { QueueRefused } from '../queue/refused.ts'
import { neverSent, RedisUnavailable } from '../redis/connection.ts'

/** One call of `send`. */
interface Request {
  readonly jobs: readonly NewJob[]
  /** In the order of the jobs; complete when all pieces are answered. */
  readonly answers: EnqueueAnswer[]
  /** Redis may have some of the jobs. */
  maybeDone: boolean
  isSettled: boolean
  /** The deadline has passed: there is no further try. */
  isOver: boolean
  stopDeadline: (() => void) | undefined
  resolve(answers: EnqueueAnswer[]): void
  reject(error: unknown): void
}

/** The jobs of one request in one call to Redis. */
interface Piece {
  readonly request: Request
  readonly jobs: readonly NewJob[]
}
type Call = readonly Piece[]

interface BatcherOptions {
  queue: Queue
  durability: Durability
  deadlineMs: number
  /** Whether the client was closed. */
  isClosed: () => boolean
}

export class Batcher {
  readonly #queue: Queue
  readonly #durability: Durability
  readonly #deadlineMs: number
  readonly #isClosed: () => boolean
  #waiting: Request[] = []
  /**
   * A server that waits for its disk answers nothing else on the connection, so requests that come meanwhile
   * go together.
   */
  #confirming = Promise.resolve()

  constructor({ queue, durability, deadlineMs, isClosed }: BatcherOptions) {
    this.#queue = queue
    this.#durability = durability
    this.#deadlineMs = deadlineMs
    this.#isClosed = isClosed
  }

  send(jobs: readonly NewJob[]): Promise<EnqueueAnswer[]> {
    if (jobs.length === 0) return Promise.resolve([])
    if (this.#waiting.length === 0) this.#flushSoon()
    return new Promise((resolve, reject) => {
      const request: Request = {
        jobs,
        answers: [],
        maybeDone: false,
        isSettled: false,
        isOver: false,
        stopDeadline: undefined,
        resolve,
        reject,
      }
      if (this.#durability !== 'fast') startDeadlineOf(request, this.#deadlineMs)
      this.#waiting.push(request)
    })
  }

  #flushSoon(): void {
    if (this.#durability === 'fast') setImmediate(() => void this.#flush())
    else this.#confirming = this.#confirming.then(nextTick).then(() => this.#flush())
  }

  #flush(): Promise<void> {
    const waiting = this.#waiting
    this.#waiting = []
    return this.#untilDone(callsFor(waiting))
  }

  /** One call after the other, so that the jobs are in Redis in the order in which they were enqueued. */
  async #untilDone(calls: readonly Call[]): Promise<void> {
    let why: Error | undefined
    for (const [at, call] of calls.entries()) {
      for (let left = this.#inTime(call, why); left.length > 0; left = this.#inTime(left, why)) {
        const beganAtMs = performance.now()
        const error = await this.#tryOnce(left)
        if (!error) break
        this.#startDeadlines(calls.slice(at).flat(), beganAtMs)
        if (!(error instanceof RedisUnavailable)) {
          await this.#refuse(left, error)
          break
        }
        for (const { request } of left) request.maybeDone ||= error.maybeDone
        if (this.#isHopeless(error)) return this.#give(calls.slice(at).flat(), error)
        why = error.code === 'NOT_CONFIRMED' ? undefined : error
        // Unconfirmed jobs are in Redis already: not sent again, because they may have ended and been
        // forgotten, and would run twice.
        if (error.code === 'NOT_CONFIRMED') this.#give(left, error)
        else await new Promise((resolve) => setTimeout(resolve, 25 + Math.random() * 50))
      }
    }
  }

  /**
   * Answers the error. A call whose answer was lost can be repeated, because Redis ignores a known id.
   */
  async #tryOnce(call: Call): Promise<unknown> {
    const { redis } = this.#queue
    try {
      if (!redis.isReady) await redis.ready().catch((error) => Promise.reject(neverSent(error)))
      const jobs = call.length === 1 && call[0] ? call[0].jobs : call.flatMap((piece) => piece.jobs)
      answer(call, await this.#queue.enqueueAtOnce(jobs, this.#durability))
      return undefined
    } catch (error) {
      return error
    }
  }

  /**
   * Most calls succeed at the first try and need no timer. A process that was paused notices a failure late:
   * its try counts at most the timeout of a try.
   */
  #startDeadlines(waiting: Call, beganAtMs: number): void {
    const spentMs = Math.min(performance.now() - beganAtMs, this.#queue.redis.deadlineMs)
    for (const { request } of waiting)
      if (!request.stopDeadline) startDeadlineOf(request, this.#deadlineMs - spentMs)
  }

  #isHopeless(error: RedisUnavailable): boolean {
    return error.code === 'REDIS_REFUSED' || this.#isClosed()
  }

  /**
   * One job over a limit must not fail other jobs of the same tick, so each request gets its own call.
   */
  async #refuse(call: Call, error: unknown): Promise<void> {
    const [first] = call
    if (call.length > 1) return this.#untilDone(call.map((piece) => [piece]))
    if (!first) return
    // A refused durability says nothing about the calls before this one.
    const isAboutThisTry = error instanceof QueueRefused && error.code === 'NOT_DURABLE'
    if (first.request.maybeDone && isAboutThisTry) this.#give(call, error)
    else settle(first.request, () => first.request.reject(error))
  }

  /** Rejects requests past their deadline. Pieces of failed requests are not sent. */
  #inTime(call: Call, why: Error = tooLate): Call {
    if (call.every(({ request }) => !request.isOver && !request.isSettled)) return call
    this.#give(
      call.filter(({ request }) => request.isOver),
      why,
    )
    return call.filter(({ request }) => !request.isSettled)
  }

  #give(call: Call, error: Error): void {
    for (const { request } of call)
      settle(request, () => request.reject(unavailable(error, request, this.#queue.name)))
  }
}

/**
 * The jobs of all requests, in calls; a request may be in several calls, and a call may have many requests.
 */
function callsFor(requests: readonly Request[]): Call[] {
  const [only] = requests
  if (requests.length === 1 && only?.jobs.length === 1) return [[{ request: only, jobs: only.jobs }]]
  const left = requests.values()
  let request = left.next().value
  let from = 0
  const calls: Call[] = []
  for (const jobs of callsOf(requests.flatMap((each) => each.jobs))) {
    const call: Piece[] = []
    for (let room = jobs.length; room > 0 && request; ) {
      const piece = request.jobs.slice(from, from + room)
      call.push({ request, jobs: piece })
      room -= piece.length
      from += piece.length
      if (from < request.jobs.length) continue
      request = left.next().value
      from = 0
    }
    calls.push(call)
  }
  return calls
}

function answer(call: Call, answers: readonly EnqueueAnswer[]): void {
  let at = 0
  for (const { request, jobs } of call) {
    request.answers.push(...(call.length === 1 ? answers : answers.slice(at, at + jobs.length)))
    request.maybeDone = true
    at += jobs.length
    if (request.answers.length === request.jobs.length)
      settle(request, () => request.resolve(request.answers))
  }
}

function settle(request: Request, tell: () => void): void {
  if (request.isSettled) return
  request.isSettled = true
  request.stopDeadline?.()
  tell()
}

function startDeadlineOf(request: Request, ms: number): void {
  request.stopDeadline = startDeadline(ms, () => {
    request.isOver = true
  })
}

const tooLate = new Error('the calls before it took until its deadline')

const nextTick = () => new Promise<void>((resolve) => setImmediate(resolve))

function unavailable(error: Error, { jobs, maybeDone }: Request, queue: string): RedisUnavailable {
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
