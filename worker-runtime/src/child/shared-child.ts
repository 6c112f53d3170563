// Children that serve many attempts, several at once if wanted. A child that is spent (its number of jobs, its memory, an error that
// nobody caught) takes no more, ends when its jobs are done, and is replaced. When a child dies under several attempts and nobody
// knows whose fault it was, each of them runs once more alone: the culprit dies again, its neighbours come through unharmed. Where it
// is known, the neighbours go on in another child.
// waiting → in a child → ended, or: → waiting, or: → suspect → alone in a fresh child → ended

import { Run } from './attempt.ts'
import type { Child } from './child.ts'
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
import { InFreshChild, type Pool } from './pool.ts'
import type { Spares } from './spares.ts'
import { endChild, GRACE_MS, letEnd } from './stop.ts'

export interface ReuseOptions {
  spares: Spares
  clock: Clock
  children: number
  jobsAtOncePerChild: number
  jobsPerChild: number
}

interface Member {
  readonly child: Child
  served: number
}

const MOST_CHILDREN_TRIED = 3

export class ReusedChildren implements Pool {
  readonly #options: ReuseOptions
  readonly #members = new Set<Member>()
  readonly #attempts = new Set<PooledAttempt>()
  readonly #waiting: PooledAttempt[] = []
  readonly #suspects: PooledAttempt[] = []
  #alone = 0
  #starting = 0
  #lastRun = 0
  #isStopping = false

  constructor(options: ReuseOptions) {
    this.#options = options
    this.#replenish()
  }

  run(attempt: AttemptToRun, hooks: AttemptHooks): RunningAttempt {
    const pooled = new PooledAttempt(attempt, hooks, (reason) => this.#endWaiting(pooled, reason))
    this.#attempts.add(pooled)
    this.#waiting.push(pooled)
    this.#serve()
    return pooled
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    const attempts = [...this.#attempts]
    for (const attempt of attempts) attempt.stop('handed-back')
    await Promise.all(attempts.map(({ outcome }) => outcome))
    await Promise.all([...this.#members].map(({ child }) => endChild(child)))
  }

  #serve(): void {
    while (this.#waiting.length > 0) {
      const member = this.#leastBusy()
      const pooled = member && this.#waiting.shift()
      if (!member || !pooled) break
      this.#place(pooled, member)
    }
    this.#replenish()
  }

  #leastBusy(): Member | undefined {
    let best: Member | undefined
    for (const member of this.#members)
      if (this.#hasRoom(member) && (!best || member.child.runs.size < best.child.runs.size)) best = member
    return best
  }

  #hasRoom(member: Member): boolean {
    const { runs } = member.child
    if (!this.#isUsable(member) || runs.size >= this.#options.jobsAtOncePerChild) return false
    // An attempt that is being stopped may take the child with it.
    for (const run of runs.values()) if (run.isStopping) return false
    return true
  }

  #isUsable({ child, served }: Member): boolean {
    return !child.isSpent && served < this.#options.jobsPerChild
  }

  #place(pooled: PooledAttempt, member: Member): void {
    member.served += 1
    pooled.childrenTried += 1
    this.#lastRun += 1
    const run = new Run(member.child, pooled.attempt, {
      id: this.#lastRun,
      hooks: pooled.hooks,
      clock: this.#options.clock,
    })
    pooled.running = run
    void run.over.then(() => this.#over(pooled, run, member.child))
  }

  #over(pooled: PooledAttempt, run: Run, child: Child): void {
    pooled.running = undefined
    if (run.result?.kind === 'failed' && run.result.spoilsChild) {
      child.culprit ??= run
      void letEnd(child, GRACE_MS)
    }
    switch (fateOf(run, child)) {
      case 'ended':
        this.#end(pooled, run.outcome())
        break
      case 'elsewhere':
        if (pooled.childrenTried < MOST_CHILDREN_TRIED) this.#waiting.unshift(pooled)
        else this.#giveUp(pooled, run, child)
        break
      case 'suspect':
        pooled.turnBeforeMs = this.#options.clock.nowMs() + pooled.attempt.timeoutMs
        this.#suspects.push(pooled)
        this.#serveSuspects()
    }
    this.#serve()
  }

  /** Children that other jobs end, time after time, are no sign that children cannot start here. */
  #giveUp(pooled: PooledAttempt, run: Run, child: Child): void {
    if (child.culprit || child.diedUnder > 0)
      run.cause = { kind: 'handed-back', message: 'other jobs ended every child that this job was in' }
    this.#end(pooled, run.outcome())
  }

  /** As many at once as there are children. The attempt that was cut short is void: its time begins anew. */
  #serveSuspects(): void {
    while (this.#alone < this.#options.children) {
      const pooled = this.#suspects.shift()
      if (!pooled) break
      if (this.#options.clock.nowMs() > pooled.turnBeforeMs) this.#endWaiting(pooled, 'handed-back')
      else void this.#runAlone(pooled)
    }
  }

  async #runAlone(pooled: PooledAttempt): Promise<void> {
    this.#alone += 1
    const { attempt, hooks } = pooled
    const { spares, clock } = this.#options
    const alone = new InFreshChild(spares.take(), {
      clock,
      startIn: (child) => {
        this.#lastRun += 1
        return new Run(child, attempt, { id: this.#lastRun, hooks, clock })
      },
      end: endChild,
    })
    pooled.running = alone
    this.#end(pooled, await alone.outcome)
    this.#alone -= 1
    this.#serveSuspects()
  }

  #endWaiting(pooled: PooledAttempt, reason: StopReason): void {
    for (const line of [this.#waiting, this.#suspects]) {
      const at = line.indexOf(pooled)
      if (at >= 0) line.splice(at, 1)
    }
    const message = pooled.childrenTried
      ? 'the child of this job died, and its turn to run alone did not come'
      : 'the job was stopped before it had begun'
    this.#end(pooled, notStarted(reason, message, this.#options.clock.nowMs()))
  }

  #end(pooled: PooledAttempt, outcome: Outcome): void {
    this.#attempts.delete(pooled)
    pooled.end(outcome)
  }

  /** Ends the children that are spent and starts what is missing. */
  #replenish(): void {
    if (this.#isStopping) return
    let usable = 0
    for (const member of this.#members) {
      if (this.#isUsable(member)) usable += 1
      else if (member.child.runs.size === 0) this.#dismiss(member)
    }
    for (let missing = this.#options.children - usable - this.#starting; missing > 0; missing -= 1)
      void this.#startMember()
  }

  #dismiss(member: Member): void {
    this.#members.delete(member)
    void endChild(member.child)
  }

  async #startMember(): Promise<void> {
    this.#starting += 1
    const child = await this.#options.spares.take().child
    this.#starting -= 1
    if ('failure' in child) this.#startFailed(child.failure)
    else if (this.#isStopping) child.kill('SIGKILL')
    else this.#welcome({ child, served: 0 })
  }

  #welcome(member: Member): void {
    this.#members.add(member)
    void member.child.closed.then(() => {
      this.#members.delete(member)
      this.#serve()
    })
    this.#serve()
  }

  #startFailed(failure: string): void {
    if (this.#isStopping) return
    if (this.#members.size === 0)
      for (const pooled of this.#waiting.splice(0))
        this.#end(pooled, notStarted('could-not-start', failure, this.#options.clock.nowMs()))
    this.#replenish()
  }
}

class PooledAttempt implements RunningAttempt {
  readonly attempt: AttemptToRun
  readonly hooks: AttemptHooks
  readonly outcome: Promise<Outcome>
  running: Run | InFreshChild | undefined
  childrenTried = 0
  /** A suspect that has not had its turn by then is handed back. */
  turnBeforeMs = Number.POSITIVE_INFINITY
  readonly #endWaiting: (reason: StopReason) => void
  #settle: (outcome: Outcome) => void = () => {}

  constructor(attempt: AttemptToRun, hooks: AttemptHooks, endWaiting: (reason: StopReason) => void) {
    this.attempt = attempt
    this.hooks = hooks
    this.#endWaiting = endWaiting
    this.outcome = new Promise((resolve) => {
      this.#settle = resolve
    })
  }

  usage(): Usage {
    return this.running?.usage() ?? {}
  }

  stop(reason: StopReason, graceMs?: number): void {
    if (this.running) this.running.stop(reason, graceMs)
    else this.#endWaiting(reason)
  }

  end(outcome: Outcome): void {
    this.#settle(outcome)
  }
}

/** What an attempt that is over, or whose child is gone, has coming. */
function fateOf(run: Run, child: Child): 'ended' | 'elsewhere' | 'suspect' {
  if (run.result || run.cause) return 'ended'
  if (!run.isAccepted) return 'elsewhere'
  if (child.culprit) return child.culprit === run ? 'ended' : 'elsewhere'
  return child.diedUnder > 1 ? 'suspect' : 'ended'
}
