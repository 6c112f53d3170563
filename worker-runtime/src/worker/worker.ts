// The loop: one call settles what has ended and claims for the slots that are free; each claim runs in a child; its outcome is
// settled with the next call. Started by main.ts; Redis is behind membership.ts, processes behind child/.
import type { AttemptHooks } from '../child/attempt.ts'
import type { Children } from '../child/children.ts'
import type { Outcome } from '../child/outcome.ts'
import { startDeadline } from '../deadline.ts'
import { errorText } from '../errors.ts'
import { parseEnvelope } from '../job.ts'
import type { Log } from '../log.ts'
import type { Recorder } from '../metrics.ts'
import type { Claim } from '../queue/queue.ts'
import type { Membership } from './membership.ts'
import { handedBack, settlementOf, unreadable } from './settlement.ts'
import { Starts } from './starts.ts'
import type { Waker } from './waker.ts'

export interface WorkerOptions {
  readonly members: readonly Membership[]
  readonly children: Children
  readonly wakers: readonly Waker[]
  readonly slots: number
  readonly log: Log
  /** Nothing is recorded where nobody can ask. */
  readonly recorder?: Recorder | undefined
}

/** How often the progress of an attempt is told to Redis at most. */
const PROGRESS_EVERY_MS = 250
const SETTLE_PATIENCE_MS = 5_000
/** How long work in one queue may go unnoticed while another one keeps the worker busy. */
const LOOK_EVERYWHERE_EVERY_MS = 500

export class Worker {
  readonly #members: readonly Membership[]
  readonly #children: Children
  readonly #wakers: readonly Waker[]
  readonly #log: Log
  readonly #recorder: Recorder | undefined
  readonly #progress = new Map<Membership, Map<string, { id: string; token: string; json: string }>>()
  readonly #starts: Starts
  #looping = Promise.resolve()
  #running = 0
  #isStopping = false
  #ring = () => {}
  #rung = new Promise<void>(() => {})

  constructor(options: WorkerOptions) {
    this.#members = options.members
    this.#children = options.children
    this.#wakers = options.wakers
    this.#starts = new Starts({ slots: options.slots, log: options.log, onMore: () => this.#lookAgain() })
    this.#log = options.log
    this.#recorder = options.recorder
    this.#armBell()
  }

  /** Something happened that the loop should look at: an attempt ended, a marker was popped, Redis is back, the worker must stop. */
  readonly ring = (): void => this.#ring()

  get running(): number {
    return this.#running
  }

  /** Claims and runs until stop(). */
  async work(): Promise<void> {
    this.#looping = this.#loop()
    await this.#looping
  }

  async #loop(): Promise<void> {
    while (!this.#isStopping) {
      for (const member of this.#nextMembers()) {
        const isUseless = this.#freeSlots() === 0 && !member.hasEnded && !member.owesClaim
        if (!isUseless) for (const claim of await member.exchange(this.#freeSlots())) this.#run(member, claim)
      }
      if (this.#isStopping || this.#nextMembers().length > 0) continue
      if (this.#freeSlots() > 0) for (const waker of this.#wakers) waker.sleep()
      await this.#rungBell()
    }
  }

  /** Claims no more; running attempts have until the deadline, then they are handed back uncounted. */
  async stop(drainTimeoutMs: number, hurry: Promise<void>): Promise<void> {
    this.#isStopping = true
    for (const member of this.#members) member.stopping()
    for (const waker of this.#wakers) waker.stop()
    this.ring()
    await this.#looping
    for (const member of this.#members) if (member.owesClaim) await member.exchange(0)
    await this.#settleWhile(() => this.#running > 0, drainTimeoutMs, hurry)
    for (const member of this.#members) member.handBackAll(2_000)
    const isHolding = () => this.#members.some((member) => member.holds > 0)
    await this.#settleWhile(isHolding, SETTLE_PATIENCE_MS)
    for (const member of this.#members) await member.leave()
  }

  async #settleWhile(isBusy: () => boolean, withinMs: number, hurry?: Promise<void>): Promise<void> {
    let isOver = false
    const giveUp = () => {
      isOver = true
      this.ring()
    }
    const callOff = startDeadline(withinMs, giveUp)
    void hurry?.then(giveUp)
    while (isBusy() && !isOver) {
      for (const member of this.#members) if (member.hasEnded) await member.exchange(0)
      if (isBusy() && !isOver && !this.#members.some((member) => member.hasEnded)) await this.#rungBell()
    }
    callOff()
  }

  #lookAgain(): void {
    for (const member of this.#members) member.mayHaveWork = true
    this.ring()
  }

  #freeSlots(): number {
    return this.#isStopping ? 0 : Math.max(0, this.#starts.most() - this.#running)
  }

  /** Those with something to settle or perhaps to claim; the least served for its weight comes first and gets the free slots. */
  #nextMembers(): Membership[] {
    const isRoom = this.#freeSlots() > 0
    const longAgoMs = performance.now() - LOOK_EVERYWHERE_EVERY_MS
    // With one queue the wake marker tells; with several it is not waited for while one of them keeps the worker busy.
    const hasOthers = this.#members.length > 1
    const isWorthALook = (member: Membership) =>
      member.mayHaveWork || (hasOthers && member.lastExchangeAtMs < longAgoMs)
    return this.#members
      .filter((member) => member.hasEnded || member.owesClaim || (isRoom && isWorthALook(member)))
      .sort((a, b) => a.served - b.served)
  }

  #run(member: Membership, claim: Claim): void {
    const envelope = parseEnvelope(claim.envelope)
    if (this.#isStopping || !envelope) {
      member.settle(this.#isStopping ? handedBack(claim) : unreadable(claim, member.name))
      return
    }
    this.#running += 1
    const name = member.name
    const isFirst = claim.attempt === 1 && claim.crashes === 0
    if (isFirst) this.#recorder?.claimed(member.queue.name, envelope.enqueuedAtMs)
    const running = this.#children.run(
      {
        queue: member.queue.name,
        jobId: claim.id,
        task: envelope.task,
        attempt: claim.attempt,
        payload: envelope.payload,
        timeoutMs: Math.min(envelope.timeoutMs ?? Number.POSITIVE_INFINITY, member.timeoutMs),
        enqueuedAtMs: envelope.enqueuedAtMs,
      },
      this.#hooks(member, claim),
    )
    member.started(claim, running)
    void running.outcome.then((outcome) => {
      this.#running -= 1
      this.#progress.get(member)?.delete(claim.id)
      this.#starts.ended(outcome, this.#running)
      this.#recorder?.ended(member.queue.name, envelope.task, outcome)
      this.#logEnd(member, claim, envelope.task, outcome)
      const settlement = settlementOf(claim, envelope, outcome, name)
      if (settlement) member.settle(settlement)
      this.ring()
    })
  }

  #hooks(member: Membership, claim: Claim): AttemptHooks {
    return {
      onProgress: (json) => this.#noteProgress(member, claim, json),
      onOutput: (stream, line) =>
        this.#log.info('output', { queue: member.queue.name, job: claim.id, stream, line }),
    }
  }

  /** The last value wins; one call tells all that came up meanwhile. */
  #noteProgress(member: Membership, { id, token }: Claim, json: string): void {
    let waiting = this.#progress.get(member)
    if (!waiting) {
      waiting = new Map()
      this.#progress.set(member, waiting)
    }
    if (waiting.size === 0) setTimeout(() => void this.#tellProgress(member), PROGRESS_EVERY_MS)
    waiting.set(id, { id, token, json })
  }

  async #tellProgress(member: Membership): Promise<void> {
    const waiting = [...(this.#progress.get(member)?.values() ?? [])]
    this.#progress.get(member)?.clear()
    if (waiting.length === 0) return
    await member.report(waiting).catch((error) => this.#log.debug('could not report progress', { error }))
  }

  #logEnd(member: Membership, claim: Claim, task: string, outcome: Outcome): void {
    const facts = {
      queue: member.queue.name,
      job: claim.id,
      task,
      attempt: claim.attempt,
      outcome: outcome.kind,
    }
    if (outcome.kind === 'succeeded')
      this.#log.debug('attempt ended', { ...facts, durationMs: outcome.facts.durationMs })
    else
      this.#log.warn('attempt ended', { ...facts, durationMs: outcome.facts.durationMs, why: whyOf(outcome) })
  }

  async #rungBell(): Promise<void> {
    await this.#rung
    this.#armBell()
  }

  #armBell(): void {
    this.#rung = new Promise((resolve) => {
      this.#ring = resolve
    })
  }
}

function whyOf(outcome: Exclude<Outcome, { kind: 'succeeded' }>): string {
  return outcome.kind === 'failed' ? errorText(outcome.error) : outcome.message
}
