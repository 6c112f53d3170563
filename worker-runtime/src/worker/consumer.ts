// One queue of a worker: settles and claims in one call, and knows the held jobs. Its parts are the
// registration (standing.ts), the heartbeat (heartbeat.ts), the held jobs (holdings.ts) and its turn among
// the worker's queues (turns.ts).
import type { PendingAttempt } from '../child/pool.ts'
import type { Log } from '../log.ts'
import { type Claim, givenOf, type SettledAndClaimed, type Settlement } from '../queue/hold.ts'
import { DISMISSED, FOLLOWED, FORWARD, workerChannel } from '../queue/keys.ts'
import type { Queue } from '../queue/queue.ts'
import type { Registration } from '../queue/registration.ts'
import type { Connection } from '../redis/connection.ts'
import { Figures } from './figures.ts'
import { Heartbeat } from './heartbeat.ts'
import { Holdings } from './holdings.ts'
import { Standing } from './standing.ts'
import { Turn } from './turns.ts'

export interface ConsumerOptions {
  readonly queue: Queue
  readonly weight: number
  readonly entry: Omit<Registration, 'worker'>
  /** A connection for messages: cancellations, the dismissal and jobs from enqueues arrive on it. */
  readonly messages: Connection
  readonly log: Log
  /**
   * An enqueue gave this job to the worker, which holds it. Absent: enqueues give it no jobs. A worker of
   * several queues might get two jobs for one slot.
   */
  readonly onGiven?: ((consumer: Consumer, claim: Claim) => void) | undefined
  /** Somebody follows the output of a held job. */
  readonly onFollowed?: ((consumer: Consumer, id: string) => void) | undefined
  /** There may be work for an exchange. */
  readonly onChange: () => void
  /** Its pod has no time left: the worker must end now. */
  readonly onDismissed: () => void
  /** Redis gave an invalid answer: a bug or a newer layout. The worker cannot go on. */
  readonly onBroken: (error: unknown) => void
  /** Redis refused to settle an attempt. */
  readonly onRefused?: ((queue: string) => void) | undefined
}

/** The waker finds delayed jobs that are due later: it looks more often than this. */
const LONGEST_LOOK_AHEAD_MS = 5_000
const WHY_REFUSED = {
  'not-yours':
    'it is not held under this token: the worker was taken for dead, or Redis went back to an earlier state',
  unknown: 'it is not in Redis any more: somebody deleted its keys, or Redis lost them',
}

export class Consumer {
  readonly queue: Queue
  readonly turn: Turn
  readonly figures = new Figures()
  readonly #options: ConsumerOptions
  readonly #holdings = new Holdings<PendingAttempt>()
  readonly #standing: Standing
  readonly #heartbeat: Heartbeat
  #isDraining = false
  #isIdle = false
  #isLeaving = false
  #exchanges = 0
  #due: NodeJS.Timeout | undefined
  #stopListening = () => {}

  constructor(options: ConsumerOptions) {
    const holdings = this.#holdings
    this.queue = options.queue
    this.turn = new Turn({ weight: options.weight, nowMs: performance.now() })
    this.#options = options
    this.#standing = new Standing({
      ...options,
      holdings,
      figures: this.figures,
      onRegistered: (name) => this.#listen(name),
      onSure: () => this.#look(),
    })
    this.#heartbeat = new Heartbeat({
      ...options,
      holdings,
      standing: this.#standing,
      exchanges: () => this.#exchanges,
    })
  }

  /** The worker's name in this queue, until it is taken for dead. */
  get name(): string {
    return this.#standing.name
  }

  get isSure(): boolean {
    return this.#standing.isSure
  }

  /** How long Redis has not answered, ms. */
  get silentMs(): number {
    return this.#standing.silentMs
  }

  /** The timeout of an attempt, from the queue; ms. */
  get timeoutMs(): number {
    return this.#standing.timeoutMs
  }

  /** Some attempts have ended and are not settled yet. */
  get hasEnded(): boolean {
    return this.#holdings.hasEnded
  }

  get holds(): number {
    return this.#holdings.size
  }

  /** Its pod drains: the wake marker is for other workers. */
  get isDraining(): boolean {
    return this.#isDraining
  }

  /** Registers, however long Redis is away, then starts the heartbeat. */
  async join(): Promise<void> {
    await this.#standing.join()
    this.#heartbeat.start()
  }

  /**
   * One round trip: settles ended attempts and claims up to `wanted` jobs. Never rejects. Answers no claims
   * while Redis is away.
   */
  async exchange(wanted: number): Promise<readonly Claim[]> {
    const { name, sequence, isSure } = this.#standing
    if (!isSure) return []
    const settling = this.#holdings.takeEnded()
    this.#exchanges += 1
    try {
      const answer = await this.queue.settleAndClaim({
        worker: name,
        sequence,
        settlements: settling,
        wanted,
        given: this.#given(wanted),
      })
      this.#standing.heard()
      // The heartbeat heard "dead" during the call: other workers have these jobs, and the worker has
      // forgotten the attempts that this call settled.
      if (this.#standing.name !== name) return []
      if (wanted > 0) this.#isIdle = answer.isIdle
      return this.#answered(answer, settling, sequence)
    } catch (error) {
      if (!this.#standing.maySoonBeWell(error)) this.#options.onBroken(error)
      else if (this.#standing.name === name) this.#lost(error, settling)
      return []
    }
  }

  /** Messages may be lost: some may have given it jobs. */
  messagesLost(): void {
    if (this.#isIdle) void this.#standing.regain()
  }

  /** Holds these jobs until they are settled. */
  claimed(claims: readonly Claim[]): void {
    for (const claim of claims) this.#holdings.claimed(claim)
  }

  /** The attempt of a claim has begun. */
  started(claim: Claim, running: PendingAttempt): void {
    if (!this.#holdings.started(claim, running)) running.stop('lost-hold')
  }

  /**
   * An attempt ended: the next exchange settles it. Where the worker no longer holds the job, another worker
   * has it, and there is nothing to settle.
   */
  settle(settlement: Settlement): void {
    if (this.#holdings.ended(settlement)) this.#options.onChange()
  }

  /** Until it is settled, or another worker has the job. */
  isHeld(claim: Claim): boolean {
    return this.#holdings.attemptOf(claim) !== undefined
  }

  /** Answers whether each job is still held. Rejects while Redis is away. */
  async report(progress: readonly { id: string; token: string; json: string }[]): Promise<boolean[]> {
    if (!this.isSure) throw new Error('an answer of Redis is owed')
    return this.queue.report(this.name, progress)
  }

  /**
   * Tells Redis at once that the worker is stopping: if it is killed before its jobs have ended, this is no
   * crash of theirs. Tells the running tasks too, which may hand their jobs over.
   */
  stopping(): void {
    for (const running of this.#holdings.running()) running.drain()
    this.#standing.stopping()
    this.#heartbeat.soon()
  }

  /** Ends all attempts. Their jobs go back to the queue, uncounted. */
  handBackAll(graceMs: number): void {
    for (const running of this.#holdings.running()) running.stop('handed-back', graceMs)
  }

  async leave(): Promise<void> {
    this.#isLeaving = true
    this.#heartbeat.stop()
    clearTimeout(this.#due)
    this.#stopListening()
    await this.#standing.leave()
  }

  #answered(answer: SettledAndClaimed, settling: readonly Settlement[], sequence: number): readonly Claim[] {
    const { status, became, nextMs } = answer
    if (status === 'dead') {
      this.#standing.takenForDead()
      return []
    }
    for (const [at, settlement] of settling.entries()) this.#sayIfRefused(settlement, became[at])
    this.#holdings.settled(settling)
    this.#isDraining = status === 'draining'
    if (status === 'stale') void this.#standing.regain()
    else this.#standing.proved()
    // A worker that may not claim does not promote delayed jobs either, so another look is useless.
    this.#lookAgainIn(status === 'ok' ? nextMs : undefined)
    // A resync overtook this call. It found these claims, which have not started, and hands them back.
    if (this.#standing.sequence !== sequence) return []
    this.claimed(answer.claims)
    return answer.claims
  }

  /**
   * Redis may have executed the call or not. The worker reads its held jobs from Redis, then sends the
   * settlements again.
   */
  #lost(error: unknown, settling: readonly Settlement[]): void {
    this.#options.log.warn('the answer of Redis was lost', { queue: this.queue.name, error })
    this.#holdings.unsettled(settling)
    void this.#standing.regain()
  }

  #sayIfRefused(settlement: Settlement, became: SettledAndClaimed['became'][number] | undefined): void {
    if (became !== 'not-yours' && became !== 'unknown') return
    const { id, verdict } = settlement
    this.#options.log.warn('Redis refused to settle an attempt', {
      queue: this.queue.name,
      job: id,
      attempt: this.#holdings.attemptOf(settlement),
      verdict,
      refusal: became,
      why: WHY_REFUSED[became],
    })
    this.#options.onRefused?.(this.queue.name)
  }

  #listen(name: string): void {
    this.#stopListening()
    this.#stopListening = () => {}
    const { messages } = this.#options
    const channel = workerChannel(this.queue.name, this.queue.redis.database, name)
    const listening = messages.subscribe(channel, (what) => {
      const given = givenOf(what)
      if (given) this.#wasGiven(given, name)
      else if (what === DISMISSED) this.#dismissed()
      else if (what === FORWARD) this.#heartbeat.forward()
      else if (what.startsWith(FOLLOWED)) this.#options.onFollowed?.(this, what.slice(FOLLOWED.length))
      else this.#holdings.runningOf(what)?.stop('cancelled')
    })
    // Without a subscription cancellations come with the next heartbeat.
    listening.then(
      (stop) => {
        // The worker may have another name now, or may have left.
        if (this.name === name && !this.#isLeaving) this.#stopListening = stop
        else stop()
      },
      () => {},
    )
  }

  /** The field `given` of an exchange that asks for jobs (queue/lua/exchange.lua). */
  #given(wanted: number): string {
    if (wanted === 0 || !this.#options.onGiven) return ''
    return `${this.#holdings.given}${this.#isIdle ? '+' : ''}`
  }

  /** While the worker is unsure, the running resync finds the job in Redis and hands it back. */
  #wasGiven(claim: Claim, name: string): void {
    if (this.isSure && this.name === name && this.#holdings.givenBy(claim))
      this.#options.onGiven?.(this, claim)
  }

  #dismissed(): void {
    const facts = { queue: this.queue.name, held: this.holds }
    this.#options.log.warn('dismissed: its pod has no time left', facts)
    this.handBackAll(0)
    this.#options.onDismissed()
  }

  #look(): void {
    this.turn.work()
    this.#options.onChange()
  }

  #lookAgainIn(nextMs: number | undefined): void {
    clearTimeout(this.#due)
    if (nextMs === undefined || nextMs > LONGEST_LOOK_AHEAD_MS || this.#isLeaving) return
    this.#due = setTimeout(() => this.#look(), nextMs + 1)
  }
}
