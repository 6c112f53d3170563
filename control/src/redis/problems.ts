// Why a queue's Redis cannot be used, as a sentence for people. It never has the words or the address of the
// server.
import { QueueRefused, RedisDataInvalid, RedisUnavailable } from 'millhand/queue'
import type { RedisReason } from '../resources/reasons.ts'

/** The namespace of a queue, and the Secret with the address of its Redis. */
export interface Place {
  namespace: string
  secretName: string
}

/** One queue, by its name in that Redis. */
export interface QueuePlace extends Place {
  queueName: string
}

/** How people know the Redis of a queue, and who reads it. */
export interface RedisWords {
  redis: string
  /** Where its host and port stand, and its credentials. */
  address: string
  credentials: string
  /** What else may keep a connection away. */
  network: string
  reader: string
}

export const inSecret = ({ secretName }: Pick<Place, 'secretName'>): RedisWords => ({
  redis: `the Redis of the Secret ${secretName}`,
  address: 'its key url',
  credentials: `the Secret ${secretName}`,
  network: ', NetworkPolicies, and networkPolicy.redisPorts of the chart',
  reader: 'the operator',
})

export interface RedisProblem {
  kind: 'problem'
  reason: RedisReason
  message: string
  /** The words of the server, cut, for the log only. */
  cause?: string
}

export function problem(reason: RedisReason, message: string): RedisProblem {
  return { kind: 'problem', reason, message }
}

const MAX_WORDS = 500

/** A refused login or command. A command that a script calls has wording of its own. */
const NOT_ALLOWED =
  /^(NOPERM|NOAUTH|WRONGPASS|ERR AUTH|ERR invalid password)\b|^ERR .*(user executing the script can't|ACL failure in script)/

/** A node of a Cluster names the node that has the queue. */
const ELSEWHERE = /^(MOVED|ASK) \d/

export const isRefusal = (error: Error | undefined): boolean =>
  error instanceof RedisUnavailable ? error.code === 'REDIS_REFUSED' : NOT_ALLOWED.test(error?.message ?? '')

/** Undefined for an error that is not about Redis. */
export function problemOf(error: unknown, words: RedisWords): RedisProblem | undefined {
  if (error instanceof QueueRefused) return refusal(error, words)
  if (error instanceof RedisDataInvalid) return invalid(words, `the value of ${error.field} is invalid`)
  if (error instanceof RedisUnavailable) return away(error, words)
  if (!(error instanceof Error)) return undefined
  return isRefusal(error) ? refused(words) : unfit(error, words)
}

function away({ code }: RedisUnavailable, words: RedisWords): RedisProblem {
  const { redis, address, network } = words
  if (code === 'REDIS_REFUSED') return refused(words)
  if (code === 'NOT_SERVING') return notServing(words)
  if (code === 'PROTOCOL')
    return problem(
      'RedisProtocolError',
      `${redis} does not speak the Redis protocol: correct host and port in ${address}, or use rediss:// if the server requires TLS`,
    )
  if (code === 'DATA_INVALID') return invalid(words, 'a reply is too large')
  return problem(
    'RedisUnreachable',
    `cannot connect to ${redis}: check host and port in ${address}${network}`,
  )
}

/** `what` is not quoted from the server. */
function invalid({ redis }: RedisWords, what: string): RedisProblem {
  return problem(
    'RedisDataInvalid',
    `invalid data of the queue in ${redis}: ${what}. Another program may have written to keys that begin with mh:. Delete these keys, or use another Redis`,
  )
}

function refused({ credentials, reader }: RedisWords): RedisProblem {
  return problem(
    'RedisRefused',
    `Redis refuses the credentials in ${credentials}, or its user lacks rights of ${reader} (ACL)`,
  )
}

export function notServing({ redis }: RedisWords): RedisProblem {
  return problem('RedisNotServing', `${redis} answers, but cannot serve the queue now`)
}

/** A server on which no queue works, or a script that fails: the log gets the words of the server. */
function unfit(error: Error, { redis, reader }: RedisWords): RedisProblem | undefined {
  if (ELSEWHERE.test(error.message))
    return problem(
      'RedisIsCluster',
      `${redis} is a node of a Redis Cluster: write its url as redis+cluster://host:6379,host (rediss+cluster:// with TLS)`,
    )
  if (error.name !== 'ReplyError') return undefined
  const message = `Lua scripts fail in ${redis}: use Redis 6.2 or Valkey 7.2, or newer, with all commands enabled. The log of ${reader} has the error of the server`
  const said = `${error.name}: ${error.message.slice(0, MAX_WORDS)}`
  return { ...problem('RedisScriptsFail', message), cause: said }
}

function refusal({ code }: QueueRefused, { redis, reader }: RedisWords): RedisProblem {
  if (code === 'NEWER_LAYOUT')
    return problem('NewerLayout', `a newer Millhand wrote the queue: upgrade ${reader}`)
  if (code === 'OLDER_LAYOUT')
    return problem(
      'OlderLayout',
      'the queue has jobs of an older Millhand: let workers of that release finish them, and retry or delete buried jobs',
    )
  return problem('RedisFull', `${redis} is out of memory and refuses writes: raise maxmemory, or remove jobs`)
}
