// The only file that knows the Redis client. A Connection to a server, or to the primary behind Sentinels, outlives the clients it uses: a client that loses its socket, or owes an
// answer for too long, is thrown away and replaced, never revived, and every call that waited on it is told so.
//
//   connecting → ready → away → connecting → …      closed (from any, by close())
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { AbstractConnector, Redis as Client, type RedisOptions, SentinelConnector } from 'ioredis'
import { reasonOf } from '../errors.ts'
import { addressText, type HostPort, parseAddress, type RedisAccess, type RedisAddress } from './address.ts'
import { ClusterConnection } from './cluster.ts'
import { type Command, type Connection, type ConnectionOptions, RedisUnavailable } from './connection.ts'
import { SentinelNews } from './sentinels.ts'

type ClientOptions = Omit<RedisOptions, 'replyMapping'>
type ConnectorOf = NonNullable<RedisOptions['Connector']>
type IsDenied = NonNullable<ConnectionOptions['isDenied']>

interface Pending {
  untilMs: number
  fail(error: RedisUnavailable): void
}

const FIRST_RETRY_MS = 50
const LAST_RETRY_MS = 1_000
/** For one server to let us in: something between may take the connection and then say nothing, for ever. */
const LET_IN_MS = 4_000
/**
 * Answers that mean "not now" or "not here": a server that loads its data, a primary that became a replica, a full disk. They begin so, or, in what
 * Redis 6.2 says of a script, after a colon; elsewhere such a word may be a job's id.
 */
const WEATHER =
  /(?:^|: -?)(LOADING|MASTERDOWN|READONLY|UNBLOCKED|TRYAGAIN|CLUSTERDOWN|BUSY|MISCONF|NOREPLICAS|NOGOODSLAVE) |max number of clients/
/** Of these, the ones after which another connection may reach another server. */
const ELSEWHERE = /MASTERDOWN|READONLY|UNBLOCKED|CLUSTERDOWN|LOADING/
/** A primary whose replicas have gone over to another one. */
const DESERTED = /NOREPLICAS/
const REFUSED = /^(WRONGPASS|NOAUTH|NOPERM|ERR AUTH|ERR invalid password)/

/** Throws TypeError for an address that is none. */
export function connectRedis(access: string | RedisAccess, options: ConnectionOptions = {}): Connection {
  const address = parseAddress(access)
  if (address.form === 'cluster')
    return new ClusterConnection(
      address,
      options,
      (node, own) => new ReplacingConnection(node, { ...own, ...guard(options) }),
    )
  return new ReplacingConnection(address, options)
}

class ReplacingConnection implements Connection {
  readonly #address: RedisAddress
  readonly #options: ConnectionOptions
  readonly #deadlineMs: number
  readonly #pending = new Set<Pending>()
  readonly #waiting = new Set<Pending & { go(client: Client): void }>()
  readonly #listeners = new Map<string, Set<(message: string) => void>>()
  #client: Client
  #isReady = false
  #isClosed = false
  #failures = 0
  #lastError: Error | undefined
  #wasRefused = false
  #retryTimer: NodeJS.Timeout | undefined
  #watchTimer: NodeJS.Timeout | undefined
  #letInTimer: NodeJS.Timeout | undefined
  readonly #news: SentinelNews | undefined

  constructor(address: RedisAddress, options: ConnectionOptions) {
    this.#address = address
    this.#options = options
    this.#deadlineMs = options.deadlineMs ?? 5_000
    this.#client = this.#connect()
    if (address.form === 'sentinel')
      this.#news = new SentinelNews({
        address,
        connect: (sentinel, own) => new ReplacingConnection(sentinel, { ...own, ...guard(options) }),
        onSwitch: (host, port) => {
          const { remoteAddress, remotePort } = this.#client.stream ?? {}
          const isThereAlready = remoteAddress === host && remotePort === port
          if (!isThereAlready) this.#leave('another server is the primary now')
        },
      })
  }

  get form(): RedisAddress['form'] {
    return this.#address.form
  }

  get isReady(): boolean {
    return this.#isReady
  }

  async ready(): Promise<void> {
    await this.#readyClient(this.#deadlineMs)
  }

  call(command: string, ...args: (string | number)[]): Promise<unknown> {
    return this.callWithin(this.#deadlineMs, command, ...args)
  }

  async callWithin(deadlineMs: number, command: string, ...args: (string | number)[]): Promise<unknown> {
    const client = this.#isReady ? this.#client : await this.#readyClient(deadlineMs)
    return new Promise((resolve, reject) => {
      const pending: Pending = { untilMs: performance.now() + deadlineMs, fail: reject }
      this.#pending.add(pending)
      this.#watch()
      client.call(command, ...args).then(
        (answer) => {
          this.#pending.delete(pending)
          resolve(answer)
        },
        (error) => {
          if (this.#pending.delete(pending)) reject(this.#explain(error, client))
        },
      )
    })
  }

  async callThen(deadlineMs: number, first: Command, then: Command): Promise<[unknown, unknown]> {
    await this.#readyClient(deadlineMs)
    return Promise.all([this.callWithin(deadlineMs, ...first), this.callWithin(deadlineMs, ...then)])
  }

  async subscribe(channel: string, onMessage: (message: string) => void): Promise<() => void> {
    const listeners = this.#listeners.get(channel) ?? new Set()
    listeners.add(onMessage)
    this.#listeners.set(channel, listeners)
    const stop = () => {
      listeners.delete(onMessage)
      if (listeners.size > 0 || this.#listeners.get(channel) !== listeners) return
      this.#listeners.delete(channel)
      if (this.#isReady) this.call('unsubscribe', channel).catch(() => {})
    }
    try {
      // In small letters: from a server that knows only RESP2, the client takes the answer to no other.
      await this.call('subscribe', channel)
    } catch (error) {
      stop()
      throw error
    }
    return stop
  }

  async atEachServer<T>(ask: (server: Connection, name: string) => Promise<T>): Promise<T[]> {
    return [await ask(this, addressText(this.#address))]
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#retryTimer)
    this.#news?.close()
    this.#drop('the connection was closed')
  }

  #connect(): Client {
    const client = new Client(optionsOf(this.#address, this.#options))
    // Sentinels are asked one after the other.
    const servers = this.form === 'sentinel' ? this.#address.hosts.length + 1 : 1
    this.#letInTimer = setTimeout(() => this.#leave('Redis did not let us in in time'), LET_IN_MS * servers)
    client.on('error', (error: Error) => {
      this.#lastError = withoutCommand(error)
    })
    client.on('ready', () => this.#becameReady(client))
    client.on('close', () => this.#lost(client))
    client.on('end', () => this.#lost(client))
    client.on('message', (channel: string, message: string) => {
      for (const listener of this.#listeners.get(channel) ?? []) listener(message)
    })
    return client
  }

  #becameReady(client: Client): void {
    if (client !== this.#client || this.#isClosed) return
    clearTimeout(this.#letInTimer)
    this.#isReady = true
    this.#failures = 0
    this.#lastError = undefined
    for (const channel of this.#listeners.keys()) this.call('subscribe', channel).catch(() => {})
    for (const waiter of this.#waiting) waiter.go(client)
    this.#options.onState?.('ready')
  }

  #lost(client: Client): void {
    const isWaiting = this.#retryTimer !== undefined
    if (client !== this.#client || this.#isClosed || isWaiting) return
    const wasReady = this.#isReady
    this.#drop('the connection to Redis was lost')
    const isRefused = REFUSED.test(this.#lastError?.message ?? '')
    if (isRefused) this.#refuse()
    const isNews = wasReady || this.#failures === 0 || (isRefused && !this.#wasRefused)
    this.#wasRefused = isRefused
    const waitMs = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures) * (0.5 + Math.random() / 2)
    this.#failures += 1
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = undefined
      this.#client = this.#connect()
    }, waitMs)
    if (isNews) this.#options.onState?.('away', this.#lastError)
  }

  /** Ends the client and tells everybody who waits on it. */
  #drop(why: string): void {
    this.#isReady = false
    clearTimeout(this.#letInTimer)
    const client = this.#client
    client.removeAllListeners()
    client.on('error', () => {})
    client.disconnect()
    const error = new RedisUnavailable(this.#message(why), { maybeDone: true, cause: this.#lastError })
    for (const pending of this.#pending) pending.fail(error)
    this.#pending.clear()
    if (this.#isClosed) for (const waiter of this.#waiting) waiter.fail(error)
  }

  /** Waiting does not help whoever waits now; the next attempt may find other users on the server. */
  #refuse(): void {
    const message = this.#message('Redis refuses the credentials')
    const error = new RedisUnavailable(message, {
      maybeDone: false,
      cause: this.#lastError,
      code: 'REDIS_REFUSED',
    })
    for (const waiter of this.#waiting) waiter.fail(error)
  }

  #readyClient(deadlineMs: number): Promise<Client> {
    if (this.#isReady) return Promise.resolve(this.#client)
    if (this.#isClosed)
      return Promise.reject(
        new RedisUnavailable(this.#message('the connection was closed'), { maybeDone: false }),
      )
    return new Promise((resolve, reject) => {
      const settle = () => {
        clearTimeout(timer)
        this.#waiting.delete(waiter)
      }
      const waiter = {
        untilMs: 0,
        go(client: Client) {
          settle()
          resolve(client)
        },
        fail(error: RedisUnavailable) {
          settle()
          reject(error)
        },
      }
      const timer = setTimeout(() => {
        const why = `no connection to Redis within ${deadlineMs} ms`
        waiter.fail(new RedisUnavailable(this.#message(why), { maybeDone: false, cause: this.#lastError }))
      }, deadlineMs)
      this.#waiting.add(waiter)
    })
  }

  /** A client that owes an answer past its deadline is replaced: its socket may be dead without a word. */
  #watch(): void {
    if (this.#watchTimer) return
    this.#watchTimer = setTimeout(() => {
      this.#watchTimer = undefined
      const now = performance.now()
      for (const pending of this.#pending) {
        if (pending.untilMs > now) continue
        this.#leave('Redis did not answer in time')
        break
      }
      if (this.#pending.size > 0) this.#watch()
    }, 250)
  }

  #leave(why: string): void {
    this.#lastError = new Error(why)
    this.#lost(this.#client)
  }

  #explain(error: Error, client: Client): Error {
    const isReply = error.name === 'ReplyError'
    if (isReply && !WEATHER.test(`${error.message} `)) return withoutCommand(error)
    const cause = withoutCommand(error)
    // What is no answer of the server is the client's: it lost its socket and has not said so yet.
    const isElsewhere =
      ELSEWHERE.test(error.message) || (this.form === 'sentinel' && DESERTED.test(error.message))
    if (!isReply || isElsewhere) {
      this.#lastError = cause
      this.#lost(client)
    }
    return new RedisUnavailable(this.#message('Redis cannot serve now', cause), {
      maybeDone: !isReply,
      cause,
      ...(isReply && { code: 'NOT_SERVING' }),
    })
  }

  #message(what: string, cause = this.#lastError): string {
    const because = cause ? ` (${reasonOf(cause)})` : ''
    return `${what}: ${addressText(this.#address)}${because}`
  }
}

const guard = ({ isDenied }: ConnectionOptions): ConnectionOptions => (isDenied ? { isDenied } : {})

/** A client that tries once: to connect again, to send again, to wait for better times is the Connection's. */
function optionsOf(
  { form, hosts, ...address }: RedisAddress,
  { name, isDenied }: ConnectionOptions,
): ClientOptions {
  const { db, username, password, tls, primaryName, sentinelUsername, sentinelPassword } = address
  const options: ClientOptions = {
    ...(name && { connectionName: name }),
    ...(username && { username }),
    ...(password && { password }),
    db,
    retryStrategy: () => null,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    connectTimeout: 5_000,
    disconnectTimeout: 100,
    keepAlive: 5_000,
    // One command less that a user must be allowed.
    disableClientInfo: true,
  }
  const [server] = hosts
  if (form !== 'sentinel')
    return {
      ...options,
      ...server,
      ...(tls && { tls: { ...tls, ...serverName(server) } }),
      ...(isDenied && { Connector: looking(ToServer, isDenied) }),
    }
  return {
    ...options,
    Connector: isDenied ? looking(toPrimary(isDenied), isDenied) : toPrimary(),
    sentinels: [...hosts],
    name: primaryName ?? '',
    ...(sentinelUsername && { sentinelUsername }),
    ...(sentinelPassword && { sentinelPassword }),
    ...(tls && { tls, sentinelTLS: tls, enableTLSForSentinelMode: true }),
    sentinelRetryStrategy: () => null,
    sentinelCommandTimeout: 2_000,
    updateSentinels: false,
  }
}

/** The client's errors carry the command that failed, and that may carry a password. */
function withoutCommand(error: Error): Error {
  const plain = new Error(error.message)
  plain.name = error.name
  return plain
}

/** The client's own way where it need not look. */
class ToServer extends AbstractConnector {
  readonly #options: RedisOptions
  constructor(options: unknown) {
    super((options as RedisOptions).disconnectTimeout ?? 0)
    this.#options = options as RedisOptions
  }
  override async connect() {
    const { host = '', port = 0, tls } = this.#options
    this.stream = tls ? connectTls({ host, port, ...tls }) : connectTcp({ host, port })
    this.stream.once('error', (error) => {
      this.firstError = error
    })
    return this.stream
  }
}

/** What SentinelConnector does in between, and its declarations call private: nothing else leads to those whom it speaks to. */
interface SentinelSteps {
  connectToSentinel(sentinel: HostPort, options?: RedisOptions): Client
  /** The primary, as this Sentinel names it; what else stands there goes to its socket. */
  resolve(sentinel: HostPort): Promise<HostPort | null>
}

/** The client's own way to the primary, but each Sentinel is looked at too, and over TLS all are called by their names. */
function toPrimary(isDenied?: IsDenied): ConnectorOf {
  return class extends SentinelConnector {
    constructor(options: unknown) {
      super(options as ConstructorParameters<typeof SentinelConnector>[0])
      const { sentinelTLS } = options as RedisOptions
      const steps = this as unknown as SentinelSteps
      const connectToSentinel = steps.connectToSentinel.bind(this)
      const resolve = steps.resolve.bind(this)
      steps.connectToSentinel = (sentinel) =>
        connectToSentinel(sentinel, {
          ...(sentinelTLS && { tls: { ...sentinelTLS, ...serverName(sentinel) } }),
          ...(isDenied && { Connector: looking(ToServer, isDenied) }),
        })
      steps.resolve = async (sentinel) => {
        const primary = await resolve(sentinel)
        return primary && { ...primary, ...serverName(primary) }
      }
    }
  }
}

/** For whoever answers for several names at one address; a number cannot be asked for by name. */
function serverName({ host }: Partial<HostPort> = {}): { servername?: string } {
  return host && isIP(host) === 0 ? { servername: host } : {}
}

/** Sees who is at the other end before a word is said: its listener is the first, and the client's find the socket closed. */
function looking(Base: ConnectorOf, isDenied: IsDenied): ConnectorOf {
  return class extends (Base as new (options: unknown) => SentinelConnector) {
    override async connect(emit: Parameters<SentinelConnector['connect']>[0]) {
      const stream: Socket = await super.connect(emit)
      stream.once('connect', () => {
        const { remoteAddress = '', remotePort = 0 } = stream
        if (isDenied(remoteAddress, remotePort))
          stream.destroy(new Error('the address that it leads to may not be used'))
      })
      return stream
    }
  }
}
