// One socket to one server: logs in, sends commands, returns their answers, and passes messages on. reconnect.ts
// replaces a socket that has ended. A server that breaks the protocol ends it with a BadReply.
//
//   connecting → logging in → ready → ended      ended from any, once, for one reason
import { lookup } from 'node:dns/promises'
import { connect as connectTcp, isIP, type LookupFunction, type OnReadOpts, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { HostPort, RedisAddress } from './address.ts'
import type { Command, ConnectionOptions } from './connection.ts'
import { BadReply, encoded, type Reply, ReplyError, ReplyReader } from './resp.ts'

export interface SocketOptions {
  /** Finds the address of the server, for a primary among Sentinels. The signal ends the search. */
  find: (signal: AbortSignal) => Promise<HostPort>
  login: Pick<RedisAddress, 'username' | 'password' | 'db' | 'tls'>
  /** Refuse a server that takes no writes. */
  mustBePrimary: boolean
  options: ConnectionOptions
  onReady: () => void
  onMessage: (channel: string, message: string) => void
  /** Called before the waiting calls are rejected. */
  onEnd: (why: Error) => void
}

/** A command that waits for its answer. */
export interface Owed {
  readonly command: Command
  /** ms until its deadline. reconnect.ts counts only the time in which it could read an answer. */
  leftMs: number
  resolve(answer: Exclude<Reply, ReplyError>): void
  reject(error: Error): void
}

/** More than a claim has: 4 MB, and one payload of 16 MiB. */
const MAX_REPLY_BYTES = 32 * 1024 * 1024
const BUFFER_BYTES = 64 * 1024
/** INFO of a large server has some 10 kB. */
const MAX_GREETING_BYTES = 256 * 1024
const KEEP_ALIVE_MS = 5_000
/** The interval in which messages are counted. */
const MESSAGES_EVERY_MS = 100

export class RedisSocket {
  readonly #is: SocketOptions
  readonly #owed: Owed[] = []
  readonly #reader: ReplyReader
  /** The last SUBSCRIBE or UNSUBSCRIBE of each channel. */
  readonly #channels = new Map<string, Owed>()
  #stream: Socket | undefined
  #isEnded = false
  #messages = { sinceMs: 0, count: 0 }
  #resting: NodeJS.Timeout | undefined
  readonly #finding = new AbortController()

  constructor(is: SocketOptions) {
    this.#is = is
    this.#reader = new ReplyReader(MAX_GREETING_BYTES, (reply) => this.#heard(reply))
    is.find(this.#finding.signal)
      .then((at) => this.#connect(at))
      .catch((error) => this.#end(error))
  }

  /** The address of the server. */
  get peer(): Partial<HostPort> {
    const { remoteAddress, remotePort } = this.#stream ?? {}
    return { ...(remoteAddress && { host: remoteAddress }), ...(remotePort && { port: remotePort }) }
  }

  /** Rejects with ReplyError where the server refuses, and with the reason where the socket ends. */
  send(command: Command): Promise<Exclude<Reply, ReplyError>> {
    return new Promise((resolve, reject) =>
      this.ask({ command, leftMs: Number.POSITIVE_INFINITY, resolve, reject }),
    )
  }

  /** As `send`, with a callback in the same turn of the loop in which the answer is read. */
  ask(owed: Owed): void {
    const { command } = owed
    const stream = this.#isEnded ? undefined : this.#stream
    if (!stream) {
      owed.reject(new Error('the socket was closed'))
      return
    }
    if (isAboutChannel(command)) this.#channels.set(String(command[1]), owed)
    this.#owed.push(owed)
    stream.write(encoded(command))
  }

  get owed(): readonly Owed[] {
    return this.#owed
  }

  /** Ends the socket without `onEnd`. Commands that wait for an answer are rejected with the reason. */
  close(why = new Error('the socket was closed')): void {
    this.#stop(why)
  }

  #connect(at: HostPort): void {
    if (this.#isEnded) return
    const { login, options } = this.#is
    if (isIP(at.host) && options.isDenied?.(at.host, at.port)) throw denied()
    const where = { ...at, lookup: lookingUp(at.port, options), onread: this.#reading() }
    const stream = login.tls ? connectTls({ ...where, ...login.tls, ...serverName(at) }) : connectTcp(where)
    this.#stream = stream
    stream.setNoDelay(true)
    stream.setKeepAlive(true, KEEP_ALIVE_MS)
    // A name may resolve to another address now.
    stream.once('connect', () => {
      const { remoteAddress = '', remotePort = 0 } = stream
      if (options.isDenied?.(remoteAddress, remotePort)) this.#end(denied())
    })
    stream.once(login.tls ? 'secureConnect' : 'connect', () => this.#logIn())
    stream.on('error', (error) => this.#end(error))
    stream.on('close', () => this.#end(new Error('the server ended the connection')))
  }

  /** One buffer for all reads, where Node makes one for each. The reader copies what it keeps. */
  #reading(): OnReadOpts {
    const buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
    const callback = (bytes: number) => {
      this.#read(buffer.subarray(0, bytes))
      return true
    }
    return { buffer, callback }
  }

  /** Sends all commands at once: one round trip. */
  #logIn(): void {
    const { login, options, mustBePrimary } = this.#is
    const { username = 'default', password, db } = login
    const asked: Promise<unknown>[] = []
    if (password) asked.push(this.send(['AUTH', username, password]))
    if (db > 0) asked.push(this.send(['SELECT', db]))
    asked.push(this.send(['INFO']).then((info) => checkInfo(info, mustBePrimary), mayBeForbidden))
    // A user may lack the right to set a name.
    if (options.name) this.send(['CLIENT', 'SETNAME', options.name]).catch(() => {})
    Promise.all(asked).then(
      () => this.#becameReady(),
      (error) => this.#end(error),
    )
  }

  #becameReady(): void {
    if (this.#isEnded) return
    this.#reader.maxBytes = this.#is.options.maxReplyBytes ?? MAX_REPLY_BYTES
    this.#is.onReady()
  }

  /** Only here an invalid reply ends the socket. */
  #read(piece: Buffer): void {
    if (this.#isEnded) return
    try {
      this.#reader.read(piece)
    } catch (error) {
      this.#end(error as Error)
    }
  }

  #heard(reply: Reply): void {
    if (this.#isEnded) return
    if (this.#isMessage(reply)) this.#pass(reply[1], reply[2])
    else this.#give(reply, this.#owed.shift())
  }

  #give(reply: Reply, owed: Owed | undefined): void {
    // A server may send the reason before it ends a connection.
    if (!owed) throw reply instanceof ReplyError ? reply : new BadReply('a reply without a command')
    if (isAboutChannel(owed.command)) this.#giveAboutChannel(reply, owed)
    else if (reply instanceof ReplyError) owed.reject(reply)
    else owed.resolve(reply)
  }

  #giveAboutChannel(reply: Reply, owed: Owed): void {
    const [name, channel] = owed.command
    const isLast = this.#channels.get(String(channel)) === owed
    if (isLast && (name === 'UNSUBSCRIBE' || reply instanceof ReplyError))
      this.#channels.delete(String(channel))
    const isIt = Array.isArray(reply) && reply[0] === name.toLowerCase() && reply[1] === channel
    const error = reply instanceof ReplyError ? reply : new BadReply(`an invalid answer to ${name}`)
    if (isIt) owed.resolve(reply)
    else if (error instanceof ReplyError) owed.reject(error)
    else {
      this.#owed.unshift(owed) // it has no answer: the end of the socket rejects it
      throw error
    }
  }

  #isMessage(reply: Reply): reply is [string, string, string] {
    if (this.#channels.size === 0 || !Array.isArray(reply) || reply.length !== 3) return false
    const [kind, channel, message] = reply
    if (kind !== 'message' || typeof channel !== 'string' || typeof message !== 'string') return false
    return this.#channels.has(channel)
  }

  #pass(channel: string, message: string): void {
    const nowMs = performance.now()
    if (!this.#resting && nowMs - this.#messages.sinceMs > MESSAGES_EVERY_MS)
      this.#messages = { sinceMs: nowMs, count: 0 }
    this.#messages.count += 1
    if (this.#aheadMs(MESSAGES_EVERY_MS) > 0) this.#rest()
    this.#is.onMessage(channel, message)
  }

  /** How many ms too early the messages came, in an interval of so many ms. */
  #aheadMs(ms: number): number {
    const { maxMessagesPerSecond = Number.POSITIVE_INFINITY } = this.#is.options
    return (this.#messages.count / maxMessagesPerSecond) * 1_000 - ms
  }

  /**
   * Back-pressure: it reads nothing for a while, so that a server with too many messages does not slow down
   * others.
   */
  #rest(): void {
    if (this.#resting) return
    this.#stream?.pause()
    const restMore = () => {
      const aheadMs = this.#aheadMs(performance.now() - this.#messages.sinceMs)
      this.#resting = aheadMs > 0 ? setTimeout(restMore, aheadMs) : undefined
      if (!this.#resting) this.#stream?.resume()
    }
    this.#resting = setTimeout(restMore, MESSAGES_EVERY_MS)
  }

  #end(why: Error): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#is.onEnd(why)
    this.#stop(why)
  }

  #stop(why: Error): void {
    this.#isEnded = true
    clearTimeout(this.#resting)
    this.#finding.abort()
    this.#stream?.destroy()
    for (const { reject } of this.#owed.splice(0)) reject(why)
  }
}

const isAboutChannel = ([name]: Command) => name === 'SUBSCRIBE' || name === 'UNSUBSCRIBE'

const denied = () => new Error('the address that it leads to is forbidden')

/** Checks all addresses of a name before it sends anything to one of them. */
function lookingUp(port: number, { isDenied, lookUp = addressesOf }: ConnectionOptions): LookupFunction {
  return (host, { all }, answer) => {
    lookUp(host).then(
      (addresses) => {
        const found = addresses.map((address) => ({ address, family: isIP(address) }))
        const [first] = found
        if (!first) answer(new Error(`the name ${host} has no address`), [])
        else if (addresses.some((address) => isDenied?.(address, port))) answer(denied(), [])
        else if (all) answer(null, found)
        else answer(null, first.address, first.family)
      },
      (error) => answer(error, []),
    )
  }
}

async function addressesOf(host: string): Promise<string[]> {
  return (await lookup(host, { all: true })).map(({ address }) => address)
}

/** SNI: set for names, not for IP addresses. */
function serverName({ host }: HostPort): { servername?: string } {
  return isIP(host) === 0 ? { servername: host } : {}
}

/** A server that loads its data and a replica accept the login, but serve no calls. */
function checkInfo(info: unknown, mustBePrimary: boolean): void {
  if (typeof info !== 'string') throw new BadReply('an invalid answer to INFO')
  if (/^loading:[^0\r]/m.test(info)) throw new ReplyError('LOADING Redis is loading the dataset in memory')
  const role = /^role:(\w+)/m.exec(info)?.[1]
  if (mustBePrimary && role && role !== 'master')
    throw new ReplyError('READONLY the server that Sentinels call the primary is a replica')
}

function mayBeForbidden(error: Error): void {
  if (!error.message.startsWith('NOPERM')) throw error
}
