// Schedules: jobs that come by the clock. They lie in the queue; whoever looks first fires those that are due: a worker
// at its heartbeat (worker/schedules.ts), the operator, `up`. The scripts keep two of them from making two jobs
// (lua/schedule.lua, fire.lua). Times come from due.ts, and now is always that of Redis.
import { randomUUID } from 'node:crypto'
import { checkOptions, type Rules, wholeNumber } from '../options.ts'
import {
  amountOf,
  counterOf,
  listOf,
  MAX_TEXT,
  numberOf,
  oneOf,
  pairsOf,
  RedisDataInvalid,
  textOf,
} from './answers.ts'
import type { Plan } from './due.ts'
import { fieldsOf, JOB_STATES, type JobState, timeOf } from './reads.ts'
import { QueueRefused } from './refused.ts'
import type { ScheduleSpec } from './schedule-spec.ts'
import type { Verbs } from './verbs.ts'

export interface ScheduleState {
  readonly name: string
  /** Without its input in a list. */
  readonly spec: ScheduleSpec
  /** Of the resource that declares it; '' where a program or a person has set it. */
  readonly ownerUid: string
  /** The owner in words, for people. */
  readonly owner: string
  /** A person paused it. */
  readonly isPaused: boolean
  /** The next due time, by the clock of Redis; absent while it is paused or suspended. */
  readonly nextAtMs?: number
  readonly last?: LastRun
  /** Runs that became jobs, ever. */
  readonly fired: number
  /** Runs that were left out, because the job of the one before had not ended (overlap: Forbid). */
  readonly skipped: number
}

export interface LastRun {
  /** Of its job. */
  readonly id: string
  readonly dueAtMs: number
  readonly firedAtMs: number
  /** How much later than planned it fired; ms. */
  readonly lateMs: number
  /** Of its job, also when its outcome has expired; unknown where a person deleted it. */
  readonly state: JobState
}

export interface SchedulesPage {
  readonly schedules: readonly ScheduleState[]
  /** Of the whole queue. */
  readonly total: number
  /** For the next page; absent behind the last one. */
  readonly cursor?: string
}

/** A run whose time had come. */
export interface FiredRun {
  readonly name: string
  readonly dueAtMs: number
  readonly lateMs: number
  /** Of its job; absent where the run was left out (overlap: Forbid). */
  readonly id?: string
}

export interface Fired {
  readonly runs: readonly FiredRun[]
  /** Names of schedules that this program cannot read: they wait for another one. */
  readonly unreadable: readonly string[]
  /** ms until the next one fires; absent where none is active. 0: something stays due, in a full queue perhaps. */
  readonly nextMs?: number
}

export interface ScheduleOwner {
  readonly ownerUid: string
  readonly owner?: string
  /** Also from another owner. */
  readonly takeOver?: boolean
}

export const MOST_SCHEDULES = 100_000
const MOST_A_PAGE = 200
const MOST_DUE = 100
const MOST_RUNS_A_CALL = 200
/** So that a call has an end; the next one goes on. */
const MOST_PAGES = 100
/** Somebody else changes it again and again. */
const MOST_TRIES = 10
const LOOK_AGAIN_MS = 60_000
const MAX_SPEC = 16_384
/** In the head of a job: its input is undefined. */
const NO_INPUT = /^\S+ - \S+ i=0(?: |$)/
const PROGRAM: ScheduleOwner = { ownerUid: '' }
const CURSOR = /^(\d{1,16}|inf) (\S{1,100})$/
const PAGE: Rules = {
  cursor: {
    isValid: (value) => typeof value === 'string' && CURSOR.test(value),
    is: 'that of the last page',
  },
  limit: wholeNumber(1, MOST_A_PAGE),
}

const WRITTEN = ['set', 'name-taken', 'changed', 'too-many'] as const

/** Croner is loaded by whoever sets or fires a schedule, and by nobody else. */
const specs = () => import('./schedule-spec.ts')

/**
 * Sets a schedule, or leaves it as it is where it says the same already. It keeps its next due time unless the times
 * have changed. Throws TypeError for a field that is invalid, QueueRefused for an input over the limit of payloads.
 */
async function set(
  verbs: Verbs,
  name: string,
  spec: ScheduleSpec,
  { ownerUid, owner = '', takeOver = false }: ScheduleOwner = PROGRAM,
): Promise<'set' | 'unchanged' | 'name-taken'> {
  const { scheduleTexts, isActive, isSameTiming, planFrom } = await specs()
  const texts = scheduleTexts(name, spec)
  return untilUnchanged<'set' | 'unchanged' | 'name-taken'>(verbs, name, async ({ nowMs, found }) => {
    if (found && found.state.ownerUid !== ownerUid && !takeOver) return 'name-taken'
    if (found && isSame(found, { ...texts, ownerUid, owner })) return 'unchanged'
    const isPaused = found?.state.isPaused ?? false
    const keptMs = found && isSameTiming(found.state.spec, spec) ? found.state.nextAtMs : undefined
    const kept = keptMs === undefined ? undefined : { nextMs: keptMs, fireAtMs: found?.fireAtMs }
    const { nextMs, fireAtMs } = isActive(spec, isPaused) ? (kept ?? planFrom(name, spec, nowMs)) : {}
    const fields = Object.entries({ ...texts, owner, version: newVersion() }).flat()
    const head = [name, ownerUid, takeOver ? '1' : '', found?.seen ?? ' ', MOST_SCHEDULES]
    const answer = await verbs.write(
      'set-schedule',
      [...head, ...placeArgs(nextMs, fireAtMs), ...fields],
      (said) => oneOf(said, 'a schedule', WRITTEN),
    )
    if (answer === 'too-many')
      throw new QueueRefused(
        'TOO_MANY_SCHEDULES',
        `queue ${verbs.name} has ${MOST_SCHEDULES} schedules, and takes no more: delete some first`,
      )
    return answer
  })
}

/** Its jobs stay. */
async function deleteSchedule(
  verbs: Verbs,
  name: string,
  ownerUid = '',
): Promise<'deleted' | 'none' | 'name-taken'> {
  return verbs.write('delete-schedule', [name, ownerUid], (said) =>
    oneOf(said, 'a schedule', ['deleted', 'none', 'name-taken']),
  )
}

async function get(verbs: Verbs, name: string): Promise<ScheduleState | undefined> {
  return (await read(verbs, name)).found?.state
}

/**
 * Next due first, those that are paused or suspended last; at most 200 a page. One that fires meanwhile may be on two
 * pages.
 */
async function list(verbs: Verbs, page: { cursor?: string; limit?: number } = {}): Promise<SchedulesPage> {
  checkOptions('option of schedules.list', page, PAGE)
  const { limit = MOST_A_PAGE } = page
  const [, at = '', behind = ''] = CURSOR.exec(page.cursor ?? '') ?? []
  const { found, total } = answerOf(await verbs.run('schedules', ['page', at, behind, limit]))
  const last = found.at(-1)
  return {
    schedules: found.map(({ state }) => state),
    total,
    ...(last && found.length === limit && { cursor: `${last.score} ${last.state.name}` }),
  }
}

/** Of those that a resource declares: the UID of the owner, by name. */
async function owners(verbs: Verbs): Promise<Map<string, string>> {
  const answer = await verbs.redis.call('HGETALL', verbs.key('scheduleOwners'))
  return new Map(
    pairsOf(answer).map(([name, uid]) => [
      textOf(name, 'the name of a schedule'),
      textOf(uid, 'the owner of a schedule'),
    ]),
  )
}

/** A person stops it: it does not fire until it is resumed. Answers false where there is none. */
async function pause(verbs: Verbs, name: string): Promise<boolean> {
  return setPaused(verbs, name, true)
}

/** It goes on with the next due time: what was due meanwhile is not made up for. */
async function resume(verbs: Verbs, name: string): Promise<boolean> {
  return setPaused(verbs, name, false)
}

/**
 * One run now, besides the plan and whatever `overlap` says. Answers the id of its job; undefined where there is no such
 * schedule. Throws QueueRefused where the queue is full.
 */
async function run(verbs: Verbs, name: string): Promise<string | undefined> {
  const id = await verbs.write('run-schedule', [name], (said) => textOf(said, 'the id of a job'))
  return id === 'none' ? undefined : id
}

/**
 * Enqueues what is due: each run once, however many call this. Costs one call where nothing is due. A queue that is full
 * takes no run: it stays due, and is late when there is room.
 */
async function fireDue(verbs: Verbs): Promise<Fired> {
  const runs: FiredRun[] = []
  const unreadable: string[] = []
  let nextMs = -1
  for (let pages = 0; pages < MOST_PAGES; pages += 1) {
    const { nowMs, due, firesInMs } = await verbs.write('due', [MOST_DUE], dueOf)
    nextMs = firesInMs
    if (due.length === 0) break
    const { planOf } = await specs()
    const plans = due.map((each) => ({ ...each, ...planned(planOf, each, nowMs) }))
    const answers: string[] = []
    for (const some of boundedParts(plans)) {
      const { firesInMs, did } = await verbs.write('fire', some.flatMap(fireArgs), firedOf)
      nextMs = firesInMs
      for (const [at] of some.entries()) answers.push(did[at] ?? '')
    }
    for (const [at, { name, runs: planned, isUnreadable }] of plans.entries()) {
      const did = answers[at] ?? ''
      if (isUnreadable) unreadable.push(name)
      if (did === 'moved' || did === 'full') continue
      for (const [n, { dueMs, lateMs }] of planned.entries())
        runs.push({ name, dueAtMs: dueMs, lateMs, ...(did[n] === 'f' && { id: `${name}@${dueMs}` }) })
    }
    if (due.length < MOST_DUE || answers.every((did) => did === 'full')) break
  }
  return { runs, unreadable, ...(nextMs >= 0 && { nextMs }) }
}

export const scheduling = { set, delete: deleteSchedule, get, list, owners, pause, resume, run, fireDue }

const fireArgs = ({ name, version, dueMs, nextMs, fireAtMs, runs }: Due & Plan): (string | number)[] => [
  ...[name, `${version} ${dueMs}`, ...placeArgs(nextMs, fireAtMs)],
  runs.map((each) => `${each.dueMs}:${each.lateMs}`).join(' '),
]

/** Each with at most so many runs, so that no script holds Redis up: a schedule alone has no more. */
function boundedParts<T extends Plan>(plans: readonly T[]): T[][] {
  const parts: T[][] = []
  let part: T[] = []
  let runs = 0
  for (const plan of plans) {
    runs += plan.runs.length
    if (part.length === 0 || runs > MOST_RUNS_A_CALL) {
      part = []
      parts.push(part)
      runs = plan.runs.length
    }
    part.push(plan)
  }
  return parts
}

/** One of a newer release perhaps: it is left for others, and looked at again in a minute. */
function planned(
  planOf: (name: string, spec: ScheduleSpec, times: { dueMs: number; nowMs: number }) => Plan,
  { name, spec, dueMs }: Due,
  nowMs: number,
): Plan & { isUnreadable?: true } {
  try {
    return planOf(name, specOf(spec), { dueMs, nowMs })
  } catch {
    return { runs: [], nextMs: dueMs, fireAtMs: nowMs + LOOK_AGAIN_MS, isUnreadable: true }
  }
}

async function setPaused(verbs: Verbs, name: string, isPaused: boolean): Promise<boolean> {
  const { isActive, planFrom } = await specs()
  const answer = await untilUnchanged(verbs, name, async ({ nowMs, found }) => {
    if (!found) return 'none'
    if (found.state.isPaused === isPaused) return 'placed'
    const { nextMs, fireAtMs } = isActive(found.state.spec, isPaused)
      ? planFrom(name, found.state.spec, nowMs)
      : {}
    const args = [name, found.seen, newVersion(), isPaused ? '1' : '', ...placeArgs(nextMs, fireAtMs)]
    return verbs.write('place-schedule', args, (said) =>
      oneOf(said, 'a schedule', ['placed', 'changed', 'none']),
    )
  })
  return answer === 'placed'
}

/** Reads and changes it, and again where somebody else has changed it in between. */
async function untilUnchanged<T extends string>(
  verbs: Verbs,
  name: string,
  change: (now: { nowMs: number; found: Read | undefined }) => Promise<T | 'changed'>,
): Promise<T> {
  for (let tries = 0; tries < MOST_TRIES; tries += 1) {
    const answer = await change(await read(verbs, name))
    if (answer !== 'changed') return answer as T
  }
  throw new Error(
    `schedule ${name} of queue ${verbs.name} was changed by others ${MOST_TRIES} times meanwhile`,
  )
}

const newVersion = (): string => randomUUID().slice(0, 13)

/** As lua/schedule.lua has them. */
const placeArgs = (nextMs: number | undefined, fireAtMs: number | undefined): (string | number)[] =>
  nextMs === undefined || fireAtMs === undefined ? ['', '+inf'] : [nextMs, fireAtMs]

interface Read {
  readonly state: ScheduleState
  /** Its version and its next due time (lua/schedule.lua). */
  readonly seen: string
  /** When it fires, as Redis writes it. */
  readonly score: string
  readonly fireAtMs: number | undefined
  readonly texts: Readonly<Record<string, string>>
}

function isSame({ texts }: Read, wanted: Readonly<Record<string, string>>): boolean {
  return Object.entries(texts).every(([field, text]) => wanted[field] === text)
}

async function read(verbs: Verbs, name: string): Promise<{ nowMs: number; found: Read | undefined }> {
  const { nowMs, found } = answerOf(await verbs.run('schedules', ['one', name]))
  return { nowMs, found: found[0] }
}

/** Throws RedisDataInvalid. */
function answerOf(answer: unknown): { nowMs: number; total: number; found: Read[] } {
  const [now, total, ...each] = listOf(answer, 'schedules', 2 + MOST_A_PAGE)
  return {
    nowMs: timeOf(String(now)),
    total: amountOf(total, 'how many schedules there are'),
    found: each.map(readOf),
  }
}

function readOf(answer: unknown): Read {
  const [name, score, state, pairs] = listOf(answer, 'a schedule', 4)
  const found = fieldsOf(pairs, 'a schedule')
  const text = (field: string, most = MAX_TEXT) => textOf(found[field] ?? '', `${field} of a schedule`, most)
  const count = (field: string) => counterOf(text(field) || null, `${field} of a schedule`)
  const isPlaced = text('next') !== ''
  const texts = {
    ...{
      spec: text('spec', MAX_SPEC),
      head: text('head', MAX_SPEC),
      input: text('input', Number.POSITIVE_INFINITY),
    },
    ...{ ownerUid: text('ownerUid'), owner: text('owner') },
  }
  const at = textOf(score, 'when a schedule fires')
  return {
    state: {
      name: textOf(name, 'the name of a schedule'),
      spec: { ...specOf(texts.spec), ...inputOf(texts) },
      ownerUid: texts.ownerUid,
      owner: texts.owner,
      isPaused: text('paused') === '1',
      ...(isPlaced && { nextAtMs: count('next') }),
      ...(text('lastId') && {
        last: {
          id: text('lastId'),
          dueAtMs: count('lastDue'),
          firedAtMs: count('lastFiredMs'),
          lateMs: count('lastLateMs'),
          state: oneOf(state, 'the state of a job', JOB_STATES),
        },
      }),
      fired: count('fired'),
      skipped: count('skipped'),
    },
    seen: `${text('version')} ${text('next')}`,
    score: at,
    fireAtMs: at === 'inf' ? undefined : timeOf(at),
    texts,
  }
}

/** Without its input. Throws RedisDataInvalid. */
function specOf(text: string): ScheduleSpec {
  const spec = jsonOf(text)
  if (typeof spec === 'object' && spec !== null && 'task' in spec && typeof spec.task === 'string')
    return spec as ScheduleSpec
  throw new RedisDataInvalid('a schedule', text)
}

/** A list has none. */
function inputOf({ head, input }: { head: string; input: string }): Pick<ScheduleSpec, 'input'> {
  return input === '' || NO_INPUT.test(head) ? {} : { input: jsonOf(input) }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new RedisDataInvalid('a schedule', text)
  }
}

interface Due {
  readonly name: string
  readonly version: string
  readonly dueMs: number
  readonly spec: string
}

const MOMENT = { least: -1, most: Number.MAX_SAFE_INTEGER }

/** Throws RedisDataInvalid. */
function dueOf(answer: unknown): { nowMs: number; firesInMs: number; due: Due[] } {
  const [now, firesIn, ...flat] = listOf(answer, 'the schedules that are due', 2 + 4 * MOST_DUE)
  const due: Due[] = []
  for (let i = 0; i + 3 < flat.length; i += 4)
    due.push({
      name: textOf(flat[i], 'the name of a schedule'),
      version: textOf(flat[i + 1], 'the version of a schedule'),
      dueMs: numberOf(flat[i + 2], 'when a schedule is due', { least: 0, most: Number.MAX_SAFE_INTEGER }),
      spec: textOf(flat[i + 3], 'a schedule', MAX_SPEC),
    })
  return {
    nowMs: timeOf(String(now)),
    firesInMs: numberOf(firesIn, 'when the next schedule fires', MOMENT),
    due,
  }
}

/** Throws RedisDataInvalid. */
function firedOf(answer: unknown): { firesInMs: number; did: string[] } {
  const [firesIn, ...did] = listOf(answer, 'what fired', 1 + MOST_DUE)
  return {
    firesInMs: numberOf(firesIn, 'when the next schedule fires', MOMENT),
    did: did.map((each) => textOf(each, 'what fired', 1_000)),
  }
}
