// Children that serve many attempts (Reuse), several at once if wanted. A child that is spent (its number of
// jobs, its memory, an uncaught error) takes no more, ends when its jobs are done, and is replaced. When a
// child dies under several attempts and the culprit is unknown (neighbours.ts), each of them runs once more
// alone: the culprit dies again, the others come through unharmed. Where it is known, the others go on in
// another child.
// waiting → in a child → ended, or: → waiting, or: → suspect → alone in a fresh child → ended

import { TurnoverMap } from '../turnover.ts'
import { type Attempt, type AttemptHooks, type AttemptSpec, nowMs } from './attempt.ts'
import type { Child } from './child.ts'
import { notStarted, type StopReason } from './outcome.ts'
import { PendingAttempt, type Pool, performAlone } from './pool.ts'
import type { Spares } from './spares.ts'
import { endChild, GRACE_MS, letEnd } from './stop.ts'

export interface SharedOptions {
  spares: Spares
  children: number
  jobsAtOncePerChild: number
  jobsPerChild: number
}

interface Shared {
  readonly child: Child
  /** How many attempts it was given. */
  served: number
}

const MOST_CHILDREN_TRIED = 3
/** Attempts up to this duration are short: it does not matter which child they share. */
const MOMENT_MS = 5
const WEIGHT_OF_NEWEST = 1 / 16

export class SharedChildren implements Pool {
  readonly #options: SharedOptions
  readonly #children = new Set<Shared>()
  readonly #pending = new TurnoverMap<PendingAttempt, PendingAttempt>()
  readonly #waiting: PendingAttempt[] = []
  /** The attempts that ran when a child died, with the deadline of their turn alone. */
  readonly #suspects = new Map<PendingAttempt, number>()
  readonly #childrenTried = new Map<PendingAttempt, number>()
  /** The recent duration of attempts. */
  #usualMs = MOMENT_MS
  /** The child that gets the other attempts of this turn of the loop. */
  #favourite: Shared | undefined
  #alone = 0
  #starting = 0
  #lastId = 0
  #isStopping = false

  constructor(options: SharedOptions) {
    this.#options = options
    this.#replenish()
  }

  run(spec: AttemptSpec, hooks: AttemptHooks): PendingAttempt {
    const pending = new PendingAttempt(spec, hooks, this.#stopWaiting)
    this.#pending.set(pending, pending)
    this.#waiting.push(pending)
    this.#serve()
    return pending
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    await Promise.all(this.#pending.values().map((pending) => pending.handBack()))
    await Promise.all([...this.#children].map(({ child }) => endChild(child)))
  }

  #serve(): void {
    while (this.#waiting.length > 0) {
      const shared = this.#childForNext()
      const pending = shared && this.#waiting.shift()
      if (!shared || !pending) break
      this.#place(pending, shared)
    }
    this.#replenish()
  }

  /**
   * The least busy child. While attempts take a moment, those of one turn of the loop go into the same child:
   * each child is woken half as often.
   */
  #childForNext(): Shared | undefined {
    if (this.#favourite && this.#hasRoom(this.#favourite)) return this.#favourite
    let best: Shared | undefined
    for (const shared of this.#children)
      if ((!best || shared.child.attempts.size < best.child.attempts.size) && this.#hasRoom(shared))
        best = shared
    if (best && this.#usualMs < MOMENT_MS) this.#favour(best)
    return best
  }

  #favour(shared: Shared): void {
    if (!this.#favourite)
      process.nextTick(() => {
        this.#favourite = undefined
      })
    this.#favourite = shared
  }

  #hasRoom(shared: Shared): boolean {
    const { attempts, stopping } = shared.child
    return this.#isUsable(shared) && stopping === 0 && attempts.size < this.#options.jobsAtOncePerChild
  }

  #isUsable({ child, served }: Shared): boolean {
    return !child.isSpent && served < this.#options.jobsPerChild
  }

  #place(pending: PendingAttempt, shared: Shared): void {
    shared.served += 1
    this.#lastId += 1
    pending.start(shared.child, this.#lastId, (over) => this.#over(pending, over, shared.child))
  }

  #over(pending: PendingAttempt, attempt: Attempt, child: Child): void {
    pending.inChild = undefined
    if (attempt.result?.kind === 'failed' && attempt.result.spoilsChild) {
      child.attempts.blame(attempt)
      void letEnd(child, GRACE_MS)
    }
    switch (attempt.result || attempt.cause ? 'ended' : child.attempts.fateOf(attempt)) {
      case 'ended':
        this.#end(pending, attempt)
        break
      case 'elsewhere':
        this.#goElsewhere(pending, attempt, child)
        break
      case 'suspect':
        this.#suspect(pending)
    }
    this.#serve()
  }

  #goElsewhere(pending: PendingAttempt, attempt: Attempt, child: Child): void {
    const tried = (this.#childrenTried.get(pending) ?? 0) + 1
    this.#childrenTried.set(pending, tried)
    if (tried < MOST_CHILDREN_TRIED) {
      this.#waiting.unshift(pending)
      return
    }
    // Children that jobs end again and again do not mean that children cannot start.
    if (child.attempts.wasEndedByOthers)
      attempt.cause = { kind: 'handed-back', message: 'other jobs ended every child that this job was in' }
    this.#end(pending, attempt)
  }

  #suspect(pending: PendingAttempt): void {
    this.#suspects.set(pending, nowMs() + pending.spec.timeoutMs)
    this.#serveSuspects()
  }

  /** At most one a child at once. The interrupted attempt does not count: its time starts again. */
  #serveSuspects(): void {
    for (const [pending, turnBeforeMs] of this.#suspects) {
      if (this.#alone >= this.#options.children) break
      if (nowMs() > turnBeforeMs) this.#endSuspect(pending, 'handed-back')
      else void this.#runAlone(pending)
    }
  }

  async #runAlone(pending: PendingAttempt): Promise<void> {
    this.#suspects.delete(pending)
    this.#alone += 1
    this.#lastId += 1
    await performAlone(pending, this.#options.spares.take(), { id: this.#lastId, end: endChild })
    this.#forget(pending)
    this.#alone -= 1
    this.#serveSuspects()
  }

  readonly #stopWaiting = (pending: PendingAttempt, reason: StopReason): void => {
    if (this.#suspects.has(pending)) this.#endSuspect(pending, reason)
    else this.#endWaiting(pending, reason)
  }

  #endWaiting(pending: PendingAttempt, reason: StopReason): void {
    this.#waiting.splice(this.#waiting.indexOf(pending), 1)
    this.#forget(pending)
    pending.end(notStarted(reason, 'the job was stopped before it had begun', nowMs()))
  }

  #endSuspect(pending: PendingAttempt, reason: StopReason): void {
    this.#suspects.delete(pending)
    this.#forget(pending)
    const message = 'the child of this job died, and its turn to run alone did not come'
    pending.end(notStarted(reason, message, nowMs()))
  }

  #end(pending: PendingAttempt, attempt: Attempt): void {
    const outcome = attempt.outcome()
    this.#usualMs += (outcome.facts.durationMs - this.#usualMs) * WEIGHT_OF_NEWEST
    this.#forget(pending)
    pending.end(outcome)
  }

  #forget(pending: PendingAttempt): void {
    this.#pending.delete(pending)
    this.#childrenTried.delete(pending)
  }

  /** Ends spent children and starts missing ones. */
  #replenish(): void {
    if (this.#isStopping) return
    let usable = 0
    for (const shared of this.#children) {
      if (this.#isUsable(shared)) usable += 1
      else if (shared.child.attempts.size === 0) this.#dismiss(shared)
    }
    for (let missing = this.#options.children - usable - this.#starting; missing > 0; missing -= 1)
      void this.#startOne()
  }

  #dismiss(shared: Shared): void {
    this.#children.delete(shared)
    void endChild(shared.child)
  }

  async #startOne(): Promise<void> {
    this.#starting += 1
    const child = await this.#options.spares.take().child
    this.#starting -= 1
    if ('failure' in child) this.#startFailed(child.failure)
    else if (this.#isStopping) child.kill('SIGKILL')
    else this.#welcome({ child, served: 0 })
  }

  #welcome(shared: Shared): void {
    this.#children.add(shared)
    void shared.child.closed.then(() => {
      this.#children.delete(shared)
      this.#serve()
    })
    this.#serve()
  }

  #startFailed(failure: string): void {
    if (this.#isStopping) return
    if (this.#children.size === 0)
      for (const pending of this.#waiting.splice(0)) {
        this.#forget(pending)
        pending.end(notStarted('could-not-start', failure, nowMs()))
      }
    this.#replenish()
  }
}
