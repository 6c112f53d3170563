// The children of a worker: wires a source of children, the spares, a pool, the memory watch and the guard
// for one mode, and stops them again. Used by worker.ts and main.ts.
import { ConfigError, type IsolationMode } from '../config.ts'
import { Child, type Failure, STOPPING } from './child.ts'
import { Guard } from './guard.ts'
import { mostChildren, withLimit } from './limits.ts'
import { type Container, defaultMaxMemoryBytes, findContainer, MemoryWatch } from './memory.ts'
import { FreshChildren, type Pool } from './pool.ts'
import { SharedChildren } from './shared-child.ts'
import { refusal, type Source, type SourceSettings, startSource, usageOf } from './source/fork-or-spawn.ts'
import { spawnChild } from './source/spawn.ts'
import { Spares, startLoaded } from './spares.ts'
import { killChild } from './stop.ts'

export interface ChildSettings extends SourceSettings {
  slots: number
  jobsPerChild?: number | undefined // Reuse; no limit when absent
}

const MOST_SPARES = 4

/** The interface of the worker's children. */
export interface Children {
  readonly mode: IsolationMode
  /** Why this is not the wanted mode; else empty. */
  readonly note: string
  readonly tasks: string[]
  /** The memory of the zygote now; undefined where there is none. */
  zygoteRssBytes(): number | undefined
  run: Pool['run']
  /** Hands running jobs back. Resolves when all children and their processes are gone. */
  stop(): Promise<void>
}

/**
 * Resolves when a first child has loaded the modules. Throws a ConfigError where no child can load them, and
 * another Error where this child could not.
 */
export async function startChildren(settings: ChildSettings): Promise<Children> {
  const container = findContainer()
  const maxMemoryBytes = settings.maxMemoryBytes ?? defaultMaxMemoryBytes(container, childrenOf(settings))
  const source = await startSource({ ...settings, maxMemoryBytes })
  const { mode, note } = source
  const nursery = new Nursery({ ...settings, mode, maxMemoryBytes }, source, container)
  const starting = { start: () => nursery.start(), loadTimeoutMs: settings.loadTimeoutMs }
  const first = await startLoaded(starting)
  if ('failure' in first || first.tasks.length === 0) {
    await nursery.stop()
    throw 'failure' in first ? refusal(first) : withoutTasks(settings.modules)
  }
  const spares = new Spares({
    ahead: mode !== 'Reuse' ? Math.min(settings.slots, MOST_SPARES) : 0,
    width: Math.min(settings.slots, MOST_SPARES),
    ...starting,
    log: settings.log,
  })
  spares.add(first)
  const pool = poolFor({ ...settings, mode }, spares)
  return {
    mode,
    note,
    tasks: first.tasks,
    zygoteRssBytes: () => source.zygoteRssBytes(),
    run: (spec, hooks) => pool.run(spec, hooks),
    async stop() {
      await pool.stop()
      await spares.stop()
      await nursery.stop()
    },
  }
}

/** Loads the modules in a process that then ends, and answers their tasks. Throws as startChildren. */
export async function checkModules({
  modules,
  env,
  loadTimeoutMs,
}: Pick<ChildSettings, 'modules' | 'env' | 'loadTimeoutMs'>): Promise<string[]> {
  const start = async () => {
    const birth = await spawnChild({ env })
    if ('failure' in birth) return birth
    return new Child(birth, { modules, once: true, jobsAtOnce: 1, onEnded: () => {} })
  }
  const child = await startLoaded({ start, loadTimeoutMs })
  if ('failure' in child) throw refusal(child)
  await killChild(child)
  if (child.tasks.length === 0) throw withoutTasks(modules)
  return child.tasks
}

function withoutTasks(modules: readonly string[]): ConfigError {
  return new ConfigError(`no task is defined in ${modules.join(', ')}: call task('name', …) in it`)
}

function poolFor(settings: ChildSettings, spares: Spares): Pool {
  const { slots, log } = settings
  if (settings.mode !== 'Reuse') return new FreshChildren({ spares, slots, log })
  return new SharedChildren({
    spares,
    children: childrenOf(settings),
    jobsAtOncePerChild: settings.jobsAtOncePerChild ?? 1,
    jobsPerChild: settings.jobsPerChild ?? Number.POSITIVE_INFINITY,
  })
}

function childrenOf({ mode, slots, jobsAtOncePerChild = 1 }: ChildSettings): number {
  return mode !== 'Reuse' ? slots : Math.ceil(slots / jobsAtOncePerChild)
}

/** Knows every child that lives, so that each is watched, guarded, and ended; then it ends their source. */
class Nursery {
  readonly #settings: ChildSettings
  readonly #living = new Set<Child>()
  readonly #starting = new Set<Promise<unknown>>()
  readonly #mostChildren = mostChildren()
  readonly #guard: Guard
  readonly #memory: MemoryWatch
  readonly #source: Source
  #isStopped = false

  constructor(settings: ChildSettings, source: Source, container: Container | undefined) {
    const { maxMemoryBytes, log } = settings
    this.#settings = settings
    this.#source = source
    this.#guard = new Guard(log)
    this.#memory = new MemoryWatch({ children: this.#living, maxMemoryBytes, container, log })
  }

  start(): Promise<Child | Failure> {
    const starting = this.#start()
    this.#starting.add(starting)
    void starting.then(() => this.#starting.delete(starting))
    return starting
  }

  async #start(): Promise<Child | Failure> {
    if (this.#isStopped) return STOPPING
    if (this.#living.size + this.#starting.size >= this.#mostChildren)
      return { failure: withLimit('EMFILE'), isAccident: true }
    const { modules, log } = this.#settings
    const birth = await this.#source.birth()
    if ('failure' in birth) return birth
    const child = new Child(birth, {
      modules,
      ...usageOf(this.#settings),
      onEnded: (ended) => this.#ended(ended),
      onStray: ({ stream, line, job }) =>
        log.info('output', { ...(job && { queue: job.queue, job: job.jobId, late: true }), stream, line }),
    })
    this.#living.add(child)
    this.#guard.add(child.pid)
    return child
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await Promise.all(this.#starting)
    await Promise.all([...this.#living].map(killChild))
    this.#memory.stop()
    await this.#guard.stop()
    await this.#source.stop()
  }

  #ended(child: Child): void {
    this.#living.delete(child)
    this.#guard.remove(child.pid)
    child.wasKilledByKernel = child.ending?.signal === 'SIGKILL' && this.#memory.hasKernelKilled()
  }
}
