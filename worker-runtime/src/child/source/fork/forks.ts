// The source of forked children (children.ts): a zygote that has passed its self-test, and another one when
// it dies.
import { setTimeout as sleep } from 'node:timers/promises'
import { reasonOf } from '../../../errors.ts'
import { type Birth, type Failure, STOPPING } from '../../child.ts'
import { readUsage } from '../../memory.ts'
import { describeEnding } from '../../outcome.ts'
import { loadNative, type Native, thisPlatform, whyNoFork } from './native.ts'
import { type Accident, whyUnusable } from './self-test.ts'
import { type Unfit, Zygote, type ZygoteOptions } from './zygote.ts'

const SLOW_FORK_MICROS = 5_000
const MOST_TRIES = 4
const FIRST_PAUSE_MS = 250
const WEIGHT_OF_NEWEST = 0.05 // a single slow fork depends on the machine more than on the zygote

export interface ForkOptions extends Omit<ZygoteOptions, 'native'> {
  onForked?: ((micros: number) => void) | undefined
}

/** Forks, or why they do not work here. A Failure is the fault of the modules. */
export async function startForks(options: ForkOptions): Promise<Forks | Failure | Unfit> {
  const unfit = whyNoFork(thisPlatform())
  if (unfit !== undefined) return { unfit }
  let native: Native
  try {
    native = loadNative()
  } catch (error) {
    return { unfit: `Fork's compiled part cannot be loaded: ${reasonOf(error)}` }
  }
  const all = { ...options, native }
  const zygote = await startZygote(all)
  return zygote instanceof Zygote ? new Forks(zygote, all) : zygote
}

export class Forks {
  readonly #options: ForkOptions & ZygoteOptions
  #zygote: Promise<Zygote | Failure | Unfit>
  #newest: Zygote
  #isStopped = false
  #hasWarned = false
  #usualMicros = 0

  constructor(zygote: Zygote, options: ForkOptions & ZygoteOptions) {
    this.#options = options
    this.#zygote = Promise.resolve(zygote)
    this.#newest = zygote
    this.#watch(zygote)
  }

  async birth(): Promise<Birth | Failure> {
    const zygote = await this.#living()
    if ('unfit' in zygote) return { failure: zygote.unfit }
    if ('failure' in zygote) return zygote
    const birth = await zygote.fork()
    if ('pid' in birth) this.#options.onForked?.(zygote.forkMicros)
    this.#usualMicros += (zygote.forkMicros - this.#usualMicros) * WEIGHT_OF_NEWEST
    if (this.#usualMicros > SLOW_FORK_MICROS) this.#warnOnce(this.#usualMicros)
    return birth
  }

  /** Undefined while there is no zygote. */
  zygoteRssBytes(): number | undefined {
    return this.#newest.isOver ? undefined : readUsage(this.#newest.pid)?.rssBytes
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    const zygote = await this.#zygote
    if (zygote instanceof Zygote) await zygote.stop()
  }

  /**
   * The zygote. Starts a new one where the last one has died or did not start. Calls during the start wait
   * for it.
   */
  async #living(): Promise<Zygote | Failure | Unfit> {
    const asked = this.#zygote
    const zygote = await asked
    if (this.#isStopped) return STOPPING
    if (zygote instanceof Zygote && !zygote.isOver) return zygote
    if (this.#zygote === asked) this.#zygote = this.#replace()
    return this.#zygote
  }

  async #replace(): Promise<Zygote | Failure | Unfit> {
    const zygote = await startZygote(this.#options)
    if (zygote instanceof Zygote) this.#watch(zygote)
    return zygote
  }

  #watch(zygote: Zygote): void {
    this.#newest = zygote
    void zygote.ended.then((ending) => {
      if (!this.#isStopped)
        this.#options.log.warn(`the zygote ${describeEnding(ending)}; the next job starts another`, {
          pid: zygote.pid,
        })
    })
  }

  #warnOnce(forkMicros: number): void {
    if (this.#hasWarned) return
    this.#hasWarned = true
    this.#options.log.warn('forks are slow; the more the modules keep in memory, the slower they are', {
      forkMs: forkMicros / 1000,
    })
  }
}

/**
 * An accident in the self-test says nothing about forks, so another zygote tries again. Resources that
 * modules open at their first load may not come back: a compiler fills its cache then, and needs nothing the
 * next time.
 */
async function startZygote(options: ZygoteOptions): Promise<Zygote | Failure | Unfit> {
  for (let tries = 1; ; tries += 1) {
    const zygote = await tryZygote(options)
    if ('unfit' in zygote && !zygote.isFinal && tries === 1) continue
    if (!('accident' in zygote)) return zygote
    if (tries === MOST_TRIES) return { unfit: `${zygote.accident}, ${MOST_TRIES} times` }
    options.log.warn('the self-test of a zygote had an accident; it is tried again', {
      because: zygote.accident,
      tries,
    })
    await sleep(FIRST_PAUSE_MS * 2 ** (tries - 1))
  }
}

async function tryZygote(options: ZygoteOptions): Promise<Zygote | Failure | Unfit | Accident> {
  let zygote: Zygote
  try {
    zygote = new Zygote(options)
  } catch (error) {
    return { failure: `cannot start the zygote: ${reasonOf(error)}`, isAccident: true }
  }
  const loaded = await zygote.loaded
  const verdict = 'tasks' in loaded ? await whyUnusable(zygote) : loaded
  if (verdict) {
    await zygote.stop()
    return 'unfit' in verdict && 'tasks' in loaded ? { ...verdict, isFinal: true } : verdict
  }
  const rssBytes = readUsage(zygote.pid)?.rssBytes
  options.log.info('zygote ready', { pid: zygote.pid, forkMs: zygote.forkMicros / 1000, rssBytes })
  if (zygote.exitListeners.length > 0)
    options.log.info('exit listeners of modules run when the zygote ends, and not in its children', {
      modules: zygote.exitListeners,
    })
  return zygote
}
