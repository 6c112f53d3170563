// A Connection to a server, or to the primary behind Sentinels. It outlives the sockets it uses: one that is lost, owes an answer for too long or
// says what no Redis says is thrown away and replaced, never revived, and every call that waited on it is told so.
//
//   connecting → ready → away → connecting → …      closed (from any, by close())
import { startDeadline } from '../deadline.ts'
import { reasonOf } from '../errors.ts'
import { addressText, type HostPort, parseAddress, type RedisAccess, type RedisAddress } from './address.ts'
import { ClusterConnection } from './cluster.ts'
import {
  type Command,
  type Connection,
  type ConnectionOptions,
  RedisUnavailable,
  type SubscribeOptions,
} from './connection.ts'
import { BadReply, ReplyError } from './resp.ts'
import { primaryOf, SentinelNews } from './sentinels.ts'
import { RedisSocket } from './socket.ts'

interface Pending {
  /** Of its deadline; only time in which an answer could be read counts. */
  leftMs: number
  fail(error: RedisUnavailable): void
}

interface Listener extends SubscribeOptions {
  readonly onMessage: (message: string) => void
}

const FIRST_RETRY_MS = 50
const LAST_RETRY_MS = 1_000
/** For a server that says what no Redis says: it may be a proxy whose Redis is away, and then soon it is well again. */
const LAST_RETRY_OF_BAD_MS = 5_000
const WATCH_MS = 100
const SWITCH_AGAIN_MS = 1_000
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
      (node, own) => new ReplacingConnection(node, { ...own, ...bounds(options) }),
    )
  return new ReplacingConnection(address, options)
}

export class ReplacingConnection implements Connection {
  readonly #address: RedisAddress
  readonly #options: ConnectionOptions
  readonly deadlineMs: number
  readonly #pending = new Set<Pending>()
  readonly #waiting = new Set<Pending & { go(socket: RedisSocket): void }>()
  readonly #listeners = new Map<string, Set<Listener>>()
  #socket: RedisSocket
  #isReady = false
  #isClosed = false
  #failures = 0
  /** How often it said what no Redis says, and when it was let go for that last. */
  #bad = { times: 0, atMs: 0 }
  #lastError: Error | undefined
  #wasRefused = false
  #retryTimer: NodeJS.Timeout | undefined
  #watchedSinceMs: number | undefined
  #switchedAtMs = Number.NEGATIVE_INFINITY
  #stopLettingIn = () => {}
  readonly #news: SentinelNews | undefined

  constructor(address: RedisAddress, options: ConnectionOptions) {
    this.#address = address
    this.#options = options
    this.deadlineMs = options.deadlineMs ?? 5_000
    this.#socket = this.#connect()
    if (address.form === 'sentinel')
      this.#news = new SentinelNews({
        address,
        connect: (sentinel, own) => new ReplacingConnection(sentinel, { ...own, ...bounds(options) }),
        onSwitch: (host, port) => {
          const { peer } = this.#socket
          const isThereAlready = peer.host === host && peer.port === port
          if (isThereAlready) return
          // A Sentinel that says so again and again does not keep us away from where we are.
          const nowMs = performance.now()
          if (nowMs - this.#switchedAtMs < SWITCH_AGAIN_MS) return
          this.#switchedAtMs = nowMs
          this.#leave('another server is the primary now')
        },
      })
  }

  get form(): RedisAddress['form'] {
    return this.#address.form
  }

  get database(): number {
    return this.#address.db
  }

  get isReady(): boolean {
    return this.#isReady
  }

  async ready(): Promise<void> {
    await this.#readySocket(this.deadlineMs)
  }

  call(command: string, ...args: (string | number)[]): Promise<unknown> {
    return this.callWithin(this.deadlineMs, command, ...args)
  }

  async callWithin(deadlineMs: number, command: string, ...args: (string | number)[]): Promise<unknown> {
    const socket = this.#isReady ? this.#socket : await this.#readySocket(deadlineMs)
    return new Promise((resolve, reject) => {
      const pending: Pending = { leftMs: deadlineMs + this.#watch(), fail: reject }
      this.#pending.add(pending)
      socket.send([command, ...args]).then(
        (answer) => {
          this.#pending.delete(pending)
          resolve(answer)
        },
        (error) => {
          if (this.#pending.delete(pending)) reject(this.#explain(error, socket))
        },
      )
    })
  }

  async callThen(deadlineMs: number, first: Command, then: Command): Promise<[unknown, unknown]> {
    await this.#readySocket(deadlineMs)
    return Promise.all([this.callWithin(deadlineMs, ...first), this.callWithin(deadlineMs, ...then)])
  }

  async subscribe(
    channel: string,
    onMessage: (message: string) => void,
    options: SubscribeOptions = {},
  ): Promise<() => void> {
    const listeners = this.#listeners.get(channel) ?? new Set()
    const listener: Listener = { onMessage }
    listeners.add(listener)
    this.#listeners.set(channel, listeners)
    const stop = () => {
      listeners.delete(listener)
      if (listeners.size > 0 || this.#listeners.get(channel) !== listeners) return
      this.#listeners.delete(channel)
      if (this.#isReady) this.call('UNSUBSCRIBE', channel).catch(() => {})
    }
    try {
      await this.call('SUBSCRIBE', channel)
    } catch (error) {
      stop()
      throw error
    }
    Object.assign(listener, options)
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

  #connect(): RedisSocket {
    const address = this.#address
    const isBehindSentinels = address.form === 'sentinel'
    // Sentinels are asked one after the other.
    const servers = isBehindSentinels ? address.hosts.length + 1 : 1
    this.#stopLettingIn = startDeadline(LET_IN_MS * servers, () =>
      this.#leave('Redis did not let us in in time'),
    )
    const socket = new RedisSocket({
      find: async (signal) =>
        isBehindSentinels ? primaryOf(address, this.#options, signal) : firstOf(address),
      login: address,
      mustBePrimary: isBehindSentinels,
      options: this.#options,
      onReady: () => this.#becameReady(socket),
      onMessage: (channel, message) => {
        for (const { onMessage } of this.#listeners.get(channel) ?? []) onMessage(message)
      },
      onEnd: (why) => {
        if (socket !== this.#socket) return
        this.#lastError = why
        this.#lost(socket)
      },
    })
    return socket
  }

  #becameReady(socket: RedisSocket): void {
    if (socket !== this.#socket || this.#isClosed) return
    this.#stopLettingIn()
    this.#isReady = true
    this.#failures = 0
    this.#lastError = undefined
    for (const [channel, listeners] of this.#listeners) this.#renew(channel, listeners).catch(() => {})
    for (const waiter of this.#waiting) waiter.go(socket)
    this.#options.onState?.('ready')
  }

  async #renew(channel: string, listeners: ReadonlySet<Listener>): Promise<void> {
    await this.call('SUBSCRIBE', channel)
    for (const { onRenewed } of listeners) onRenewed?.()
  }

  #lost(socket: RedisSocket): void {
    const isWaiting = this.#retryTimer !== undefined
    if (socket !== this.#socket || this.#isClosed || isWaiting) return
    const wasReady = this.#isReady
    this.#drop('the connection to Redis was lost')
    const isRefused = REFUSED.test(this.#lastError?.message ?? '')
    const isBad = this.#lastError instanceof BadReply
    if (isRefused) this.#failWaiting('Redis refuses the credentials', 'REDIS_REFUSED')
    if (isBad) this.#failWaiting('what answers is no Redis, or a broken one', this.#code)
    const isNews = wasReady || this.#failures === 0 || (isRefused && !this.#wasRefused)
    this.#wasRefused = isRefused
    const waitMs = isBad
      ? this.#pauseAfterBad()
      : Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures)
    this.#failures += 1
    this.#retryTimer = setTimeout(
      () => {
        this.#retryTimer = undefined
        this.#socket = this.#connect()
      },
      waitMs * (0.5 + Math.random() / 2),
    )
    if (isNews)
      this.#options.onState?.(
        'away',
        isBad ? this.#unavailable('the connection to Redis was lost', true) : this.#lastError,
      )
  }

  /** Becoming ready proves nothing of such a server: it would be let in, believed and dropped, as fast as it can. */
  #pauseAfterBad(): number {
    const nowMs = performance.now()
    const { times, atMs } = this.#bad
    this.#bad = { times: nowMs - atMs > 2 * LAST_RETRY_OF_BAD_MS ? 1 : times + 1, atMs: nowMs }
    return Math.min(LAST_RETRY_OF_BAD_MS, FIRST_RETRY_MS * 2 ** Math.min(this.#bad.times, 20))
  }

  /** Ends the socket and tells everybody who waits on it. */
  #drop(why: string): void {
    this.#isReady = false
    this.#stopLettingIn()
    const error = this.#unavailable(why, true)
    for (const pending of this.#pending) pending.fail(error)
    this.#pending.clear()
    this.#socket.close()
    if (this.#isClosed) for (const waiter of this.#waiting) waiter.fail(error)
  }

  /** Waiting does not help those who wait now. */
  #failWaiting(why: string, code: RedisUnavailable['code']): void {
    const error = this.#unavailable(why, false, code)
    for (const waiter of this.#waiting) waiter.fail(error)
  }

  #readySocket(deadlineMs: number): Promise<RedisSocket> {
    if (this.#isReady) return Promise.resolve(this.#socket)
    if (this.#isClosed) return Promise.reject(this.#unavailable('the connection was closed', false))
    return new Promise((resolve, reject) => {
      const settle = () => {
        stop()
        this.#waiting.delete(waiter)
      }
      const waiter = {
        leftMs: 0,
        go(socket: RedisSocket) {
          settle()
          resolve(socket)
        },
        fail(error: RedisUnavailable) {
          settle()
          reject(error)
        },
      }
      const stop = startDeadline(deadlineMs, () =>
        waiter.fail(this.#unavailable(`no connection to Redis within ${deadlineMs} ms`, false)),
      )
      this.#waiting.add(waiter)
    })
  }

  /**
   * A socket that owes an answer past its deadline is replaced: it may be dead without a word. Answers how long the present look has lasted, which
   * is not to be charged to a call that begins now.
   */
  #watch(): number {
    const nowMs = performance.now()
    if (this.#watchedSinceMs !== undefined) return Math.min(WATCH_MS, nowMs - this.#watchedSinceMs)
    this.#watchedSinceMs = nowMs
    startDeadline(WATCH_MS, () => {
      this.#watchedSinceMs = undefined
      let isOver = false
      for (const pending of this.#pending) {
        pending.leftMs -= WATCH_MS
        isOver ||= pending.leftMs <= 0
      }
      if (isOver) this.#leave('Redis did not answer in time')
      if (this.#pending.size > 0) this.#watch()
    })
    return 0
  }

  #leave(why: string): void {
    this.#lastError = new Error(why)
    this.#lost(this.#socket)
  }

  #explain(error: Error, socket: RedisSocket): Error {
    const isReply = error instanceof ReplyError
    if (isReply && !WEATHER.test(`${error.message} `)) return error
    const isElsewhere =
      ELSEWHERE.test(error.message) || (this.form === 'sentinel' && DESERTED.test(error.message))
    // What is no answer of the server is the socket's: it was lost, and has not said so yet.
    if (!isReply || isElsewhere) {
      this.#lastError = error
      this.#lost(socket)
    }
    return new RedisUnavailable(this.#message('Redis cannot serve now', error), {
      maybeDone: !isReply,
      cause: error,
      ...(isReply && { code: 'NOT_SERVING' }),
    })
  }

  get #code(): RedisUnavailable['code'] {
    return this.#lastError instanceof BadReply ? this.#lastError.kind : 'REDIS_UNAVAILABLE'
  }

  #unavailable(why: string, maybeDone: boolean, code = this.#code): RedisUnavailable {
    return new RedisUnavailable(this.#message(why), { maybeDone, code, cause: this.#lastError })
  }

  #message(what: string, cause = this.#lastError): string {
    const because = cause ? ` (${reasonOf(cause)})` : ''
    return `${what}: ${addressText(this.#address)}${because}`
  }
}

const firstOf = ({ hosts: [first] }: RedisAddress): HostPort => first ?? { host: '', port: 0 }

/** For the nodes and Sentinels that this connection leads to: what was said of the addresses and answers holds there too. */
function bounds({
  isDenied,
  lookUp,
  maxReplyBytes,
  maxMessagesPerSecond,
}: ConnectionOptions): ConnectionOptions {
  return {
    ...(isDenied && { isDenied }),
    ...(lookUp && { lookUp }),
    ...(maxReplyBytes && { maxReplyBytes }),
    ...(maxMessagesPerSecond && { maxMessagesPerSecond }),
  }
}
