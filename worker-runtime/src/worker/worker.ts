// A worker. For each of its queues one call settles the ended attempts and claims jobs for free slots. Each
// claim runs in a child; the next call settles its outcome. Started by main.ts. Redis is behind consumer.ts,
// one for each queue; processes are behind child/.
import type { AttemptHooks, AttemptSpec } from '../child/attempt.ts'
import type { Children } from '../child/children.ts'
import type { Outcome } from '../child/outcome.ts'
import { startDeadline } from '../deadline.ts'
import { parseEnvelope } from '../job.ts'
import type { Log } from '../log.ts'
import type { Recorder } from '../metrics.ts'
import type { Claim } from '../queue/hold.ts'
import { answer } from './calls.ts'
import type { Consumer } from './consumer.ts'
import { FollowUps } from './follow-ups.ts'
import { addUp } from './history.ts'
import type { LiveOutput } from './live-output.ts'
import { type ClaimedJob, logEnds, type Observer, record } from './observers.ts'
import { Progress } from './progress.ts'
import { handedBack, settlementOf, unreadable } from './settlement.ts'
import { Starts } from './starts.ts'
import { nextTurns } from './turns.ts'
import type { Waker } from './waker.ts'

export interface WorkerOptions {
  /** One for each queue. */
  readonly consumers: readonly Consumer[]
  readonly children: Children
  readonly wakers: readonly Waker[]
  readonly slots: number
  readonly log: Log
  readonly live: LiveOutput
  /** Absent without an HTTP port. */
  readonly recorder?: Recorder | undefined
}

const HAND_BACK_GRACE_MS = 2_000
const SETTLE_PATIENCE_MS = 5_000
/** How long slots are reserved for the queue that asked for them. */
const RESERVED_FOR_MS = 500

export class Worker {
  readonly #consumers: readonly Consumer[]
  readonly #children: Children
  readonly #wakers: readonly Waker[]
  readonly #log: Log
  readonly #starts: Starts
  readonly #progress: Progress
  readonly #followUps = new FollowUps()
  readonly #live: LiveOutput
  readonly #observers: readonly Observer[]
  #phase: 'waiting' | 'working' | 'stopping' | 'over' = 'waiting'
  #running = 0
  #isLookDue = false
  /** Called after each look, for stop(). */
  #onLooked = () => {}

  constructor({ consumers, children, wakers, slots, log, live, recorder }: WorkerOptions) {
    this.#consumers = consumers
    this.#children = children
    this.#wakers = wakers
    this.#log = log
    this.#starts = new Starts({
      slots,
      log,
      others: () => this.#running,
      onMore: () => this.#lookEverywhere(),
    })
    this.#progress = new Progress(log)
    this.#live = live
    const counting = recorder ? [record(recorder)] : []
    this.#observers = [this.#progress, live, this.#starts, addUp, ...counting, logEnds(log)]
  }

  get running(): number {
    return this.#running
  }

  /** Claims and runs until stop(). */
  work(): void {
    this.#phase = 'working'
    this.#look()
  }

  /** An enqueue gave a job to this worker while it waited. */
  readonly given = (consumer: Consumer, claim: Claim): void => this.#start(consumer, claim)

  /**
   * Something happened: an attempt ended, a marker was popped, Redis is back. All events in one turn of
   * Node's loop are one look.
   */
  readonly ring = (): void => {
    if (this.#isLookDue) return
    this.#isLookDue = true
    queueMicrotask(() => this.#look())
  }

  /**
   * Claims no more jobs. Attempts go on until the deadline, then their jobs are handed back, uncounted.
   * Queues do not wait for each other. Each keeps the order: the claim that a popped marker owes, the ends of
   * attempts, then `deregister`. Jobs that cannot be settled in time are put back by other workers when the
   * heartbeat runs out: they run twice, and are not lost.
   */
  async stop(drainTimeoutMs: number, hurry: Promise<void>): Promise<void> {
    this.#phase = 'stopping'
    for (const consumer of this.#consumers) consumer.stopping()
    for (const waker of this.#wakers) waker.stop()
    const isRunning = () => this.#running > 0 || this.#consumers.some(owesSomething)
    await this.#while(isRunning, drainTimeoutMs, hurry)
    for (const consumer of this.#consumers) consumer.handBackAll(HAND_BACK_GRACE_MS)
    // An exchange under way may still bring jobs; #start hands them back.
    const isHolding = () => this.#consumers.some((each) => each.holds > 0 || owesSomething(each))
    await this.#while(isHolding, SETTLE_PATIENCE_MS)
    this.#phase = 'over'
    await Promise.all(this.#consumers.map((consumer) => consumer.leave()))
  }

  /** Goes on settling while `isBusy`, until the deadline, or until `hurry` resolves. */
  #while(isBusy: () => boolean, withinMs: number, hurry?: Promise<void>): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        callOff()
        if (this.#onLooked === check) this.#onLooked = () => {}
        resolve()
      }
      const check = () => {
        if (!isBusy()) end()
      }
      const callOff = startDeadline(withinMs, end)
      void hurry?.then(end)
      this.#onLooked = check
      this.#look()
    })
  }

  /**
   * Begins the exchanges whose turn it is. Where there is none and a slot is free, waits for the wake
   * markers.
   */
  #look(): void {
    this.#isLookDue = false
    if (this.#phase === 'waiting' || this.#phase === 'over') return
    const free = this.#freeSlots()
    const turns = nextTurns(this.#consumers, { free, nowMs: performance.now() })
    for (const { queue, wanted } of turns) void this.#exchange(queue, wanted)
    if (turns.length === 0 && free > 0) for (const waker of this.#wakers) waker.sleep()
    this.#onLooked()
  }

  async #exchange(consumer: Consumer, wanted: number): Promise<void> {
    const { turn } = consumer
    turn.begin(wanted, performance.now())
    const lapsing = this.#consumers.length > 1 && wanted > 0 ? this.#lapseLater(consumer) : undefined
    const claims = await consumer.exchange(wanted)
    clearTimeout(lapsing)
    turn.end({ wanted, claimed: claims.length, nowMs: performance.now() })
    for (const claim of claims) this.#start(consumer, claim)
    this.#look()
  }

  #lapseLater({ turn }: Consumer): NodeJS.Timeout {
    return setTimeout(() => {
      turn.lapse()
      this.ring()
    }, RESERVED_FOR_MS)
  }

  #lookEverywhere(): void {
    for (const { turn } of this.#consumers) turn.work()
    this.ring()
  }

  #room(): number {
    return this.#phase === 'working' ? Math.max(0, this.#starts.most() - this.#running) : 0
  }

  /** Free slots that no running exchange has reserved. */
  #freeSlots(): number {
    const reserved = this.#consumers.reduce((sum, { turn }) => sum + turn.reserved, 0)
    return Math.max(0, this.#room() - reserved)
  }

  /**
   * Each claim enters here. Meanwhile the worker may have been told to stop, or the slot may be taken.
   */
  #start(consumer: Consumer, claim: Claim): void {
    const envelope = parseEnvelope(claim.envelope)
    if (this.#room() === 0 || !envelope) {
      consumer.settle(envelope ? handedBack(claim, 'no-slot') : unreadable(claim, consumer.name))
      return
    }
    const job = { consumer, claim, envelope, worker: consumer.name }
    this.#running += 1
    for (const observer of this.#observers) observer.claimed?.(job)
    consumer.started(claim, this.#children.run(specOf(job), this.#hooksOf(job)))
  }

  #ended(job: ClaimedJob, outcome: Outcome): void {
    this.#running -= 1
    for (const observer of this.#observers) observer.ended(job, outcome)
    const settlement = settlementOf(job, outcome)
    if (settlement) job.consumer.settle(this.#followUps.with(job, settlement))
    this.ring()
  }

  #hooksOf(job: ClaimedJob): AttemptHooks {
    return {
      onProgress: (json) => this.#progress.note(job, json),
      onOutput: (stream, line) => {
        this.#log.info('output', { ...namesOf(job), stream, line })
        this.#live.line(job, stream, line)
      },
      onCall: (call) => answer(call, job, { progress: this.#progress, followUps: this.#followUps }),
      onEnded: (outcome) => this.#ended(job, outcome),
    }
  }
}

/** Its exchange is under way, or it popped the marker and has not claimed since. */
function owesSomething({ turn, isSure }: Consumer): boolean {
  return turn.isUnderWay || (turn.owesClaim && isSure)
}

const namesOf = ({ consumer, claim }: ClaimedJob) => ({ queue: consumer.queue.name, job: claim.id })

function specOf({ consumer, claim, envelope }: ClaimedJob): AttemptSpec {
  return {
    queue: consumer.queue.name,
    jobId: claim.id,
    task: envelope.task,
    attempt: claim.attempt,
    payload: envelope.payload,
    timeoutMs: Math.min(envelope.timeoutMs ?? Number.POSITIVE_INFINITY, consumer.timeoutMs),
    enqueuedAtMs: envelope.enqueuedAtMs,
    headers: envelope.headers,
  }
}
