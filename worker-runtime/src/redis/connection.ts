// The promise of a connection to Redis, whether Redis is a server, a primary behind Sentinels (reconnect.ts)
// or a Cluster (cluster.ts).
import type { RedisAddress } from './address.ts'

/**
 * Redis did not execute a call, or its answer was lost (`maybeDone`). Codes:
 *
 * - REDIS_UNAVAILABLE: no connection, or no answer in time.
 * - REDIS_REFUSED: Redis does not accept the credentials.
 * - NOT_SERVING: Redis answers, but cannot execute the call now (it loads its data, is a replica, no node has the slot).
 * - NOT_CONFIRMED: the call was executed, but no disk or no replica confirmed it in time.
 * - PROTOCOL: the answer is not what a Redis answers.
 * - DATA_INVALID: a reply is too large, or has numbers that cannot be.
 */
export class RedisUnavailable extends Error {
  readonly code:
    | 'REDIS_UNAVAILABLE'
    | 'REDIS_REFUSED'
    | 'NOT_SERVING'
    | 'NOT_CONFIRMED'
    | 'PROTOCOL'
    | 'DATA_INVALID'
  /** Whether Redis may have executed the call. */
  readonly maybeDone: boolean
  /** The ids of the jobs that may not be in Redis. It is safe to enqueue them again with these ids. */
  readonly jobIds: readonly string[]
  constructor(message: string, options: UnavailableOptions) {
    super(message, { cause: options.cause })
    this.code = options.code ?? 'REDIS_UNAVAILABLE'
    this.name = 'RedisUnavailable'
    this.maybeDone = options.maybeDone
    this.jobIds = options.jobIds ?? []
  }
}

interface UnavailableOptions {
  maybeDone: boolean
  cause?: unknown
  code?: RedisUnavailable['code']
  jobIds?: readonly string[]
}

/** The same error for a call that failed before it was sent. */
export function neverSent(error: Error): Error {
  if (!(error instanceof RedisUnavailable && error.maybeDone)) return error
  return new RedisUnavailable(error.message, { maybeDone: false, code: error.code, cause: error.cause })
}

export interface ConnectionOptions {
  /** Shown in CLIENT LIST. */
  name?: string
  /** How long a call may take, with the wait for a connection; ms. */
  deadlineMs?: number
  /**
   * Whether this address is forbidden, for any name, Sentinel or Cluster that leads to it. Checked before
   * anything is sent. For programs that connect on behalf of others.
   */
  isDenied?: (address: string, port: number) => boolean
  /** Looks up the addresses of a name; default: the system's resolver. */
  lookUp?: (host: string) => Promise<readonly string[]>
  /** The largest reply; a larger one ends the connection. Default: 32 MiB. */
  maxReplyBytes?: number
  /** The most messages a second; more wait in the buffers of the server. Default: no bound. */
  maxMessagesPerSecond?: number
  /** 'away' comes again when Redis refuses the credentials after an outage. */
  onState?: (state: 'ready' | 'away', error?: Error) => void
}

export type Command = readonly [name: string, ...args: (string | number)[]]

export interface SubscribeOptions {
  /** The subscriptions are back after a loss. Messages in between are lost. */
  onRenewed?: () => void
}

export interface Connection {
  readonly form: RedisAddress['form']
  /** The number of the database that it uses. */
  readonly database: number
  /** The default deadline of a call; ms. */
  readonly deadlineMs: number
  readonly isReady: boolean
  /** Resolves when connected; rejects with RedisUnavailable after the deadline. */
  ready(): Promise<void>
  call(command: string, ...args: (string | number)[]): Promise<unknown>
  /** The same for a command as a list, which is not copied. A blocking command needs its own deadline. */
  send(command: Command, deadlineMs?: number): Promise<unknown>
  /**
   * Two calls on one connection to one server, without a call in between: the second one (WAIT, WAITAOF) is
   * about the first.
   */
  callThen(deadlineMs: number, first: Command, then: Command): Promise<[unknown, unknown]>
  /**
   * Resolves when the server has confirmed. Subscribes again after each loss. A connection either subscribes
   * or calls.
   */
  subscribe(
    channel: string,
    onMessage: (message: string) => void,
    options?: SubscribeOptions,
  ): Promise<() => void>
  /** Asks the server, or each primary of a Cluster, about itself; `name` is its host:port. */
  atEachServer<T>(ask: (server: Connection, name: string) => Promise<T>): Promise<T[]>
  close(): void
}
