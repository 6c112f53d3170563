// The public face for those who enqueue and look up: connect, enqueue one or many, wait for a result, cancel. Awaits of one tick
// become one call to Redis.
import { fromEnvironment } from './config.ts'
import { failureText } from './errors.ts'
import { type EndedJob, type JobOptions, type NewJob, newJob, parseEnded } from './job.ts'
import { Line } from './line.ts'
import { parseAddress, type RedisAccess } from './queue/address.ts'
import type { Connection } from './queue/connection.ts'
import type { AttemptRecord, JobDetails, JobState } from './queue/depth.ts'
import { doneChannel, queueName } from './queue/keys.ts'
import { DURABILITIES, type Durability, type Enqueued, openQueue, type Queue } from './queue/queue.ts'
import { connectRedis } from './queue/redis.ts'
import type { AnyTask, Task, TaskInput, TaskName, TaskOutput } from './task.ts'

export type { JobOptions, Priority } from './job.ts'
export type { RedisAccess } from './queue/address.ts'
export { RedisUnavailable } from './queue/connection.ts'
export type { AttemptRecord, JobDetails, JobState } from './queue/depth.ts'
export { type Durability, QueueRefused } from './queue/queue.ts'

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

export interface EnqueueRequest<T extends AnyTask = Untyped> {
  task: TaskName<T>
  input: TaskInput<T>
  options?: JobOptions
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
  #messages: Connection | undefined
  #isClosed = false

  constructor(options: ClientOptions) {
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
      messages,
      isClosed: () => this.#isClosed,
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
  }

  #connect(what: string): Connection {
    const deadlineMs = Math.min(5_000, this.#deadlineMs)
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
  try {
    parseAddress(access)
    return access
  } catch (error) {
    const name = redis === undefined ? 'MILLHAND_REDIS_URL' : 'the option redis'
    throw new TypeError(`${name} ${(error as Error).message}`)
  }
}

interface ClientQueueOptions {
  /** What waits for a disk or a replica keeps its connection waiting: each line has one of its own, and nobody waits for another's. */
  queueFor: (durability: Durability) => Queue
  messages: () => Connection
  isClosed: () => boolean
  durability: Durability
  deadlineMs: number
}

export class ClientQueue {
  readonly #queue: Queue
  readonly #messages: () => Connection
  readonly #queueFor: (durability: Durability) => Queue
  readonly #isClosed: () => boolean
  readonly #durability: Durability
  readonly #deadlineMs: number
  readonly #lines = new Map<Durability, Line>()

  constructor({ queueFor, messages, isClosed, durability, deadlineMs }: ClientQueueOptions) {
    this.#queue = queueFor('fast')
    this.#messages = messages
    this.#queueFor = queueFor
    this.#isClosed = isClosed
    this.#durability = durability
    this.#deadlineMs = deadlineMs
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
    input: TaskInput<T>,
    options?: EnqueueOptions,
  ): Promise<JobHandle<TaskOutput<T>>> {
    const job = newJob(task, input, options)
    const [answer] = await this.#send([job], options?.durability)
    return this.#handle(job.id, answer)
  }

  /** Enqueues many in calls of up to 1,000 jobs; each call is done whole or not at all. Handles in the order of the requests. */
  async enqueueMany<T extends AnyTask = Untyped>(
    requests: readonly EnqueueRequest<T>[],
    { durability }: { durability?: Durability } = {},
  ): Promise<JobHandle<TaskOutput<T>>[]> {
    const jobs = requests.map(({ task, input, options }) => newJob(task, input, options))
    const answers = await this.#send(jobs, durability)
    return jobs.map(({ id }, i) => this.#handle(id, answers[i]))
  }

  /** A handle for a job enqueued earlier; asks nothing of Redis. */
  job<R = unknown>(id: string): JobHandle<R> {
    return this.#handle(id, undefined)
  }

  #handle<R>(id: string, enqueued: Enqueued | undefined): JobHandle<R> {
    return new JobHandle<R>(id, enqueued, this.#queue, this.#messages)
  }

  async #send(jobs: readonly NewJob[], durability = this.#durability): Promise<Enqueued[]> {
    const known = this.#lines.get(durability)
    if (known) return known.send(jobs)
    if (!DURABILITIES.includes(durability))
      throw new TypeError(`durability is "${durability}"; it is one of ${DURABILITIES.join(', ')}`)
    const line = new Line({
      queue: this.#queueFor(durability),
      durability,
      deadlineMs: this.#deadlineMs,
      isClosed: this.#isClosed,
    })
    this.#lines.set(durability, line)
    return line.send(jobs)
  }
}

export class JobHandle<R = unknown> {
  readonly id: string
  /** 'created', or the state in which this id was known already: then nothing was enqueued. undefined on a handle by id. */
  readonly enqueued: Enqueued | undefined
  readonly #queue: Queue
  readonly #messages: () => Connection

  constructor(id: string, enqueued: Enqueued | undefined, queue: Queue, messages: () => Connection) {
    this.id = id
    this.enqueued = enqueued
    this.#queue = queue
    this.#messages = messages
  }

  async state(): Promise<JobState> {
    return (await this.details())?.state ?? 'unknown'
  }

  /** All that is known: attempts, failures with error and output, times, progress. undefined when nothing is. */
  async details(): Promise<JobDetails | undefined> {
    return this.#queue.job(this.id)
  }

  /** A waiting job ends now; a running one is ended by its worker within a moment ('cancelling'). */
  async cancel(): Promise<'cancelling' | JobState> {
    return this.#queue.cancel(this.id)
  }

  /**
   * Waits for the result. Throws JobBuried, JobCancelled, JobNotFound, ResultTimeout after `timeoutMs` (without it: waits for
   * ever), RedisUnavailable.
   */
  async result({ timeoutMs = Number.POSITIVE_INFINITY }: { timeoutMs?: number } = {}): Promise<R> {
    const giveUpAtMs = performance.now() + timeoutMs
    let look = () => {}
    let told: EndedJob | undefined
    const stopListening = await this.#messages().subscribe(
      doneChannel(this.#queue.name, this.id),
      (message) => {
        told = parseEnded(message)
        look()
      },
    )
    try {
      for (;;) {
        const looked = new Promise<void>((resolve) => {
          look = resolve
        })
        const details = await this.details()
        const ended = told ?? details?.ended
        if (ended) return this.#resultOf<R>(ended)
        if (!details) throw new JobNotFound(`job ${this.id} is not known in ${this.#queue.name}`)
        if (details.state === 'buried') throw new JobBuried(details)
        const leftMs = giveUpAtMs - performance.now()
        if (leftMs <= 0)
          throw new ResultTimeout(
            `job ${this.id} has not ended within ${timeoutMs} ms; it is ${details.state}`,
          )
        await withinMs(looked, Math.min(READ_AGAIN_MS, leftMs))
        if (told) return this.#resultOf<R>(told)
      }
    } finally {
      stopListening()
    }
  }

  #resultOf<T>(ended: EndedJob): T {
    if (ended.state === 'completed') return JSON.parse(ended.result)
    throw new JobCancelled(`job ${this.id} was cancelled`)
  }
}

async function withinMs(event: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  await Promise.race([event, new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)))])
  clearTimeout(timer)
}
