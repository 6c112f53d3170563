// The answers of the verbs that write, parsed. Each throws RedisDataInvalid for what its script never answers.
import { amountOf, counterOf, listOf, numberOf, oneOf, RedisDataInvalid, textOf } from './answers.ts'
import { JOB_STATES, type JobState } from './depth.ts'

export type Enqueued = 'created' | Exclude<JobState, 'unknown'>

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
  /** What became of each settled attempt, in order. */
  readonly became: readonly (typeof BECAME)[number][]
  readonly claims: readonly Claim[]
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
    }

export interface Counters {
  readonly enqueued: number
  readonly claimed: number
  /** Enqueues that Redis is known to have lost, ever. */
  readonly vanished: number
}

export type Resynced =
  | { readonly kind: 'dead' }
  | { readonly kind: 'alive'; readonly held: readonly { id: string; token: string }[] }

const STATUSES = ['ok', 'dead', 'stale', 'draining', 'closed'] as const
const BECAME = ['completed', 'delayed', 'buried', 'cancelled', 'ready', 'not-yours', 'unknown'] as const
const MAX_TIMEOUT_MS = 2 ** 41
const MAX_LEFT_MS = 2 ** 31 - 1
/** Nothing that has a name is longer. */
const MAX_NAME = 512

/** The counter of all enqueues, and what became of each of so many jobs. */
export function enqueuedOf(answer: unknown, jobs: number): { enqueued: number; answers: Enqueued[] } {
  const [enqueued, ...known] = listOf(answer, 'the answer to an enqueue', 1 + 2 * jobs)
  const answers = Array.from({ length: jobs }, (): Enqueued => 'created')
  for (let i = 0; i < known.length; i += 2) {
    const at = numberOf(known[i], 'the place of a job', { least: 0, most: jobs - 1 })
    answers[at] = oneOf(known[i + 1], 'the state of a job', ENDS_AND_WAITS)
  }
  return { enqueued: counterOf(presentIn(enqueued), 'counts.enqueued'), answers }
}
const ENDS_AND_WAITS = JOB_STATES.filter((state) => state !== 'unknown')

export function registeredOf(answer: unknown): { timeoutMs: number; dead: string[]; counters: Counters } {
  const [timeout, dead, counters] = listOf(answer, 'the answer to a registration')
  return { timeoutMs: timeoutOf(timeout), dead: namesOf(dead), counters: countersOf(counters) }
}

export function renewedOf(answer: unknown): Renewed {
  const [word, held, timeout, cancelled, silent, overdue, counters] = listOf(
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
  }
}

export function resyncedOf(answer: unknown): Resynced {
  const [word, held] = listOf(answer, 'the answer to a resync')
  const kind = oneOf(word, 'a worker', ['dead', 'alive'])
  if (kind === 'dead') return { kind }
  return { kind, held: pairsOf(held).map(([id, entry]) => ({ id: idOf(id), token: heldOf(entry).token })) }
}

/** Of a call that told of so many attempts and asked for so many jobs. */
export function settledAndClaimedOf(
  answer: unknown,
  { settled, wanted }: { settled: number; wanted: number },
): SettledAndClaimed {
  const [word, next, became, flat] = listOf(answer, 'the answer to a claim')
  const status = oneOf(word, 'a worker', STATUSES)
  const nextMs = numberOf(next, 'the time of the next delayed job', {
    least: -1,
    most: Number.MAX_SAFE_INTEGER,
  })
  const words = listOf(became, 'what became of attempts', settled)
  if (status !== 'dead' && words.length !== settled)
    throw new RedisDataInvalid('what became of attempts', words)
  const parts = listOf(flat, 'what was claimed', 3 * wanted)
  const claims: Claim[] = []
  for (let i = 0; i < parts.length; i += 3) claims.push(claimOf(parts[i], parts[i + 1], parts[i + 2]))
  return {
    status,
    nextMs: nextMs < 0 ? undefined : nextMs,
    became: words.map((each) => oneOf(each, 'what became of an attempt', BECAME)),
    claims,
  }
}

export function countersOf(answer: unknown): Counters {
  const [enqueued, claimed, vanished] = listOf(answer, 'the counters of a queue').map(presentIn)
  return {
    enqueued: counterOf(enqueued, 'counts.enqueued'),
    claimed: counterOf(claimed, 'counts.claimed'),
    vanished: counterOf(vanished, 'counts.vanished'),
  }
}

function claimOf(id: unknown, entry: unknown, envelope: unknown): Claim {
  return { id: idOf(id), ...heldOf(entry), envelope: textOf(envelope, 'a job', Number.POSITIVE_INFINITY) }
}

/** <token>:<attempt>:<crashes>, and flags and lane behind them. */
function heldOf(entry: unknown): { token: string; attempt: number; crashes: number } {
  const [whole, token = '', attempt, crashes] = HELD.exec(textOf(entry, 'what a worker holds')) ?? []
  if (whole === undefined) throw new RedisDataInvalid('what a worker holds', entry)
  return { token, attempt: Number(attempt), crashes: Number(crashes) }
}
const HELD = /^(\d{1,16}):(\d{1,9}):(\d{1,9})(?::\S{1,200})?$/

/** Another program may have put into a lane what is no id: the job ends with a reason, as any other. */
const idOf = (value: unknown): string => textOf(value, 'the id of a job', MAX_NAME)

const idsOf = (value: unknown): string[] => listOf(value, 'a list of jobs').map(idOf)

const namesOf = (value: unknown): string[] =>
  listOf(value, 'a list of workers').map((name) => textOf(name, 'a worker', MAX_NAME))

const timeoutOf = (value: unknown): number =>
  numberOf(value, 'config.timeoutMs', { least: 0, most: MAX_TIMEOUT_MS })

function pairsOf(value: unknown): [unknown, unknown][] {
  const flat = listOf(value, 'a list of pairs')
  return Array.from({ length: Math.ceil(flat.length / 2) }, (_, i) => [flat[2 * i], flat[2 * i + 1]])
}

/** A counter that is not written yet is null; one that was not answered is no counter. */
const presentIn = (value: unknown): unknown => (value === null ? undefined : value)
