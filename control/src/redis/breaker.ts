// A circuit breaker for each server of servers.ts. A server that accepts connections and then answers
// nothing, or ends each connection, would hold up the reconciles of all its queues. After a missed deadline
// it is left alone, longer each time, whatever its handshakes say.
//
//   trusted ── missed a deadline, or lost three times in a while ──▶ resting, 5 s, 10 s … 60 s ──▶ trusted; well for a minute: 5 s again
import { type Connection, RedisUnavailable } from 'millhand/queue'

export interface BreakerOptions {
  /** Monotonic, ms. */
  nowMs: () => number
  /** Called when the server may be asked again. */
  onRested: () => void
}

const FIRST_REST_MS = 5_000
const LONGEST_REST_MS = 60_000
const FORGIVEN_AFTER_MS = 60_000
/** A restart or a failover costs a connection or two. */
const LOSSES = 3
const LOSSES_WITHIN_MS = 10_000

export class Breaker {
  readonly #options: BreakerOptions
  #misses = 0
  #restsUntilMs = Number.NEGATIVE_INFINITY
  #lostAtMs: number[] = []
  #rested: NodeJS.Timeout | undefined

  constructor(options: BreakerOptions) {
    this.#options = options
  }

  get isResting(): boolean {
    return this.#options.nowMs() < this.#restsUntilMs
  }

  missed(): void {
    const now = this.#options.nowMs()
    // Calls that were under way when the rest began tell nothing new.
    if (now < this.#restsUntilMs) return
    if (now - this.#restsUntilMs > FORGIVEN_AFTER_MS) this.#misses = 0
    const restMs = Math.min(LONGEST_REST_MS, FIRST_REST_MS * 2 ** this.#misses)
    this.#misses += 1
    this.#lostAtMs = []
    this.#restsUntilMs = now + restMs
    clearTimeout(this.#rested)
    this.#rested = setTimeout(this.#options.onRested, restMs)
  }

  lost(): void {
    const now = this.#options.nowMs()
    this.#lostAtMs = [...this.#lostAtMs.filter((atMs) => now - atMs < LOSSES_WITHIN_MS), now]
    if (this.#lostAtMs.length >= LOSSES) this.missed()
  }

  close(): void {
    clearTimeout(this.#rested)
  }
}

interface Watched {
  deadlineMs: number
  /** Whether the server is not known to be away. A missing connection says nothing of how it answers. */
  isThere: () => boolean
  onMissed: () => void
}

/** The connection, with a report of each call that misses its deadline. */
export function watched(redis: Connection, { deadlineMs, isThere, onMissed }: Watched): Connection {
  const within = async <T>(limitMs: number, call: () => Promise<T>): Promise<T> => {
    const wasReady = redis.isReady
    const startedMs = performance.now()
    try {
      return await call()
    } catch (error) {
      const isLate = performance.now() - startedMs >= limitMs - TIMER_MS
      if (error instanceof RedisUnavailable && isLate && (wasReady || isThere())) onMissed()
      throw error
    }
  }
  return {
    get form() {
      return redis.form
    },
    get database() {
      return redis.database
    },
    get deadlineMs() {
      return redis.deadlineMs
    },
    get isReady() {
      return redis.isReady
    },
    ready: () => within(deadlineMs, () => redis.ready()),
    call: (...command) => within(deadlineMs, () => redis.call(...command)),
    send: (command, limitMs) => within(limitMs ?? deadlineMs, () => redis.send(command, limitMs)),
    callThen: (limitMs, first, then) => within(limitMs, () => redis.callThen(limitMs, first, then)),
    subscribe: (channel, onMessage) => redis.subscribe(channel, onMessage),
    atEachServer: (ask) => redis.atEachServer(ask),
    close: () => redis.close(),
  }
}

/** Timers may fire a little early. */
const TIMER_MS = 50
