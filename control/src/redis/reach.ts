// How the servers of queues are found, and which ones may be spoken to: a port of servers.ts. In a cluster
// Secrets name them (secrets.ts); `millhand up` has one Redis for all queues.
import type { RedisAccess } from 'millhand/queue'
import type { Place, RedisProblem, RedisWords } from './problems.ts'

export type Address = { kind: 'address'; access: RedisAccess } | RedisProblem

export interface Reach {
  addressOf(place: Place): Promise<Address>
  wordsFor(place: Place): RedisWords
  /**
   * Whether this address is forbidden, which a socket is about to reach: names change, and Sentinels and
   * Clusters name other hosts.
   */
  isDenied(address: string, port: number): boolean
  /** The addresses of a host, for a connection; default: as the system looks names up. */
  lookUp?(place: Place, host: string): Promise<readonly string[]>
  /** The credentials were refused: the address is to be read again soon. */
  forget(place: Place): void
}
