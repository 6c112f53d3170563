// Hears from the Sentinels that another server is the primary now. The old one may live on and take writes for ten seconds, until they make a
// replica of it: all that is lost. One Sentinel is listened to, the one that redis.ts asks first; another one when it is away.
import type { RedisAddress } from './address.ts'
import type { Connection, ConnectionOptions } from './connection.ts'

export interface SentinelNewsOptions {
  /** In the form sentinel. */
  address: RedisAddress
  connect: (address: RedisAddress, options: ConnectionOptions) => Connection
  /** The new primary's address, as Sentinels call it. */
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
    // First nobody's any more: closing it fails its SUBSCRIBE, and that must not bring the next one.
    const connection = this.#connection
    this.#connection = undefined
    clearTimeout(this.#next)
    connection?.close()
  }

  #listen(): void {
    const { address, connect, onSwitch } = this.#options
    const { hosts, primaryName, sentinelUsername, sentinelPassword, tls } = address
    const sentinel: RedisAddress = {
      form: 'server',
      hosts: hosts.slice(this.#turn % hosts.length).slice(0, 1),
      db: 0,
      ...(sentinelUsername && { username: sentinelUsername }),
      ...(sentinelPassword && { password: sentinelPassword }),
      ...(tls && { tls }),
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
