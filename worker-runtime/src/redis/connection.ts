// What a connection to Redis promises, in whatever form Redis comes (redis.ts, cluster.ts).
import type { RedisAddress } from './address.ts'

/**
 * Redis did not do what was asked, or nobody knows whether it did (`maybeDone`): the answer was lost. REDIS_REFUSED: it is there, but
 * does not accept the credentials. NOT_SERVING: it answers, but not now or not here (it loads, is a replica, a slot has no node).
 * NOT_CONFIRMED: it did what was asked, but no disk or no replica said in time that it has it. PROTOCOL: what it
 * says is not what a Redis says. DATA_INVALID: it says more than it may, or numbers that cannot be.
 */
export class RedisUnavailable extends Error {
  readonly code:
    | 'REDIS_UNAVAILABLE'
    | 'REDIS_REFUSED'
    | 'NOT_SERVING'
    | 'NOT_CONFIRMED'
    | 'PROTOCOL'
    | 'DATA_INVALID'
  readonly maybeDone: boolean
  /** The jobs that were, or perhaps were, not enqueued; enqueueing them again with these ids is safe. */
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

/** For what failed before anything was asked for, whatever else was lost with the connection. */
export function neverSent(error: Error): Error {
  if (!(error instanceof RedisUnavailable && error.maybeDone)) return error
  return new RedisUnavailable(error.message, { maybeDone: false, code: error.code, cause: error.cause })
}

export interface ConnectionOptions {
  /** Shown in CLIENT LIST. */
  name?: string
  /** How long a call may take, waiting for a connection included; ms. */
  deadlineMs?: number
  /**
   * Whether this address may not be connected to, whatever name, Sentinel or Cluster leads to it; asked before anything is sent there. For those
   * who connect on behalf of others.
   */
  isDenied?: (address: string, port: number) => boolean
  /** The addresses of a name; default: as the system looks names up. */
  lookUp?: (host: string) => Promise<readonly string[]>
  /** Of one reply; a longer one ends the connection. Default: 32 MiB. */
  maxReplyBytes?: number
  /** More of them are left waiting in the server's buffers; default: no bound. */
  maxMessagesPerSecond?: number
  /** Away once more when whoever was away lets us in no more. */
  onState?: (state: 'ready' | 'away', error?: Error) => void
}

export type Command = readonly [name: string, ...args: (string | number)[]]

export interface SubscribeOptions {
  /** After a loss messages come again; those in between are lost. */
  onRenewed?: () => void
}

export interface Connection {
  readonly form: RedisAddress['form']
  /** The number of the database that it uses. */
  readonly database: number
  /** Of a call that has none of its own; ms. */
  readonly deadlineMs: number
  readonly isReady: boolean
  /** Resolves when connected; rejects with RedisUnavailable after the deadline. */
  ready(): Promise<void>
  call(command: string, ...args: (string | number)[]): Promise<unknown>
  /** As call, with a deadline of its own: for commands that block. */
  callWithin(deadlineMs: number, command: string, ...args: (string | number)[]): Promise<unknown>
  /** Two calls on one connection to one server, with nothing in between: the second is about what the first one did. */
  callThen(deadlineMs: number, first: Command, then: Command): Promise<[unknown, unknown]>
  /** Resolves when the server has confirmed; subscribed again by itself after every loss. A connection either subscribes or calls. */
  subscribe(
    channel: string,
    onMessage: (message: string) => void,
    options?: SubscribeOptions,
  ): Promise<() => void>
  /** Asks the one server, or each primary of a Cluster; `name` is its host:port. For what is about servers, not about keys. */
  atEachServer<T>(ask: (server: Connection, name: string) => Promise<T>): Promise<T[]>
  close(): void
}
