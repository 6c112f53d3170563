// The engine's connections to Redis: one pair for each distinct server, for as long as a queue there is
// asked for. Both controllers ask at each reconcile. Every instance may read; only the leader may write.
import {
  type Connection,
  type ConnectionOptions,
  connectRedis,
  type Log,
  openQueue,
  parseAddress,
  type RedisAccess,
  RedisUnavailable,
} from 'millhand/queue'
import type { Fence } from '../engine/fence.ts'
import { Breaker, watched } from './breaker.ts'
import { ofTheChart } from './chart-redis.ts'
import { isRefusal, type Place, problem, type QueuePlace, type RedisProblem } from './problems.ts'
import type { Reach } from './reach.ts'
import { SeenQueue } from './seen-queue.ts'
import { Suitability } from './suitability.ts'

export interface ServersOptions {
  reach: Reach
  /** Begins the names of its connections in CLIENT LIST. */
  name: string
  /** Allowed names in Redis besides <namespace>.…, or prefixes that end in a dot; * is every name. */
  queueNames?: readonly string[]
  /** Host of the embedded Redis of the chart, if any. */
  chartRedis?: string | undefined
  /** Called when a queue stops being empty, and when its server is lost or back. */
  onStirred: (queue: QueuePlace) => void
  /** Called when a server is there, and when it is lost, with the error that says why. */
  onState?: (state: 'ready' | 'away', error?: Error) => void
  fence: Fence
  log: Log
  /** Monotonic, ms. */
  nowMs: () => number
  wallMs: () => number
}

export type Opened = { kind: 'open'; seen: SeenQueue } | RedisProblem

const DEADLINE_MS = 2_500
/** The longest regular reply, a page of workers, has a tenth of it. */
const MAX_REPLY_BYTES = 8_000_000
/** Stirs of a queue count five times a second at most. */
const MAX_MESSAGES_PER_SECOND = 1_000
/** Reconciles ask at least every minute: a queue that nobody asked for is closed. */
const UNUSED_AFTER_MS = 180_000
const SWEEP_EVERY_MS = 60_000
/**
 * A server that answers "not here" ends the connection. It counts as away only when it is not back within
 * this time.
 */
const BACK_WITHIN_MS = 1_000

export class Servers {
  readonly #options: ServersOptions
  /** By URL and certificates. */
  readonly #servers = new Map<string, Server>()
  /** The server of each queue, by namespace, Secret and name in Redis. */
  readonly #places = new Map<string, { server: Server; askedAtMs: number }>()
  readonly #sweeping: NodeJS.Timeout
  #sweptAtMs: number

  constructor(options: ServersOptions) {
    this.#options = options
    this.#sweptAtMs = options.nowMs()
    this.#sweeping = setInterval(() => this.#leaveUnused(), SWEEP_EVERY_MS).unref()
  }

  async open(queueName: string, place: Place): Promise<Opened> {
    if (!isNameAllowed(queueName, place.namespace, this.#options.queueNames ?? []))
      return nameNotAllowed(queueName, place.namespace)
    const address = await this.#options.reach.addressOf(place)
    if (address.kind === 'problem') return address
    const server = this.#serverOf(address.access, place)
    const key = keyOf(queueName, place)
    const before = this.#places.get(key)?.server
    this.#places.set(key, { server, askedAtMs: this.#options.nowMs() })
    if (before && before !== server) this.#leave(before, key)
    const seen = server.queue(key, queueName, place)
    this.#leaveUnused()
    return { kind: 'open', seen }
  }

  /** Drops a queue that is not declared any more. */
  forget(queueName: string, place: Place): void {
    const key = keyOf(queueName, place)
    const known = this.#places.get(key)
    this.#places.delete(key)
    if (known) this.#leave(known.server, key)
  }

  /** Its credentials were refused: they may have been replaced. */
  distrust(place: Place): void {
    this.#options.reach.forget(place)
  }

  /** From now on. A time in the past counts as a moment from now, because its view is stale. */
  msUntil(atMs: number): number {
    return Math.max(1, atMs - this.#options.nowMs())
  }

  /** All queues that are open, for metrics. */
  get queues(): SeenQueue[] {
    return [...this.#servers.values()].flatMap((server) => [...server.queues.values()])
  }

  close(): void {
    clearInterval(this.#sweeping)
    for (const server of this.#servers.values()) server.close()
    this.#servers.clear()
    this.#places.clear()
  }

  #serverOf(access: RedisAccess, place: Place): Server {
    const key = JSON.stringify(access)
    const known = this.#servers.get(key)
    if (known) return known
    const server = new Server(key, access, place, this.#options)
    this.#servers.set(key, server)
    return server
  }

  /** Closes the queues that nobody asked for of late, on an instance that led before for example. */
  #leaveUnused(): void {
    const now = this.#options.nowMs()
    if (now - this.#sweptAtMs < SWEEP_EVERY_MS) return
    this.#sweptAtMs = now
    for (const [key, { server, askedAtMs }] of this.#places) {
      if (now - askedAtMs < UNUSED_AFTER_MS) continue
      this.#places.delete(key)
      this.#leave(server, key)
    }
  }

  /** Closes a server that no queue needs: retries with an old password may lock a user out. */
  #leave(server: Server, key: string): void {
    server.forget(key)
    if (server.queues.size > 0) return
    server.close()
    this.#servers.delete(server.key)
  }
}

/** Two servers may have queues of one name. */
function keyOf(queueName: string, { namespace, secretName }: Place): string {
  return `${namespace}/${secretName}/${queueName}`
}

/** A name of another namespace would be the queue of another tenant. */
function isNameAllowed(queueName: string, namespace: string, more: readonly string[]): boolean {
  if (queueName.startsWith(`${namespace}.`)) return true
  return more.some(
    (name) => name === '*' || name === queueName || (name.endsWith('.') && queueName.startsWith(name)),
  )
}

function nameNotAllowed(queueName: string, namespace: string): RedisProblem {
  return problem(
    'QueueNameNotAllowed',
    `spec.queueName ${queueName} does not begin with ${namespace}., the prefix of its namespace: remove spec.queueName, or add the name to redis.queueNames of the chart`,
  )
}

/** One Redis: a connection for commands, one for messages. */
class Server {
  readonly key: string
  /** Two namespaces or Secrets may point to one queue, though only one owns it. */
  readonly queues = new Map<string, SeenQueue>()
  readonly #options: ServersOptions
  readonly #commands: Connection
  readonly #messages: Connection
  readonly #suitability: Suitability
  readonly #breaker: Breaker
  readonly #isCharts: boolean
  /** Fails at once while the server is known to be away, so that others do not wait. */
  #away: RedisUnavailable | undefined
  #knownAwayFromMs = 0
  /** Why the connection was lost the last time. */
  #lostFor: RedisUnavailable['code'] = 'REDIS_UNAVAILABLE'

  /** `place`: the first declaration; its namespace counts the DNS look-ups. */
  constructor(key: string, access: RedisAccess, place: Place, options: ServersOptions) {
    this.key = key
    this.#options = options
    const { chartRedis, reach } = options
    this.#isCharts =
      chartRedis !== undefined && parseAddress(access).hosts.some(({ host }) => host === chartRedis)
    const bounds = {
      deadlineMs: DEADLINE_MS,
      isDenied: (address: string, port: number) => reach.isDenied(address, port),
      ...(reach.lookUp && { lookUp: (host: string) => reach.lookUp?.(place, host) ?? Promise.resolve([]) }),
      maxReplyBytes: MAX_REPLY_BYTES,
      maxMessagesPerSecond: MAX_MESSAGES_PER_SECOND,
    }
    const connect = (name: string, onState: NonNullable<ConnectionOptions['onState']>) =>
      connectRedis(access, { ...bounds, name: `${options.name}${name}`, onState })
    const watch = {
      deadlineMs: DEADLINE_MS,
      isThere: () => this.#away === undefined,
      onMissed: () => this.#breaker.missed(),
    }
    this.#breaker = new Breaker({ nowMs: options.nowMs, onRested: () => this.#stirAll() })
    this.#commands = watched(
      connect('', (state, error) => this.#turned(state, error)),
      watch,
    )
    this.#messages = connect('-messages', (state) => {
      if (state === 'ready') for (const seen of this.queues.values()) seen.listen()
    })
    const { nowMs, wallMs } = options
    this.#suitability = new Suitability({
      connect: () =>
        watched(
          connect('-look', () => {}),
          watch,
        ),
      nowMs,
      wallMs,
    })
  }

  queue(key: string, queueName: string, place: Place): SeenQueue {
    const known = this.queues.get(key)
    if (known) return known
    const seen = new SeenQueue({
      ...this.#options,
      deadlineMs: DEADLINE_MS,
      queue: openQueue(this.#commands, queueName),
      messages: this.#messages,
      place,
      words: this.#options.reach.wordsFor(place),
      away: () => this.#whyAway(),
      onMissed: () => this.#breaker.missed(),
      isReady: () => this.#commands.isReady && !this.#breaker.isResting,
      examine: async (maxAgeMs) => {
        if (this.#breaker.isResting) return 'unknown'
        const findings = await this.#suitability.findings(maxAgeMs)
        return this.#isCharts && findings !== 'unknown' ? ofTheChart(findings) : findings
      },
    })
    this.queues.set(key, seen)
    if (this.#messages.isReady) seen.listen()
    return seen
  }

  forget(key: string): void {
    this.queues.get(key)?.stopListening()
    this.queues.delete(key)
  }

  close(): void {
    for (const seen of this.queues.values()) seen.stopListening()
    this.#breaker.close()
    this.#commands.close()
    this.#messages.close()
  }

  #whyAway(): RedisUnavailable | undefined {
    if (this.#breaker.isResting)
      return new RedisUnavailable('the server does not answer in time', {
        maybeDone: false,
        code: this.#lostFor,
      })
    return this.#options.nowMs() < this.#knownAwayFromMs ? undefined : this.#away
  }

  #stirAll(): void {
    for (const seen of this.queues.values()) seen.stir()
  }

  #turned(state: 'ready' | 'away', error?: Error): void {
    this.#options.onState?.(state, error)
    const isRefused = isRefusal(error)
    const isElsewhere = error?.name === 'ReplyError' && !isRefused
    // After such an answer a write at once would get the same answer: the ticks of the pools are soon enough.
    const isSame = isElsewhere || this.#options.nowMs() < this.#knownAwayFromMs
    this.#knownAwayFromMs = this.#options.nowMs() + (isElsewhere ? BACK_WITHIN_MS : 0)
    const said = error instanceof RedisUnavailable ? error.code : 'REDIS_UNAVAILABLE'
    const code = isRefused ? 'REDIS_REFUSED' : said
    const away = new RedisUnavailable('the server is away', { maybeDone: false, code, cause: error })
    this.#away = state === 'away' ? away : undefined
    if (state === 'ready') this.#suitability.forget()
    const queues = [...this.queues.keys()].slice(0, 10)
    this.#options.log.info(state === 'ready' ? 'connected to Redis' : 'lost connection to Redis', { queues })
    if (state === 'away' && !isElsewhere && !isRefused) {
      this.#lostFor = code
      this.#breaker.lost()
    }
    if (!isSame && !this.#breaker.isResting) this.#stirAll()
  }
}
