// A worker's registration in one queue: its name there, the sequence number of its claims, and whether it is
// sure what it holds.
//
//   sure ──the answer of a call was lost──→ unsure ──renewed, held jobs read again──→ sure
//   sure, unsure ──Redis says "dead"──→ unsure, attempts stopped, a new name ──registered──→ sure
//
// While it is unsure nothing is claimed or settled. Each resync raises the sequence number in Redis: a claim
// that is still on its way carries the old one and gets nothing.
import type { PendingAttempt } from '../child/pool.ts'
import type { Log } from '../log.ts'
import type { Queue } from '../queue/queue.ts'
import { QueueRefused } from '../queue/refused.ts'
import type { Registration, Renewed } from '../queue/registration.ts'
import { RENEW_MS } from '../queue/settings.ts'
import { RedisUnavailable } from '../redis/connection.ts'
import { ReplyError } from '../redis/resp.ts'
import type { Figures } from './figures.ts'
import type { Holdings } from './holdings.ts'

export interface StandingOptions {
  readonly queue: Queue
  readonly entry: Omit<Registration, 'worker'>
  readonly holdings: Holdings<PendingAttempt>
  /** Renewals take them to the history of the queue. */
  readonly figures: Figures
  readonly log: Log
  /** It has a new name: its cancellations arrive on another channel. */
  readonly onRegistered: (name: string) => void
  /** It is sure again: there may be something to claim or to settle. */
  readonly onSure: () => void
  /** Redis answered what no Redis should: a bug or a newer layout. The worker cannot go on. */
  readonly onBroken: (error: unknown) => void
}

type Alive = Extract<Renewed, { kind: 'alive' }>

export class Standing {
  readonly #options: StandingOptions
  readonly #queue: Queue
  readonly #log: Log
  readonly #holdings: Holdings<PendingAttempt>
  #name = ''
  #registrations = 0
  #sequence = 0
  #isSure = false
  #wasSure = false
  /** How often it became sure again without an exchange that went well in between. */
  #regains = 0
  #regaining: Promise<void> | undefined
  #isLeaving = false
  #isStopping = false
  #timeoutMs = 0
  #vanishedAtStart: number | undefined
  #beatsUnheard = 0

  constructor(options: StandingOptions) {
    this.#options = options
    this.#queue = options.queue
    this.#log = options.log
    this.#holdings = options.holdings
  }

  get name(): string {
    return this.#name
  }

  get sequence(): number {
    return this.#sequence
  }

  /** It is registered, and no answer is owed. */
  get isSure(): boolean {
    return this.#isSure
  }

  /** By the queue; one attempt runs no longer, ms. */
  get timeoutMs(): number {
    return this.#timeoutMs
  }

  /** How many enqueues Redis was known to have lost before this worker came. */
  get vanishedAtStart(): number {
    return this.#vanishedAtStart ?? 0
  }

  /**
   * How long Redis has not answered, ms. Heartbeats are counted, because the time while this process was held
   * up proves nothing.
   */
  get silentMs(): number {
    return this.#beatsUnheard * RENEW_MS
  }

  /** It is time for a heartbeat; Redis has not answered for it yet. */
  beat(): void {
    this.#beatsUnheard += 1
  }

  /** Redis has answered. */
  heard(): void {
    this.#beatsUnheard = 0
  }

  /** An exchange went well. */
  proved(): void {
    this.#regains = 0
  }

  /** Registers, however long Redis is away. */
  async join(): Promise<void> {
    this.#newName()
    await this.regain()
  }

  /** From now on every renewal says that this worker was told to stop. */
  stopping(): void {
    this.#isStopping = true
  }

  /**
   * Says that it lives. Answers nothing where Redis took it for dead, or where somebody else found that out,
   * and changed the name, while this call was under way: its answer is about the old name.
   */
  async renew(): Promise<Alive | undefined> {
    const name = this.#name
    const answer = await this.#takingFigures((figures) =>
      this.#queue.renew(name, { used: this.#used(), isStopping: this.#isStopping, figures }),
    )
    this.heard()
    if (this.#name !== name) return undefined
    if (answer.kind === 'dead') {
      this.takenForDead()
      return undefined
    }
    this.#timeoutMs = answer.timeoutMs
    return answer
  }

  /** Its jobs were given to others: attempts stop, and it registers under a new name. */
  takenForDead(): void {
    const facts = { queue: this.#queue.name, worker: this.#name, held: this.#holdings.size }
    this.#log.error('taken for dead', facts)
    for (const running of this.#holdings.drop()) running.stop('lost-hold')
    this.#newName()
    void this.regain()
  }

  /** Becomes unsure, until what it holds was read again. All who ask meanwhile wait for the same. */
  regain(): Promise<void> {
    this.#isSure = false
    this.#regaining ??= this.#untilSure().finally(() => {
      this.#regaining = undefined
      this.#options.onSure()
    })
    return this.#regaining
  }

  /**
   * Says goodbye. Others put back what could not be settled: at once if it says so, else when the heartbeat
   * runs out.
   */
  async leave(): Promise<void> {
    this.#isLeaving = true
    if (!this.#isSure) return
    await this.#takingFigures((figures) => this.#queue.deregister(this.#name, figures)).catch((error) =>
      this.#log.warn('could not deregister', { queue: this.#queue.name, error }),
    )
  }

  /**
   * A worker that has worked outlives a refusal: to end would end its jobs, and the server may be repaired
   * meanwhile.
   */
  maySoonBeWell(error: unknown): boolean {
    return isWeather(error) || (this.#wasSure && error instanceof ReplyError)
  }

  /** Figures that may have arrived are not sent again: better none of them than twice. */
  async #takingFigures<T>(send: (figures: readonly string[]) => Promise<T>): Promise<T> {
    const figures = this.#options.figures.take()
    try {
      return await send(figures)
    } catch (error) {
      const mayHaveArrived = error instanceof RedisUnavailable && error.maybeDone
      if (!mayHaveArrived) this.#options.figures.giveBack(figures)
      throw error
    }
  }

  #newName(): void {
    this.#registrations += 1
    this.#name = `${this.#options.entry.process}:${this.#registrations}`
    this.#sequence = 0
  }

  async #untilSure(): Promise<void> {
    // A server that calls every exchange stale would otherwise be asked again as fast as it answers.
    const before = this.#regains
    this.#regains += 1
    if (before > 1) await pauseAfter(before)
    for (let failures = 0; !this.#isLeaving; failures += 1) {
      try {
        if (await this.#tryToBeSure()) return
      } catch (error) {
        if (!this.maySoonBeWell(error)) return this.#options.onBroken(error)
        if (failures % 20 === 0) this.#log.warn('waiting for Redis', { queue: this.#queue.name, error })
      }
      await pauseAfter(failures)
    }
  }

  /** Renews first: the worker must not be taken for dead while it reads its held jobs. */
  async #tryToBeSure(): Promise<boolean> {
    const isNew = this.#sequence === 0
    if (isNew) await this.#register()
    else if (!(await this.renew())) return false
    const sequence = this.#sequence + 1
    const answer = await this.#queue.resync(this.#name, sequence)
    if (answer.kind === 'dead') {
      this.takenForDead()
      return false
    }
    this.#sequence = sequence
    for (const running of this.#holdings.adopt(answer.held)) running.stop('lost-hold')
    this.heard()
    this.#isSure = true
    this.#wasSure = true
    const facts = { queue: this.#queue.name, worker: this.#name }
    this.#log.info(isNew ? 'registered' : 'sure again', facts)
    return true
  }

  async #register(): Promise<void> {
    const entry = { ...this.#options.entry, worker: this.#name }
    const { timeoutMs, dead, vanished } = await this.#queue.register(entry)
    this.#timeoutMs = timeoutMs
    this.#vanishedAtStart ??= vanished
    this.#options.onRegistered(this.#name)
    // Redis knows that they are dead, and whether they were told to stop: 'sure' is for a caller that saw how
    // the process ended.
    for (const worker of dead)
      await this.#queue.reap({ worker, evidence: 'silent', reason: 'another worker started in its pod' })
  }

  /** Kept in Redis for the record of these attempts, in case this worker dies. */
  #used() {
    return this.#holdings.tokens().flatMap(({ token, running }) => {
      const usage = running.usage()
      return usage.maxRssBytes === undefined ? [] : [{ token, ...usage }]
    })
  }
}

function pauseAfter(failures: number): Promise<void> {
  const ms = Math.min(1_000, 50 * 2 ** Math.min(failures, 5)) * (0.5 + Math.random() / 2)
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** Redis cannot now; later it can. */
function isWeather(error: unknown): boolean {
  return error instanceof RedisUnavailable || (error instanceof QueueRefused && error.code === 'REDIS_FULL')
}
