// Names in Redis. One queue lives in one hash slot: all its keys begin with its prefix, and the scripts build
// the others from it (README, "The keys of a queue"); programs outside scripts only need the few functions
// below.
import { shown } from '../options.ts'

/** In the place of a job's id, none of which has such a character (lua/dismiss.lua). */
export const DISMISSED = '*'

const QUEUE_NAME = /^[a-z0-9][a-z0-9._-]{0,126}$/

/**
 * The name of a queue in Redis, `<namespace>.<name>`: the same rule in the client, the CLI, `up` and the
 * operator.
 */
export function queueName(namespace: string, name: string): string {
  for (const part of [namespace, name])
    if (typeof part !== 'string' || !QUEUE_NAME.test(part)) throw invalidName(part)
  return checkedQueueName(`${namespace}.${name}`)
}

export function checkedQueueName(name: string): string {
  if (isQueueName(name)) return name
  throw invalidName(name)
}

export const isQueueName = (name: string): boolean => QUEUE_NAME.test(name)

const invalidName = (name: unknown): TypeError =>
  new TypeError(
    `invalid queue name ${shown(name)}: use at most 127 of a-z, 0-9, ".", "_" and "-", a letter or digit first`,
  )

/** The prefix of all keys of the queue; it is also the key that routes every script call. */
export const prefixOf = (queue: string): string => `mh:{${queue}}:`
export const wakeKey = (queue: string): string => `${prefixOf(queue)}wake`

/**
 * Redis has one set of channels for all its databases: behind the prefix, a channel names any database but 0.
 */
export const databasePart = (database: number): string => (database === 0 ? '' : `${database}:`)
const channel = (queue: string, database: number, name: string) =>
  prefixOf(queue) + databasePart(database) + name
export const endedChannel = (queue: string, database: number, client: string): string =>
  channel(queue, database, `ended:${client}`)
export const outputChannel = (queue: string, database: number, id: string): string =>
  channel(queue, database, `output:${id}`)
/** In front of an id: somebody looks at the output of this job (lua/follow.lua). */
export const FOLLOWED = '~'
/** In the place of a job's id: the outbox has something to forward (lua/outbox.lua). */
export const FORWARD = '>'
export const workerChannel = (queue: string, database: number, worker: string): string =>
  channel(queue, database, `worker:${worker}`)
export const stirredChannel = (queue: string, database: number): string => channel(queue, database, 'stirred')
