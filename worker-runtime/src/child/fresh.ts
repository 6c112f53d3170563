// A fresh child for every attempt: taken from the spares, used once, and nothing of its process group survives the attempt.
import type { Child, Failure } from './child.ts'
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
import { Run } from './run.ts'
import type { Spares, Taking } from './spares.ts'
import { endChild, letEnd } from './stop.ts'

const ONLY_RUN = 1

/** The way a worker runs attempts in one mode. */
export interface Pool {
  run(attempt: AttemptToRun, hooks: AttemptHooks): RunningAttempt
  /** Resolves when no attempt runs any more; those that do are handed back. */
  stop(): Promise<void>
}

export class FreshChildren implements Pool {
  readonly #spares: Spares
  readonly #clock: Clock
  readonly #running = new Set<InFreshChild>()

  constructor({ spares, clock }: { spares: Spares; clock: Clock }) {
    this.#spares = spares
    this.#clock = clock
  }

  run(attempt: AttemptToRun, hooks: AttemptHooks): RunningAttempt {
    const running = new InFreshChild(this.#spares.take(), this.#clock, (child) => {
      return new Run(child, attempt, { id: ONLY_RUN, hooks, clock: this.#clock })
    })
    this.#running.add(running)
    void running.outcome.then(() => this.#running.delete(running))
    return running
  }

  async stop(): Promise<void> {
    const running = [...this.#running]
    for (const attempt of running) attempt.stop('handed-back')
    await Promise.all(running.map(({ outcome }) => outcome))
  }
}

/** An attempt that takes a child when there is one, and waits for the end of it. */
export class InFreshChild implements RunningAttempt {
  readonly outcome: Promise<Outcome>
  readonly #clock: Clock
  readonly #taking: Taking
  #run: Run | undefined
  #stopped: StopReason | undefined

  constructor(taking: Taking, clock: Clock, startIn: (child: Child) => Run) {
    this.#taking = taking
    this.#clock = clock
    this.outcome = this.#perform(startIn)
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

  async #perform(startIn: (child: Child) => Run): Promise<Outcome> {
    const child: Child | Failure = await this.#taking.child
    if (this.#stopped) {
      if (!('failure' in child)) child.kill('SIGKILL')
      return notStarted(this.#stopped, 'the job was stopped before it had begun', this.#clock.nowMs())
    }
    if ('failure' in child) return notStarted('could-not-start', child.failure, this.#clock.nowMs())
    this.#run = startIn(child)
    await this.#run.over
    await (child.once ? letEnd(child) : endChild(child))
    return this.#run.outcome()
  }
}
