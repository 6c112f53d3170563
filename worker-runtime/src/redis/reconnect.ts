// A Connection to a server, or to the primary behind Sentinels. It replaces a socket that is lost, owes an answer
// for too long, or breaks the protocol, and rejects the calls that waited on it.
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

/** A call that waits for a connection. */
interface Waiter {
  go(socket: RedisSocket): void
  fail(error: RedisUnavailable): void
}

interface Listener extends SubscribeOptions {
  readonly onMessage: (message: string) => void
}

const FIRST_RETRY_MS = 50
const LAST_RETRY_MS = 1_000
/** The back-off for a server that breaks the protocol: it may be a proxy whose Redis is away. */
const LAST_RETRY_OF_BAD_MS = 5_000
const WATCH_MS = 100
const SWITCH_AGAIN_MS = 1_000
/** The timeout of a login: a proxy may accept the connection and never answer. */
const LOGIN_MS = 4_000
/**
 * Errors that mean "not now" or "not here": a server that loads its data, a primary that became a replica, a
 * full disk. The word is at the beginning, or behind a colon where Redis 6.2 quotes a script. Elsewhere it
 * may be the id of a job.
 */
const WEATHER =
  /(?:^|: -?)(LOADING|MASTERDOWN|READONLY|UNBLOCKED|TRYAGAIN|CLUSTERDOWN|BUSY|MISCONF|NOREPLICAS|NOGOODSLAVE) |max number of clients/
/** The subset of these errors after which a new connection may reach another server. */
const ELSEWHERE = /MASTERDOWN|READONLY|UNBLOCKED|CLUSTERDOWN|LOADING/
/** A primary whose replicas now follow another primary. */
const DESERTED = /NOREPLICAS/
const REFUSED = /^(WRONGPASS|NOAUTH|NOPERM|ERR AUTH|ERR invalid password)/

/** Throws TypeError for an invalid address. */
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
  readonly #waiting = new Set<Waiter>()
  readonly #listeners = new Map<string, Set<Listener>>()
  #socket: RedisSocket
  #isReady = false
  #isClosed = false
  #failures = 0
  /** How often the server broke the protocol, and when last. */
  #bad = { times: 0, atMs: 0 }
  #lastError: Error | undefined
  #wasRefused = false
  #retryTimer: NodeJS.Timeout | undefined
  #watchedSinceMs: number | undefined
  #switchedAtMs = Number.NEGATIVE_INFINITY
  #stopLoginDeadline = () => {}
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
          // A Sentinel may repeat itself: the connection stays.
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
    return this.send([command, ...args])
  }

  send(command: Command, deadlineMs = this.deadlineMs): Promise<unknown> {
    if (this.#isReady) return this.#ask(this.#socket, command, deadlineMs)
    return this.#readySocket(deadlineMs).then((socket) => this.#ask(socket, command, deadlineMs))
  }

  #ask(socket: RedisSocket, command: Command, deadlineMs: number): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => reject(this.#explain(error, socket))
      socket.ask({ command, leftMs: deadlineMs + this.#watch(), resolve, reject: fail })
    })
  }

  async callThen(deadlineMs: number, first: Command, then: Command): Promise<[unknown, unknown]> {
    await this.#readySocket(deadlineMs)
    return Promise.all([this.send(first, deadlineMs), this.send(then, deadlineMs)])
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
    // It asks the Sentinels one after the other.
    const servers = isBehindSentinels ? address.hosts.length + 1 : 1
    this.#stopLoginDeadline = startDeadline(LOGIN_MS * servers, () =>
      this.#leave('Redis did not accept the login in time'),
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
    this.#stopLoginDeadline()
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
    if (isBad) this.#failWaiting('the server does not speak the Redis protocol', this.#code)
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

  /** Such a server may accept the login: without a pause this would reconnect in a busy loop. */
  #pauseAfterBad(): number {
    const nowMs = performance.now()
    const { times, atMs } = this.#bad
    this.#bad = { times: nowMs - atMs > 2 * LAST_RETRY_OF_BAD_MS ? 1 : times + 1, atMs: nowMs }
    return Math.min(LAST_RETRY_OF_BAD_MS, FIRST_RETRY_MS * 2 ** Math.min(this.#bad.times, 20))
  }

  /** Ends the socket and rejects the calls that wait on it. */
  #drop(why: string): void {
    this.#isReady = false
    this.#stopLoginDeadline()
    const error = this.#unavailable(why, true)
    this.#socket.close(error)
    if (this.#isClosed) for (const waiter of this.#waiting) waiter.fail(error)
  }

  /** Rejects calls that would wait past their deadline. */
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
      const waiter: Waiter = {
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
   * Replaces a socket that owes an answer past its deadline: the server may be gone without a FIN. One timer
   * serves all calls. Answers how long it has run, which does not count for a call that begins now.
   */
  #watch(): number {
    const nowMs = performance.now()
    if (this.#watchedSinceMs !== undefined) return Math.min(WATCH_MS, nowMs - this.#watchedSinceMs)
    this.#watchedSinceMs = nowMs
    startDeadline(WATCH_MS, () => {
      this.#watchedSinceMs = undefined
      let isOver = false
      for (const owed of this.#socket.owed) {
        owed.leftMs -= WATCH_MS
        isOver ||= owed.leftMs <= 0
      }
      if (isOver) this.#leave('Redis did not answer in time')
      if (this.#socket.owed.length > 0) this.#watch()
    })
    return 0
  }

  #leave(why: string): void {
    this.#lastError = new Error(why)
    this.#lost(this.#socket)
  }

  #explain(error: Error, socket: RedisSocket): Error {
    if (error instanceof RedisUnavailable) return error
    const isReply = error instanceof ReplyError
    if (isReply && !WEATHER.test(`${error.message} `)) return error
    const isElsewhere =
      ELSEWHERE.test(error.message) || (this.form === 'sentinel' && DESERTED.test(error.message))
    // Other errors come from the socket: it is lost, and `onEnd` has not been called yet.
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

/** The options that nodes and Sentinels share: allowed addresses and the size of answers. */
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
