// A queue and what was last seen of it. Two controllers and several pools ask; Redis is asked once.
import type { ServerFinding } from 'millhand/doctor'
import { type Connection, type Queue, RedisUnavailable, type Seen, stirredChannel } from 'millhand/queue'
import { type Fence, NotLeading, pass } from '../engine/fence.ts'
import type { Place, QueuePlace } from './problems.ts'
import { lookAt, type QueueView } from './view.ts'

export interface SeenQueueOptions {
  queue: Queue
  place: Place
  onStirred: (queue: QueuePlace) => void
  fence: Fence
  /** What to throw while the server is known to be away. */
  away: () => RedisUnavailable | undefined
  /** A look took longer than it may. */
  onMissed: () => void
  /** Of a look, however many calls it takes. */
  deadlineMs: number
  isReady: () => boolean
  examine: (maxAgeMs?: number) => Promise<readonly ServerFinding[] | 'unknown'>
  /** Monotonic, ms. */
  nowMs: () => number
}

/** A look that is not older, and not from before a stir, serves everybody. */
const FRESH_MS = 200
/** So much later than the last call's own deadline, which says more. */
const TIMER_MS = 500
/** What is due so soon one look shows after the other. */
const SOON_MS = 50
/** A queue that runs empty again and again says so each time: so often is looked, no oftener. */
const STIR_EVERY_MS = 200

export class SeenQueue {
  readonly #options: SeenQueueOptions
  #view: QueueView | undefined
  /** The highest counters that were seen: Redis is told them until it has them, also when telling fails at first. */
  #highest: Seen = { enqueued: 0, claimed: 0 }
  #looking: { look: Promise<QueueView>; stirs: number } | undefined
  /** How often the queue said that it has work: what was seen before the last time is old. */
  #stirs = 0
  #seenAtStir = -1
  #toldAtMs = Number.NEGATIVE_INFINITY
  #telling: NodeJS.Timeout | undefined
  #listening: Promise<() => void> | undefined

  constructor(options: SeenQueueOptions) {
    this.#options = options
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

  get isReachable(): boolean {
    return this.#options.isReady()
  }

  get isKnownAway(): boolean {
    return this.#options.away() !== undefined
  }

  get lastView(): QueueView | undefined {
    return this.#view
  }

  /** For what changes the queue. Throws NotLeading, or RedisUnavailable at once where the server is known to be away. */
  get toWrite(): Queue {
    pass(this.#options.fence)
    return this.#reachable()
  }

  listen(messages: Connection): void {
    this.#listening ??= messages.subscribe(stirredChannel(this.name, messages.database), this.stir)
    // Where it fails the tick is enough, until the connection is there again.
    this.#listening.catch(() => {
      this.#listening = undefined
    })
  }

  stopListening(): void {
    clearTimeout(this.#telling)
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
    const look = this.#inTime(lookAt(this.#reachable(), this.#view, { hasWorkers: true, nowMs: nowMs() }))
    this.#looking = { look, stirs }
    try {
      this.#view = await look
      this.#seenAtStir = stirs
      this.#forgetWorkersLater(this.#view)
      await this.#witness(this.#view.depth.counts)
      return this.#view
    } finally {
      if (this.#looking?.look === look) this.#looking = undefined
    }
  }

  /** What of its server suits a queue and what does not; of some minutes ago at most, or of so long. */
  examineServer(maxAgeMs?: number): Promise<readonly ServerFinding[] | 'unknown'> {
    return this.#options.examine(maxAgeMs)
  }

  /** Where no worker and no client that saw more is there, nobody else would tell. */
  async #witness({ enqueued, claimed }: Seen): Promise<void> {
    const before = this.#highest
    this.#highest = {
      enqueued: Math.max(enqueued, before.enqueued),
      claimed: Math.max(claimed, before.claimed),
    }
    if (enqueued >= before.enqueued && claimed >= before.claimed) return
    // Whoever leads has seen it too, or will.
    if (!this.#options.fence.isOpen) return
    try {
      await this.toWrite.witness(this.#highest)
    } catch (error) {
      if (!(error instanceof RedisUnavailable || error instanceof NotLeading)) throw error
      return
    }
    // What vanished is seen at the next look, and that may be soon.
    this.stir()
  }

  /** Each call may take its time, but all of them together keep one who reconciles no longer than one call may. */
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

  /** Of workers nothing is kept any longer than it serves: there may be ten thousand of them in each of many queues. */
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

/** A delayed job that is due since then would be missing. */
function isFresh({ atMs, depth: { nextMs = FRESH_MS } }: QueueView, nowMs: number): boolean {
  return nowMs - atMs < Math.min(FRESH_MS, Math.max(nextMs, SOON_MS))
}
