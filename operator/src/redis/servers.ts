// The operator's connections to Redis: one pair per distinct server, for as long as a queue needs it. Asked by both controllers at each
// reconcile.
import {
  type Connection,
  type ConnectionOptions,
  connectRedis,
  type Log,
  openQueue,
  type RedisAccess,
  RedisUnavailable,
} from 'millhand/queue'
import { isRefusal, type Place, type QueuePlace, type RedisProblem } from './problems.ts'
import type { Secrets } from './secrets.ts'
import { SeenQueue } from './seen-queue.ts'
import { Suitability } from './suitability.ts'

export interface ServersOptions {
  secrets: Secrets
  /** A queue stopped being empty, or its server was lost or is there again. */
  onStirred: (queue: QueuePlace) => void
  /** Throws when this operator may write nothing more. */
  checkLeading: () => void
  log: Log
  /** Monotonic, ms. */
  nowMs: () => number
  wallMs: () => number
}

export type Opened = { kind: 'open'; seen: SeenQueue } | RedisProblem

const DEADLINE_MS = 2_500
/** Who answers "not here" ends the connection, and is connected to again in a moment: not away until it is not. */
const BACK_WITHIN_MS = 1_000

export class Servers {
  readonly #options: ServersOptions
  /** By URL and certificates. */
  readonly #servers = new Map<string, Server>()
  /** Which server each queue was opened at last, by namespace, Secret and name in Redis. */
  readonly #places = new Map<string, Server>()

  constructor(options: ServersOptions) {
    this.#options = options
  }

  async open(queueName: string, place: Place): Promise<Opened> {
    const address = await this.#options.secrets.addressOf(place)
    if (address.kind === 'problem') return address
    const server = this.#serverOf(address.access)
    const key = keyOf(queueName, place)
    const before = this.#places.get(key)
    this.#places.set(key, server)
    if (before && before !== server) this.#leave(before, key)
    return { kind: 'open', seen: server.queue(key, queueName, place) }
  }

  /** The queue is not declared any more. */
  forget(queueName: string, place: Place): void {
    const key = keyOf(queueName, place)
    const server = this.#places.get(key)
    this.#places.delete(key)
    if (server) this.#leave(server, key)
  }

  /** Its Secret is read again the next time. */
  forgetSecret(place: Place): void {
    this.#options.secrets.forget(place)
  }

  /** Every queue that was looked at; for metrics. */
  get queues(): SeenQueue[] {
    return [...this.#servers.values()].flatMap((server) => [...server.queues.values()])
  }

  close(): void {
    for (const server of this.#servers.values()) server.close()
    this.#servers.clear()
  }

  #serverOf(access: RedisAccess): Server {
    const key = JSON.stringify(access)
    const known = this.#servers.get(key)
    if (known) return known
    const server = new Server(key, access, this.#options)
    this.#servers.set(key, server)
    return server
  }

  /** A server that no queue needs is left: its password may be an old one, and retrying it may lock somebody out. */
  #leave(server: Server, key: string): void {
    server.forget(key)
    if (server.queues.size > 0) return
    server.close()
    this.#servers.delete(server.key)
  }
}

/** One name may be that of two queues in two servers. */
function keyOf(queueName: string, { namespace, secretName }: Place): string {
  return `${namespace}/${secretName}/${queueName}`
}

/** One Redis: a connection for commands, one for messages. */
class Server {
  readonly key: string
  /** Two namespaces, and two Secrets, may lead to one queue, if only one owns it. */
  readonly queues = new Map<string, SeenQueue>()
  readonly #options: ServersOptions
  readonly #commands: Connection
  readonly #messages: Connection
  readonly #suitability: Suitability
  /** Waiting for a server that is known to be away would only keep others waiting. */
  #away: RedisUnavailable | undefined
  #knownAwayFromMs = 0

  constructor(key: string, access: RedisAccess, options: ServersOptions) {
    this.key = key
    this.#options = options
    const connect = (name: string, onState: NonNullable<ConnectionOptions['onState']>) =>
      connectRedis(access, {
        name,
        deadlineMs: DEADLINE_MS,
        isDenied: (address, port) => options.secrets.isDenied(address, port),
        onState,
      })
    this.#commands = connect('millhand-operator', (state, error) => this.#turned(state, error))
    this.#messages = connect('millhand-operator-messages', (state) => {
      if (state === 'ready') for (const seen of this.queues.values()) seen.listen(this.#messages)
    })
    const { nowMs, wallMs } = options
    this.#suitability = new Suitability({
      connect: () => connect('millhand-operator-look', () => {}),
      nowMs,
      wallMs,
    })
  }

  queue(key: string, queueName: string, place: Place): SeenQueue {
    const known = this.queues.get(key)
    if (known) return known
    const seen = new SeenQueue({
      ...this.#options,
      queue: openQueue(this.#commands, queueName),
      place,
      away: () => (this.#options.nowMs() < this.#knownAwayFromMs ? undefined : this.#away),
      isReady: () => this.#commands.isReady,
      examine: (maxAgeMs) => this.#suitability.findings(maxAgeMs),
    })
    this.queues.set(key, seen)
    if (this.#messages.isReady) seen.listen(this.#messages)
    return seen
  }

  forget(key: string): void {
    this.queues.get(key)?.stopListening()
    this.queues.delete(key)
  }

  close(): void {
    for (const seen of this.queues.values()) seen.stopListening()
    this.#commands.close()
    this.#messages.close()
  }

  #turned(state: 'ready' | 'away', error?: Error): void {
    const isRefused = isRefusal(error)
    const isElsewhere = error?.name === 'ReplyError' && !isRefused
    // There again after such an answer, it gives the same one to what is written at once: the pools' own ticks are soon enough.
    const isSame = isElsewhere || this.#options.nowMs() < this.#knownAwayFromMs
    this.#knownAwayFromMs = this.#options.nowMs() + (isElsewhere ? BACK_WITHIN_MS : 0)
    const said = error instanceof RedisUnavailable ? error.code : 'REDIS_UNAVAILABLE'
    const code = isRefused ? 'REDIS_REFUSED' : said
    const away = new RedisUnavailable('the server is away', { maybeDone: false, code, cause: error })
    this.#away = state === 'away' ? away : undefined
    if (state === 'ready') this.#suitability.forget()
    const queues = [...this.queues.keys()].slice(0, 10)
    this.#options.log.info(state === 'ready' ? 'connected to Redis' : 'lost Redis', { queues })
    if (!isSame) for (const seen of this.queues.values()) seen.stir()
  }
}
