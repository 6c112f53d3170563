// Resolves a Secret to the address of a Redis. Reads only allowed Secrets, and refuses denied addresses.
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { type HostPort, parseAddress, type RedisAccess } from 'millhand/queue'
import { Remembered } from '../engine/remembered.ts'
import { type Denials, denying, type IsDenied } from './denied.ts'
import { LookUpTimeout, Lookups } from './lookups.ts'
import { inSecret, type Place, problem, type RedisProblem, type RedisWords } from './problems.ts'
import type { Address, Reach } from './reach.ts'

/** The message has the words of the API server, cut. */
export class SecretUnreadable extends Error {
  override readonly name = 'SecretUnreadable'
  /** Whether the right to read it is missing; other failures may pass. */
  readonly isDenied: boolean

  constructor(message: string, { isDenied, cause }: { isDenied: boolean; cause: unknown }) {
    super(message, { cause })
    this.isDenied = isDenied
  }
}

export interface SecretsOptions {
  /** The decoded data of a Secret; undefined where there is none. Throws SecretUnreadable. */
  readSecret: (namespace: string, name: string) => Promise<Record<string, string> | undefined>
  /** Names of Secrets that the operator may read. */
  secretNames: readonly string[]
  denials: Denials
  lookups?: Lookups
  /** Monotonic, ms. */
  nowMs: () => number
}

/** Secrets are not watched: each is read again after so long. */
const AGE_MS = 600_000
const PROBLEM_AGE_MS = 5_000

export class Secrets implements Reach {
  readonly #options: SecretsOptions
  readonly #whyDenied: IsDenied
  readonly #lookups: Lookups
  readonly #known = new Map<string, Remembered<Address>>()

  constructor(options: SecretsOptions) {
    this.#options = options
    this.#whyDenied = denying(options.denials)
    this.#lookups = options.lookups ?? new Lookups()
  }

  async addressOf(place: Place): Promise<Address> {
    const { secretNames } = this.#options
    const { secretName } = place
    if (!secretNames.includes(secretName))
      return problem(
        'SecretNotAllowed',
        `the operator may not read the Secret ${secretName}, only ${secretNames.join(', ')}: add its name to redis.secretNames of the chart, or use one of these`,
      )
    return this.#rememberedOf(place).get()
  }

  isDenied(address: string, port: number): boolean {
    return this.#whyDenied(address, port) !== undefined
  }

  wordsFor(place: Place): RedisWords {
    return inSecret(place)
  }

  /** Under the bounds of the namespace. */
  lookUp({ namespace }: Place, host: string): Promise<readonly string[]> {
    return this.#lookups.addressesOf(namespace, host)
  }

  /**
   * Marks the Secret for an early read, since a refused password may have been replaced. Not at once: many
   * queues may call this.
   */
  forget(place: Place): void {
    this.#known.get(keyOf(place))?.distrust()
  }

  #rememberedOf(place: Place): Remembered<Address> {
    const key = keyOf(place)
    const known = this.#known.get(key)
    if (known) return known
    const remembered = new Remembered<Address>({
      read: (before) => this.#read(place, before),
      goodForMs: ({ kind }, isRefused) => (kind === 'address' && !isRefused ? AGE_MS : PROBLEM_AGE_MS),
      nowMs: this.#options.nowMs,
    })
    this.#known.set(key, remembered)
    return remembered
  }

  async #read(place: Place, before: Address | undefined): Promise<Address> {
    const { namespace, secretName } = place
    const { readSecret } = this.#options
    const read = await readSecret(namespace, secretName).then((data) => ({ data }), errorOfSecret)
    if ('error' in read) {
      const unread = unreadable(read.error, secretName)
      return before?.kind === 'address' && unread.reason !== 'SecretNotAllowed' ? before : unread
    }
    const { data } = read
    if (!data)
      return problem(
        'RedisSecretMissing',
        `Secret ${secretName} not found in the namespace ${namespace}: create it with the key url, for instance redis://user:password@host:6379`,
      )
    const access = {
      url: data.url?.trim() ?? '',
      ca: data['ca.crt'],
      cert: data['tls.crt'],
      key: data['tls.key'],
    }
    const wrongKey = whyNoCertificates(access)
    if (wrongKey) return problem('RedisSecretInvalid', `Secret ${secretName}: ${wrongKey}`)
    try {
      const { hosts } = parseAddress(access)
      return (await this.#wrongPlace(hosts, place)) ?? { kind: 'address', access }
    } catch (error) {
      // A slow DNS server says nothing new of a name that resolved a moment ago.
      if (error instanceof LookUpTimeout && before?.kind === 'address' && before.access.url === access.url)
        return { kind: 'address', access }
      if (error instanceof LookUpTimeout)
        return problem('RedisUnreachable', `DNS timeout for the host in the url of the Secret ${secretName}`)
      const wrong = access.url
        ? (error as Error).message
        : 'is missing: write it as redis://user:password@host:6379'
      return problem('RedisSecretInvalid', `the key url of the Secret ${secretName} ${wrong}`)
    }
  }

  /** Who writes the Secret decides where the operator connects to; denied addresses are refused. */
  async #wrongPlace(hosts: readonly HostPort[], place: Place): Promise<RedisProblem | undefined> {
    const found = await Promise.all(
      hosts.map(async ({ host, port }) => ({ port, addresses: await this.lookUp(place, host) })),
    )
    const { secretName } = place
    if (found.every(({ addresses }) => addresses.length === 0))
      return problem(
        'RedisUnreachable',
        `host in the url of the Secret ${secretName} does not resolve: check its name`,
      )
    for (const { addresses, port } of found)
      for (const address of addresses) {
        const denied = this.#whyDenied(address, port)
        if (denied)
          return problem('RedisAddressDenied', `the url of the Secret ${secretName} points to ${denied}`)
      }
    return undefined
  }
}

const keyOf = ({ namespace, secretName }: Place) => `${namespace}/${secretName}`

function errorOfSecret(error: unknown): { error: SecretUnreadable } {
  if (error instanceof SecretUnreadable) return { error }
  throw error
}

/** Checked here, because the error of a connection names no key of the Secret. */
function whyNoCertificates({ ca, cert, key }: RedisAccess): string | undefined {
  if (ca && !holds(() => new X509Certificate(ca))) return 'the key ca.crt is not a PEM certificate'
  if (cert && key && !holds(() => new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))))
    return 'the keys tls.crt and tls.key are not a PEM certificate and its private key'
  return undefined
}

function holds(parse: () => unknown): boolean {
  try {
    return Boolean(parse())
  } catch {
    return false
  }
}

/** Mostly not the tenant's fault: a missing right, an API server that cannot decrypt. */
function unreadable({ message, isDenied }: SecretUnreadable, secretName: string): RedisProblem {
  const said = `${secretName}: ${message}`
  return isDenied
    ? problem('SecretNotAllowed', `the API server refuses to let the operator read the Secret ${said}`)
    : problem('RedisUnreachable', `the API server failed to return the Secret ${said}`)
}
