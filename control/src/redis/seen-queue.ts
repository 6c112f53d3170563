// A queue and its last view. Two controllers and several pools share one read of Redis.
import type { ServerFinding } from 'millhand/doctor'
import {
  type Connection,
  type Log,
  type OutputEvent,
  type Queue,
  RedisUnavailable,
  type Seen,
  stirredChannel,
} from 'millhand/queue'
import { type Fence, NotLeading, pass } from '../engine/fence.ts'
import { Firing } from './firing.ts'
import { type Place, problemOf, type QueuePlace, type RedisProblem, type RedisWords } from './problems.ts'
import { lookAt, type QueueView } from './view.ts'

export interface SeenQueueOptions {
  queue: Queue
  /** It subscribes and calls nothing. */
  messages: Connection
  place: Place
  words: RedisWords
  onStirred: (queue: QueuePlace) => void
  fence: Fence
  /** The error to throw while the server is known to be away. */
  away: () => RedisUnavailable | undefined
  /** Called when a look missed its deadline. */
  onMissed: () => void
  /** Deadline of a look, over all its calls. */
  deadlineMs: number
  isReady: () => boolean
  examine: (maxAgeMs?: number) => Promise<readonly ServerFinding[] | 'unknown'>
  log: Log
  /** Monotonic, ms. */
  nowMs: () => number
}

/** Callers share a look of this age, unless a stir came since. */
const FRESH_MS = 200
/** Later than the deadline of the last call, whose error says more. */
const TIMER_MS = 500
/** Jobs that are due within this time are not worth a look of their own. */
const SOON_MS = 50
/** A queue that runs empty again and again stirs each time: a look follows at most this often. */
const STIR_EVERY_MS = 200
/** Others are put back after the next look. */
const MOST_SILENT = 20
/** How often the state goes into the history of the queue; and how long after it could not be written. */
const SAMPLE_EVERY_MS = 10_000
const SAMPLE_REFUSED_MS = 300_000
const WHY_SILENT = 'its heartbeat ran out: the worker was killed, stopped or cut off'

export class SeenQueue {
  readonly #options: SeenQueueOptions
  #view: QueueView | undefined
  /** The highest counters seen. They are written to Redis until Redis has them, with retries. */
  #highest: Seen = { enqueued: 0, claimed: 0 }
  #looking: { look: Promise<QueueView>; stirs: number } | undefined
  /** How often the queue stirred: a look from before the last stir is stale. */
  #stirs = 0
  #seenAtStir = -1
  #toldAtMs = Number.NEGATIVE_INFINITY
  #telling: NodeJS.Timeout | undefined
  #listening: Promise<() => void> | undefined
  #isReaping = false
  #isForwarding = false
  #sampleDueMs = Number.NEGATIVE_INFINITY
  readonly #firing: Firing

  constructor(options: SeenQueueOptions) {
    this.#options = options
    const { fence, log } = options
    this.#firing = new Firing({
      queue: () => this.toWrite,
      fence,
      onFired: () => this.#lookAfterFiring(),
      log,
    })
  }

  get name(): string {
    return this.#options.queue.name
  }

  get namespace(): string {
    return this.#options.place.namespace
  }

  get place(): QueuePlace {
    return { ...this.#options.place, queueName: this.name }
  }

  get words(): RedisWords {
    return this.#options.words
  }

  /** Undefined for an error that is not about Redis. */
  problemOf(error: unknown): RedisProblem | undefined {
    return problemOf(error, this.words)
  }

  get isReachable(): boolean {
    return this.#options.isReady()
  }

  get isKnownAway(): boolean {
    return this.#options.away() !== undefined
  }

  get lastView(): QueueView | undefined {
    return this.#view
  }

  /**
   * The calls that change the queue. Throws NotLeading, or RedisUnavailable at once while the server is known
   * to be away.
   */
  get toWrite(): Queue {
    pass(this.#options.fence)
    return this.#reachable()
  }

  /**
   * What people look at and change: every instance does it for them, whoever leads. Throws RedisUnavailable
   * at once while the server is known to be away.
   */
  get forPeople(): Queue {
    return this.#reachable()
  }

  /** The live output of a job; throws RedisUnavailable at once while the server is known to be away. */
  output(id: string, signal: AbortSignal): AsyncGenerator<OutputEvent> {
    return this.#reachable().output(id, { messages: this.#options.messages, signal })
  }

  listen(): void {
    const { messages } = this.#options
    this.#listening ??= messages.subscribe(stirredChannel(this.name, messages.database), this.stir)
    // Where it fails, the tick is enough until the connection is back.
    this.#listening.catch(() => {
      this.#listening = undefined
    })
  }

  stopListening(): void {
    clearTimeout(this.#telling)
    this.#firing.close()
    this.#listening?.then((stop) => stop()).catch(() => {})
  }

  readonly stir = (): void => {
    this.#stirs += 1
    const waitMs = this.#toldAtMs + STIR_EVERY_MS - this.#options.nowMs()
    this.#telling ??= setTimeout(() => this.#tell(), Math.max(0, waitMs))
  }

  /** Throws RedisUnavailable. */
  async look(): Promise<QueueView> {
    const { nowMs } = this.#options
    if (this.#view && this.#seenAtStir === this.#stirs && isFresh(this.#view, nowMs())) return this.#view
    if (this.#looking?.stirs === this.#stirs) return this.#looking.look
    const stirs = this.#stirs
    const look = this.#inTime(lookAt(this.#reachable(), this.#view, nowMs()))
    this.#looking = { look, stirs }
    try {
      this.#view = await look
      this.#seenAtStir = stirs
      void this.#reapSilent(this.#view)
      void this.#forward(this.#view)
      this.#forgetWorkersLater(this.#view)
      this.#firing.due(this.#view.depth.nextScheduleMs)
      await this.#witness(this.#view.depth.counts)
      return this.#view
    } finally {
      if (this.#looking?.look === look) this.#looking = undefined
    }
  }

  /** The findings about the server, some minutes old at most, or of the given age. */
  examineServer(maxAgeMs?: number): Promise<readonly ServerFinding[] | 'unknown'> {
    return this.#options.examine(maxAgeMs)
  }

  /** Without a worker or client that saw higher counters, nobody else notices the loss. */
  async #witness({ enqueued, claimed }: Seen): Promise<void> {
    const before = this.#highest
    this.#highest = {
      enqueued: Math.max(enqueued, before.enqueued),
      claimed: Math.max(claimed, before.claimed),
    }
    if (enqueued >= before.enqueued && claimed >= before.claimed) return
    // The leader has seen it too, or will.
    if (!this.#options.fence.isOpen) return
    try {
      await this.toWrite.witness(this.#highest)
    } catch (error) {
      if (!(error instanceof RedisUnavailable || error instanceof NotLeading)) throw error
      return
    }
    // The next look shows what vanished, and should come soon.
    this.stir()
  }

  /**
   * Workers put back the jobs of silent ones for each other. After a reboot, or the loss of all nodes, none
   * may be left to do it. Redis decides who is silent.
   */
  async #reapSilent({ workers }: QueueView): Promise<void> {
    const { fence, log } = this.#options
    const silent = workers.filter(({ alive, held }) => !alive && held > 0).slice(0, MOST_SILENT)
    if (this.#isReaping || silent.length === 0 || !fence.isOpen) return
    this.#isReaping = true
    let jobs = 0
    try {
      for (const { name } of silent)
        jobs += await this.toWrite.reap({ worker: name, evidence: 'silent', reason: WHY_SILENT })
    } catch (error) {
      if (!(error instanceof NotLeading))
        log.warn('could not put back jobs of silent workers', { queue: this.name, error })
    } finally {
      this.#isReaping = false
    }
    if (jobs === 0) return
    log.info('put back jobs of silent workers', { queue: this.name, jobs })
    this.stir()
  }

  /** Workers forward what their queue has for others. This is for a queue that has none any more. */
  async #forward({ depth }: QueueView): Promise<void> {
    const { fence, log } = this.#options
    if (!depth.hasOutbox || this.#isForwarding || !fence.isOpen) return
    this.#isForwarding = true
    try {
      await this.toWrite.forward()
    } catch (error) {
      if (!(error instanceof NotLeading || error instanceof RedisUnavailable))
        log.warn('could not forward the outbox of a queue', { queue: this.name, error })
    } finally {
      this.#isForwarding = false
    }
  }

  /** Also where no pool serves the queue. */
  #lookAfterFiring(): void {
    this.stir()
    this.look().catch(() => {}) // the queue's own reconcile says what is wrong
  }

  /**
   * For the history of the queue: the state that was looked at anyway. Only behind another write: a server
   * that refuses writes may end the connection of who tries.
   */
  async sample({ depth, workers, atMs }: QueueView): Promise<void> {
    const { fence, log } = this.#options
    if (atMs < this.#sampleDueMs || !fence.isOpen) return
    this.#sampleDueMs = atMs + SAMPLE_EVERY_MS
    try {
      await this.toWrite.sample(depth, { replicas: workers.length })
    } catch (error) {
      if (error instanceof NotLeading || error instanceof RedisUnavailable) return
      this.#sampleDueMs = atMs + SAMPLE_REFUSED_MS
      log.warn('could not write the state of a queue into its history', { queue: this.name, error })
    }
  }

  /** All calls of a look together have the deadline of one call, so that they delay a reconcile no longer. */
  async #inTime(look: Promise<QueueView>): Promise<QueueView> {
    const { deadlineMs, onMissed } = this.#options
    let timer: NodeJS.Timeout | undefined
    const tooLate = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        onMissed()
        reject(new RedisUnavailable('Redis answers too slowly', { maybeDone: false }))
      }, deadlineMs + TIMER_MS)
    })
    try {
      return await Promise.race([look, tooLate])
    } finally {
      clearTimeout(timer)
    }
  }

  /** Workers are dropped as soon as nobody needs them: there may be ten thousand in each of many queues. */
  #forgetWorkersLater(view: QueueView): void {
    setTimeout(() => {
      if (this.#view === view) this.#view = { ...view, workers: [], atMs: Number.NEGATIVE_INFINITY }
    }, 2 * FRESH_MS).unref()
  }

  #reachable(): Queue {
    const away = this.#options.away()
    if (away) throw away
    return this.#options.queue
  }

  #tell(): void {
    this.#telling = undefined
    this.#toldAtMs = this.#options.nowMs()
    this.#options.onStirred(this.place)
  }
}

/** A view that is older may miss a delayed job that has become due. */
function isFresh({ atMs, depth: { nextMs = FRESH_MS } }: QueueView, nowMs: number): boolean {
  return nowMs - atMs < Math.min(FRESH_MS, Math.max(nextMs, SOON_MS))
}
