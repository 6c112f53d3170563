// A worker's standing in one queue: its name there, its heartbeat, what it holds. worker.ts exchanges through it: settles what
// ended, claims for free slots.
//
//   sure ──a call's answer was lost──→ unsure ──renewed, held read again──→ sure
//   sure, unsure ──"dead"──→ unsure, its children ended, under a new name ──registered──→ sure
//
// While unsure nothing is claimed or settled. The sequence number voids claims that are still on their way.
import type { PendingAttempt } from '../child/pool.ts'
import type { Log } from '../log.ts'
import { cancelChannel, DISMISSED } from '../queue/keys.ts'
import {
  type Claim,
  type Queue,
  QueueRefused,
  type Registration,
  type Settlement,
  type UsedSoFar,
} from '../queue/queue.ts'
import { RENEW_MS } from '../queue/settings.ts'
import { type Connection, RedisUnavailable } from '../redis/connection.ts'
import { ReplyError } from '../redis/resp.ts'
import { handedBack } from './settlement.ts'

export interface MembershipOptions {
  readonly queue: Queue
  readonly weight: number
  readonly entry: Omit<Registration, 'worker'>
  /** A connection for messages: cancellations and the dismissal arrive on it. */
  readonly messages: Connection
  readonly log: Log
  /** Called when there may be something to exchange. */
  readonly onChange: () => void
  /** Its pod has no time left: the worker is to end now. */
  readonly onDismissed: () => void
  /** Redis answered what no Redis should: a bug or a newer layout. The worker cannot go on. */
  readonly onBroken: (error: unknown) => void
}

/** Many workers may know the moment when another one's heartbeat runs out. */
const SPREAD_MS = 100

interface Held {
  readonly token: string
  running: PendingAttempt | undefined
}

export class Membership {
  readonly queue: Queue
  readonly weight: number
  /** There may be jobs to claim; false after a claim that got less than it asked for. */
  mayHaveWork = false
  /** Its wake marker was popped here: a claim, even for nothing, puts it back for others. */
  owesClaim = false
  /** Its pod drains: it must leave the wake marker to others. */
  isDraining = false
  /** By the queue; one attempt runs no longer, ms. */
  timeoutMs = 0
  /** Nobody is told of work in a queue while the worker is busy with another one: it must look for itself now and then. */
  lastExchangeAtMs = performance.now()
  /** Claimed jobs divided by the weight, of late: who has the least is served first. */
  served = 0

  readonly #options: MembershipOptions
  #beatsUnheard = 0
  readonly #log: Log
  readonly #held = new Map<string, Held>()
  #ended: Settlement[] = []
  #name = ''
  #registrations = 0
  #sequence = 0
  #isSure = false
  #wasSure = false
  /** How often it became sure again without an exchange that went well in between. */
  #regains = 0
  #regaining: Promise<void> | undefined
  #isLeaving = false
  #exchanges = 0
  #vanished: number | undefined
  #doubt: { held: number; exchanges: number } | undefined
  #heartbeat: NodeJS.Timeout | undefined
  #isBeating = false
  #isStopping = false
  #due: NodeJS.Timeout | undefined
  #stopListening = () => {}

  constructor(options: MembershipOptions) {
    this.queue = options.queue
    this.weight = options.weight
    this.#options = options
    this.#log = options.log
  }

  get name(): string {
    return this.#name
  }

  /** Something waits to be settled, and Redis can be told. */
  get hasEnded(): boolean {
    return this.#ended.length > 0 && this.#isSure
  }

  /** How long Redis has not answered, ms. Heartbeats are counted, because the time while this process was held up proves nothing. */
  get silentMs(): number {
    return this.#beatsUnheard * RENEW_MS
  }

  /** It is registered, and no answer is owed. */
  get isSure(): boolean {
    return this.#isSure
  }

  get holds(): number {
    return this.#held.size
  }

  /** Registers, however long Redis is away, and keeps the heartbeat from then on. */
  async join(): Promise<void> {
    this.#newName()
    await this.#regain()
    this.#heartbeat = setInterval(() => {
      this.#beatsUnheard += 1
      void this.#beat()
    }, RENEW_MS)
  }

  /** One round trip: settles what has ended and claims up to `wanted` jobs. Answers nothing while Redis is away. */
  async exchange(wanted: number): Promise<Claim[]> {
    this.owesClaim = false
    if (wanted > 0) this.mayHaveWork = false
    this.lastExchangeAtMs = performance.now()
    if (!this.#isSure) return []
    const settling = this.#ended
    this.#ended = []
    this.#exchanges += 1
    const name = this.#name
    try {
      const answer = await this.queue.settleAndClaim(name, this.#sequence, settling, wanted)
      this.#beatsUnheard = 0
      if (this.#name !== name) return []
      if (answer.status === 'dead') return this.#takenForDead()
      if (answer.status !== 'stale') this.#regains = 0
      for (const { id, token } of settling) this.#forget(id, token)
      this.isDraining = answer.status === 'draining'
      if (answer.status === 'stale') void this.#regain()
      for (const { id, token } of answer.claims) this.#held.set(id, { token, running: undefined })
      this.served = this.served * 0.99 + answer.claims.length / this.weight
      if (wanted > 0) this.mayHaveWork = answer.claims.length === wanted
      // Where nothing may be claimed nothing is promoted either, and looking again soon would find the same.
      this.#lookAgainIn(answer.status === 'ok' ? answer.nextMs : undefined)
      return [...answer.claims]
    } catch (error) {
      if (!this.#maySoonBeWell(error)) throw error
      if (this.#name !== name) return []
      this.#log.warn('the answer of Redis was lost', { queue: this.queue.name, error })
      this.#ended = [...settling, ...this.#ended]
      void this.#regain()
      return []
    }
  }

  /** The attempt of a claim has begun. */
  started(claim: Claim, running: PendingAttempt): void {
    const held = this.#held.get(claim.id)
    if (held?.token === claim.token) held.running = running
    else running.stop('lost-hold')
  }

  /** An attempt ended; told to Redis with the next exchange. What is no longer held is dropped: somebody else has it. */
  settle(settlement: Settlement): void {
    if (this.#held.get(settlement.id)?.token !== settlement.token) return
    this.#ended.push(settlement)
    this.#options.onChange()
  }

  async report(progress: readonly { id: string; token: string; json: string }[]): Promise<void> {
    if (this.#isSure) await this.queue.report(this.#name, progress)
  }

  /** Redis is told at once that this worker was told to stop: when it is killed before its jobs have ended, that is no fault of theirs. */
  stopping(): void {
    this.#isStopping = true
    void this.#beat()
  }

  /** Everything that runs here is ended and goes back to the queue, uncounted. */
  handBackAll(graceMs: number): void {
    for (const { running } of this.#held.values()) running?.stop('handed-back', graceMs)
  }

  /** Says goodbye. What could not be settled is put back by others when the heartbeat runs out. */
  async leave(): Promise<void> {
    this.#isLeaving = true
    clearInterval(this.#heartbeat)
    clearTimeout(this.#due)
    this.#stopListening()
    if (!this.#isSure) return
    await this.queue
      .deregister(this.#name)
      .catch((error) => this.#log.warn('could not deregister', { error }))
  }

  #newName(): void {
    this.#registrations += 1
    this.#name = `${this.#options.entry.process}:${this.#registrations}`
    this.#sequence = 0
  }

  async #register(): Promise<void> {
    const entry = { ...this.#options.entry, worker: this.#name }
    const { timeoutMs, dead, vanished } = await this.queue.register(entry)
    this.timeoutMs = timeoutMs
    this.#vanished ??= vanished
    this.#stopListening()
    const channel = cancelChannel(this.queue.name, this.queue.redis.database, this.#name)
    const listening = this.#options.messages.subscribe(channel, (what) => {
      if (what === DISMISSED) this.#dismissed()
      else this.#held.get(what)?.running?.stop('cancelled')
    })
    // Without it cancellations arrive a heartbeat later; no reason not to work.
    listening.then(
      (stop) => {
        this.#stopListening = stop
      },
      () => {},
    )
    for (const worker of dead) await this.queue.reap(worker, 'sure', 'another worker started in its pod')
  }

  #dismissed(): void {
    this.#log.warn('dismissed: its pod has no time left', { queue: this.queue.name, held: this.#held.size })
    this.handBackAll(0)
    this.#options.onDismissed()
  }

  #takenForDead(): [] {
    this.#log.error('taken for dead', { queue: this.queue.name, worker: this.#name, held: this.#held.size })
    for (const { running } of this.#held.values()) running?.stop('lost-hold')
    this.#held.clear()
    this.#ended = []
    this.#newName()
    void this.#regain()
    return []
  }

  /** Until it is sure again: renew first, so that nobody takes it for dead, then find out what it holds. */
  #regain(): Promise<void> {
    this.#isSure = false
    this.#regaining ??= this.#untilSure().finally(() => {
      this.#regaining = undefined
      this.#options.onChange()
    })
    return this.#regaining
  }

  async #untilSure(): Promise<void> {
    // A server that says of every exchange that it is too late would be told and asked again as fast as it can answer.
    const before = this.#regains
    this.#regains += 1
    if (before > 1) await pauseAfter(before)
    for (let failures = 0; !this.#isLeaving; failures += 1) {
      try {
        if (await this.#tryToBeSure()) return
      } catch (error) {
        if (!this.#maySoonBeWell(error)) return this.#options.onBroken(error)
        if (failures % 20 === 0) this.#log.warn('waiting for Redis', { queue: this.queue.name, error })
      }
      await pauseAfter(failures)
    }
  }

  /** A worker that has worked here outlives a refusal too: to end would end what it runs, and who refuses may be mended. */
  #maySoonBeWell(error: unknown): boolean {
    return isWeather(error) || (this.#wasSure && error instanceof ReplyError)
  }

  async #tryToBeSure(): Promise<boolean> {
    const isNew = this.#sequence === 0
    if (isNew) await this.#register()
    else if ((await this.queue.renew(this.#name, this.#used(), this.#isStopping)).kind === 'dead')
      return this.#dead()
    const sequence = this.#sequence + 1
    const answer = await this.queue.resync(this.#name, sequence)
    if (answer.kind === 'dead') return this.#dead()
    this.#sequence = sequence
    this.#adopt(answer.held)
    this.#beatsUnheard = 0
    this.#isSure = true
    this.#wasSure = true
    this.mayHaveWork = true
    this.#log.info(isNew ? 'registered' : 'sure again', { queue: this.queue.name, worker: this.#name })
    return true
  }

  #dead(): false {
    this.#takenForDead()
    return false
  }

  /** What Redis says is held but nobody runs was claimed by a call whose answer was lost; what runs but is not held is another's. */
  #adopt(held: readonly { id: string; token: string }[]): void {
    const tokens = new Map(held.map(({ id, token }) => [id, token]))
    for (const [id, mine] of this.#held) {
      if (tokens.get(id) === mine.token) continue
      mine.running?.stop('lost-hold')
      this.#held.delete(id)
    }
    this.#ended = this.#ended.filter(({ id, token }) => tokens.get(id) === token)
    for (const stranger of held) {
      if (this.#held.has(stranger.id)) continue
      this.#held.set(stranger.id, { token: stranger.token, running: undefined })
      this.#ended.push(handedBack(stranger))
    }
  }

  async #beat(): Promise<void> {
    if (this.#isBeating || !this.#isSure) return
    this.#isBeating = true
    const name = this.#name
    const wasStopping = this.#isStopping
    try {
      const answer = await this.queue.renew(name, this.#used(), this.#isStopping)
      this.#beatsUnheard = 0
      if (this.#name !== name) return
      if (answer.kind === 'dead') {
        this.#takenForDead()
        return
      }
      this.timeoutMs = answer.timeoutMs
      this.#sayVanished(answer.counters.vanished)
      for (const id of answer.cancelled) this.#held.get(id)?.running?.stop('cancelled')
      this.#compare(answer.held)
      for (const each of answer.overdue) this.#reapLater(each)
      for (const worker of answer.silent) await this.#reap(worker)
    } catch (error) {
      if (!this.#maySoonBeWell(error)) return this.#options.onBroken(error)
      this.#log.warn('could not renew', { queue: this.queue.name, error })
      if (this.#name === name) void this.#regain()
    } finally {
      this.#isBeating = false
      if (wasStopping !== this.#isStopping) void this.#beat()
    }
  }

  /** Nobody can look at it any more when this worker is dead. */
  #used(): UsedSoFar[] {
    return [...this.#held.values()].flatMap(({ token, running }) => {
      const usage = running?.usage()
      return usage?.maxRssBytes === undefined ? [] : [{ token, ...usage }]
    })
  }

  /** Redis went back to an earlier state: a replica that lagged took over, or a restart lost its last writes. */
  #sayVanished(vanished: number): void {
    const before = this.#vanished ?? 0
    this.#vanished = vanished
    if (vanished > before)
      this.#log.error('Redis lost enqueues that it had acknowledged', {
        queue: this.queue.name,
        atLeast: vanished - before,
      })
  }

  /** Not to wait for the next heartbeat. The reap itself looks again: who has renewed meanwhile lives. */
  #reapLater({ worker, leftMs }: { worker: string; leftMs: number }): void {
    const reap = () => {
      if (this.#isSure && !this.#isLeaving) void this.#reap(worker).catch(() => {}) // or the next heartbeat does
    }
    setTimeout(reap, leftMs + 1 + Math.random() * SPREAD_MS).unref()
  }

  async #reap(worker: string): Promise<void> {
    const jobs = await this.queue.reap(
      worker,
      'silent',
      'its heartbeat ran out: the worker was killed, stopped or cut off',
    )
    if (jobs > 0) this.#log.warn('put back what a dead worker held', { queue: this.queue.name, worker, jobs })
  }

  /** Two heartbeats in a quiet moment that disagree with what is held here: a failover to a replica that lagged looks like this. */
  #compare(held: number): void {
    if (held === this.#held.size) {
      this.#doubt = undefined
    } else if (this.#doubt?.held === held && this.#doubt.exchanges === this.#exchanges) {
      this.#doubt = undefined
      this.#log.warn('Redis disagrees about what is held here', {
        queue: this.queue.name,
        held,
        here: this.#held.size,
      })
      void this.#regain()
    } else {
      this.#doubt = { held, exchanges: this.#exchanges }
    }
  }

  #forget(id: string, token: string): void {
    if (this.#held.get(id)?.token === token) this.#held.delete(id)
  }

  #lookAgainIn(nextMs: number | undefined): void {
    clearTimeout(this.#due)
    if (nextMs === undefined || nextMs > 5_000) return
    this.#due = setTimeout(() => {
      this.mayHaveWork = true
      this.#options.onChange()
    }, nextMs + 1)
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
