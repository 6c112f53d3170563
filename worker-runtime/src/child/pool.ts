// A fresh child for every attempt: taken from the spares, used once, and nothing of its process group
// survives it. The outcome is told when the child has said its result; the slot is free when the child has
// gone (slots.ts).
import type { Log } from '../log.ts'
import { Attempt, type AttemptHooks, type AttemptSpec, nowMs } from './attempt.ts'
import type { Child } from './child.ts'
import type { Usage } from './messages.ts'
import { notStarted, type Outcome, type StopReason } from './outcome.ts'
import { Slots } from './slots.ts'
import type { Spares, Taking } from './spares.ts'

const ONLY_ATTEMPT = 1

/** The way a worker runs attempts in one mode. */
export interface Pool {
  run(spec: AttemptSpec, hooks: AttemptHooks): PendingAttempt
  /** Those that run are handed back. Resolves when no attempt runs and no child that had one is left. */
  stop(): Promise<void>
}

/**
 * An attempt from the moment that the worker asks for it: it waits for a child, is in one, and has an
 * outcome.
 */
export class PendingAttempt {
  readonly spec: AttemptSpec
  readonly hooks: AttemptHooks
  /** Never rejects. */
  readonly outcome: Promise<Outcome>
  /** Nothing while it waits. */
  inChild: Attempt | undefined
  /** What is done when it is told to stop while it waits. */
  stopWaiting: (reason: StopReason) => void = () => {}
  #tell: (outcome: Outcome) => void = () => {}

  constructor(spec: AttemptSpec, hooks: AttemptHooks) {
    this.spec = spec
    this.hooks = hooks
    this.outcome = new Promise((resolve) => {
      this.#tell = resolve
    })
  }

  /** As last seen from outside; empty before that. */
  usage(): Usage {
    return this.inChild?.usage() ?? {}
  }

  stop(reason: StopReason, graceMs?: number): void {
    if (this.inChild) this.inChild.stop(reason, graceMs)
    else this.stopWaiting(reason)
  }

  start(child: Child, id: number): Attempt {
    this.inChild = new Attempt(child, this.spec, { id, hooks: this.hooks })
    return this.inChild
  }

  end(outcome: Outcome): void {
    this.#tell(outcome)
  }
}

export interface FreshOptions {
  spares: Spares
  slots: number
  log: Log
}

export class FreshChildren implements Pool {
  readonly #spares: Spares
  readonly #slots: Slots
  readonly #pending = new Set<PendingAttempt>()

  constructor({ spares, slots, log }: FreshOptions) {
    this.#spares = spares
    this.#slots = new Slots(slots, log)
  }

  run(spec: AttemptSpec, hooks: AttemptHooks): PendingAttempt {
    const pending = new PendingAttempt(spec, hooks)
    const taking = this.#slots.take(() => this.#spares.take())
    void performAlone(pending, taking, {
      id: ONLY_ATTEMPT,
      end: (child) => this.#slots.leave(child, spec.task),
    }).then(taking.free)
    this.#pending.add(pending)
    void pending.outcome.then(() => this.#pending.delete(pending))
    return pending
  }

  async stop(): Promise<void> {
    const all = [...this.#pending]
    for (const pending of all) pending.stop('handed-back')
    await Promise.all(all.map(({ outcome }) => outcome))
    await this.#slots.stop()
  }
}

export interface AloneOptions {
  /** Of the attempt in its child. */
  id: number
  /** Called when the outcome is told. */
  end: (child: Child) => Promise<void>
}

/**
 * Runs an attempt in a child of its own when there is one. Resolves after `end`, when the outcome has long
 * been told.
 */
export async function performAlone(
  pending: PendingAttempt,
  taking: Taking,
  { id, end }: AloneOptions,
): Promise<void> {
  let stopped: StopReason | undefined
  pending.stopWaiting = (reason) => {
    stopped ??= reason
    taking.cancel()
  }
  const child = await taking.child
  if (stopped) {
    if (!('failure' in child)) child.kill('SIGKILL')
    pending.end(notStarted(stopped, 'the job was stopped before it had begun', nowMs()))
  } else if ('failure' in child) {
    pending.end(notStarted('could-not-start', child.failure, nowMs()))
  } else {
    const attempt = pending.start(child, id)
    await attempt.over
    // What was written before the result is in the pipes: it is read in this turn of the loop.
    if (attempt.result) await new Promise(setImmediate)
    pending.end(attempt.outcome())
    await end(child)
  }
}
