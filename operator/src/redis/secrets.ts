// From a Secret to the address of a Redis: reads only the Secrets that the operator may read, and refuses addresses that are none of
// Redis's.
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { type HostPort, parseAddress, type RedisAccess } from 'millhand/queue'
import { whyDenied } from './denied.ts'
import { type Place, problem, type RedisProblem } from './problems.ts'

export interface SecretsOptions {
  /** The decoded data of a Secret; undefined where there is none. */
  readSecret: (namespace: string, name: string) => Promise<Record<string, string> | undefined>
  /** Names of Secrets that the operator may read. */
  secretNames: readonly string[]
  /** host:port that no Redis URL may lead to: the API server. */
  deniedServers: readonly string[]
  /** Monotonic, ms. */
  nowMs: () => number
}

export type Address = { kind: 'address'; access: RedisAccess } | RedisProblem

/** Secrets change seldom, and nobody tells: read again after so long. */
const AGE_MS = 600_000
const PROBLEM_AGE_MS = 5_000

export class Secrets {
  readonly #options: SecretsOptions
  readonly #known = new Map<string, { address: Address; readAtMs: number }>()

  constructor(options: SecretsOptions) {
    this.#options = options
  }

  async addressOf(place: Place): Promise<Address> {
    const { secretNames, nowMs } = this.#options
    const { namespace, secretName } = place
    if (!secretNames.includes(secretName))
      return problem(
        'SecretNotAllowed',
        `the operator may not read a Secret called ${secretName}; it may read ${secretNames.join(', ')} (redis.secretNames of the chart)`,
      )
    const key = `${namespace}/${secretName}`
    const known = this.#known.get(key)
    const maxAgeMs = known?.address.kind === 'address' ? AGE_MS : PROBLEM_AGE_MS
    if (known && nowMs() - known.readAtMs < maxAgeMs) return known.address
    const readAtMs = nowMs()
    const address = await this.#read(place)
    this.#known.set(key, { address, readAtMs })
    return address
  }

  /** The same for what a connection has come to in the end: names change, and Sentinels and Clusters name others. */
  isDenied(address: string, port: number): boolean {
    return whyDenied([address], port, this.#options.deniedServers) !== undefined
  }

  /** It is read again the next time: what was refused may have been replaced. */
  forget({ namespace, secretName }: Place): void {
    this.#known.delete(`${namespace}/${secretName}`)
  }

  async #read({ namespace, secretName }: Place): Promise<Address> {
    const data = await this.#options.readSecret(namespace, secretName)
    if (!data)
      return problem(
        'RedisSecretMissing',
        `there is no Secret ${secretName} in the namespace ${namespace}: create it with the key url, like redis://user:password@host:6379`,
      )
    const access = {
      url: data.url?.trim() ?? '',
      ca: data['ca.crt'],
      cert: data['tls.crt'],
      key: data['tls.key'],
    }
    try {
      const { hosts } = parseAddress(access)
      return (await this.#wrongPlace(hosts, secretName)) ?? { kind: 'address', access }
    } catch (error) {
      const wrong = access.url
        ? (error as Error).message
        : 'is missing: write it like redis://user:password@host:6379'
      return problem('RedisSecretInvalid', `the key url of the Secret ${secretName} ${wrong}`)
    }
  }

  /** Whoever writes the Secret decides where the operator connects to: not to what only the operator can reach. */
  async #wrongPlace(hosts: readonly HostPort[], secretName: string): Promise<RedisProblem | undefined> {
    const found = await Promise.all(
      hosts.map(async ({ host, port }) => ({ port, addresses: await addressesOf(host) })),
    )
    if (found.every(({ addresses }) => addresses.length === 0))
      return problem('RedisUnreachable', `the host in the url of the Secret ${secretName} has no address`)
    const denied = found
      .map(({ addresses, port }) => whyDenied(addresses, port, this.#options.deniedServers))
      .find(Boolean)
    if (!denied) return undefined
    return problem('RedisAddressDenied', `the url in the Secret ${secretName} leads to ${denied}`)
  }
}

async function addressesOf(host: string): Promise<string[]> {
  if (isIP(host)) return [host]
  const found = await lookup(host, { all: true }).catch(() => [])
  return found.map(({ address }) => address)
}
