// The verbs of a worker's work: it settles and claims, and reports progress.
import { randomInt } from 'node:crypto'
import { listOf, numberOf, oneOf, RedisDataInvalid, textOf } from './answers.ts'
import type { Verbs } from './verbs.ts'

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

/** What a worker tells Redis, and how many jobs it asks for. */
export interface Exchange {
  readonly worker: string
  /**
   * How often it has lost an answer of Redis: 0 from the start. A call with an older number claims nothing.
   */
  readonly sequence?: number
  readonly settlements?: readonly Settlement[]
  /** How many jobs it has room for: 0 where nothing is said. */
  readonly wanted?: number
  /** How many jobs enqueues have given it, with `+` while it stands among the idle workers (exchange.lua). */
  readonly given?: string
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

const STATUSES = ['ok', 'dead', 'stale', 'draining', 'closed'] as const
const BECAME = ['completed', 'delayed', 'buried', 'cancelled', 'ready', 'not-yours', 'unknown'] as const
/** Nothing that has a name is longer. */
export const MAX_NAME = 512

const MAX_CLAIMS_A_CALL = 1_000

/** The one call on the path of every job. */
async function settleAndClaim(
  verbs: Verbs,
  { worker, sequence = 0, settlements = [], wanted = 0, given = '' }: Exchange,
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

export const holding = { settleAndClaim, report }

export const seed = (): number => randomInt(2 ** 31)

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
