// Waits for the result of a job: asks once whether it has ended, then hears of its end on the client's channel. It
// asks again where a message may be lost, also after outages of Redis. Used by client.ts.
//
//   listening → asked ─ noted → message, or 5 s later, or the subscription was renewed ↺ asked       ended, buried, unknown, timed out, closed
import { randomBytes } from 'node:crypto'
import { startDeadline } from '../deadline.ts'
import { failureText } from '../errors.ts'
import { type EndedJob, parseEnded } from '../job.ts'
import { endedChannel } from '../queue/keys.ts'
import type { Queue } from '../queue/queue.ts'
import type { AttemptRecord, JobDetails } from '../queue/reads.ts'
import { type Connection, RedisUnavailable } from '../redis/connection.ts'

/** A wait of EndMessages. */
interface Listener {
  /** There may be news. */
  ring(): void
  settle(ended: EndedJob): void
}

interface WaitOptions {
  messages: EndMessages
  isClosed: () => boolean
  onClose: (listener: () => void) => () => void
  timeoutMs?: number
}

/** `result()`: the job failed and has no attempts left. */
export class JobBuried extends Error {
  readonly code = 'JOB_BURIED'
  readonly jobId: string
  /** Its last five failed attempts, oldest first. */
  readonly failures: readonly AttemptRecord[]
  constructor({ id, attempts, crashes, failures }: JobDetails) {
    const tries = attempts + crashes
    const last = failures.at(-1)
    super(
      `job ${id} is buried after ${tries} failed ${tries === 1 ? 'attempt' : 'attempts'}; the last: ${last ? failureText(last) : 'not known'}`,
    )
    this.name = 'JobBuried'
    this.jobId = id
    this.failures = failures
  }
}

/** `result()`: the job was cancelled, before or while it ran. */
export class JobCancelled extends Error {
  readonly code = 'JOB_CANCELLED'
  override name = 'JobCancelled'
}

/** `result()`: the job had not started by its time (`expiresInMs`), and never runs. */
export class JobExpired extends Error {
  readonly code = 'JOB_EXPIRED'
  override name = 'JobExpired'
}

/**
 * `result()`: no job has this id. It was never enqueued or was deleted, or its result is older than the queue
 * keeps results.
 */
export class JobNotFound extends Error {
  readonly code = 'JOB_NOT_FOUND'
  override name = 'JobNotFound'
}

/** `result()`: the job has not ended within `timeoutMs`. It goes on; to wait again is fine. */
export class ResultTimeout extends Error {
  readonly code = 'RESULT_TIMEOUT'
  override name = 'ResultTimeout'
}

/** Redis may lose a message: a noted wait asks again after this time. */
export const LOOK_AGAIN_MS = 5_000
/** A wait that Redis could not note gets no message. */
export const LOOK_AGAIN_UNNOTED_MS = 1_000
/** The interval while Redis does not answer. */
export const ASK_AGAIN_MS = 250
/**
 * How long a first look waits for the subscription, and a finished wait for its last answer.
 */
const LAST_ANSWER_MS = 1_000

/**
 * The ends of jobs that one client waits for in one queue. They come on the client's own channel, which it
 * subscribes to with the first wait and keeps.
 */
export class EndMessages {
  /** The name of the channel, as `waiters` has it. */
  readonly client = randomBytes(6).toString('base64url')
  readonly #queue: string
  readonly #connection: () => Connection
  readonly #waits = new Map<string, Set<Listener>>()
  #listening: Promise<void> | undefined
  #isListening = false

  constructor(queue: string, connection: () => Connection) {
    this.#queue = queue
    this.#connection = connection
  }

  get isListening(): boolean {
    return this.#isListening
  }

  /** Resolves when the subscription is there, or not possible now. */
  listen(): Promise<void> {
    this.#listening ??= this.#subscribe().catch(() => {
      this.#listening = undefined
    })
    return this.#listening
  }

  add(id: string, wait: Listener): void {
    const waits = this.#waits.get(id)
    if (waits) waits.add(wait)
    else this.#waits.set(id, new Set([wait]))
  }

  /** Answers whether the client no longer waits for this job. */
  remove(id: string, wait: Listener): boolean {
    const waits = this.#waits.get(id)
    waits?.delete(wait)
    if (waits?.size === 0) this.#waits.delete(id)
    return !this.#waits.has(id)
  }

  async #subscribe(): Promise<void> {
    const connection = this.#connection()
    const channel = endedChannel(this.#queue, connection.database, this.client)
    const lookAgain = () => {
      for (const waits of this.#waits.values()) for (const wait of waits) wait.ring()
    }
    await connection.subscribe(channel, (message) => this.#hear(message), { onRenewed: lookAgain })
    this.#isListening = true
    lookAgain() // the job may have ended before
  }

  /** `<id> <outcome>`; without an outcome the job was buried or deleted. */
  #hear(message: string): void {
    const space = message.indexOf(' ')
    const ended = parseEnded(message.slice(space + 1))
    for (const wait of this.#waits.get(message.slice(0, space)) ?? [])
      if (ended) wait.settle(ended)
      else wait.ring()
  }
}

/** JSON text. */
export async function resultOf(id: string, queue: Queue, options: WaitOptions): Promise<string> {
  const wait = new Wait(id, queue, options)
  const close = () => wait.fail(closedError(queue.name))
  const stopHearing = options.onClose(close)
  if (options.isClosed()) close()
  else void wait.begin()
  try {
    const ended = await wait.ended
    if (ended.state === 'completed') return ended.result
    if (ended.state === 'expired')
      throw new JobExpired(
        `job ${id} had not started by its time (expiresInMs): it has expired, and never runs`,
      )
    throw new JobCancelled(`job ${id} was cancelled`)
  } finally {
    stopHearing()
  }
}

/** One wait for a result: asks until it is settled, has failed or has timed out. */
class Wait {
  readonly #end = Promise.withResolvers<EndedJob>()
  #isOver = false
  #isTimedOut = false
  #hasLooked = false
  #isNoted = false
  #isRung = false
  #failureOfLastLook: unknown
  #wake = () => {}
  #stopDeadline = () => {}
  readonly #id: string
  readonly #queue: Queue
  readonly #messages: EndMessages
  readonly #timeoutMs: number

  constructor(id: string, queue: Queue, { messages, timeoutMs = Number.POSITIVE_INFINITY }: WaitOptions) {
    this.#id = id
    this.#queue = queue
    this.#messages = messages
    this.#timeoutMs = timeoutMs
    messages.add(id, this)
    if (timeoutMs < Number.POSITIVE_INFINITY)
      this.#stopDeadline = startDeadline(timeoutMs, () => this.#timeOut())
  }

  get ended(): Promise<EndedJob> {
    return this.#end.promise
  }

  settle(ended: EndedJob): void {
    if (this.#finish()) this.#end.resolve(ended)
  }

  fail(error: unknown): void {
    if (this.#finish()) this.#end.reject(error)
  }

  /** There may be news: asks again, also while a question is under way. */
  ring(): void {
    this.#isRung = true
    this.#wake()
  }

  /**
   * The first look sees a job that ended since the subscription; a message tells of a job that ends later.
   */
  async begin(): Promise<void> {
    if (!this.#messages.isListening) {
      void this.#messages.listen().then(() => this.#wake())
      await this.#sleep(LAST_ANSWER_MS)
    }
    do {
      this.#isRung = false
      const pauseMs = await this.#look()
      const isFirst = !this.#hasLooked
      this.#hasLooked = true
      if (this.#isTimedOut && isFirst) await this.#lookLast()
      if (!this.#isTimedOut && !this.#isOver) await this.#sleep(pauseMs)
    } while (!this.#isTimedOut && !this.#isOver)
  }

  /** Answers the time until the next look; ms. */
  async #look(): Promise<number> {
    if (!this.#messages.isListening) void this.#messages.listen()
    try {
      const said = await this.#queue.wait(this.#id, this.#messages.client)
      this.#failureOfLastLook = undefined
      if (typeof said === 'object') this.settle(said)
      // Redis has sent the message of its end. It may come after this answer, because it has another
      // connection.
      const isTold = said === 'unknown' && this.#isNoted
      this.#isNoted = said === 'noted'
      if (isTold) return ASK_AGAIN_MS
      if (said === 'unknown')
        this.fail(new JobNotFound(`job ${this.#id} is not known in ${this.#queue.name}`))
      if (said === 'buried') await this.#failAsBuried()
      return said === 'noted' && this.#messages.isListening ? LOOK_AGAIN_MS : LOOK_AGAIN_UNNOTED_MS
    } catch (error) {
      this.#failureOfLastLook = error
      if (!mayPass(error)) this.fail(error)
      return ASK_AGAIN_MS
    }
  }

  async #failAsBuried(): Promise<void> {
    const details = await this.#queue.job(this.#id)
    if (details?.state === 'buried') this.fail(new JobBuried(details))
    else this.ring() // somebody deleted or retried it
  }

  /** Resolves after this time, or when somebody rings. */
  #sleep(ms: number): Promise<void> {
    if (this.#isRung) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  /** A first look may still get its answer. */
  #timeOut(): void {
    this.#isTimedOut = true
    if (this.#hasLooked) void this.#lookLast()
    else this.#stopDeadline = startDeadline(LAST_ANSWER_MS, () => this.fail(this.#timeout()))
    this.#wake()
  }

  /** Removes the note in Redis. The job may end at this moment. */
  async #lookLast(): Promise<void> {
    if (this.#isOver) return
    const isLast = this.#messages.remove(this.#id, this)
    if (!this.#queue.redis.isReady) return this.fail(this.#timeout())
    this.#stopDeadline()
    this.#stopDeadline = startDeadline(LAST_ANSWER_MS, () => this.fail(this.#timeout()))
    try {
      const said = await this.#queue.unwait(this.#id, isLast ? this.#messages.client : '')
      if (typeof said === 'object') this.settle(said)
      else this.fail(this.#timeout(said))
    } catch (error) {
      this.#failureOfLastLook ??= error
      this.fail(this.#timeout())
    }
  }

  /** Answers false where it was over already. */
  #finish(): boolean {
    if (this.#isOver) return false
    this.#isOver = true
    this.#stopDeadline()
    this.#messages.remove(this.#id, this)
    this.#wake()
    return true
  }

  #timeout(state = 'not known'): ResultTimeout {
    const failure = this.#failureOfLastLook
    const away = failure instanceof Error ? `; Redis cannot be asked: ${failure.message}` : ''
    return new ResultTimeout(
      `job ${this.#id} has not ended within ${this.#timeoutMs} ms; its state is ${state}${away}`,
      { cause: failure },
    )
  }
}

/** Redis cannot answer now, but may do so later. */
export const mayPass = (error: unknown): boolean =>
  error instanceof RedisUnavailable && error.code !== 'REDIS_REFUSED'

export const closedError = (queue: string): RedisUnavailable =>
  new RedisUnavailable(`the client of ${queue} was closed`, { maybeDone: false })
