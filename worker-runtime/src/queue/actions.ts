// Bulk actions: retry, cancel or delete all jobs of a filter, or jobs that are named, 200 a script. A record
// in Redis keeps how far an action has come: who drives it may die, and another one goes on. What is deleted
// stays in a trash for a minute.
import { randomUUID } from 'node:crypto'
import { isJobId } from '../job.ts'
import { amountOf, counterOf, listOf, MOST_OF_ANYTHING, numberOf, optionalOf, textOf } from './answers.ts'
import { type Filter, FilterInvalid, type FilterState, filterText, parseFilter, statesFor } from './filter.ts'
import { findPage, MOST_JOBS_A_PAGE } from './find.ts'
import type { JobSummary } from './reads.ts'
import type { Verbs } from './verbs.ts'

export const ACTION_VERBS = ['retry', 'cancel', 'delete'] as const
export type ActionVerb = (typeof ACTION_VERBS)[number]
const ACTION_STATES = ['running', 'done', 'aborted', 'undone'] as const

/** The states in which a job can be retried, cancelled, deleted. */
export const STATES_OF_VERB: Readonly<Record<ActionVerb, readonly FilterState[]>> = {
  retry: ['buried'],
  cancel: ['ready', 'delayed', 'held'],
  delete: ['buried', 'completed', 'cancelled', 'expired'],
}

export interface NewAction {
  readonly verb: ActionVerb
  /** Which jobs; those that come later are left out. */
  readonly filter: Filter
  /** Instead of a filter: at most 1,000. */
  readonly ids?: readonly string[]
  /** Who asks for it, and why: shown with the record. At most 200 characters each. */
  readonly who?: string
  readonly reason?: string
  /** How many jobs it is about, as `count` said. */
  readonly total?: number
}

export interface Action {
  readonly id: string
  readonly verb: ActionVerb
  readonly state: (typeof ACTION_STATES)[number]
  /** With absolute times; '' for jobs that were named. */
  readonly filter: string
  readonly who: string
  readonly reason: string
  readonly createdAtMs: number
  readonly endedAtMs?: number
  readonly total?: number
  readonly done: number
  /** They were in another state when their turn came. */
  readonly skipped: number
  /** They could not be read any more. */
  readonly failed: number
  /** Of a delete that was undone. */
  readonly restored: number
  /** Why jobs were skipped or failed, at most 100. */
  readonly reasons: readonly { readonly id: string; readonly reason: string }[]
  /** A driver goes on with it now. */
  readonly driver?: string
}

export interface Counted {
  readonly count: number
  /** False where the time was over before all jobs were looked at: there may be more. */
  readonly isExact: boolean
  /** The first five. */
  readonly samples: readonly JobSummary[]
}

export interface RunOptions {
  /** Asked before each page. Where it says true, the action goes on no further and is left as it is. */
  readonly isStopped?: () => boolean
  readonly onProgress?: (action: Action) => void
}

const MOST_IDS = 1_000
const MAX_TEXT = 200
const MOST_RECORDS = 1_000
const NOT_KNOWN = 'no such action'

/** How many jobs an action would be about. */
async function count(
  verbs: Verbs,
  { verb, filter, ids }: NewAction,
  { withinMs = 10_000 } = {},
): Promise<Counted> {
  const wanted = ids ? namedFilter(ids) : filter
  const narrowed = withStates(wanted, verb)
  const isAboutStates = wanted.terms.every(({ field }) => field === 'state')
  const untilMs = performance.now() + withinMs
  const samples: JobSummary[] = []
  let [found, cursor, total]: [number, string | undefined, number | undefined] = [0, undefined, undefined]
  do {
    const page = await findPage(verbs, narrowed, { cursor, limit: MOST_COUNTED, isPlain: true })
    samples.push(...page.jobs.slice(0, 5 - samples.length))
    found += page.jobs.length
    cursor = page.cursor
    total ??= isAboutStates && verb !== 'delete' ? page.total : undefined
  } while (cursor !== undefined && total === undefined && performance.now() < untilMs)
  return { count: total ?? found, isExact: total !== undefined || cursor === undefined, samples }
}
const MOST_COUNTED = 5_000

/**
 * Writes the record; nothing is done to any job yet. Throws FilterInvalid where the verb fits no state of the
 * filter.
 */
async function create(verbs: Verbs, action: NewAction): Promise<string> {
  const { verb, filter, ids, who = '', reason = '', total } = action
  withStates(ids ? namedFilter(ids) : filter, verb)
  const id = randomUUID()
  const fields = {
    ...{ verb, filter: ids ? '' : filterText(filter), ids: ids?.join(',') ?? '' },
    ...{ who: shortened(who), reason: shortened(reason), total: total ?? '' },
  }
  await verbs.write('action', ['create', id, ...Object.entries(fields).flat()], () => undefined)
  return id
}

/**
 * Goes on with an action for one page of jobs. `isBusy`: another driver has it; try again in 10 s. Undefined
 * where it is not known.
 */
async function step(
  verbs: Verbs,
  id: string,
  driver: string,
): Promise<{ action: Action; isBusy: boolean } | undefined> {
  const taken = await verbs.run('action', ['take', id, driver])
  if (taken === 'busy') return withRecord(await get(verbs, id), true)
  const record = recordOf(taken)
  const action = actionOf(id, record)
  if (action?.state !== 'running') return withRecord(action, false)
  const { cursor = '', ids = '' } = record
  const filter = ids === '' ? filterOf(action) : namedFilter(ids.split(','))
  const wanted = withStates(filter, action.verb)
  const page = await findPage(verbs, wanted, {
    ...(cursor && { cursor }),
    limit: MOST_JOBS_A_PAGE,
    isPlain: true,
  })
  const states = statesFor(wanted).map((state) => `${state} `)
  const args = [id, driver, cursor, page.cursor ?? '', states.join(''), ...page.jobs.map((job) => job.id)]
  const acted = await verbs.write('act', args, (answer) => amountOf(answer, 'whether an action went on'))
  return withRecord(await get(verbs, id), acted === 0)
}

/**
 * Goes on with an action to its end, or until it is stopped or another driver has it. Throws where it is not
 * known.
 */
async function run(verbs: Verbs, id: string, { isStopped, onProgress }: RunOptions = {}): Promise<Action> {
  const driver = randomUUID()
  for (;;) {
    const stepped = await step(verbs, id, driver)
    if (!stepped) throw new RangeError(`${NOT_KNOWN}: ${id}`)
    onProgress?.(stepped.action)
    if (stepped.isBusy || stepped.action.state !== 'running' || isStopped?.()) return stepped.action
  }
}

/** It goes on no further; what is done stays done. Undefined where it is not known. */
async function abort(verbs: Verbs, id: string): Promise<Action | undefined> {
  return actionOf(id, recordOf(await verbs.run('action', ['abort', id])))
}

/** Puts back what an action has deleted within the last minute, and ends it. Answers how many jobs. */
async function undo(verbs: Verbs, id: string): Promise<number> {
  let [restored, left] = [0, MOST_OF_ANYTHING]
  while (left > 0) {
    const answer = await verbs.write('restore', [id], (said) => listOf(said, 'what was put back', 2))
    restored += amountOf(answer[0], 'what was put back')
    // Each call takes some away, and nobody adds any: without this a hostile Redis could keep it busy for ever.
    left = numberOf(answer[1], 'what is left to put back', { least: 0, most: left - 1 })
  }
  return restored
}

async function get(verbs: Verbs, id: string): Promise<Action | undefined> {
  return (await read(verbs, [1, id]))[0]
}

/** Newest first, behind the one whose id is `after`; at most 1,000 are kept. */
async function list(
  verbs: Verbs,
  { limit = 50, after }: { limit?: number; after?: string | undefined } = {},
): Promise<Action[]> {
  const most = Math.max(1, Math.min(limit, MOST_RECORDS))
  return read(verbs, [most, '', ...(after === undefined ? [] : [after])])
}

export const acting = { count, create, step, run, abort, undo, get, list }

async function read(verbs: Verbs, args: readonly (string | number)[]): Promise<Action[]> {
  const answer = listOf(await verbs.run('actions', args), 'the actions of a queue', MOST_RECORDS)
  return answer.flatMap((each) => {
    const [id, ...fields] = listOf(each, 'an action', 100)
    return actionOf(textOf(id, 'the id of an action'), recordOf(fields)) ?? []
  })
}

const withRecord = (action: Action | undefined, isBusy: boolean) => action && { action, isBusy }

/** What came after the action is not its business: its jobs were there when it was made. */
function filterOf({ filter, createdAtMs }: Action): Filter {
  const { terms } = parseFilter(filter, createdAtMs)
  return { terms: [...terms, { field: 'until', isNegated: false, atMs: createdAtMs }] }
}

function namedFilter(ids: readonly string[]): Filter {
  const wrong = ids.find((id) => !isJobId(id))
  if (wrong !== undefined)
    throw new FilterInvalid(wrong, 'the id is invalid', 'use 1 to 128 of A-Z a-z 0-9 . : _ -')
  if (ids.length === 0 || ids.length > MOST_IDS)
    throw new FilterInvalid(
      'ids',
      `there are ${ids.length} of them`,
      `name 1 to ${MOST_IDS} jobs, or use a filter`,
    )
  return { terms: [{ field: 'id', isNegated: false, values: [...new Set(ids)] }] }
}

function withStates(filter: Filter, verb: ActionVerb): Filter {
  const values = STATES_OF_VERB[verb]
  const narrowed: Filter = { terms: [...filter.terms, { field: 'state', isNegated: false, values }] }
  if (statesFor(narrowed).length > 0) return narrowed
  throw new FilterInvalid(
    `state:${statesFor(filter).join(',')}`,
    `${verb} does nothing to jobs in this state`,
    `name one of the states ${values.join(', ')}`,
  )
}

const shortened = (text: string): string => text.slice(0, MAX_TEXT).toWellFormed()

function recordOf(answer: unknown): Record<string, string> {
  const flat = listOf(answer, 'an action', 100)
  const record: Record<string, string> = Object.create(null)
  for (let i = 0; i + 1 < flat.length; i += 2)
    record[textOf(flat[i], 'a field of an action')] = textOf(flat[i + 1], 'an action', 200_000)
  return record
}

/** Undefined where there is none, or another program wrote it. */
function actionOf(id: string, record: Record<string, string>): Action | undefined {
  const verb = ACTION_VERBS.find((each) => each === record.verb)
  const state = ACTION_STATES.find((each) => each === record.state)
  if (!verb || !state) return undefined
  const counter = (name: string) => counterOf(record[name] ?? null, `${name} of an action`)
  const endedAtMs = optionalOf(record.endedMs, 'the end of an action')
  const total = record.total
    ? numberOf(record.total, 'the jobs of an action', { least: 0, most: 2 ** 31 })
    : undefined
  return {
    ...{ id, verb, state, filter: record.filter ?? '', who: record.who ?? '', reason: record.reason ?? '' },
    createdAtMs: counter('createdMs'),
    ...(endedAtMs !== undefined && { endedAtMs }),
    ...(total !== undefined && { total }),
    ...{
      done: counter('done'),
      skipped: counter('skipped'),
      failed: counter('failed'),
      restored: counter('restored'),
    },
    reasons: (record.reasons ?? '').split('\n').flatMap((line) => reasonOf(line) ?? []),
    ...(record.driver !== undefined && { driver: record.driver }),
  }
}

function reasonOf(line: string): { id: string; reason: string } | undefined {
  const end = line.indexOf(' ')
  if (end < 0) return undefined
  const state = line.slice(end + 1)
  return {
    id: line.slice(0, end),
    reason: REASONS[state] ?? `it is ${state}`,
  }
}
const REASONS: Readonly<Record<string, string>> = {
  unknown: 'it is not known any more',
  'key-taken': 'another job has its unique key',
}
