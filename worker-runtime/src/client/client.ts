// The client: connects and enqueues one or many jobs; their handles wait for results, look jobs up, cancel
// and delete them (job-handle.ts). Enqueues of one tick become one call to Redis (batch.ts).
import { fromEnvironment } from '../config.ts'
import { isJobId, JOB_OPTIONS, type JobOptions, type NewJob } from '../job.ts'
import { checkOptions, oneOf, type Rules, shown, wholeNumber } from '../options.ts'
import { DURABILITIES, type Durability } from '../queue/durability.ts'
import type { EnqueueAnswer } from '../queue/enqueue.ts'
import type { EventsOptions, QueueEvent } from '../queue/events.ts'
import { queueName } from '../queue/keys.ts'
import { openQueue, type Queue } from '../queue/queue.ts'
import { parseAddress, type RedisAccess } from '../redis/address.ts'
import type { Connection } from '../redis/connection.ts'
import { connectRedis } from '../redis/reconnect.ts'
import type { AnyTask, InputArguments, Task, TaskName, TaskResult } from '../task.ts'
import { Batcher } from './batch.ts'
import { type BeforeEnqueue, type CheckJob, checkingFor } from './before-enqueue.ts'
import type { BatchOptions, FlowPlan } from './flow.ts'
import { FlowRun, startFlow } from './flow-run.ts'
import { type JobBatch, openBatch } from './job-batch.ts'
import { type HandleParts, JobHandle } from './job-handle.ts'
import { limitsOf, type QueueLimits } from './limits.ts'
import { type EnqueueRequest, jobOfRequest } from './requests.ts'
import { EndMessages } from './result.ts'
import { type QueueSchedules, schedulesOf } from './schedules.ts'

export type { AttemptFacts, EndedJob, Envelope, JobOptions, Priority, Unique } from '../job.ts'
export type { Durability } from '../queue/durability.ts'
export type { Enqueued } from '../queue/enqueue.ts'
export type { Change, ChangedJob, EventKind, EventsOptions, QueueEvent } from '../queue/events.ts'
export type { FlowDetails, FlowFacts, FlowJobFacts, FlowState } from '../queue/flows.ts'
export type { AttemptRecord, JobDetails, JobState } from '../queue/reads.ts'
export { QueueRefused } from '../queue/refused.ts'
export type { RedisAccess } from '../redis/address.ts'
export { RedisUnavailable } from '../redis/connection.ts'
export type { BeforeEnqueue, JobToEnqueue } from './before-enqueue.ts'
export {
  type BatchOptions,
  type FlowCallRequest,
  type FlowGroup,
  type FlowJob,
  type FlowJobOptions,
  type FlowOptions,
  type FlowPlan,
  type FlowStep,
  flow,
} from './flow.ts'
export { FlowFailed, FlowRun } from './flow-run.ts'
export { JobBatch } from './job-batch.ts'
export { JobHandle, type ResultOptions } from './job-handle.ts'
export type { KeyLimits, QueueLimits, Rate, WhenAtLimit } from './limits.ts'
export type { EnqueueRequest } from './requests.ts'
export { JobBuried, JobCancelled, JobExpired, JobNotFound, ResultTimeout } from './result.ts'
export type {
  LastRun,
  Missed,
  Overlap,
  QueueSchedules,
  ScheduledJobOptions,
  ScheduleOf,
  ScheduleSpec,
  ScheduleState,
  SchedulesPage,
  Timing,
} from './schedules.ts'

/** How `connect` reaches Redis, and what it promises. */
export interface ClientOptions {
  /**
   * A URL like redis://user:password@host:6379, or an object with the URL and certificates. Default:
   * MILLHAND_REDIS_URL, with MILLHAND_REDIS_CA, MILLHAND_REDIS_CERT and MILLHAND_REDIS_KEY.
   */
  redis?: string | RedisAccess | undefined
  /** The namespace of the queues; default: MILLHAND_NAMESPACE, else `default`. */
  namespace?: string | undefined
  /** When an enqueue counts as done, unless the call says otherwise; default `fast`. */
  durability?: Durability
  /**
   * How long a call may take while Redis is away before it fails with RedisUnavailable; ms, default 10,000.
   * `result()` has its own `timeoutMs`.
   */
  deadlineMs?: number
  /**
   * Runs before each job of this client is enqueued, and may change its options: headers for a trace, say.
   */
  beforeEnqueue?: BeforeEnqueue
}

/** The task type of calls without a type: any input, and an unknown result. */
type Untyped = Task<string, unknown, unknown>

/** The options of one job, and when its enqueue counts as done. */
export interface EnqueueOptions extends JobOptions {
  /** When this enqueue counts as done; default: that of the client. */
  durability?: Durability
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
  beforeEnqueue: { isValid: (value) => typeof value === 'function', is: 'a function' },
}
const A_TEXT = { isValid: (value: unknown) => typeof value === 'string', is: 'a text' }
const ACCESS_OPTIONS: Rules = { url: A_TEXT, ca: A_TEXT, cert: A_TEXT, key: A_TEXT }
const ENQUEUE_OPTIONS: Rules = { ...JOB_OPTIONS, durability: DURABILITY }
const MANY_OPTIONS: Rules = { durability: DURABILITY }

/**
 * Opens a client. It connects in the background; calls wait for the connection up to `deadlineMs`. Throws
 * TypeError for an unknown option, a bad value, or when there is no address of Redis.
 */
export function connect(options: ClientOptions = {}): Client {
  return new Client(options)
}

/** A connection to Redis for any number of queues. It reconnects by itself. */
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

  /**
   * The queue with this name (metadata.name of its TaskQueue) in the client's namespace. Throws TypeError for
   * an invalid name.
   */
  queue(name: string): ClientQueue {
    const known = this.#queues.get(name)
    if (known) return known
    const named = (each: string) => queueName(this.#options.namespace ?? fromEnvironment().namespace, each)
    const fullName = named(name)
    const messages = () => {
      this.#messages ??= this.#connect('results')
      return this.#messages
    }
    const opened = new ClientQueue({
      queueFor: (durability) =>
        openQueue(durability === 'fast' ? this.#redis : this.#connect(durability), fullName),
      fullName: named,
      messages: new EndMessages(fullName, messages),
      isClosed: () => this.#isClosed,
      onClose: (listener) => {
        this.#onClose.add(listener)
        return () => this.#onClose.delete(listener)
      },
      durability: this.#options.durability ?? 'fast',
      deadlineMs: this.#deadlineMs,
      beforeEnqueue: this.#options.beforeEnqueue,
    })
    this.#queues.set(name, opened)
    return opened
  }

  /**
   * Starts a flow. After the await Redis has all of it; a flow whose id is known is left alone (`run.isNew`).
   * Throws TypeError for a flow without jobs, QueueRefused over a limit of its home, and RedisUnavailable,
   * after which to start it again is safe.
   */
  async start<R = unknown>(flow: FlowPlan): Promise<FlowRun<R>> {
    return this.queue(flow.home).start(flow)
  }

  /**
   * The handle of a flow that was started earlier, by the name of its home and its id. Sends nothing to
   * Redis.
   */
  flow<R = unknown>(home: string, id: string): FlowRun<R> {
    return this.queue(home).flow(id)
  }

  /** Closes the connections. Calls that still wait are rejected with RedisUnavailable. */
  close(): void {
    this.#isClosed = true
    for (const connection of this.#connections) connection.close()
    for (const listener of this.#onClose) listener()
  }

  #connect(what: string): Connection {
    // An idle connection may be dead without a word. It is dropped after one try, and half of the time is
    // left for another connection.
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

/** The parts of a client that its queues use. */
interface ClientParts extends HandleParts {
  /**
   * An enqueue that waits for a disk or a replica blocks its connection: each batcher of such enqueues has a
   * connection of its own.
   */
  queueFor: (durability: Durability) => Queue
  /** `<namespace>.<name>` */
  fullName: (queue: string) => string
  durability: Durability
  beforeEnqueue: BeforeEnqueue | undefined
}

/** A queue, as a client sees it. */
export class ClientQueue {
  readonly #queue: Queue
  readonly #client: ClientParts
  readonly #batchers = new Map<Durability, Batcher>()
  readonly #check: CheckJob

  constructor(client: ClientParts) {
    this.#queue = client.queueFor('fast')
    this.#client = client
    this.#check = checkingFor(this.name, client.beforeEnqueue)
  }

  /** Limits of keys, or without a key of the queue, that win over those of the TaskQueue while jobs run. */
  get limits(): QueueLimits {
    return limitsOf(this.#queue)
  }

  /** Jobs that come by the clock. */
  get schedules(): QueueSchedules {
    return schedulesOf(this.#queue)
  }

  /** `<namespace>.<name>` */
  get name(): string {
    return this.#queue.name
  }

  /**
   * Enqueues one job. After the await Redis has it. Name the type of the task to have input and result
   * checked: `enqueue<typeof resize>('resize', { file: 'cat.png', width: 200 })`. All enqueues of one tick
   * are one call to Redis.
   *
   * Throws TypeError for an invalid name, option or input, QueueRefused over a limit of the queue, and
   * RedisUnavailable when Redis did not answer within `deadlineMs`, or no disk or replica confirmed the
   * `durability` in time (NOT_CONFIRMED). Where the error says `maybeDone`, the job may be in Redis; to
   * enqueue it again with the same id (`jobIds`) is safe.
   */
  async enqueue<T extends AnyTask = Untyped>(
    task: TaskName<T>,
    ...[input, options]: InputArguments<T, EnqueueOptions>
  ): Promise<JobHandle<TaskResult<T>>> {
    const job = this.#check(task, input, options, ENQUEUE_OPTIONS)
    const [answer] = await this.#send([job], options?.durability)
    return this.#handle(job.id, answer)
  }

  /**
   * Enqueues many jobs, in calls of up to 1,000 jobs or 1 MB. Each call is done as a whole or not at all.
   * Answers handles in the order of the requests. Throws as `enqueue`; a TypeError names the request by its
   * index.
   */
  async enqueueMany<T extends AnyTask = Untyped>(
    requests: readonly EnqueueRequest<T>[],
    options: { durability?: Durability } = {},
  ): Promise<JobHandle<TaskResult<T>>[]> {
    checkOptions('option of enqueueMany', options, MANY_OPTIONS)
    if (!Array.isArray(requests))
      throw new TypeError(
        `invalid requests of enqueueMany (${shown(requests)}): use an array of { task, input, options }`,
      )
    const jobs = requests.map((request, index) => jobOfRequest(request, index, this.#check))
    const answers = await this.#send(jobs, options.durability)
    return jobs.map(({ id }, i) => this.#handle(id, answers[i]))
  }

  /**
   * The handle of a job that was enqueued earlier, by its id. Sends nothing to Redis. Throws TypeError for an
   * invalid id.
   */
  job<R = unknown>(id: string): JobHandle<R> {
    if (!isJobId(id)) throw new TypeError(`invalid job id ${shown(id)}: use 1 to 128 of A-Z a-z 0-9 . : _ -`)
    return this.#handle(id, undefined)
  }

  /** Starts a flow that is kept in this queue (`client.start`). */
  start<R = unknown>(flow: FlowPlan): Promise<FlowRun<R>> {
    return startFlow(flow, this.#queue, this.#client)
  }

  /**
   * Opens a batch of jobs of this queue with this id, 1 to 60 of A-Z a-z 0-9 . _ -; one that is known is left
   * as it is. Add jobs to it, and close it. Throws TypeError for an invalid id or option, and
   * RedisUnavailable.
   */
  batch(id: string, options: BatchOptions = {}): Promise<JobBatch> {
    return openBatch(id, options, this.#queue, this.#client)
  }

  /** The handle of a flow that is kept in this queue, by its id. Sends nothing to Redis. */
  flow<R = unknown>(id: string): FlowRun<R> {
    return new FlowRun<R>(id, this.#queue, this.#client)
  }

  /**
   * What happens in the queue from now on, or behind the event with the id `after`; goes on by itself after
   * an outage of Redis. Throws TypeError for a bad option, and QueueRefused where the queue keeps no events.
   */
  events(options: EventsOptions = {}): AsyncGenerator<QueueEvent, void, void> {
    return this.#queue.events(options)
  }

  #handle<R>(id: string, answer: EnqueueAnswer | undefined): JobHandle<R> {
    const said = typeof answer === 'object' ? answer : { id, enqueued: answer }
    return new JobHandle<R>(said.id, this.#queue, this.#client, said.enqueued)
  }

  #send(jobs: readonly NewJob[], durability = this.#client.durability): Promise<EnqueueAnswer[]> {
    const known = this.#batchers.get(durability)
    if (known) return known.send(jobs)
    const { queueFor, deadlineMs, isClosed } = this.#client
    const batcher = new Batcher({ queue: queueFor(durability), durability, deadlineMs, isClosed })
    this.#batchers.set(durability, batcher)
    return batcher.send(jobs)
  }
}
