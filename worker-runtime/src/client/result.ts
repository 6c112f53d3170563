// Waiting for the result of a job: listens, looks, looks again, through outages of Redis and until the wait's own end. Used by client.ts.
import { startDeadline } from '../deadline.ts'
import { failureText } from '../errors.ts'
import { type EndedJob, parseEnded } from '../job.ts'
import { doneChannel } from '../queue/keys.ts'
import type { Queue } from '../queue/queue.ts'
import type { AttemptRecord, JobDetails } from '../queue/reads.ts'
import { type Connection, RedisUnavailable } from '../redis/connection.ts'

interface WaitOptions {
  messages: () => Connection
  isClosed: () => boolean
  onClose: (listener: () => void) => () => void
  timeoutMs?: number
}

/** The job has no attempts left. `failures` tells what happened, the last one last. */
export class JobBuried extends Error {
  readonly code = 'JOB_BURIED'
  readonly jobId: string
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

export class JobCancelled extends Error {
  readonly code = 'JOB_CANCELLED'
  override name = 'JobCancelled'
}

/** No job with this id is known: it never was, or its result is older than the queue keeps results. */
export class JobNotFound extends Error {
  readonly code = 'JOB_NOT_FOUND'
  override name = 'JobNotFound'
}

/** The job has not ended yet; waiting again is fine. */
export class ResultTimeout extends Error {
  readonly code = 'RESULT_TIMEOUT'
  override name = 'ResultTimeout'
}

/** Redis may lose a message; the waiter reads again this often. */
const READ_AGAIN_MS = 5_000
/** The same, while Redis cannot be asked. */
const ASK_AGAIN_MS = 250
/** For how long a first look waits for the connection on which messages come, or for its own answer when its time is over already. */
const FIRST_LOOK_MS = 1_000

/** JSON text. */
export async function resultOf(id: string, queue: Queue, options: WaitOptions): Promise<string> {
  const wait = new Wait(id, queue, options)
  const close = () => wait.giveUp(closedError(queue.name))
  const stopHearing = options.onClose(close)
  if (options.isClosed()) close()
  try {
    const ended = await Promise.race([untilEnded(id, queue, wait), wait.givenUp])
    if (ended.state === 'completed') return ended.result
    throw new JobCancelled(`job ${id} was cancelled`)
  } finally {
    stopHearing()
    wait.end()
  }
}

async function untilEnded(id: string, queue: Queue, wait: Wait): Promise<EndedJob> {
  await Promise.race([wait.listen(), wait.pause(FIRST_LOOK_MS)])
  for (;;) {
    const rung = wait.nextRing()
    try {
      const details = await queue.job(id)
      const ended = wait.told ?? details?.ended
      if (ended) return ended
      if (!details) throw new JobNotFound(`job ${id} is not known in ${queue.name}`)
      if (details.state === 'buried') throw new JobBuried(details)
      wait.looked(details.state)
      await Promise.race([rung, wait.pause(READ_AGAIN_MS)])
    } catch (error) {
      if (!mayPass(error)) throw error
      wait.looked(wait.state, error)
      await Promise.race([rung, wait.pause(ASK_AGAIN_MS)])
    }
    if (wait.told) return wait.told
    if (wait.isOver) return wait.givenUp
    if (!wait.isListening) void wait.listen()
  }
}

/** One wait for a result: what was told of it, when to look again, and when to give up. */
class Wait {
  told: EndedJob | undefined
  isListening = false
  isOver = false
  /** As it was seen last. */
  state: string = 'not known'
  readonly #end = Promise.withResolvers<never>()
  #hasLooked = false
  #failure: unknown
  #ring = () => {}
  #stopListening = () => {}
  #stopDeadline = () => {}
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #id: string
  readonly #queue: Queue
  readonly #messages: () => Connection
  readonly #timeoutMs: number

  constructor(id: string, queue: Queue, { messages, timeoutMs = Number.POSITIVE_INFINITY }: WaitOptions) {
    this.#id = id
    this.#queue = queue
    this.#messages = messages
    this.#timeoutMs = timeoutMs
    this.givenUp.catch(() => {}) // it may be over before anybody waits for it
    if (timeoutMs < Number.POSITIVE_INFINITY)
      this.#stopDeadline = startDeadline(timeoutMs, () => this.#timeOut())
  }

  /** Rejects when the wait is over. */
  get givenUp(): Promise<never> {
    return this.#end.promise
  }

  giveUp(error: Error): void {
    this.isOver = true
    this.#end.reject(error)
    this.#ring()
  }

  /** Afterwards messages come, or it is tried again with the next look. */
  async listen(): Promise<void> {
    this.isListening = true
    const messages = this.#messages()
    const channel = doneChannel(this.#queue.name, messages.database, this.#id)
    try {
      const stop = await messages.subscribe(channel, (message) => {
        this.told = parseEnded(message)
        this.#ring()
      })
      if (this.isOver) stop()
      else this.#stopListening = stop
      this.#ring() // it may have ended before
    } catch {
      this.isListening = false
    }
  }

  /** Resolves when there is something new to look at. */
  nextRing(): Promise<void> {
    return new Promise((resolve) => {
      this.#ring = resolve
    })
  }

  looked(state: string, failure?: unknown): void {
    this.state = state
    this.#failure = failure
    this.#hasLooked = true
    if (this.isOver) this.giveUp(this.#timeout())
  }

  pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#timers.delete(timer)
        resolve()
      }, ms)
      this.#timers.add(timer)
    })
  }

  end(): void {
    this.isOver = true
    this.#stopListening()
    this.#stopDeadline()
    for (const timer of this.#timers) clearTimeout(timer)
  }

  /** A first look is let come to its answer. */
  #timeOut(): void {
    this.isOver = true
    if (this.#hasLooked) this.giveUp(this.#timeout())
    else this.#stopDeadline = startDeadline(FIRST_LOOK_MS, () => this.giveUp(this.#timeout()))
  }

  #timeout(): ResultTimeout {
    const away = this.#failure instanceof Error ? `; Redis cannot be asked: ${this.#failure.message}` : ''
    return new ResultTimeout(
      `job ${this.#id} has not ended within ${this.#timeoutMs} ms; it is ${this.state}${away}`,
      { cause: this.#failure },
    )
  }
}

/** Redis cannot now; later it can. */
export const mayPass = (error: unknown): boolean =>
  error instanceof RedisUnavailable && error.code !== 'REDIS_REFUSED'

const closedError = (queue: string): RedisUnavailable =>
  new RedisUnavailable(`the client of ${queue} was closed`, { maybeDone: false })
