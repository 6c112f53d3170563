// The verbs of a worker: it says that it lives, settles and claims, and puts back what dead workers held.
import { randomInt } from 'node:crypto'
import {
  amountOf,
  counterOf,
  listOf,
  numberOf,
  oneOf,
  optionalOf,
  pairsOf,
  presentIn,
  RedisDataInvalid,
  textOf,
} from './answers.ts'
import type { Verbs } from './verbs.ts'

/** The use of memory and processor of a running attempt, at the last look. */
export interface UsedSoFar {
  readonly token: string
  readonly maxRssBytes?: number
  readonly cpuUserMs?: number
  readonly cpuSystemMs?: number
}

/** An attempt that ended, as the worker tells it to Redis. */
export interface Settlement {
  readonly id: string
  /** The proof of ownership that the claim gave. */
  readonly token: string
  readonly verdict: 'completed' | 'with-jobs' | 'failed' | 'terminal' | 'cancelled' | 'handed-back' | 'rests'
  readonly text: string
}

export interface Claim {
  readonly id: string
  readonly token: string
  readonly attempt: number
  readonly crashes: number
  readonly envelope: string
}

export interface SettledAndClaimed {
  readonly status: (typeof STATUSES)[number]
  /** ms until the next delayed job is due. */
  readonly nextMs: number | undefined
  /** The new state of each settled attempt, in order. */
  readonly became: readonly (typeof BECAME)[number][]
  readonly claims: readonly Claim[]
  /** It stands among the idle workers: an enqueue may give it a job. */
  readonly isIdle: boolean
}

export type Renewed =
  | { readonly kind: 'dead' }
  | {
      readonly kind: 'alive'
      readonly held: number
      readonly timeoutMs: number
      readonly cancelled: readonly string[]
      readonly silent: readonly string[]
      /** They did not renew when they should have, and will be silent so soon. */
      readonly overdue: readonly { worker: string; leftMs: number }[]
      readonly counters: Counters
      /** The outbox of the queue has something to forward. */
      readonly hasOutbox: boolean
    }

export interface Counters {
  readonly enqueued: number
  readonly claimed: number
  /** Enqueues that Redis is known to have lost, ever. */
  readonly vanished: number
  /** ms until the next schedule fires, where there is one. */
  readonly nextScheduleMs?: number
}

const STATUSES = ['ok', 'dead', 'stale', 'draining', 'closed'] as const
const BECAME = ['completed', 'delayed', 'buried', 'cancelled', 'ready', 'not-yours', 'unknown'] as const
const MAX_TIMEOUT_MS = 2 ** 41
const MAX_LEFT_MS = 2 ** 31 - 1
/** Nothing that has a name is longer. */
const MAX_NAME = 512

const MAX_CLAIMS_A_CALL = 1_000

/**
 * `used` is kept until the next renewal, for the record of a dead worker's attempts. `figures` go into the
 * history of the queue (worker/figures.ts).
 */
async function renew(
  verbs: Verbs,
  worker: string,
  used: readonly UsedSoFar[] = [],
  isStopping = false,
  figures: readonly string[] = [],
): Promise<Renewed> {
  const lines = used.map(({ token, maxRssBytes, cpuUserMs, cpuSystemMs }) =>
    [token, ...[maxRssBytes, cpuUserMs, cpuSystemMs].map((amount) => amount ?? '-')].join(' '),
  )
  const { enqueued: lastEnqueued, claimed: lastClaimed } = verbs.seen
  const stopping = isStopping ? 'stopping' : ''
  const args = [worker, lastEnqueued, lastClaimed, lines.join('\n'), stopping, ...figures]
  const answer = await verbs.write('renew', args, renewedOf)
  if (answer.kind === 'alive') verbs.note(answer.counters)
  return answer
}

/** The one call on the path of every job. */
async function settleAndClaim(
  verbs: Verbs,
  worker: string,
  sequence: number,
  settlements: readonly Settlement[],
  wanted: number,
  given = '',
): Promise<SettledAndClaimed> {
  const most = Math.min(wanted, MAX_CLAIMS_A_CALL)
  const args: (string | number)[] = [worker, sequence, most, seed(), given]
  for (const { id, token, verdict, text } of settlements) args.push(id, token, verdict, text)
  const asked = { settled: settlements.length, wanted: Math.max(0, most) }
  const answer = await verbs.write('exchange', args, (said) => settledAndClaimedOf(said, asked))
  const last = answer.claims.at(-1)
  if (last) verbs.note({ claimed: Number(last.token) })
  return answer
}

/** Progress of running attempts, as JSON text; what is no longer held is ignored by the server. */
async function report(
  verbs: Verbs,
  worker: string,
  progress: readonly { id: string; token: string; json: string }[],
): Promise<boolean[]> {
  const args = [worker, ...progress.flatMap(({ id, token, json }) => [id, token, json])]
  return verbs.write('report', args, (answer) =>
    listOf(answer, 'the answer to a report').map((isHeld) => isHeld === 1),
  )
}

export const holding = { renew, settleAndClaim, report }

export const seed = (): number => randomInt(2 ** 31)

function renewedOf(answer: unknown): Renewed {
  const [word, held, timeout, cancelled, silent, overdue, counters, outbox] = listOf(
    answer,
    'the answer to a renewal',
  )
  const kind = oneOf(word, 'a worker', ['dead', 'alive'])
  if (kind === 'dead') return { kind }
  return {
    kind,
    held: amountOf(held, 'what a worker holds'),
    timeoutMs: timeoutOf(timeout),
    cancelled: idsOf(cancelled),
    silent: namesOf(silent),
    overdue: pairsOf(overdue).map(([worker, leftMs]) => ({
      worker: textOf(worker, 'a worker', MAX_NAME),
      leftMs: numberOf(leftMs, 'until when a worker may be silent', { least: 0, most: MAX_LEFT_MS }),
    })),
    counters: countersOf(counters),
    hasOutbox: outbox === 1,
  }
}

/** The parsed answer of a call with so many settlements and so many wanted jobs. */
function settledAndClaimedOf(
  answer: unknown,
  { settled, wanted }: { settled: number; wanted: number },
): SettledAndClaimed {
  const answers = listOf(answer, 'the answer to a claim', 3 + settled + 3 * wanted)
  const [word, next, idle] = answers
  const status = oneOf(word, 'a worker', STATUSES)
  const nextMs = numberOf(next, 'the time of the next delayed job', {
    least: -1,
    most: Number.MAX_SAFE_INTEGER,
  })
  const from = 3 + (status === 'dead' ? 0 : settled)
  if (answers.length < from) throw new RedisDataInvalid('what became of attempts', answers)
  const claims: Claim[] = []
  for (let i = from; i < answers.length; i += 3)
    claims.push(claimOf(answers[i], answers[i + 1], answers[i + 2]))
  return {
    status,
    nextMs: nextMs < 0 ? undefined : nextMs,
    became: answers.slice(3, from).map((each) => oneOf(each, 'what became of an attempt', BECAME)),
    claims,
    isIdle: idle === 1,
  }
}

export function countersOf(answer: unknown): Counters {
  const [enqueued, claimed, vanished, next] = listOf(answer, 'the counters of a queue').map(presentIn)
  const nextScheduleMs = optionalOf(next, 'the time of the next schedule')
  return {
    enqueued: counterOf(enqueued, 'counts.enqueued'),
    claimed: counterOf(claimed, 'counts.claimed'),
    vanished: counterOf(vanished, 'counts.vanished'),
    ...(nextScheduleMs !== undefined && { nextScheduleMs }),
  }
}

/**
 * A job that an enqueue has given to an idle worker: `+<id> <entry> <envelope>`. Undefined for other
 * messages.
 */
export function givenOf(message: string): Claim | undefined {
  const [whole, id, entry] = GIVEN.exec(message) ?? []
  return whole === undefined ? undefined : claimOf(id, entry, message.slice(whole.length))
}
const GIVEN = /^\+(\S+) (\S+) /

function claimOf(id: unknown, entry: unknown, envelope: unknown): Claim {
  return { id: idOf(id), ...heldOf(entry), envelope: textOf(envelope, 'a job', Number.POSITIVE_INFINITY) }
}

/** <token>:<attempt>:<crashes>, and flags and lane behind them. */
export function heldOf(entry: unknown): { token: string; attempt: number; crashes: number } {
  const [whole, token = '', attempt, crashes] = HELD.exec(textOf(entry, 'what a worker holds')) ?? []
  if (whole === undefined) throw new RedisDataInvalid('what a worker holds', entry)
  return { token, attempt: Number(attempt), crashes: Number(crashes) }
}
const HELD = /^(\d{1,16}):(\d{1,9}):(\d{1,9})(?::\S{1,200})?$/

/** Another program may have put into a lane what is no id: the job ends with a reason, as any other. */
export const idOf = (value: unknown): string => textOf(value, 'the id of a job', MAX_NAME)

const idsOf = (value: unknown): string[] => listOf(value, 'a list of jobs').map(idOf)

export const namesOf = (value: unknown): string[] =>
  listOf(value, 'a list of workers').map((name) => textOf(name, 'a worker', MAX_NAME))

export const timeoutOf = (value: unknown): number =>
  numberOf(value, 'config.timeoutMs', { least: 0, most: MAX_TIMEOUT_MS })
