// A fresh child for each attempt: taken from the spares and used once; its process group ends with it. The
// outcome is told at the result; the slot is free when the child is gone (slots.ts).
import type { Log } from '../log.ts'
import { Attempt, type AttemptHooks, type AttemptSpec, nowMs } from './attempt.ts'
import type { Child } from './child.ts'
import type { Usage } from './messages.ts'
import { notStarted, type Outcome, type StopReason } from './outcome.ts'
import { Slots } from './slots.ts'
import type { Spares, Taking } from './spares.ts'

const ONLY_ATTEMPT = 1

/** How a worker runs attempts in one mode. */
export interface Pool {
  run(spec: AttemptSpec, hooks: AttemptHooks): PendingAttempt
  /** Hands running jobs back. Resolves when no attempt runs and their children are gone. */
  stop(): Promise<void>
}

/** An attempt from the worker's request on: it waits for a child, runs in it, and ends. */
export class PendingAttempt {
  readonly spec: AttemptSpec
  readonly hooks: AttemptHooks
  /** Undefined while it waits. */
  inChild: Attempt | undefined
  /** Called when it is told to stop while it waits. */
  stopWaiting: (pending: PendingAttempt, reason: StopReason) => void
  #isEnded = false
  #isDraining = false
  #tellEnded: (() => void) | undefined

  constructor(spec: AttemptSpec, hooks: AttemptHooks, stopWaiting: PendingAttempt['stopWaiting'] = () => {}) {
    this.spec = spec
    this.hooks = hooks
    this.stopWaiting = stopWaiting
  }

  /** The last sample from outside; empty before the first one. */
  usage(): Usage {
    return this.inChild?.usage() ?? {}
  }

  stop(reason: StopReason, graceMs?: number): void {
    if (this.#isEnded) return
    if (this.inChild) this.inChild.stop(reason, graceMs)
    else this.stopWaiting(this, reason)
  }

  /** Its worker drains. */
  drain(): void {
    this.#isDraining = true
    this.inChild?.drain()
  }

  start(child: Child, id: number, onOver: (attempt: Attempt) => void): Attempt {
    this.inChild = new Attempt(child, this.spec, { id, hooks: this.hooks, onOver })
    if (this.#isDraining) this.inChild.drain()
    return this.inChild
  }

  end(outcome: Outcome): void {
    this.#isEnded = true
    this.hooks.onEnded(outcome)
    this.#tellEnded?.()
  }

  /** Resolves when it has ended. */
  handBack(): Promise<void> {
    return new Promise((resolve) => {
      this.#tellEnded = resolve
      this.stop('handed-back')
      if (this.#isEnded) resolve()
    })
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
    })
      .then(taking.free)
      .then(() => this.#pending.delete(pending))
    this.#pending.add(pending)
    return pending
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#pending].map((pending) => pending.handBack()))
    await this.#slots.stop()
  }
}

/** `id`: of the attempt in its child. `end` is called with the outcome. */
export type AloneOptions = { id: number; end: (child: Child) => Promise<void> }

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
  pending.stopWaiting = (_pending, reason) => {
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
    const attempt = await new Promise<Attempt>((resolve) => pending.start(child, id, resolve))
    // Output before the result is in the pipes: it is read in this turn of the loop.
    if (attempt.result) await new Promise(setImmediate)
    pending.end(attempt.outcome())
    await end(child)
  }
}
