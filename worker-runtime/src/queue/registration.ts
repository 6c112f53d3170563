// The verbs by which a worker comes, says that it lives, finds out what it holds, and goes; hold.ts has those
// of its work.
import {
  amountOf,
  counterOf,
  listOf,
  MAX_TEXT,
  numberOf,
  oneOf,
  optionalOf,
  pairsOf,
  presentIn,
  textOf,
} from './answers.ts'
import { heldOf, idOf, MAX_NAME } from './hold.ts'
import type { WorkerFacts } from './reads.ts'
import type { Verbs } from './verbs.ts'

export interface Registration extends WorkerFacts {
  worker: string
  isolationNote: string
}

/** The use of memory and processor of a running attempt, at the last look. */
export interface UsedSoFar {
  readonly token: string
  readonly maxRssBytes?: number
  readonly cpuUserMs?: number
  readonly cpuSystemMs?: number
}

/** What a worker tells with a renewal. */
export interface News {
  /** Redis keeps it until the next renewal, for the record of a dead worker's attempts. */
  readonly used?: readonly UsedSoFar[]
  readonly isStopping?: boolean
  /** For the history of the queue (worker/figures.ts). */
  readonly figures?: readonly string[]
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

export type Resynced =
  | { readonly kind: 'dead' }
  | { readonly kind: 'alive'; readonly held: readonly { id: string; token: string }[] }

/**
 * Answers the queue's timeout of an attempt, the older workers of the same pod, which are dead for sure, and
 * how many enqueues Redis is known to have lost so far.
 */
async function register(
  verbs: Verbs,
  entry: Registration,
): Promise<{ timeoutMs: number; dead: string[]; vanished: number }> {
  const { worker, podUid, ...fields } = entry
  const pairs = Object.entries(fields).map(([field, value]) => [field, boundedText(value)])
  const answer = await verbs.write('register', [worker, podUid, ...pairs.flat()], registeredOf)
  const { timeoutMs, dead, counters } = answer
  verbs.note(counters)
  return { timeoutMs, dead, vanished: counters.vanished }
}

/** Says that it lives; answers what it has to know. */
async function renew(
  verbs: Verbs,
  worker: string,
  { used = [], isStopping = false, figures = [] }: News = {},
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

/** From now on only claims with this sequence number count; answers what the worker holds. */
async function resync(verbs: Verbs, worker: string, sequence: number): Promise<Resynced> {
  return verbs.write('resync', [worker, sequence], resyncedOf)
}

async function deregister(verbs: Verbs, worker: string, figures: readonly string[] = []): Promise<boolean> {
  return verbs.write(
    'deregister',
    [worker, ...figures],
    (answer) => numberOf(answer, 'what a worker holds', BIT) === 1,
  )
}

export const registering = { register, renew, resync, deregister }

function boundedText(value: string | number): string | number {
  return typeof value === 'string' ? value.slice(0, MAX_TEXT).toWellFormed() : value
}

const BIT = { least: 0, most: 1 }
const MAX_TIMEOUT_MS = 2 ** 41
const MAX_LEFT_MS = 2 ** 31 - 1

function registeredOf(answer: unknown): { timeoutMs: number; dead: string[]; counters: Counters } {
  const [timeout, dead, counters] = listOf(answer, 'the answer to a registration')
  return { timeoutMs: timeoutOf(timeout), dead: namesOf(dead), counters: countersOf(counters) }
}

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

function resyncedOf(answer: unknown): Resynced {
  const [word, held] = listOf(answer, 'the answer to a resync')
  const kind = oneOf(word, 'a worker', ['dead', 'alive'])
  if (kind === 'dead') return { kind }
  return { kind, held: pairsOf(held).map(([id, entry]) => ({ id: idOf(id), token: heldOf(entry).token })) }
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

const idsOf = (value: unknown): string[] => listOf(value, 'a list of jobs').map(idOf)

const namesOf = (value: unknown): string[] =>
  listOf(value, 'a list of workers').map((name) => textOf(name, 'a worker', MAX_NAME))

const timeoutOf = (value: unknown): number =>
  numberOf(value, 'config.timeoutMs', { least: 0, most: MAX_TIMEOUT_MS })
