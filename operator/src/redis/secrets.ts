// From a Secret to the address of a Redis: reads only the Secrets that the operator may read, and refuses addresses that are none of
// Redis's.
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
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

export type Address = { kind: 'address'; url: string } | RedisProblem

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
    const url = data.url?.trim() ?? ''
    const wrong = whatIsWrong(url)
    if (wrong) return problem('RedisSecretInvalid', `the key url of the Secret ${secretName} ${wrong}`)
    return (await this.#wrongPlace(url, secretName)) ?? { kind: 'address', url }
  }

  /** Whoever writes the Secret decides where the operator connects to: not to what only the operator can reach. */
  async #wrongPlace(url: string, secretName: string): Promise<RedisProblem | undefined> {
    const { hostname, port } = new URL(url)
    const host = hostname.replace(/^\[|\]$/g, '')
    const found = isIP(host) ? [{ address: host }] : await lookup(host, { all: true }).catch(() => [])
    if (found.length === 0)
      return problem('RedisUnreachable', `the host in the url of the Secret ${secretName} has no address`)
    const addresses = found.map(({ address }) => address)
    const denied = whyDenied(addresses, Number(port || 6379), this.#options.deniedServers)
    if (!denied) return undefined
    return problem('RedisAddressDenied', `the url in the Secret ${secretName} leads to ${denied}`)
  }
}

/** To go behind "the key url". What the client takes from a query (a path of a socket, another host) is not for whoever writes a Secret. */
function whatIsWrong(url: string): string | undefined {
  if (url === '') return 'is missing: write it like redis://user:password@host:6379'
  if (!/^rediss?:\/\//.test(url) || !URL.canParse(url)) return 'does not begin with redis:// or rediss://'
  const { hostname, search, hash, username, password } = new URL(url)
  if (!hostname) return 'names no host'
  if (search || hash) return 'has a query or a fragment, which are not used: leave them out'
  try {
    decodeURIComponent(username + password)
    return undefined
  } catch {
    return 'has a user or password with a bare %: write it as %25'
  }
}
