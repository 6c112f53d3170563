// Finds jobs by a filter (filter.ts): by id, tag, worker or error group, else through the places where jobs
// of the wanted states are. A page looks at 5,000 jobs or for 30 ms, but at 250 jobs however far away Redis is,
// says how far it has looked, and goes on from its cursor. Also the lists of jobs by state.
import { parseEnded, parseEnvelope } from '../job.ts'
import { amountOf, counterOf, listOf, numberOf, RedisDataInvalid, textOf } from './answers.ts'
import {
  type Candidate,
  type Filter,
  FilterInvalid,
  matches,
  statesFor,
  textsOf,
  timesFor,
  valuesFor,
} from './filter.ts'
import { failureOf, type JobSummary, timeOf } from './reads.ts'
import type { Verbs } from './verbs.ts'

export const MOST_JOBS_A_PAGE = 200
const DEFAULT_LIMIT = 50

export interface FindOptions {
  /** Of the page before. */
  readonly cursor?: string | undefined
  /** 1 to 200; default 50. */
  readonly limit?: number | undefined
}

export interface FoundJobs {
  readonly jobs: JobSummary[]
  /** To go on from here; absent where everything was looked at. */
  readonly cursor?: string
  /** How many jobs were looked at for this page. */
  readonly scanned: number
  readonly isDone: boolean
  /** How many there are on all pages, where no job need be looked at to know it. Only on the first page. */
  readonly total?: number
}

/** The most jobs, and the longest time, that one page looks. */
const SCAN_JOBS = 5_000
const SCAN_MS = 30
/** What Redis does in one call: it serves nobody else meanwhile. */
const SLICE = 250
/** The most jobs that a list of up to 1,000 looks at: some may be unreadable, or lanes empty. */
const MOST_LOOKED_AT = 100_000
/** The record of a failed attempt may have 20 KB. */
const RECORDS_A_CALL = 50

/**
 * Where jobs wait, next first, else newest first; without a state in the filter those that run, wait, are
 * buried and have ended, in this order. A job that changes its state meanwhile may be on two pages, or on
 * none. Throws FilterInvalid for a cursor of another filter.
 */
async function find(verbs: Verbs, filter: Filter, options: FindOptions = {}): Promise<FoundJobs> {
  const limit = Math.max(1, Math.min(options.limit ?? DEFAULT_LIMIT, MOST_JOBS_A_PAGE))
  return findPage(verbs, filter, { ...options, limit })
}

/** isPlain: without the last failures of buried jobs, for programs that count or act. */
export async function findPage(
  verbs: Verbs,
  filter: Filter,
  { limit, ...options }: FindOptions & { limit: number; isPlain?: boolean },
): Promise<FoundJobs> {
  const plan = planOf(filter)
  let at = placeOf(options.cursor, plan.places)
  const found: Found[] = []
  let scanned = 0
  const untilMs = performance.now() + SCAN_MS
  // A queue with few jobs is one page. A search in payloads may take long for few of them.
  const atLeast = plan.texts.length > 0 ? 1 : SLICE
  while (
    at &&
    found.length < limit &&
    scanned < SCAN_JOBS &&
    (scanned < atLeast || performance.now() < untilMs)
  ) {
    const most = plan.isExact ? Math.min(SLICE, limit - found.length) : Math.min(SLICE, SCAN_JOBS - scanned)
    const slice = await sliceOf(verbs, { ...at, most, texts: plan.texts })
    const { taken, position } = takeFrom(slice, {
      filter,
      at,
      room: limit - found.length,
      ...plan,
    })
    found.push(...taken)
    scanned += slice.scanned
    at = position === '' ? next(plan.places, at.place) : { place: at.place, position }
  }
  const total = plan.isExact && options.cursor === undefined ? await totalOf(verbs, plan) : undefined
  return {
    jobs: options.isPlain ? found.map(({ summary }) => summary) : await withReasons(verbs, found),
    ...(at && { cursor: cursorOf(at) }),
    scanned,
    isDone: at === undefined,
    ...(total !== undefined && { total }),
  }
}

/** A list of the jobs in a state; `limit` at most 1,000. */
async function jobs(
  verbs: Verbs,
  state: 'ready' | 'delayed' | 'held' | 'buried' | 'completed',
  { limit = 50 } = {},
): Promise<JobSummary[]> {
  const values = state === 'completed' ? [...ENDS] : [state]
  const filter: Filter = { terms: [{ field: 'state', isNegated: false, values }] }
  const found: JobSummary[] = []
  let [cursor, scanned]: [string | undefined, number] = [undefined, 0]
  do {
    const page = await find(verbs, filter, {
      cursor,
      limit: Math.min(limit - found.length, MOST_JOBS_A_PAGE),
    })
    found.push(...page.jobs)
    cursor = page.cursor
    scanned += page.scanned
  } while (cursor !== undefined && found.length < limit && scanned < MOST_LOOKED_AT)
  return found
}

export const finding = { find, jobs }

interface Plan {
  readonly places: readonly string[]
  readonly texts: readonly string[]
  /** All jobs in the places match. */
  readonly isExact: boolean
  readonly sinceMs: number
}

/** States of jobs in the list of outcomes. */
const ENDS = ['completed', 'cancelled', 'expired'] as const
const PLACES = ['held', 'ready', 'delayed', 'buried', 'ended'] as const

function planOf(filter: Filter): Plan {
  const states = new Set<string>(statesFor(filter))
  const texts = textsOf(filter)
  const { sinceMs } = timesFor(filter)
  const ids = valuesFor(filter, 'id')
  if (ids) return { places: [`id:${[...new Set(ids)].join(',')}`], texts, isExact: false, sinceMs }
  const workers = valuesFor(filter, 'worker')
  if (workers && !workers.some((each) => each.includes('*')))
    return {
      places: states.has('held') ? placesOf('worker', workers) : [],
      texts,
      isExact: false,
      sinceMs,
    }
  const tags = valuesFor(filter, 'tag')
  if (tags)
    return {
      places: placesOf('tag', tags),
      texts,
      isExact: isOne(filter) && tags.length === 1,
      sinceMs,
    }
  const errors = valuesFor(filter, 'error')
  if (errors && !errors.some((each) => each.includes('*')))
    return {
      places: states.has('buried') ? placesOf('failed', errors) : [],
      texts,
      isExact: false,
      sinceMs,
    }
  const ended = ENDS.filter((state) => states.has(state)).length
  const places = PLACES.filter((place) => (place === 'ended' ? ended > 0 : states.has(place)))
  const isAboutStates = filter.terms.every(({ field }) => field === 'state')
  return { places, texts, isExact: isAboutStates && (ended === 0 || ended === ENDS.length), sinceMs }
}

/** A name that stands twice is one place: the next one is looked for by its name. */
const placesOf = (kind: string, names: readonly string[]): string[] =>
  [...new Set(names)].map((name) => `${kind}:${name}`)

const isOne = ({ terms }: Filter): boolean => terms.length === 1

async function totalOf(verbs: Verbs, { places }: Plan): Promise<number> {
  const slices = await Promise.all(
    places.map((place) => sliceOf(verbs, { place, position: '', most: 0, texts: [] })),
  )
  return slices.reduce((sum, { size }) => sum + size, 0)
}

interface At {
  readonly place: string
  readonly position: string
}

function next(places: readonly string[], place: string): At | undefined {
  const following = places[places.indexOf(place) + 1]
  return following === undefined ? undefined : { place: following, position: '' }
}

/** The ids are those of the filter: they need not be in the cursor. */
const nameOf = (place: string): string => (place.startsWith('id:') ? 'id' : place)
const cursorOf = ({ place, position }: At): string => `${nameOf(place)} ${position}`.trim()
const IN_SET = /^(-?\d{1,20}(\.\d{1,20})?(e[-+]?\d{1,3})?|-?inf) [^\s"]{1,300}$/
/** What lua/find.lua says of each kind of place, and reads again. */
const POSITIONS: Readonly<Record<string, RegExp>> = {
  ...{
    ready: /^[^\s"]{1,300} \d{1,9} [^\s"]{1,300}( \d{1,20}(\.\d{1,20})?(e[-+]?\d{1,3})?)?$/,
    ended: /^- \d{1,9} [^\s"]{1,300}$/,
    id: /^\d{1,9}$/,
  },
  ...{ held: /^[^\s"]{1,300} [^\s"]{1,300}$/, worker: /^[^\s"]{1,300} [^\s"]{1,300}$/ },
  ...{ delayed: IN_SET, buried: IN_SET, failed: IN_SET, tag: IN_SET },
}

/** A cursor comes from a user: it names one of the places, and its position is one that such a place has. */
function placeOf(cursor: string | undefined, places: readonly string[]): At | undefined {
  const [first] = places
  if (cursor === undefined) return first === undefined ? undefined : { place: first, position: '' }
  const end = cursor.indexOf(' ')
  const [name, position] = end < 0 ? [cursor, ''] : [cursor.slice(0, end), cursor.slice(end + 1)]
  const place = places.find((each) => nameOf(each) === name)
  if (place !== undefined && isPositionIn(place, position)) return { place, position }
  throw new FilterInvalid(
    cursor.slice(0, 40),
    'this cursor is of no page of this filter',
    'give the cursor of the page before, or none',
  )
}

const isPositionIn = (place: string, position: string): boolean =>
  position === '' || POSITIONS[place.split(':', 1)[0] ?? '']?.test(position) === true

interface Found {
  readonly position: string
  readonly candidate: Candidate
  readonly summary: JobSummary
}
interface Slice {
  /** Behind it; '' at the end of the place. */
  readonly position: string
  readonly size: number
  readonly scanned: number
  readonly found: readonly Found[]
}

async function sliceOf(
  verbs: Verbs,
  { place, position, most, texts }: At & { most: number; texts: readonly string[] },
): Promise<Slice> {
  // In JSON a text has its escapes.
  const written = texts.map((text) => JSON.stringify(text).slice(1, -1))
  const answer = await verbs.run('find', [most, place, position, ...written])
  const [behind, size, scanned, ...each] = listOf(answer, 'a page of jobs', 3 + SLICE)
  const end = textOf(behind, 'the position of a page', 1_000)
  if (!isPositionIn(place, end)) throw new RedisDataInvalid('the position of a page', end)
  return {
    position: end,
    size: amountOf(size, 'how many jobs there are'),
    // None, and yet not at the end: a search would not come to its end.
    scanned: numberOf(scanned, 'how many jobs were looked at', { least: end === '' ? 0 : 1, most: SLICE }),
    found: each.flatMap((job) => foundOf(job) ?? []),
  }
}

/**
 * What matches, until there is no room; and the position behind it. What is older than `since` ends the
 * place.
 */
function takeFrom(
  { found, position }: Slice,
  { filter, at, room, sinceMs, places }: { filter: Filter; at: At; room: number } & Plan,
): { taken: Found[]; position: string } {
  const taken: Found[] = []
  const isByTime = /^(buried|ended|failed:.*)$/.test(at.place)
  for (const each of found) {
    if (isByTime && each.candidate.atMs < sinceMs) return { taken, position: '' }
    if (!matches(filter, each.candidate) || wasInPlaceBefore(each.candidate, at.place, places)) continue
    taken.push(each)
    if (taken.length === room) return { taken, position: each === found.at(-1) ? position : each.position }
  }
  return { taken, position }
}

/** Of several tags: it was found by an earlier one. */
function wasInPlaceBefore({ tags = [] }: Candidate, place: string, places: readonly string[]): boolean {
  return (
    place.startsWith('tag:') &&
    tags.some((tag) => places.indexOf(`tag:${tag}`) < places.indexOf(place) && places.includes(`tag:${tag}`))
  )
}

/** Undefined for an outcome that cannot be read: another program wrote it. */
function foundOf(answer: unknown): Found | undefined {
  const texts = listOf(answer, 'a job', 10).map((each) =>
    textOf(each ?? '', 'a part of a job', Number.POSITIVE_INFINITY),
  )
  const [position = '', id = '', place = '', line = '', at = '', worker = '', entry = '', known = '0'] = texts
  const [error = '', hits = ''] = texts.slice(8)
  const ended = parseEnded(`${line}\n`)
  const envelope = parseEnvelope(`${line}\n`)
  const state = ended?.state ?? place
  if (state === 'ended') return undefined
  const enqueuedAtMs = ended?.enqueuedAtMs ?? envelope?.enqueuedAtMs ?? 0
  const attempts = counterOf(entry.split(':')[1] ?? ended?.attempts ?? known, 'attempts of a job')
  const summary: JobSummary = {
    ...{ id, state, task: ended?.task ?? envelope?.task ?? '', enqueuedAtMs, attempts },
    ...(envelope && state === 'ready' && { lane: envelope.lane }),
    ...(envelope && envelope.tags.length > 0 && { tags: envelope.tags }),
    ...keyOf(envelope?.lane),
    ...(worker && { worker }),
    ...(state === 'delayed' && { dueAtMs: timeOf(at) }),
    ...(state === 'buried' && { buriedAtMs: timeOf(at) }),
    ...(ended && { endedAtMs: ended.endedAtMs }),
    ...(error && { error }),
  }
  return { position, candidate: candidateOf(summary, hits), summary }
}

/** Of `<priority>/<key>`. */
function keyOf(lane = ''): { key?: string } {
  const slash = lane.indexOf('/')
  return slash > 0 ? { key: lane.slice(slash + 1) } : {}
}

function candidateOf(summary: JobSummary, hits: string): Candidate {
  return {
    ...summary,
    atMs: summary.buriedAtMs ?? summary.endedAtMs ?? summary.enqueuedAtMs,
    hits: [...hits].map((hit) => hit === '1'),
  }
}

/** Buried jobs are shown with their last failure, which is read for those alone. */
async function withReasons(verbs: Verbs, found: readonly Found[]): Promise<JobSummary[]> {
  const buried = found.filter(({ summary }) => summary.state === 'buried').map(({ summary }) => summary.id)
  const calls: Promise<[id: string, why: string][]>[] = []
  for (let i = 0; i < buried.length; i += RECORDS_A_CALL)
    calls.push(lastFailures(verbs, buried.slice(i, i + RECORDS_A_CALL)))
  const whys = new Map((await Promise.all(calls)).flat())
  return found.map(({ summary }) => {
    const why = whys.get(summary.id)
    return why === undefined ? summary : { ...summary, why }
  })
}

/** Of those that have one, in a line. */
async function lastFailures(verbs: Verbs, ids: readonly string[]): Promise<[id: string, why: string][]> {
  const answer = await verbs.run('find', [ids.length, `why:${ids.join(',')}`, ''])
  const [, , , ...each] = listOf(answer, 'failures of jobs', 3 + RECORDS_A_CALL)
  return each.flatMap((pair): [string, string][] => {
    const [id = '', record = ''] = listOf(pair, 'a failure', 2).map((part) =>
      textOf(part, 'a part of a failure', Number.POSITIVE_INFINITY),
    )
    return record === '' ? [] : [[id, failureOf(record)]]
  })
}
