// Why a queue's Redis cannot be used, in words for a person: never a server's own words, never its address.
import { QueueRefused, RedisUnavailable } from 'millhand/queue'

/** Where a queue is declared, and which Secret says where its Redis is. */
export interface Place {
  namespace: string
  secretName: string
}

/** One queue: its name in that Redis. */
export interface QueuePlace extends Place {
  queueName: string
}

export interface RedisProblem {
  kind: 'problem'
  reason:
    | 'SecretNotAllowed'
    | 'RedisSecretMissing'
    | 'RedisSecretInvalid'
    | 'RedisAddressDenied'
    | 'RedisRefused'
    | 'RedisFull'
    | 'RedisUnreachable'
    | 'NewerLayout'
  message: string
}

export function problem(reason: RedisProblem['reason'], message: string): RedisProblem {
  return { kind: 'problem', reason, message }
}

/** The server is there and does not let this user in, or not do this; of what a script does it says so in words of its own. */
const NOT_ALLOWED =
  /^(NOPERM|NOAUTH|WRONGPASS|ERR AUTH|ERR invalid password)\b|^ERR .*(user executing the script can't|ACL failure in script)/

export const isRefusal = (error: Error | undefined): boolean => NOT_ALLOWED.test(error?.message ?? '')

/** Undefined for what is no problem of Redis, but a fault of ours. */
export function problemOf(error: unknown, { secretName }: Place): RedisProblem | undefined {
  if (error instanceof QueueRefused) return refusal(error, secretName)
  if (error instanceof RedisUnavailable && error.code !== 'REDIS_REFUSED')
    return problem('RedisUnreachable', `the Redis of the Secret ${secretName} cannot be reached`)
  const isRefused = error instanceof RedisUnavailable || (error instanceof Error && isRefusal(error))
  if (!isRefused) return undefined
  return problem(
    'RedisRefused',
    `Redis refuses the credentials in the Secret ${secretName}, or does not allow this user what an operator does`,
  )
}

function refusal({ code }: QueueRefused, secretName: string): RedisProblem {
  if (code === 'NEWER_LAYOUT')
    return problem('NewerLayout', 'the queue was written by a newer Millhand: upgrade this operator')
  return problem('RedisFull', `the Redis of the Secret ${secretName} is out of memory and refuses to write`)
}
