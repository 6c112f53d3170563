// The verbs by which a worker comes, finds out what it holds, and goes; hold.ts has those of its work.
import { listOf, MAX_TEXT, numberOf, oneOf, pairsOf } from './answers.ts'
import { type Counters, countersOf, heldOf, idOf, namesOf, timeoutOf } from './hold.ts'
import type { WorkerFacts } from './reads.ts'
import type { Verbs } from './verbs.ts'

export interface Registration extends WorkerFacts {
  worker: string
  isolationNote: string
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

async function deregister(verbs: Verbs, worker: string, figures: readonly string[] = []): Promise<boolean> {
  return verbs.write(
    'deregister',
    [worker, ...figures],
    (answer) => numberOf(answer, 'what a worker holds', BIT) === 1,
  )
}

/** From now on only claims with this sequence number count; answers what the worker holds. */
async function resync(verbs: Verbs, worker: string, sequence: number): Promise<Resynced> {
  return verbs.write('resync', [worker, sequence], resyncedOf)
}

export const registering = { register, deregister, resync }

function boundedText(value: string | number): string | number {
  return typeof value === 'string' ? value.slice(0, MAX_TEXT).toWellFormed() : value
}

const BIT = { least: 0, most: 1 }

function registeredOf(answer: unknown): { timeoutMs: number; dead: string[]; counters: Counters } {
  const [timeout, dead, counters] = listOf(answer, 'the answer to a registration')
  return { timeoutMs: timeoutOf(timeout), dead: namesOf(dead), counters: countersOf(counters) }
}

function resyncedOf(answer: unknown): Resynced {
  const [word, held] = listOf(answer, 'the answer to a resync')
  const kind = oneOf(word, 'a worker', ['dead', 'alive'])
  if (kind === 'dead') return { kind }
  return { kind, held: pairsOf(held).map(([id, entry]) => ({ id: idOf(id), token: heldOf(entry).token })) }
}
