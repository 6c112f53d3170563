// Why a queue's Redis cannot be used, in words for a person: never a server's own words, never its address.
import { QueueRefused, RedisDataInvalid, RedisUnavailable } from 'millhand/queue'
import type { RedisReason } from '../resources/reasons.ts'

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
  reason: RedisReason
  message: string
  /** For the log, where the message does not say enough: what the server said, cut. */
  cause?: string
}

export function problem(reason: RedisReason, message: string): RedisProblem {
  return { kind: 'problem', reason, message }
}

const MAX_WORDS = 500

/** The server is there and does not let this user in, or not do this; of what a script does it says so in words of its own. */
const NOT_ALLOWED =
  /^(NOPERM|NOAUTH|WRONGPASS|ERR AUTH|ERR invalid password)\b|^ERR .*(user executing the script can't|ACL failure in script)/

/** One server of a Cluster names the one that has the queue. */
const ELSEWHERE = /^(MOVED|ASK) \d/

export const isRefusal = (error: Error | undefined): boolean =>
  error instanceof RedisUnavailable ? error.code === 'REDIS_REFUSED' : NOT_ALLOWED.test(error?.message ?? '')

/** Undefined for what is no problem of Redis, but a fault of ours. */
export function problemOf(error: unknown, { secretName }: Place): RedisProblem | undefined {
  if (error instanceof QueueRefused) return refusal(error, secretName)
  if (error instanceof RedisDataInvalid) return invalid(secretName, `${error.field} cannot be what it says`)
  if (error instanceof RedisUnavailable) return away(error, secretName)
  if (!(error instanceof Error)) return undefined
  return isRefusal(error) ? refused(secretName) : unfit(error, secretName)
}

function away({ code }: RedisUnavailable, secretName: string): RedisProblem {
  if (code === 'REDIS_REFUSED') return refused(secretName)
  if (code === 'NOT_SERVING') return notServing(secretName)
  if (code === 'PROTOCOL')
    return problem(
      'RedisProtocolError',
      `what the url of the Secret ${secretName} leads to does not speak as a Redis does: mend the host and the port, and use rediss where it wants TLS`,
    )
  if (code === 'DATA_INVALID') return invalid(secretName, 'an answer is longer than any of a queue')
  return problem('RedisUnreachable', `the Redis of the Secret ${secretName} cannot be reached`)
}

/** `what`: in our own words, never in the server's. */
function invalid(secretName: string, what: string): RedisProblem {
  return problem(
    'RedisDataInvalid',
    `what the Redis of the Secret ${secretName} says of the queue cannot be: ${what}. Another program may have written to keys that begin with mh:, or it is no Redis; mend or delete these keys, or give the queue another Redis`,
  )
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
  if (error.name !== 'ReplyError') return undefined
  const message = `scripts of Millhand fail in the Redis of the Secret ${secretName}: it must be Redis 6.2 or Valkey 7.2, or newer, with all its commands, and nobody else may use names that begin with mh:; the operator's log says what failed`
  const said = `${error.name}: ${error.message.slice(0, MAX_WORDS)}`
  return { ...problem('RedisScriptsFail', message), cause: said }
}

function refusal({ code }: QueueRefused, secretName: string): RedisProblem {
  if (code === 'NEWER_LAYOUT')
    return problem('NewerLayout', 'the queue was written by a newer Millhand: upgrade this operator')
  if (code === 'OLDER_LAYOUT')
    return problem(
      'OlderLayout',
      'the queue has jobs of an older Millhand: let workers of that release finish them, and retry or delete what is buried',
    )
  return problem('RedisFull', `the Redis of the Secret ${secretName} is out of memory and refuses to write`)
}
