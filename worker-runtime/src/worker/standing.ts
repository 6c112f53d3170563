// A worker's registration in one queue: its name there, the sequence number of its claims, and whether it is sure
// of its held jobs.
//
//   sure ──the answer of a call was lost──→ unsure ──renewed, held jobs read again──→ sure
//   sure, unsure ──Redis says "dead"──→ unsure, attempts stopped, a new name ──registered──→ sure
//
// An unsure worker claims and settles nothing. Each resync raises the sequence number in Redis: a claim that is
// still under way has the old number and gets nothing.
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
  /** Renewals send them to the history of the queue. */
  readonly figures: Figures
  readonly log: Log
  /** It has a new name, and with it another channel for messages. */
  readonly onRegistered: (name: string) => void
  /** It is sure again: there may be jobs to claim or to settle. */
  readonly onSure: () => void
  /** Redis gave an invalid answer: a bug or a newer layout. The worker cannot go on. */
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
  /** How often it became sure again without a successful exchange in between. */
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

  /** It is registered, and Redis owes no answer. */
  get isSure(): boolean {
    return this.#isSure
  }

  /** The timeout of an attempt, from the queue; ms. */
  get timeoutMs(): number {
    return this.#timeoutMs
  }

  /** How many enqueues Redis had lost before this worker registered. */
  get vanishedAtStart(): number {
    return this.#vanishedAtStart ?? 0
  }

  /**
   * How long Redis has not answered, ms. It counts heartbeats, because a paused process (SIGSTOP) says
   * nothing about Redis.
   */
  get silentMs(): number {
    return this.#beatsUnheard * RENEW_MS
  }

  /** A heartbeat is due, and Redis has not answered it yet. */
  beat(): void {
    this.#beatsUnheard += 1
  }

  /** Redis has answered. */
  heard(): void {
    this.#beatsUnheard = 0
  }

  /** An exchange succeeded. */
  proved(): void {
    this.#regains = 0
  }

  /** Registers, however long Redis is away. */
  async join(): Promise<void> {
    this.#newName()
    await this.regain()
  }

  /** From now on each renewal says that the worker is stopping. */
  stopping(): void {
    this.#isStopping = true
  }

  /**
   * Says that it lives. Answers undefined where Redis took it for dead. Also where its name changed during
   * the call: then the answer is about the old name.
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

  /** Other workers have its jobs: its attempts stop, and it registers under a new name. */
  takenForDead(): void {
    const facts = { queue: this.#queue.name, worker: this.#name, held: this.#holdings.size }
    this.#log.error('taken for dead', facts)
    for (const running of this.#holdings.drop()) running.stop('lost-hold')
    this.#newName()
    void this.regain()
  }

  /** Becomes unsure until it has read its held jobs again. All callers wait for the same resync. */
  regain(): Promise<void> {
    this.#isSure = false
    this.#regaining ??= this.#untilSure().finally(() => {
      this.#regaining = undefined
      this.#options.onSure()
    })
    return this.#regaining
  }

  /**
   * Deregisters. Other workers put back jobs that could not be settled: at once, or when the heartbeat runs
   * out if Redis did not hear of it.
   */
  async leave(): Promise<void> {
    this.#isLeaving = true
    if (!this.#isSure) return
    await this.#takingFigures((figures) => this.#queue.deregister(this.#name, figures)).catch((error) =>
      this.#log.warn('could not deregister', { queue: this.#queue.name, error }),
    )
  }

  /**
   * A worker that was sure once survives a refusal: its end would end its jobs, and the server may be
   * repaired.
   */
  maySoonBeWell(error: unknown): boolean {
    return isWeather(error) || (this.#wasSure && error instanceof ReplyError)
  }

  /** Figures that may have reached Redis are not sent again: a gap is better than a double count. */
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
    // Without a pause a server that answers `stale` to each exchange would be asked in a busy loop.
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
    // Redis knows that they are dead, and whether they were stopping. 'sure' is for a caller that saw how the
    // process ended.
    for (const worker of dead)
      await this.#queue.reap({ worker, evidence: 'silent', reason: 'another worker started in its pod' })
  }

  /** Redis keeps it for the record of these attempts, in case the worker dies. */
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

/** Redis cannot answer now, but may do so later. */
function isWeather(error: unknown): boolean {
  return error instanceof RedisUnavailable || (error instanceof QueueRefused && error.code === 'REDIS_FULL')
}
