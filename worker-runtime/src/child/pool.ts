// A fresh child for every attempt: taken from the spares, used once, and nothing of its process group survives the attempt.
import type { Log } from '../log.ts'
import { Run } from './attempt.ts'
import type { Child, Failure } from './child.ts'
import { Lingering } from './lingering.ts'
import {
  type AttemptHooks,
  type AttemptToRun,
  type Clock,
  notStarted,
  type Outcome,
  type RunningAttempt,
  type StopReason,
  type Usage,
} from './outcome.ts'
import type { Spares, Taking } from './spares.ts'

const ONLY_RUN = 1

/** The way a worker runs attempts in one mode. */
export interface Pool {
  run(attempt: AttemptToRun, hooks: AttemptHooks): RunningAttempt
  /** Resolves when no attempt runs any more; those that do are handed back. */
  stop(): Promise<void>
}

export interface FreshOptions {
  spares: Spares
  clock: Clock
  slots: number
  log: Log
}

export class FreshChildren implements Pool {
  readonly #spares: Spares
  readonly #clock: Clock
  readonly #slots: number
  readonly #lingering: Lingering
  readonly #running = new Set<InFreshChild>()

  constructor({ spares, clock, slots, log }: FreshOptions) {
    this.#spares = spares
    this.#clock = clock
    this.#slots = slots
    this.#lingering = new Lingering(log)
  }

  run(attempt: AttemptToRun, hooks: AttemptHooks): RunningAttempt {
    const most = Math.max(1, 2 * this.#slots - this.#running.size)
    const taking = this.#lingering.takeWhenFewerThan(most, () => this.#spares.take())
    const running = new InFreshChild(taking, {
      clock: this.#clock,
      startIn: (child) => new Run(child, attempt, { id: ONLY_RUN, hooks, clock: this.#clock }),
      end: (child) => this.#lingering.end(child, attempt.task),
    })
    this.#running.add(running)
    void running.outcome.then(() => this.#running.delete(running))
    return running
  }

  async stop(): Promise<void> {
    const running = [...this.#running]
    for (const attempt of running) attempt.stop('handed-back')
    await Promise.all(running.map(({ outcome }) => outcome))
    await this.#lingering.stop()
  }
}

export interface InFreshChildOptions {
  clock: Clock
  startIn: (child: Child) => Run
  /** The attempt is over; its outcome is told afterwards. */
  end: (child: Child) => Promise<void>
}

/** An attempt that takes a child of its own when there is one. */
export class InFreshChild implements RunningAttempt {
  readonly outcome: Promise<Outcome>
  readonly #clock: Clock
  readonly #taking: Taking
  #run: Run | undefined
  #stopped: StopReason | undefined

  constructor(taking: Taking, { clock, startIn, end }: InFreshChildOptions) {
    this.#taking = taking
    this.#clock = clock
    this.outcome = this.#perform(startIn, end)
  }

  usage(): Usage {
    return this.#run?.usage() ?? {}
  }

  stop(reason: StopReason, graceMs?: number): void {
    if (this.#run) {
      this.#run.stop(reason, graceMs)
    } else {
      this.#stopped ??= reason
      this.#taking.cancel()
    }
  }

  async #perform(startIn: InFreshChildOptions['startIn'], end: InFreshChildOptions['end']): Promise<Outcome> {
    const child: Child | Failure = await this.#taking.child
    if (this.#stopped) {
      if (!('failure' in child)) child.kill('SIGKILL')
      return notStarted(this.#stopped, 'the job was stopped before it had begun', this.#clock.nowMs())
    }
    if ('failure' in child) return notStarted('could-not-start', child.failure, this.#clock.nowMs())
    this.#run = startIn(child)
    await this.#run.over
    await end(child)
    return this.#run.outcome()
  }
}
