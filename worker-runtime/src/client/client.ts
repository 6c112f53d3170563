// The public face for those who enqueue and look up: connect, enqueue one or many, wait for a result, cancel. Awaits of one tick
// become one call to Redis.
import { fromEnvironment } from '../config.ts'
import { startDeadline } from '../deadline.ts'
import { isJobId, JOB_OPTIONS, type JobOptions, MAX_PAYLOAD_BYTES, type NewJob, newJob } from '../job.ts'
import { anything, checkOptions, oneOf, type Rules, shown, wholeNumber } from '../options.ts'
import { DURABILITIES, type Durability } from '../queue/durability.ts'
import type { Enqueued } from '../queue/enqueue.ts'
import { queueName } from '../queue/keys.ts'
import { openQueue, type Queue } from '../queue/queue.ts'
import type { JobDetails, JobState } from '../queue/reads.ts'
import { QueueRefused } from '../queue/verbs.ts'
import { parseAddress, type RedisAccess } from '../redis/address.ts'
import type { Connection } from '../redis/connection.ts'
import { connectRedis } from '../redis/replacing.ts'
import type { AnyTask, InputArguments, InputField, Task, TaskName, TaskResult } from '../task.ts'
import { Line } from './line.ts'
import { EndMessages, mayPass, resultOf } from './result.ts'

export type { JobOptions, Priority } from '../job.ts'
export type { Durability } from '../queue/durability.ts'
export type { AttemptRecord, JobDetails, JobState } from '../queue/reads.ts'
export { QueueRefused } from '../queue/verbs.ts'
export type { RedisAccess } from '../redis/address.ts'
export { RedisUnavailable } from '../redis/connection.ts'
export { JobBuried, JobCancelled, JobNotFound, ResultTimeout } from './result.ts'

export interface ClientOptions {
  /** Like redis://user:password@host:6379, or with certificates; default: MILLHAND_REDIS_URL and what goes with it. */
  redis?: string | RedisAccess | undefined
  /** The namespace of the queues; default: MILLHAND_NAMESPACE, else `default`. */
  namespace?: string | undefined
  /** When an enqueue counts as done, unless the call says otherwise; default `fast`. The README says what each promises. */
  durability?: Durability
  /** How long a call may take while Redis is away before it fails with RedisUnavailable; ms, default 10,000. */
  deadlineMs?: number
}

/** Without a task's type anything may be enqueued, and results are unknown. */
type Untyped = Task<string, unknown, unknown>

export interface EnqueueOptions extends JobOptions {
  /** When this one counts as done. */
  durability?: Durability
}

export type EnqueueRequest<T extends AnyTask = Untyped> = InputField<T> & {
  task: TaskName<T>
  options?: JobOptions
}

export interface ResultOptions {
  /** How long to wait; default: for ever. */
  timeoutMs?: number
}

const DURABILITY = oneOf(DURABILITIES)
const CLIENT_OPTIONS: Rules = {
  redis: {
    isValid: (value) => typeof value === 'string' || (typeof value === 'object' && value !== null),
    is: 'a URL, or an object with a url and certificates',
  },
  namespace: { isValid: (value) => typeof value === 'string' && value !== '', is: 'the name of a namespace' },
  durability: DURABILITY,
  deadlineMs: wholeNumber(1, 2 ** 31 - 1),
}
const A_TEXT = { isValid: (value: unknown) => typeof value === 'string', is: 'a text' }
const ACCESS_OPTIONS: Rules = { url: A_TEXT, ca: A_TEXT, cert: A_TEXT, key: A_TEXT }
const ENQUEUE_OPTIONS: Rules = { ...JOB_OPTIONS, durability: DURABILITY }
const MANY_OPTIONS: Rules = { durability: DURABILITY }
const REQUEST_FIELDS: Rules = { task: anything, input: anything, options: anything }
const RESULT_OPTIONS: Rules = {
  timeoutMs: {
    isValid: (value) => typeof value === 'number' && value >= 0,
    is: 'a number of at least 0; without it the wait is endless',
  },
}

/** Connects in the background; calls wait for the connection up to the deadline. Throws TypeError when there is no address. */
export function connect(options: ClientOptions = {}): Client {
  return new Client(options)
}

export class Client {
  readonly #redis: Connection
  readonly #options: ClientOptions
  readonly #access: string | RedisAccess
  readonly #queues = new Map<string, ClientQueue>()
  readonly #connections: Connection[] = []
  readonly #onClose = new Set<() => void>()
  #messages: Connection | undefined
  #isClosed = false

  constructor(options: ClientOptions) {
    checkOptions('option of connect', options, CLIENT_OPTIONS)
    this.#access = accessOf(options)
    this.#options = options
    this.#redis = this.#connect('client')
  }

  /** The queue of a TaskQueue by its name; the namespace is the client's. */
  queue(name: string): ClientQueue {
    const known = this.#queues.get(name)
    if (known) return known
    const fullName = queueName(this.#options.namespace ?? fromEnvironment().namespace, name)
    const messages = () => {
      this.#messages ??= this.#connect('results')
      return this.#messages
    }
    const opened = new ClientQueue({
      queueFor: (durability) =>
        openQueue(durability === 'fast' ? this.#redis : this.#connect(durability), fullName),
      messages: new EndMessages(fullName, messages),
      isClosed: () => this.#isClosed,
      onClose: (listener) => {
        this.#onClose.add(listener)
        return () => this.#onClose.delete(listener)
      },
      durability: this.#options.durability ?? 'fast',
      deadlineMs: this.#deadlineMs,
    })
    this.#queues.set(name, opened)
    return opened
  }

  /** Ends the connections; calls that still wait are rejected. */
  close(): void {
    this.#isClosed = true
    for (const connection of this.#connections) connection.close()
    for (const listener of this.#onClose) listener()
  }

  #connect(what: string): Connection {
    // A connection that was idle may be dead without a word, and is left after a try: half of the time is for another one.
    const deadlineMs = Math.min(5_000, this.#deadlineMs / 2)
    const connection = connectRedis(this.#access, { name: `millhand-${what}`, deadlineMs })
    this.#connections.push(connection)
    if (this.#isClosed) connection.close()
    return connection
  }

  get #deadlineMs(): number {
    return this.#options.deadlineMs ?? 10_000
  }
}

function accessOf({ redis }: ClientOptions): string | RedisAccess {
  const access = redis ?? fromEnvironment().redis
  if (!access)
    throw new TypeError(
      'no Redis is given: set the option redis or MILLHAND_REDIS_URL, like redis://127.0.0.1:6379',
    )
  if (typeof redis === 'object') checkOptions('field of the option redis', redis, ACCESS_OPTIONS)
  try {
    parseAddress(access)
    return access
  } catch (error) {
    const name = redis === undefined ? 'MILLHAND_REDIS_URL' : 'the option redis'
    throw new TypeError(`${name} ${(error as Error).message}`)
  }
}

/** What a queue has of its client. */
interface ClientParts {
  /** What waits for a disk or a replica keeps its connection waiting: each line has one of its own, and nobody waits for another's. */
  queueFor: (durability: Durability) => Queue
  messages: EndMessages
  isClosed: () => boolean
  onClose: (listener: () => void) => () => void
  durability: Durability
  deadlineMs: number
}

export class ClientQueue {
  readonly #queue: Queue
  readonly #client: ClientParts
  readonly #lines = new Map<Durability, Line>()

  constructor(client: ClientParts) {
    this.#queue = client.queueFor('fast')
    this.#client = client
  }

  get name(): string {
    return this.#queue.name
  }

  /**
   * Enqueues one job. After the await Redis has it. Name the task's type to have input and result checked:
   * `enqueue<typeof resize>('resize', { file: 'cat.png', width: 200 })`.
   *
   * Throws TypeError for bad names and options, QueueRefused over a limit, RedisUnavailable when Redis was away for too long, or
   * nobody confirmed what `durability` asks for (NOT_CONFIRMED): then the job may or may not be there (`maybeDone`), and enqueueing it again with
   * the same id (`jobIds`) is safe.
   */
  async enqueue<T extends AnyTask = Untyped>(
    task: TaskName<T>,
    ...[input, options]: InputArguments<T, EnqueueOptions>
  ): Promise<JobHandle<TaskResult<T>>> {
    const job = checkedJob(task, input, options, ENQUEUE_OPTIONS)
    const [answer] = await this.#send([job], options?.durability)
    return this.#handle(job.id, answer)
  }

  /** Enqueues many in calls of up to 1,000 jobs; each call is done whole or not at all. Handles in the order of the requests. */
  async enqueueMany<T extends AnyTask = Untyped>(
    requests: readonly EnqueueRequest<T>[],
    options: { durability?: Durability } = {},
  ): Promise<JobHandle<TaskResult<T>>[]> {
    checkOptions('option of enqueueMany', options, MANY_OPTIONS)
    if (!Array.isArray(requests))
      throw new TypeError(
        `the requests of enqueueMany are ${shown(requests)}; they are an array of { task, input, options }`,
      )
    const jobs = requests.map(jobOfRequest)
    const answers = await this.#send(jobs, options.durability)
    return jobs.map(({ id }, i) => this.#handle(id, answers[i]))
  }

  /** A handle for a job enqueued earlier; asks nothing of Redis. */
  job<R = unknown>(id: string): JobHandle<R> {
    if (!isJobId(id))
      throw new TypeError(`${shown(id)} is no job id: a text of 1 to 128 of A-Z a-z 0-9 . : _ -`)
    return this.#handle(id, undefined)
  }

  #handle<R>(id: string, enqueued: Enqueued | undefined): JobHandle<R> {
    return new JobHandle<R>(id, enqueued, this.#queue, this.#client)
  }

  async #send(jobs: readonly NewJob[], durability = this.#client.durability): Promise<Enqueued[]> {
    const known = this.#lines.get(durability)
    if (known) return known.send(jobs)
    const { queueFor, deadlineMs, isClosed } = this.#client
    const line = new Line({ queue: queueFor(durability), durability, deadlineMs, isClosed })
    this.#lines.set(durability, line)
    return line.send(jobs)
  }
}

function jobOfRequest(request: unknown, index: number): NewJob {
  try {
    checkOptions('field of a request', request, REQUEST_FIELDS)
    const { task, input, options } = request as { task: string; input: unknown; options?: JobOptions }
    return checkedJob(task, input, options, JOB_OPTIONS)
  } catch (error) {
    if (error instanceof Error) error.message = `requests[${index}]: ${error.message}`
    throw error
  }
}

/** What no queue takes is not sent, for others to wait behind it. */
function checkedJob(task: string, input: unknown, options: EnqueueOptions | undefined, known: Rules): NewJob {
  const job = newJob(task, input, options, known)
  // A character has at most three bytes.
  const bytes = 3 * job.payload.length > MAX_PAYLOAD_BYTES ? Buffer.byteLength(job.payload) : 0
  if (bytes <= MAX_PAYLOAD_BYTES) return job
  throw new QueueRefused(
    'PAYLOAD_TOO_LARGE',
    `the payload of ${task} has ${bytes} bytes; a queue takes at most ${MAX_PAYLOAD_BYTES}: store the data elsewhere and enqueue where it is`,
  )
}

export class JobHandle<R = unknown> {
  readonly id: string
  /** 'created', or the state in which this id was known already: then nothing was enqueued. undefined on a handle by id. */
  readonly enqueued: Enqueued | undefined
  readonly #queue: Queue
  readonly #client: ClientParts

  constructor(id: string, enqueued: Enqueued | undefined, queue: Queue, client: ClientParts) {
    this.id = id
    this.enqueued = enqueued
    this.#queue = queue
    this.#client = client
  }

  async state(): Promise<JobState> {
    return (await this.details())?.state ?? 'unknown'
  }

  /** All that is known: attempts, failures with error and output, times, progress. undefined when nothing is. */
  async details(): Promise<JobDetails | undefined> {
    return this.#ask(() => this.#queue.job(this.id))
  }

  /** A waiting job ends now; a running one is ended by its worker within a moment ('cancelling'). */
  async cancel(): Promise<'cancelling' | JobState> {
    return this.#ask(() => this.#queue.cancel(this.id))
  }

  /** Forgets a job that has ended or is buried, so that its id is free; any other one stays, and its state is told. */
  async delete(): Promise<'deleted' | JobState> {
    const [answer = 'unknown'] = await this.#ask(() => this.#queue.delete([this.id]))
    return answer
  }

  /**
   * Waits for the result, also while Redis is away. Throws JobBuried, JobCancelled, JobNotFound, ResultTimeout after `timeoutMs` (without it:
   * waits for ever), and RedisUnavailable when Redis refuses the credentials or the client is closed.
   */
  async result(options: ResultOptions = {}): Promise<R> {
    checkOptions('option of result', options, RESULT_OPTIONS)
    return JSON.parse(await resultOf(this.id, this.#queue, { ...this.#client, ...options }))
  }

  /** Asking again is safe: until the deadline, on another connection where this one is dead. */
  async #ask<T>(ask: () => Promise<T>): Promise<T> {
    let isOver = false
    let stop: (() => void) | undefined
    try {
      for (;;) {
        const beganAtMs = performance.now()
        try {
          return await ask()
        } catch (error) {
          if (isOver || this.#client.isClosed() || !mayPass(error)) throw error
          const spentMs = Math.min(performance.now() - beganAtMs, this.#queue.redis.deadlineMs)
          stop ??= startDeadline(this.#client.deadlineMs - spentMs, () => {
            isOver = true
          })
          await new Promise((resolve) => setTimeout(resolve, 50))
        }
      }
    } finally {
      stop?.()
    }
  }
}
