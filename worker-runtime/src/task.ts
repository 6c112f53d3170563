// `task()`, by which a user's module defines its tasks, and the types around it. The registry is on
// globalThis, because the user's modules and the program of the child may have loaded two copies of this
// package.
import type { AddedJobOptions, FollowUpOptions } from './enqueued-by-tasks.ts'
import type { ScheduledRun } from './scheduled-run.ts'
import type { Received, Sendable } from './through-json.ts'

declare const types: unique symbol

export interface Task<Name extends string, Input, Output> {
  readonly name: Name
  /** The function itself, for tests and for callers in the same process. */
  readonly run: (input: Input, job: Job) => Output | Promise<Output>
  /** Never there at run time; it carries the types for `enqueue<typeof resize>('resize', input)`. */
  readonly [types]?: (input: Input) => Output
}

/** Any task, whatever its name, input and output. */
export type AnyTask = Task<string, never, unknown>
/** The name of a task, as `enqueue` takes it. */
export type TaskName<T extends AnyTask> = T['name']
/** The input of a task; any value for `AnyTask`. */
export type TaskInput<T extends AnyTask> =
  T extends Task<string, infer Input, unknown> ? ([Input] extends [never] ? unknown : Input) : never
/** The value that the task returns, before it goes through JSON. */
export type TaskOutput<T extends AnyTask> = T extends Task<string, never, infer Output> ? Output : never
/** The value of `result()`: the output of the task after JSON. */
export type TaskResult<T extends AnyTask> = Received<TaskOutput<T>>

/** Input and options of `enqueue`; no input where the task needs none. */
export type InputArguments<T extends AnyTask, Options> =
  undefined extends TaskInput<T>
    ? [input?: Sendable<TaskInput<T>>, options?: Options | undefined]
    : [input: Sendable<TaskInput<T>>, options?: Options | undefined]
export type InputField<T extends AnyTask> =
  undefined extends TaskInput<T>
    ? { input?: Sendable<TaskInput<T>> | undefined }
    : { input: Sendable<TaskInput<T>> }

/** The job, as its task sees it. */
export interface Job {
  readonly id: string
  /** 1 for the first try. */
  readonly attempt: number
  /** `<namespace>.<name>` */
  readonly queue: string
  readonly task: string
  readonly enqueuedAtMs: number
  /** What its enqueue gave it: the context of a trace, say. */
  readonly headers: Readonly<Record<string, string>>
  /** Of a job that a schedule made; undefined for any other. */
  readonly schedule: ScheduledRun | undefined
  /**
   * Aborted when the job is cancelled, is out of time, or its worker has drained as long as it may. A task
   * that looks at it is given a few seconds to end by itself; one that does not is ended at once.
   */
  readonly signal: AbortSignal
  /**
   * Aborted when the worker of this attempt drains. The task may go on: it has until the drain timeout. One
   * that would take longer saves a checkpoint and throws `HandOver`.
   */
  readonly draining: AbortSignal
  /**
   * Any JSON value of at most 4 KiB. Of values that follow each other faster than 20 a second, the last one
   * is sent. Not to await it costs nothing; awaited, it resolves when this value, or a newer one, is in
   * Redis, a quarter of a second later at most while Redis is there. Rejects with an error of the code
   * `NOT_HELD` when this attempt no longer holds its job (its worker was taken for dead, and another attempt
   * may run), and with a RangeError or TypeError for a value that is too large or is not JSON.
   */
  progress(value: unknown): Promise<void>
  /**
   * Does a part of the task once for the job, whatever attempt: resolves with the value of `work` when it is
   * saved, and in later attempts with the saved one, without doing the work again. The value comes through
   * JSON. Names are 1 to 100 of A-Z a-z 0-9 : . _ - and stand once in an attempt.
   *
   * Rejects with what `work` throws, and nothing is saved then; with a TypeError for a bad name or a value
   * that is not JSON; and with an error of the code `SAVED_TOO_LARGE` (256 KiB for all that a job saves, each
   * name and 100 bytes for each value included), or `NOT_HELD` as `progress`. While Redis is away it waits.
   */
  step<T>(name: string, work: () => T | Promise<T>): Promise<Received<T>>
  /**
   * Saves where the task is: any JSON value, in place of the one before. Resolves when it is saved; rejects
   * as `step`.
   */
  checkpoint(value: unknown): Promise<void>
  /** The value of the last checkpoint, of this attempt or an earlier one; undefined where there is none. */
  lastCheckpoint(): Promise<unknown>
  /**
   * Adds a job to the flow that this job belongs to, and answers its name. It may run at once; what waits for
   * this job waits for it too. Add the same jobs in the same order in each attempt: then none is added twice.
   * `after` names jobs of the flow. Rejects with the code `NO_FLOW` for a job of no flow, `NOT_ADDED` when
   * the flow does not run any more, and `NOT_HELD`.
   */
  add<T extends AnyTask = Task<string, unknown, unknown>>(
    queue: string,
    task: TaskName<T>,
    ...[input, options]: InputArguments<T, AddedJobOptions>
  ): Promise<string>
  /**
   * Enqueues a job with the success of this one, in one piece: one that is tried again, handed over or
   * cancelled leaves nothing. Resolves with the id of the new job when its worker has it. `queue` is a queue
   * in the namespace of this one. `{ now: true }` enqueues at once, whatever becomes of this job. The new job
   * has the headers of this one, unless it gets others.
   *
   * Rejects with a TypeError for an invalid name, option or input; with an error of the code
   * `TOO_MANY_FOLLOW_UPS` beyond 1,000 jobs or 1 MiB of inputs; and with `now` also with `NOT_HELD`, or that
   * of a `QueueRefused`.
   */
  enqueue<T extends AnyTask = Task<string, unknown, unknown>>(
    queue: string,
    task: TaskName<T>,
    ...[input, options]: InputArguments<T, FollowUpOptions>
  ): Promise<string>
  /** A line of the job's own log: text, and values as `console.log` would write them. */
  log(...parts: unknown[]): void
}

/** A method, so that a task may say which input it takes; one that does not say gets `unknown`. */
type AnyRun = { run(input: unknown, job: Job): unknown }['run']
type InputOf<Run extends AnyRun> =
  Parameters<Run> extends [infer Input, ...unknown[]]
    ? Input
    : Parameters<Run> extends [(infer Input)?, ...unknown[]]
      ? Input | undefined
      : unknown

export interface TaskDefinition {
  readonly name: string
  readonly run: (input: unknown, job: Job) => unknown
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/
const REGISTRY = Symbol.for('millhand.tasks')
const TERMINAL = Symbol.for('millhand.terminal')

/**
 * Defines a task: the function that workers run for the jobs enqueued under `name`. Input and output travel
 * as JSON. Throw to have the job tried again later; throw a TerminalError to have it buried at once.
 */
export function task<const Name extends string, Run extends AnyRun>(
  name: Name,
  run: Run,
): Task<Name, InputOf<Run>, Awaited<ReturnType<Run>>> {
  if (typeof name !== 'string' || !NAME.test(name))
    throw new TypeError(
      `invalid task name ${JSON.stringify(name)}: use 1 to 100 of A-Z a-z 0-9 . _ -, a letter or digit first`,
    )
  if (typeof run !== 'function') throw new TypeError(`task "${name}": the second argument must be a function`)
  if (definedTasks().has(name))
    throw new Error(`task "${name}" is defined twice; each task needs a name of its own`)
  const defined: TaskDefinition = { name, run }
  definedTasks().set(name, defined)
  return defined as Task<Name, InputOf<Run>, Awaited<ReturnType<Run>>>
}

/** Thrown by a task whose job must not be tried again: it is buried at once. */
export class TerminalError extends Error {
  readonly [TERMINAL] = true
  override name = 'TerminalError'
}

export function isTerminal(error: unknown): boolean {
  try {
    return (error as { [TERMINAL]?: unknown } | null | undefined)?.[TERMINAL] === true
  } catch {
    return false // a getter that throws
  }
}

/** Every task that the modules loaded so far have defined, by name. */
export function definedTasks(): Map<string, TaskDefinition> {
  const shared = globalThis as { [REGISTRY]?: Map<string, TaskDefinition> }
  shared[REGISTRY] ??= new Map()
  return shared[REGISTRY]
}
