// What a user's module calls to say which tasks it has. The registry lies on globalThis, because the user's modules and the
// program of the child may have loaded two copies of this package.
declare const types: unique symbol

export interface Task<Name extends string, Input, Output> {
  readonly name: Name
  /** The function itself, for tests and for callers in the same process. */
  readonly run: (input: Input, job: Job) => Output | Promise<Output>
  /** Never there at run time; it carries the types for `enqueue<typeof resize>('resize', input)`. */
  readonly [types]?: (input: Input) => Output
}

export type AnyTask = Task<string, never, unknown>
export type TaskName<T extends AnyTask> = T['name']
/** Where the task is not known (`AnyTask`), any value. */
export type TaskInput<T extends AnyTask> =
  T extends Task<string, infer Input, unknown> ? ([Input] extends [never] ? unknown : Input) : never
export type TaskOutput<T extends AnyTask> = T extends Task<string, never, infer Output> ? Output : never

/** What a task is told about the job it runs. */
export interface Job {
  readonly id: string
  /** 1 for the first try. */
  readonly attempt: number
  /** `<namespace>.<name>` */
  readonly queue: string
  readonly task: string
  readonly enqueuedAtMs: number
  /**
   * Aborted when the job is cancelled, is out of time, or its worker drains. A task that looks at it is given a few seconds to end
   * by itself; one that does not is ended at once.
   */
  readonly signal: AbortSignal
  /** Any JSON value of at most 4 KiB. Of values that follow each other faster than 20 a second, the last one is sent. */
  progress(value: unknown): Promise<void>
  /** A line of the job's own log: text, and values as `console.log` would write them. */
  log(...parts: unknown[]): void
}

export interface TaskDefinition {
  readonly name: string
  readonly run: (input: unknown, job: Job) => unknown
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/
const REGISTRY = Symbol.for('millhand.tasks')
const TERMINAL = Symbol.for('millhand.terminal')

/**
 * Defines a task: the function that workers run for the jobs enqueued under `name`. Input and output travel as JSON. Throw to have
 * the job tried again later; throw a TerminalError to have it buried at once.
 */
export function task<const Name extends string, Input, Output>(
  name: Name,
  run: (input: Input, job: Job) => Output | Promise<Output>,
): Task<Name, Input, Output> {
  if (typeof name !== 'string' || !NAME.test(name))
    throw new TypeError(
      `task name ${JSON.stringify(name)}: use 1 to 100 letters, digits, dots, dashes and underscores, a letter or digit first`,
    )
  if (typeof run !== 'function') throw new TypeError(`task "${name}": the second argument must be a function`)
  if (definedTasks().has(name))
    throw new Error(`task "${name}" is defined twice; each task needs a name of its own`)
  const defined: Task<Name, Input, Output> = { name, run }
  definedTasks().set(name, defined as TaskDefinition)
  return defined
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
