// Every key of a queue, with its type and who writes it. One queue lives in one hash slot: all keys begin with its prefix, and
// the scripts build the others from it (scripts/*.lua); programs outside scripts only need the few functions below.
import { shown } from '../options.ts'

export interface Key {
  readonly name: string
  readonly type: 'STRING' | 'LIST' | 'ZSET' | 'HASH' | 'CHANNEL'
  readonly holds: string
  readonly writtenBy: string
}

export const keys: readonly Key[] = [
  {
    name: 'job:<id>',
    type: 'STRING',
    holds: 'the envelope: a header line, a newline, the payload; at the end overwritten by the outcome',
    writtenBy: 'enqueue, settle, cancel, reap, delete, purge',
  },
  {
    name: 'ready:<lane>',
    type: 'LIST',
    holds: 'ids of ready jobs of one priority, next first',
    writtenBy: 'enqueue, claim, settle, reap, retry',
  },
  {
    name: 'lanes',
    type: 'ZSET',
    holds: 'lanes that have work, by virtual time',
    writtenBy: 'enqueue, claim, settle, reap, retry',
  },
  {
    name: 'tombstones',
    type: 'HASH',
    holds: 'id → lane of cancelled jobs whose entry still lies in that lane',
    writtenBy: 'cancel, claim, enqueue',
  },
  {
    name: 'delayed',
    type: 'ZSET',
    holds: 'ids that are not due yet, by due time in ms',
    writtenBy: 'enqueue, settle, reap, claim, cancel',
  },
  {
    name: 'workers',
    type: 'ZSET',
    holds: 'workers, by the time in ms until which they count as alive; 0 is dead',
    writtenBy: 'register, renew, deregister, reap',
  },
  {
    name: 'worker:<worker>',
    type: 'HASH',
    holds:
      'pod, pod uid, pool uid, node, slots, isolation, version, start, sequence number, ids to cancel, what attempts use, stopping',
    writtenBy: 'register, renew, resync, cancel, deregister, reap',
  },
  {
    name: 'held:<worker>',
    type: 'HASH',
    holds: 'id → token:attempt:crashes, and + when attempt:<id> exists',
    writtenBy: 'claim, settle, reap, report, cancel',
  },
  {
    name: 'draining',
    type: 'ZSET',
    holds: 'pod uids that get no claims, by the time in ms until which',
    writtenBy: 'drain',
  },
  {
    name: 'attempt:<id>',
    type: 'HASH',
    holds:
      'attempts, crashes, tries, #<n> records of ended attempts, progress, cancel, since when it is ready',
    writtenBy: 'settle, reap, report, cancel, retry',
  },
  {
    name: 'completed',
    type: 'LIST',
    holds: 'ids of ended jobs whose outcome is kept, newest first',
    writtenBy: 'settle, claim, cancel, reap',
  },
  {
    name: 'buried',
    type: 'ZSET',
    holds: 'ids of buried jobs, by the time in ms',
    writtenBy: 'settle, reap, renew, retry, delete, purge',
  },
  {
    name: 'counts',
    type: 'HASH',
    holds:
      'enqueued, claimed (the tokens), busy, completed, retried, buried, lost, cancelled, vanished, vanishedAtMs',
    writtenBy: 'every verb that changes them',
  },
  {
    name: 'wake',
    type: 'ZSET',
    holds: 'one member while there is work that may be claimed; idle workers block on it',
    writtenBy: 'every verb that changes anything',
  },
  {
    name: 'tick',
    type: 'STRING',
    holds: 'when somebody last renewed, and until when nobody may be taken for dead (ms)',
    writtenBy: 'register, renew, reap',
  },
  {
    name: 'config',
    type: 'HASH',
    holds:
      'the layout; the settings of the TaskQueue, its owner; paused, which people write; whether there are tombstones',
    writtenBy: 'configure, pause; the layout also by enqueue; the last also by cancel, claim',
  },
  {
    name: 'done:<id>',
    type: 'CHANNEL',
    holds: 'the outcome, when the job ends',
    writtenBy: 'settle, cancel, reap',
  },
  {
    name: 'cancel:<worker>',
    type: 'CHANNEL',
    holds: 'the id of a held job that somebody cancels; * when the worker is to end at once',
    writtenBy: 'cancel, dismiss',
  },
  {
    name: 'stirred',
    type: 'CHANNEL',
    holds: 'nothing: the queue stopped being empty, something is due earlier, or a person changed it',
    writtenBy: 'enqueue, retry, pause',
  },
]

/** In the place of a job's id, none of which has such a character (scripts/dismiss.lua). */
export const DISMISSED = '*'

const QUEUE_NAME = /^[a-z0-9][a-z0-9._-]{0,126}$/

/** The name of a queue in Redis, `<namespace>.<name>`: the same rule in the client, the CLI, `up` and the operator. */
export function queueName(namespace: string, name: string): string {
  for (const part of [namespace, name])
    if (typeof part !== 'string' || !QUEUE_NAME.test(part)) throw invalidName(part)
  return checkedQueueName(`${namespace}.${name}`)
}

export function checkedQueueName(name: string): string {
  if (QUEUE_NAME.test(name)) return name
  throw invalidName(name)
}

const invalidName = (name: unknown): TypeError =>
  new TypeError(
    `${shown(name)} is no name of a queue: use at most 127 of a-z, 0-9, ".", "_" and "-", a letter or digit first`,
  )

/** What all keys of the queue begin with; it is also the key that routes every script call. */
export const prefixOf = (queue: string): string => `mh:{${queue}}:`
export const wakeKey = (queue: string): string => `${prefixOf(queue)}wake`

/** Redis has one set of channels for all its databases: behind the prefix, a channel names any database but 0. */
export const databasePart = (database: number): string => (database === 0 ? '' : `${database}:`)
const channel = (queue: string, database: number, name: string) =>
  prefixOf(queue) + databasePart(database) + name
export const doneChannel = (queue: string, database: number, id: string): string =>
  channel(queue, database, `done:${id}`)
export const cancelChannel = (queue: string, database: number, worker: string): string =>
  channel(queue, database, `cancel:${worker}`)
export const stirredChannel = (queue: string, database: number): string => channel(queue, database, 'stirred')
