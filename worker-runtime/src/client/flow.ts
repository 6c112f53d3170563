// Builds a flow: jobs of any queues, some of which wait for others (pure; flow-run.ts starts it).
import { JOB_OPTIONS, type JobOptions, type NewJob, newJob } from '../job.ts'
import { anything, checkOptions, oneOf, type Rules, shown, wholeNumber } from '../options.ts'
import {
  CALLBACKS,
  type Callback,
  type FlowCall,
  flowHead,
  type NewFlow,
  type NewFlowJob,
} from '../queue/flows.ts'
import type { AnyTask, InputArguments, Task, TaskInput, TaskName, TaskResult } from '../task.ts'
import type { Sendable } from '../through-json.ts'
import { reference, referring } from './references.ts'

type Untyped = Task<string, unknown, unknown>

/** A job that a flow enqueues besides its jobs: a callback or a compensation. */
export interface FlowCallRequest {
  /** Default: the queue of the job, or the home of the flow. */
  queue?: string
  task: string
  /** Of a compensation, default: the result of the job that it undoes. */
  input?: unknown
  options?: Omit<JobOptions, 'id' | 'unique'>
}

/** The options of a batch. */
export interface BatchOptions {
  /** How long state and results are kept after its end; ms, default: a day. */
  keepMs?: number
  /** Enqueued once when all jobs have completed. */
  onSuccess?: FlowCallRequest
  /** Enqueued once when the end comes otherwise, behind all compensations. */
  onFailure?: FlowCallRequest
  /** Enqueued once at either end. */
  onComplete?: FlowCallRequest
}

/** The options of a flow. */
export interface FlowOptions extends BatchOptions {
  /**
   * What happens when a job fails for good. `stop`, the default: no further job of the flow starts; those that are
   * enqueued go on. `continue`: only what waits for it, directly or by others, does not start.
   */
  onJobFailure?: 'stop' | 'continue'
  /** The queue in which the flow is kept; default: the queue of its first job. */
  home?: string
  /**
   * A job that has not started so many ms after the start of the flow expires, and the flow ends when no job of it runs any
   * more. Default: none does. A retry begins anew.
   */
  expiresInMs?: number
}

/** The options of one job of a flow. */
export interface FlowJobOptions extends Omit<JobOptions, 'id' | 'unique'> {
  /** Its name in the flow, 1 to 60 of A-Z a-z 0-9 . _ -; default: the name of the task, with a number from the second on. */
  name?: string
  /** Jobs and groups that it waits for; those whose result is in its input are among them anyway. */
  after?: readonly (FlowJob | FlowGroup)[]
  /** Undoes the job when it has completed and the flow fails or is cancelled: the last one first, one at a time. */
  compensate?: FlowCallRequest
}

/** A job of a flow that is being built. */
export interface FlowJob<R = unknown> {
  readonly name: string
  /**
   * Stands for its result in the input of another job, which waits for it. It has the type of the result, and no
   * fields before the job has run: pass it as a whole.
   */
  readonly result: R
  /** Stands for the list of the results of the jobs that it adds while it runs (`job.add`), in order. */
  readonly added: unknown[]
}

/** Jobs of a flow without an order among them. */
export interface FlowGroup<R = unknown> {
  readonly jobs: readonly FlowJob<R>[]
  /** Stands for the list of their results, in order. */
  readonly results: R[]
}

/** A step of `chain` and a member of `group`. */
export interface FlowStep {
  queue: string
  task: string
  /** Of a later step of a chain, default: the result of the step before. */
  input?: unknown
  options?: Omit<FlowJobOptions, 'name' | 'after'>
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$/
const A_NAME = '1 to 60 of A-Z a-z 0-9 . _ -, a letter or digit first'
const RESERVED = /^on(Success|Failure|Complete)$|\.undo$/
const MOST_JOBS = 20_000
const MOST_EDGES = 200_000
const DAY_MS = 86_400_000

const aCall = {
  isValid: (value: unknown) => typeof value === 'object' && value !== null,
  is: 'an object of queue, task, input, options',
}
const CALL_FIELDS: Rules = { queue: anything, task: anything, input: anything, options: anything }
const BATCH_OPTIONS: Rules = {
  keepMs: wholeNumber(1, 366 * DAY_MS),
  ...{ onSuccess: aCall, onFailure: aCall, onComplete: aCall },
}
const FLOW_OPTIONS: Rules = {
  ...BATCH_OPTIONS,
  onJobFailure: oneOf(['stop', 'continue']),
  expiresInMs: wholeNumber(1, 366 * DAY_MS),
  home: { isValid: (value) => typeof value === 'string', is: 'the name of a queue' },
}
const { id: _, unique: __, ...WITHOUT_ID } = JOB_OPTIONS
const FLOW_JOB_OPTIONS: Rules = {
  ...WITHOUT_ID,
  name: { isValid: (value) => isName(value) && !RESERVED.test(String(value)), is: A_NAME },
  after: { isValid: Array.isArray, is: 'a list of jobs and groups of this flow' },
  compensate: aCall,
}

/**
 * Begins a flow with this id, 1 to 60 of A-Z a-z 0-9 . _ -. Nothing is sent before `client.start`. Throws TypeError
 * for an invalid id or option.
 */
export function flow(id: string, options: FlowOptions = {}): FlowPlan {
  return new FlowPlan(id, options)
}

interface Planned {
  readonly name: string
  readonly queue: string
  readonly job: NewJob
  readonly after: ReadonlySet<string>
  readonly compensate: FlowCallRequest | undefined
}

export class FlowPlan {
  readonly id: string
  readonly #options: FlowOptions
  readonly #planned = new Map<string, Planned>()
  readonly #groups = new Set<string>()
  #edges = 0
  #returns: string | undefined

  constructor(id: string, options: FlowOptions) {
    checkFlowId(id)
    checkOptions('option of flow', options, FLOW_OPTIONS)
    this.id = id
    this.#options = options
  }

  /**
   * Adds a job. Name the type of the task to have its input checked and its result typed:
   * `order.add<typeof pay>('billing', 'pay', { order: 42 })`. Throws TypeError for an invalid name, option or input.
   */
  add<T extends AnyTask = Untyped>(
    queue: string,
    task: TaskName<T>,
    ...[input, options = {}]: InputArguments<T, FlowJobOptions>
  ): FlowJob<TaskResult<T>> {
    checkOptions('option of a job of a flow', options, FLOW_JOB_OPTIONS)
    const { name = this.#freeName(task), after = [], compensate, ...rest } = options
    if (this.#planned.has(name))
      throw new TypeError(`flow ${this.id} has a job ${name} already: give each job a name of its own`)
    if (this.#groups.has(name)) throw this.#sharedName(name)
    const make = () => newJob(task, input, rest)
    const { made: job, names } = referring(`the input of ${name}`, make, payloadOf)
    const waitsFor = new Set([...after.flatMap(namesOf), ...names])
    for (const each of waitsFor)
      if (!this.#planned.has(each))
        throw new TypeError(`job ${name} waits for ${each}, which is no job of flow ${this.id}: add it first`)
    const result = reference(`{"millhand:result":"${name}"}`, [name]) as TaskResult<T>
    const undo = compensate && { input: result, ...compensate }
    if (undo)
      checkCall(undo, { id: this.id, what: `compensation of ${name}`, known: new Set([name, ...waitsFor]) })
    this.#edges += waitsFor.size
    if (this.#planned.size === MOST_JOBS || this.#edges > MOST_EDGES)
      throw new TypeError(
        `flow ${this.id} is too large: a flow has at most ${MOST_JOBS} jobs, which wait for each other at most ${MOST_EDGES} times`,
      )
    this.#planned.set(name, { name, queue, job, after: waitsFor, compensate: undo })
    return { name, result, added: reference(`{"millhand:added":"${name}"}`, [name]) as unknown[] }
  }

  /** One job for each input, in no order among them; `options.name` names the group. */
  map<T extends AnyTask = Untyped>(
    queue: string,
    task: TaskName<T>,
    inputs: readonly Sendable<TaskInput<T>>[],
    options: FlowJobOptions = {},
  ): FlowGroup<TaskResult<T>> {
    const steps = inputs.map((input) => ({ queue, task, input, options }))
    return this.#group(steps, options.name ?? this.#freeName(task)) as FlowGroup<TaskResult<T>>
  }

  /** As `map`, and each job has a list of up to `size` inputs. */
  chunks<T extends AnyTask = Untyped>(
    queue: string,
    task: TaskName<T>,
    inputs: readonly unknown[],
    { size, ...options }: FlowJobOptions & { size: number },
  ): FlowGroup<TaskResult<T>> {
    if (!Number.isSafeInteger(size) || size < 1)
      throw new TypeError(`invalid size ${shown(size)}: use a whole number of at least 1`)
    const count = Math.ceil(inputs.length / size)
    const lists = Array.from({ length: count }, (_, i) => inputs.slice(i * size, (i + 1) * size))
    return this.map(queue, task, lists as never, options) as FlowGroup<TaskResult<T>>
  }

  /** Jobs without an order among them. */
  group(steps: readonly FlowStep[], name = this.#freeName('group')): FlowGroup {
    return this.#group(steps, name)
  }

  /** A group, and a job behind it whose input is the list of their results. Answers that job. */
  chord(steps: readonly FlowStep[], last: Omit<FlowStep, 'input'>): FlowJob {
    const { results } = this.group(steps)
    return this.add(last.queue, last.task, results, last.options ?? {})
  }

  /** One job after the other. Answers the last one. */
  chain(steps: readonly FlowStep[]): FlowJob {
    let last: FlowJob | undefined
    for (const { queue, task, input = last?.result, options = {} } of steps)
      last = this.add(queue, task, input, { ...options, ...(last && { after: [last] }) })
    if (last === undefined) throw new TypeError('invalid steps of chain (an empty list): use at least one')
    return last
  }

  /**
   * What `run.result()` answers: any JSON value with results of jobs in it. Default: the result of the job that none
   * waits for; where there are several, the list of theirs.
   */
  returns(value: unknown): this {
    const make = () => JSON.stringify(value) ?? 'null'
    const { made: json, names } = referring('the value of returns', make, (text) => text)
    for (const name of names)
      if (!this.#planned.has(name)) throw new TypeError(`flow ${this.id} has no job ${name}: add it first`)
    this.#returns = json
    return this
  }

  /** The queue in which it is kept. Throws TypeError where it has no jobs. */
  get home(): string {
    const [first] = this.#planned.values()
    if (!first) throw new TypeError(`flow ${this.id} has no jobs: add one`)
    return this.#options.home ?? first.queue
  }

  /** For `start`. home: `<namespace>.<name>`, which `fullName` makes of the name of a queue. */
  plan(home: string, fullName: (queue: string) => string): NewFlow {
    const { onJobFailure = 'stop', keepMs = DAY_MS, expiresInMs } = this.#options
    const jobs = [...this.#planned.values()].map(
      ({ name, queue, job, after, compensate }): NewFlowJob => ({
        ...{
          name,
          queue: fullName(queue),
          head: flowHead(job, home),
          payload: job.payload,
          after: [...after],
        },
        compensate: compensate && compensationOf(compensate, { queue: fullName(queue), home, fullName }),
      }),
    )
    const callbacks = callbacksOf(this.id, this.#options, { home, fullName })
    const returns = this.#returns ?? this.#leaves()
    return { id: this.id, onFailure: onJobFailure, keepMs, expiresInMs, returns, callbacks, jobs }
  }

  #group(steps: readonly FlowStep[], name: string): FlowGroup {
    if (this.#planned.has(name)) throw this.#sharedName(name)
    const jobs = steps.map(({ queue, task, input, options }, i) =>
      this.add(queue, task, input, { ...options, name: `${name}.${i}` }),
    )
    this.#groups.add(name)
    const json = `{"millhand:results":"${name} ${jobs.length}"}`
    return {
      jobs,
      results: reference(
        json,
        jobs.map((each) => each.name),
      ) as unknown[],
    }
  }

  /** `name.0` would be a member of the group, and what the job of this name adds while it runs. */
  #sharedName(name: string): TypeError {
    return new TypeError(`flow ${this.id} has a job and a group ${name}: give each a name of its own`)
  }

  #freeName(task: unknown): string {
    const wanted = String(task).slice(0, 50)
    for (let n = 1; ; n += 1) {
      const name = n === 1 ? wanted : `${wanted}-${n}`
      if (!this.#planned.has(name) && !this.#groups.has(name)) return name
    }
  }

  #leaves(): string {
    const hasFollowers = new Set([...this.#planned.values()].flatMap(({ after }) => [...after]))
    const leaves = [...this.#planned.keys()].filter((name) => !hasFollowers.has(name))
    const [only] = leaves
    if (leaves.length === 1) return `{"millhand:result":"${only}"}`
    return `[${leaves.map((name) => `{"millhand:result":"${name}"}`).join(',')}]`
  }
}

function checkFlowId(id: unknown): void {
  if (!isName(id)) throw new TypeError(`invalid id of a flow or batch ${shown(id)}: use ${A_NAME}`)
}

const isName = (value: unknown): boolean => typeof value === 'string' && NAME.test(value)

const namesOf = (each: FlowJob | FlowGroup): string[] =>
  'jobs' in each ? each.jobs.map(({ name }) => name) : [each.name]

interface Places {
  readonly home: string
  readonly fullName: (queue: string) => string
}

/** A batch is kept as a flow without jobs of its own. */
export function planBatch(id: string, options: BatchOptions, places: Places): NewFlow {
  checkFlowId(id)
  checkOptions('option of batch', options, BATCH_OPTIONS)
  const { keepMs = DAY_MS } = options
  const callbacks = callbacksOf(id, options, places)
  return { id, onFailure: 'batch', keepMs, expiresInMs: undefined, returns: 'null', callbacks, jobs: [] }
}

function callbacksOf(
  id: string,
  options: Partial<Record<Callback, FlowCallRequest>>,
  { home, fullName }: Places,
): NewFlow['callbacks'] {
  const callbacks: Partial<Record<Callback, FlowCall>> = {}
  for (const when of CALLBACKS) {
    const request = options[when]
    if (!request) continue
    checkCall(request, { id, what: when, known: new Set() })
    const job = jobOf(request)
    const queue = request.queue === undefined ? home : fullName(request.queue)
    callbacks[when] = { queue, head: plainHead(job), payload: job.payload }
  }
  return callbacks
}

function compensationOf(
  request: FlowCallRequest,
  { queue, home, fullName }: Places & { queue: string },
): FlowCall {
  const job = jobOf(request)
  const where = request.queue === undefined ? queue : fullName(request.queue)
  return { queue: where, head: flowHead(job, home), payload: job.payload }
}

const payloadOf = ({ payload }: NewJob): string => payload

const jobOf = ({ task, input, options = {} }: FlowCallRequest): NewJob =>
  newJob(task, input, options, WITHOUT_ID)

interface CallOf {
  id: string
  what: string
  /** The jobs to whose results it may refer. */
  known: ReadonlySet<string>
}

/** A callback or a compensation. */
function checkCall(request: FlowCallRequest, { id, what, known }: CallOf): void {
  checkOptions(`field of ${what}`, request, CALL_FIELDS)
  const { names } = referring(what, () => jobOf(request), payloadOf)
  for (const name of names)
    if (!known.has(name))
      throw new TypeError(
        `${what} of flow ${id} refers to the result of ${name}, which need not be there then: leave it out`,
      )
}

const plainHead = ({ flags, lane, when, call }: NewJob): string => `${flags}${lane} ${when || '-'} ${call}`
