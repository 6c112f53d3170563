// Durability of an enqueue: what is asked of the server before, and who must confirm what was written.
import { type Command, neverSent, RedisUnavailable } from '../redis/connection.ts'
import { listOf } from './answers.ts'
import { QueueRefused } from './refused.ts'
import type { Verb } from './scripts.ts'
import { type Arguments, believed, type Verbs } from './verbs.ts'

/**
 * When an enqueue counts as done. fast: Redis has it in memory. fsync: it is on the primary's disk too.
 * replicated: at least one replica has it in memory too.
 */
export type Durability = (typeof DURABILITIES)[number]
export const DURABILITIES = ['fast', 'fsync', 'replicated'] as const

/**
 * Throws RedisUnavailable, NOT_CONFIRMED, where nobody confirms in time: what was asked is done, and may be
 * lost with the primary. The call is not repeated: the job may have ended and be forgotten by then, and would
 * run a second time.
 */
export async function runConfirmed(
  verbs: Verbs,
  durability: Confirmed,
  [verb, args]: [Verb, Arguments],
): Promise<unknown> {
  const confirm = { command: confirmation(durability, CONFIRM_MS), deadlineMs: CONFIRM_MS + 2_500 }
  const [answer, confirmed] = await verbs.runThen(verb, args, confirm).catch(firstMaybeDone)
  const count = Number(Array.isArray(confirmed) ? confirmed[0] : confirmed)
  if (count >= 1) return answer
  throw new RedisUnavailable(`${confirmer(durability)} did not confirm within ${CONFIRM_MS} ms`, {
    maybeDone: true,
    code: 'NOT_CONFIRMED',
  })
}

/** Before anything is written: whether this server can promise that at all, and this user may ask for it. */
export async function checkDurability(verbs: Verbs, durability: Confirmed): Promise<void> {
  const ask = (command: Command) =>
    verbs.redis.callThen(verbs.redis.deadlineMs, ['EXISTS', verbs.key('config')], command).catch((error) => {
      throw notDurable(error, durability, verbs.name)
    })
  if (durability === 'fsync') {
    await ask(confirmation(durability, 1))
    return
  }
  const [[, role]] = await Promise.all([ask(['ROLE']), ask(confirmation(durability, 1))])
  const [, , replicas] = believed(role, (said) => listOf(said, 'the role of a server'))
  if (Array.isArray(replicas) && replicas.length > 0) return
  throw new QueueRefused(
    'NOT_DURABLE',
    `${verbs.name}: durability replicated is not available: this Redis has no replica`,
  )
}

export type Confirmed = Exclude<Durability, 'fast'>

/** How long a disk or a replica may take. */
const CONFIRM_MS = 5_000

const confirmation = (durability: Confirmed, withinMs: number): Command =>
  durability === 'fsync' ? ['WAITAOF', 1, 0, withinMs] : ['WAIT', 1, withinMs]

const confirmer = (durability: Confirmed): string =>
  durability === 'fsync' ? 'the disk of the primary (never, where appendfsync is no)' : 'a replica'

/** The server refused one of two commands; the other one may have been done. */
function firstMaybeDone(error: Error): never {
  if (!(error instanceof RedisUnavailable) || error.maybeDone) throw error
  throw new RedisUnavailable(error.message, { maybeDone: true, code: error.code, cause: error.cause })
}

function notDurable(error: Error, durability: Confirmed, queue: string): Error {
  if (error instanceof RedisUnavailable) return neverSent(error)
  // Another one is the primary now, or will be soon.
  if (/cannot be used with replica instances/.test(error.message))
    return new RedisUnavailable('this server is a replica', {
      maybeDone: false,
      code: 'NOT_SERVING',
      cause: error,
    })
  const why = whyNotDurable(error.message, durability)
  return new QueueRefused('NOT_DURABLE', `${queue}: durability ${durability} is not available: ${why}`)
}

function whyNotDurable(said: string, durability: Confirmed): string {
  if (/^NOPERM.* run the '(wait|waitaof|role)'/.test(said))
    return `this user may not ask for it: allow ${durability === 'fsync' ? '+waitaof' : '+wait and +role'}`
  if (durability === 'fsync' && /unknown command/i.test(said))
    return 'this server is older: it needs Redis 7.2 or Valkey'
  if (/appendonly/.test(said)) return 'this server keeps no append-only file: set appendonly yes'
  return said
}
