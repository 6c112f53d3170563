// Asks Sentinels for the address of the primary, and subscribes to one of them for a failover. The old
// primary may take writes for ten more seconds, until the Sentinels make it a replica, and those writes are
// lost. When that Sentinel is away, it subscribes to the next one.

import { startDeadline } from '../deadline.ts'
import { type HostPort, hostPortOf, type RedisAddress } from './address.ts'
import type { Connection, ConnectionOptions } from './connection.ts'
import { BadReply } from './resp.ts'
import { RedisSocket } from './socket.ts'

/** How long one Sentinel may take for the login and the answer. */
const ANSWER_MS = 2_000

/** Asks one Sentinel after the other; throws the error of the last one. */
export async function primaryOf(
  address: RedisAddress,
  options: ConnectionOptions,
  signal: AbortSignal,
): Promise<HostPort> {
  let why: unknown
  for (const sentinel of address.hosts) {
    signal.throwIfAborted()
    try {
      return await primaryAsSeenBy(sentinel, address, options, signal)
    } catch (error) {
      why = error
    }
  }
  throw why
}

function primaryAsSeenBy(
  sentinel: HostPort,
  address: RedisAddress,
  options: ConnectionOptions,
  signal: AbortSignal,
): Promise<HostPort> {
  const { promise, resolve, reject } = Promise.withResolvers<HostPort>()
  const { name: _, ...bounds } = options
  const socket = new RedisSocket({
    find: async () => sentinel,
    login: loginAt(address),
    mustBePrimary: false,
    options: bounds,
    onReady: () =>
      socket
        .send(['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', address.primaryName ?? ''])
        .then((answer) => resolve(primaryIn(answer)))
        .catch(reject),
    onMessage: () => {},
    onEnd: reject,
  })
  const stop = startDeadline(ANSWER_MS, () => reject(new Error('a Sentinel did not answer in time')))
  signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  return promise.finally(() => {
    stop()
    socket.close()
  })
}

function primaryIn(answer: unknown): HostPort {
  if (answer === null) throw new Error('the Sentinels know no primary by that name')
  const [host, port] = Array.isArray(answer) ? answer : []
  const primary = hostPortOf(host, port)
  if (!primary) throw new BadReply('an invalid address of the primary')
  return primary
}

const loginAt = ({ sentinelUsername, sentinelPassword, tls }: RedisAddress) => ({
  db: 0,
  ...(sentinelUsername && { username: sentinelUsername }),
  ...(sentinelPassword && { password: sentinelPassword }),
  ...(tls && { tls }),
})

export interface SentinelNewsOptions {
  /** An address of the form sentinel. */
  address: RedisAddress
  connect: (address: RedisAddress, options: ConnectionOptions) => Connection
  /** Called with the address of the new primary. */
  onSwitch: (host: string, port: number) => void
}

const NEXT_AFTER_MS = 1_000

export class SentinelNews {
  readonly #options: SentinelNewsOptions
  #turn = 0
  #connection: Connection | undefined
  #next: NodeJS.Timeout | undefined

  constructor(options: SentinelNewsOptions) {
    this.#options = options
    this.#listen()
  }

  close(): void {
    // Unset before it closes: the close rejects its SUBSCRIBE, which would start the next one.
    const connection = this.#connection
    this.#connection = undefined
    clearTimeout(this.#next)
    connection?.close()
  }

  #listen(): void {
    const { address, connect, onSwitch } = this.#options
    const { hosts, primaryName } = address
    const sentinel: RedisAddress = {
      form: 'server',
      hosts: hosts.slice(this.#turn % hosts.length).slice(0, 1),
      ...loginAt(address),
    }
    this.#turn += 1
    const connection = connect(sentinel, {
      name: 'millhand-sentinel',
      onState: (state) => {
        if (state === 'away') this.#tryNext(connection)
      },
    })
    this.#connection = connection
    const listening = connection.subscribe('+switch-master', (message) => {
      // jobs 10.0.0.1 6379 10.0.0.2 6379: the name, the old one, the new one.
      const [name, , , host = '', port] = message.split(' ')
      if (name === primaryName) onSwitch(host, Number(port))
    })
    listening.catch(() => this.#tryNext(connection))
  }

  #tryNext(connection: Connection): void {
    if (connection !== this.#connection) return
    this.#connection = undefined
    connection.close()
    this.#next = setTimeout(() => this.#listen(), NEXT_AFTER_MS)
  }
}
