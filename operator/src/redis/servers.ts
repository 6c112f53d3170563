// The way from a Secret to Redis: reads the Secrets that the operator may read, refuses addresses that are none of Redis's, keeps one
// pair of connections per distinct server. Asked by the controllers at each reconcile; what it answers is never a server's own words.
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import {
  type Connection,
  connectRedis,
  type Log,
  openQueue,
  type Queue,
  type RedisUnavailable,
  stirredChannel,
} from 'millhand/queue'
import { whyDenied } from './denied.ts'
import { lookAt, type QueueView } from './view.ts'

export interface ServersOptions {
  /** The decoded data of a Secret; undefined where there is none. */
  readSecret: (namespace: string, name: string) => Promise<Record<string, string> | undefined>
  /** Names of Secrets that the operator may read. */
  secretNames: readonly string[]
  /** host:port that no Redis URL may lead to: the API server. */
  deniedServers: readonly string[]
  /** A queue stopped being empty, or its server is back. */
  onStirred: (queue: { namespace: string; secretName: string; queueName: string }) => void
  log: Log
  /** Monotonic, ms. */
  nowMs: () => number
  /** A look at a queue that is not older is not repeated. */
  freshMs?: number
}

export interface Place {
  namespace: string
  secretName: string
}

export type RedisProblem = {
  kind: 'problem'
  reason:
    | 'SecretNotAllowed'
    | 'RedisSecretMissing'
    | 'RedisSecretInvalid'
    | 'RedisAddressDenied'
    | 'RedisRefused'
    | 'RedisUnreachable'
  /** A sentence for a person. */
  message: string
}

export type Opened = { kind: 'open'; server: Server } | RedisProblem

/** Secrets change seldom, and nobody tells: read again after so long. */
const SECRET_AGE_MS = 600_000
const MISSING_SECRET_AGE_MS = 5_000
const DEADLINE_MS = 2_500

interface KnownSecret {
  url: string | undefined
  problem: RedisProblem | undefined
  readAtMs: number
}

export class Servers {
  readonly #options: ServersOptions
  readonly #secrets = new Map<string, KnownSecret>()
  readonly #servers = new Map<string, Server>()

  constructor(options: ServersOptions) {
    this.#options = options
  }

  async open(place: Place): Promise<Opened> {
    if (!this.#options.secretNames.includes(place.secretName))
      return problem(
        'SecretNotAllowed',
        `the operator may not read a Secret called ${place.secretName}; it may read ${this.#options.secretNames.join(', ')} (redis.secretNames of the chart)`,
      )
    const { url, problem: found } = await this.#secret(place)
    if (url === undefined) return found ?? problem('RedisUnreachable', 'the Secret could not be read')
    return { kind: 'open', server: this.#server(url, place) }
  }

  /** Credentials that were refused may have been replaced. */
  forget(place: Place): void {
    this.#secrets.delete(keyOf(place))
  }

  /** Every queue that was looked at; for metrics. */
  get queues(): { seen: SeenQueue; isReachable: boolean }[] {
    return [...this.#servers.values()].flatMap((server) =>
      [...server.queues.values()].map((seen) => ({ seen, isReachable: server.isReady })),
    )
  }

  close(): void {
    for (const server of this.#servers.values()) server.close()
    this.#servers.clear()
  }

  async #secret(place: Place): Promise<KnownSecret> {
    const key = keyOf(place)
    const known = this.#secrets.get(key)
    const ageMs = known?.url === undefined ? MISSING_SECRET_AGE_MS : SECRET_AGE_MS
    if (known && this.#options.nowMs() - known.readAtMs < ageMs) return known
    const read = await this.#read(place)
    this.#secrets.set(key, read)
    if (known?.url !== undefined && known.url !== read.url) this.#closeUnused()
    return read
  }

  async #read({ namespace, secretName }: Place): Promise<KnownSecret> {
    const readAtMs = this.#options.nowMs()
    const refused = (found: RedisProblem): KnownSecret => ({ url: undefined, problem: found, readAtMs })
    const data = await this.#options.readSecret(namespace, secretName)
    if (!data)
      return refused(
        problem(
          'RedisSecretMissing',
          `there is no Secret ${secretName} in the namespace ${namespace}: create it with the key url, like redis://user:password@host:6379`,
        ),
      )
    const url = data.url?.trim()
    if (!url || !/^rediss?:\/\//.test(url) || !URL.canParse(url))
      return refused(
        problem(
          'RedisSecretInvalid',
          `the Secret ${secretName} has no key url that begins with redis:// or rediss://`,
        ),
      )
    const wrongPlace = await this.#wrongPlace(url, secretName)
    return wrongPlace ? refused(wrongPlace) : { url, problem: undefined, readAtMs }
  }

  /** Whoever writes the Secret decides where the operator connects to: not to what only the operator can reach. */
  async #wrongPlace(url: string, secretName: string): Promise<RedisProblem | undefined> {
    const { hostname, port } = new URL(url)
    const host = hostname.replace(/^\[|\]$/g, '')
    const found = isIP(host) ? [{ address: host }] : await lookup(host, { all: true }).catch(() => [])
    if (found.length === 0)
      return problem('RedisUnreachable', `the host in the url of the Secret ${secretName} has no address`)
    const addresses = found.map(({ address }) => address)
    const denied = whyDenied(addresses, Number(port || 6379), this.#options.deniedServers)
    if (!denied) return undefined
    return problem('RedisAddressDenied', `the url in the Secret ${secretName} leads to ${denied}`)
  }

  #server(url: string, place: Place): Server {
    const known = this.#servers.get(url)
    if (known) {
      known.users.add(keyOf(place))
      return known
    }
    const server = new Server(url, this.#options)
    server.users.add(keyOf(place))
    this.#servers.set(url, server)
    return server
  }

  #closeUnused(): void {
    for (const [url, server] of this.#servers) {
      for (const user of server.users) if (this.#secrets.get(user)?.url !== url) server.users.delete(user)
      if (server.users.size > 0) continue
      server.close()
      this.#servers.delete(url)
    }
  }
}

/** One Redis: a connection for commands, one for messages. */
export class Server {
  /** Secrets that lead here, as namespace/name. */
  readonly users = new Set<string>()
  readonly queues = new Map<string, SeenQueue>()
  readonly url: string
  readonly #options: ServersOptions
  readonly #commands: Connection
  readonly #messages: Connection

  constructor(url: string, options: ServersOptions) {
    this.url = url
    this.#options = options
    const onState = (state: 'ready' | 'away') => {
      options.log.info(state === 'ready' ? 'connected to Redis' : 'lost Redis', { secrets: [...this.users] })
      for (const seen of this.queues.values()) seen.stir()
    }
    this.#commands = connectRedis(url, { name: 'millhand-operator', deadlineMs: DEADLINE_MS, onState })
    this.#messages = connectRedis(url, {
      name: 'millhand-operator-messages',
      deadlineMs: DEADLINE_MS,
      onState: (state) => {
        if (state === 'ready') for (const seen of this.queues.values()) seen.listen(this.#messages)
      },
    })
  }

  get isReady(): boolean {
    return this.#commands.isReady
  }

  queue(queueName: string, place: Place): SeenQueue {
    const known = this.queues.get(queueName)
    if (known) return known
    const seen = new SeenQueue(openQueue(this.#commands, queueName), place, this.#options)
    this.queues.set(queueName, seen)
    if (this.#messages.isReady) seen.listen(this.#messages)
    return seen
  }

  /** Whoever needs the queue again opens it again. */
  forget(queueName: string): void {
    this.queues.get(queueName)?.stopListening()
    this.queues.delete(queueName)
  }

  close(): void {
    this.#commands.close()
    this.#messages.close()
  }
}

/** A queue and what was last seen of it. Two controllers and several pools ask; Redis is asked once. */
export class SeenQueue {
  readonly queue: Queue
  readonly place: Place
  readonly #options: ServersOptions
  #view: QueueView | undefined
  #looking: { look: Promise<QueueView>; stirs: number } | undefined
  /** How often the queue said that it has work: what was seen before the last time is old. */
  #stirs = 0
  #seenAtStir = -1
  #listening: Promise<() => void> | undefined

  constructor(queue: Queue, place: Place, options: ServersOptions) {
    this.queue = queue
    this.place = place
    this.#options = options
  }

  get lastView(): QueueView | undefined {
    return this.#view
  }

  listen(messages: Connection): void {
    this.#listening ??= messages.subscribe(stirredChannel(this.queue.name), this.stir)
    // Where it fails the tick is enough, until the connection is there again.
    this.#listening.catch(() => {
      this.#listening = undefined
    })
  }

  stopListening(): void {
    this.#listening?.then((stop) => stop()).catch(() => {})
  }

  readonly stir = (): void => {
    this.#stirs += 1
    this.#options.onStirred({ ...this.place, queueName: this.queue.name })
  }

  /** Throws RedisUnavailable. */
  async look(): Promise<QueueView> {
    const { nowMs, freshMs = 200 } = this.#options
    if (this.#view && this.#seenAtStir === this.#stirs && nowMs() - this.#view.atMs < freshMs)
      return this.#view
    if (this.#looking?.stirs === this.#stirs) return this.#looking.look
    const stirs = this.#stirs
    const look = lookAt(this.queue, this.#view, { hasWorkers: true, nowMs: nowMs() })
    this.#looking = { look, stirs }
    try {
      this.#view = await look
      this.#seenAtStir = stirs
      return this.#view
    } finally {
      if (this.#looking?.look === look) this.#looking = undefined
    }
  }
}

/** Why Redis cannot be used, without a word of the server or of its address. */
export function problemOf(error: RedisUnavailable, { secretName }: Place): RedisProblem {
  return error.code === 'REDIS_REFUSED'
    ? problem('RedisRefused', `Redis refuses the credentials in the Secret ${secretName}`)
    : problem('RedisUnreachable', `the Redis of the Secret ${secretName} cannot be reached`)
}

function problem(reason: RedisProblem['reason'], message: string): RedisProblem {
  return { kind: 'problem', reason, message }
}

function keyOf({ namespace, secretName }: Place): string {
  return `${namespace}/${secretName}`
}
