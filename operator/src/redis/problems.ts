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
    | 'RedisNotServing'
    | 'RedisIsCluster'
    | 'RedisScriptsFail'
    | 'NewerLayout'
  message: string
  /** For the log, where the message does not say enough. */
  cause?: unknown
}

export function problem(reason: RedisProblem['reason'], message: string): RedisProblem {
  return { kind: 'problem', reason, message }
}

/** The server is there and does not let this user in, or not do this; of what a script does it says so in words of its own. */
const NOT_ALLOWED =
  /^(NOPERM|NOAUTH|WRONGPASS|ERR AUTH|ERR invalid password)\b|^ERR .*(user executing the script can't|ACL failure in script)/

/** One server of a Cluster names the one that has the queue. */
const ELSEWHERE = /^(MOVED|ASK) \d/

const OF_SCRIPTS =
  /script: [0-9a-f]{40}, on @user_script|^ERR Error (running|compiling) script|unknown command/i

export const isRefusal = (error: Error | undefined): boolean =>
  error instanceof RedisUnavailable ? error.code === 'REDIS_REFUSED' : NOT_ALLOWED.test(error?.message ?? '')

/** Undefined for what is no problem of Redis, but a fault of ours. */
export function problemOf(error: unknown, { secretName }: Place): RedisProblem | undefined {
  if (error instanceof QueueRefused) return refusal(error, secretName)
  if (error instanceof RedisUnavailable) return away(error, secretName)
  if (!(error instanceof Error)) return undefined
  return isRefusal(error) ? refused(secretName) : unfit(error, secretName)
}

function away({ code }: RedisUnavailable, secretName: string): RedisProblem {
  if (code === 'REDIS_REFUSED') return refused(secretName)
  if (code === 'NOT_SERVING') return notServing(secretName)
  return problem('RedisUnreachable', `the Redis of the Secret ${secretName} cannot be reached`)
}

function refused(secretName: string): RedisProblem {
  return problem(
    'RedisRefused',
    `Redis refuses the credentials in the Secret ${secretName}, or does not allow this user what an operator does`,
  )
}

export function notServing(secretName: string): RedisProblem {
  return problem(
    'RedisNotServing',
    `the Redis of the Secret ${secretName} answers, but cannot serve the queue now`,
  )
}

/** A server with which no queue works, or a script with a fault: what it said is for the log. */
function unfit(error: Error, secretName: string): RedisProblem | undefined {
  if (ELSEWHERE.test(error.message))
    return problem(
      'RedisIsCluster',
      `the Redis of the Secret ${secretName} is one server of a Cluster: write its url like redis+cluster://host:6379,host; rediss+cluster where there is rediss now`,
    )
  if (!OF_SCRIPTS.test(error.message)) return undefined
  const message = `scripts of Millhand fail in the Redis of the Secret ${secretName}: it must be Redis 6.2 or Valkey 7.2, or newer, with all its commands, and nobody else may use names that begin with mh:; the operator's log says what failed`
  return { ...problem('RedisScriptsFail', message), cause: error }
}

function refusal({ code }: QueueRefused, secretName: string): RedisProblem {
  if (code === 'NEWER_LAYOUT')
    return problem('NewerLayout', 'the queue was written by a newer Millhand: upgrade this operator')
  return problem('RedisFull', `the Redis of the Secret ${secretName} is out of memory and refuses to write`)
}
