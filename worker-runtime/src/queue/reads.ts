// The answers of the verbs that only read, parsed: the numbers of a queue, its workers, one job, a page of
// jobs.
import { failureText, type JobError, parseError } from '../errors.ts'
import { type AttemptFacts, type EndedJob, type Envelope, parseEnded, parseEnvelope } from '../job.ts'
import { amountOf, counterOf, listOf, numberOf, oneOf, optionalOf, textOf } from './answers.ts'
import { limitsOf } from './limit-text.ts'

export interface Depth {
  /** Ready jobs, with delayed ones that are due. */
  ready: number
  /** The part of the ready jobs that is due but still in `delayed`. */
  due: number
  /** Delayed jobs that are not due. */
  delayed: number
  busy: number
  buried: number
  /** The part of the ready jobs that a limit of their key holds back. */
  blocked: number
  /** ms until the next delayed job is due. */
  nextMs?: number
  /**
   * For how long the oldest job at the head of a lane is ready: since it was enqueued, due, or put back; ms.
   * Lanes of keys at a limit are left out.
   */
  oldestReadyMs?: number
  /** The same of the lanes of keys that a limit holds back; where there are more than 100, of a part of them. */
  oldestBlockedMs?: number
  /** ms until the next schedule fires, 0 where one is due; absent where none is active. */
  nextScheduleMs?: number
  suspended: boolean
  paused: boolean
  maxBusy?: number
  /** For how long the queue rests, because a task asked for it (RetryAfter); ms. */
  restsMs?: number
  /** The rate of the queue. */
  startsPerSecond?: number
  /** Absent where there never was one. */
  flows?: FlowCounts
  /** Its outbox has something that nobody has forwarded yet. */
  hasOutbox?: true
  counts: Record<(typeof COUNTS)[number], number>
  /** When enqueues were last found to have vanished; by the clock of Redis. */
  vanishedAtMs?: number
}

/** Flows and batches that are at home in the queue. */
export interface FlowCounts extends Record<(typeof FLOW_OUTCOMES)[number], number> {
  running: number
  /** Runs that began; a retry is one more. */
  started: number
}
export const FLOW_OUTCOMES = ['completed', 'failed', 'cancelled'] as const

const MAX_WHY = 300
const COUNTS = [
  'enqueued',
  'claimed',
  'busy',
  'completed',
  'retried',
  'buried',
  'lost',
  'cancelled',
  'expired',
  'vanished',
] as const

/** A worker as it registers itself, and as it is listed. */
export interface WorkerFacts {
  process: string
  pod: string
  podUid: string
  poolUid: string
  node: string
  slots: number
  isolation: string
  version: string
}

export interface WorkerEntry extends WorkerFacts {
  name: string
  isolationNote?: string
  startedAtMs: number
  held: number
  /** Its heartbeat has not run out, and it was not taken for dead. */
  alive: boolean
  draining: boolean
}

export const JOB_STATES = [
  'ready',
  'delayed',
  'held',
  'completed',
  'cancelled',
  'expired',
  'buried',
  'unknown',
] as const
/** The state of a job: always exactly one of these. */
export type JobState = (typeof JOB_STATES)[number]

/** An attempt that ended without success, as it is kept with the job. */
export interface AttemptRecord extends AttemptFacts {
  /** failed, timed-out, killed, exited, out-of-memory, output-limit, worker-lost ... */
  outcome: string
  /** The error group that it was counted in. */
  group?: string
  message?: string
  error?: JobError
  exitCode?: number
  signal?: string
  output?: string
  worker?: string
  /** The name of the worker that was lost. */
  pod?: string
  node?: string
  startedAtMs?: number
  endedAtMs?: number
}

/** The flow that a job belongs to, or the batch: that one is at home in the queue of the job. */
export interface FlowOfJob {
  id: string
  /** `<namespace>.<name>` of its home, and the name of the job in it; absent of a batch. */
  home?: string
  job?: string
}

export interface JobDetails {
  id: string
  state: Exclude<JobState, 'unknown'>
  task: string
  enqueuedAtMs: number
  /** Attempts that ended, or the one that runs; crashes are workers that died holding the job. */
  attempts: number
  crashes: number
  envelope?: Envelope
  ended?: EndedJob
  /** JSON text. */
  progress?: string
  cancelling: boolean
  worker?: string
  dueAtMs?: number
  /** An attempt ran out of memory: a copy of the job goes on in this queue, and the job ends as that does. */
  escalatedTo?: string
  buriedAtMs?: number
  /** Until it has ended. */
  flow?: FlowOfJob
  /** The last five that ended without success, oldest first. */
  failures: AttemptRecord[]
}

export interface JobSummary {
  id: string
  state: string
  task: string
  enqueuedAtMs: number
  lane?: string
  worker?: string
  dueAtMs?: number
  buriedAtMs?: number
  endedAtMs?: number
  /** Attempts that ended, or the one that runs. */
  attempts: number
  /** Until it has ended. */
  tags?: readonly string[]
  /** Until it has ended. */
  key?: string
  /** The fingerprint of its last error. */
  error?: string
  /**
   * Why a buried job failed the last time: the error and its causes, in one line of at most 300 characters.
   */
  why?: string
}

/** The arguments of the script of depth. */
export const COUNT_FIELDS: readonly string[] = [
  ...COUNTS,
  ...['vanishedAtMs', 'blocked', 'nextScheduleMs', 'flows-started'],
  ...FLOW_OUTCOMES.map((outcome) => `flows-${outcome}`),
]

/** The oldest job is no older than 70 years. */
const MOST_AGE_MS = 2 ** 41

/** Throws RedisDataInvalid. */
export function depthOf(answer: unknown): Depth {
  const { ready, due, delayed, buried, suspended, paused, ...said } = fieldsOf(answer, 'the depth of a queue')
  const found = listOf(said.counts, 'the counts of a queue')
  const count = (name: string) => counterOf(found[COUNT_FIELDS.indexOf(name)] ?? null, `counts.${name}`)
  const counts = Object.fromEntries(COUNTS.map((name) => [name, count(name)])) as Depth['counts']
  const nextMs = optionalOf(said.nextMs, 'the time of the next delayed job')
  const oldestReadyMs = optionalOf(said.oldestMs, 'the age of the oldest job', MOST_AGE_MS)
  const blockedMs = optionalOf(said.oldestBlockedMs, 'the age of the oldest blocked job', MOST_AGE_MS)
  const maxBusy = optionalOf(said.maxBusy, 'config.maxBusy')
  const restsMs = optionalOf(said.restsMs, 'how long the queue rests')
  const { rate } = limitsOf(said.limits ?? '')
  const vanishedAtMs = count('vanishedAtMs')
  const scheduleAtMs = count('nextScheduleMs')
  const flows = {
    started: count('flows-started'),
    completed: count('flows-completed'),
    failed: count('flows-failed'),
    cancelled: count('flows-cancelled'),
  }
  return {
    ready: amountOf(ready, 'ready'),
    due: amountOf(due, 'due'),
    delayed: amountOf(delayed, 'delayed'),
    busy: amountOf(counts.busy, 'counts.busy'),
    buried: amountOf(buried, 'buried'),
    blocked: count('blocked'),
    ...(nextMs !== undefined && { nextMs }),
    ...(oldestReadyMs !== undefined && { oldestReadyMs }),
    ...(blockedMs !== undefined && { oldestBlockedMs: blockedMs }),
    ...(scheduleAtMs > 0 && { nextScheduleMs: Math.max(0, scheduleAtMs - timeOf(String(said.now))) }),
    suspended: suspended === 1,
    paused: paused === 1,
    ...(maxBusy !== undefined && { maxBusy }),
    ...(flows.started > 0 && { flows: { running: amountOf(said.flows, 'flows'), ...flows } }),
    ...(said.outbox === 1 && { hasOutbox: true as const }),
    ...(restsMs !== undefined && { restsMs }),
    ...(rate && { startsPerSecond: (1_000 * rate.jobs) / rate.periodMs }),
    counts,
    ...(vanishedAtMs && { vanishedAtMs }),
  }
}

/** Workers of one call of the script (Redis does nothing else meanwhile), and of one queue at all: who asks keeps them in memory. */
export const WORKERS_A_PAGE = 100
export const MOST_WORKERS = 10_000

export interface WorkersPage {
  workers: WorkerEntry[]
  /** The names of workers that were on no page yet. */
  rest: string[]
}

/** Throws RedisDataInvalid. */
export function workersOf(answer: unknown): WorkersPage {
  const [total, page, others] = listOf(answer, 'the list of workers')
  numberOf(total, 'the number of workers of a queue', { least: 0, most: MOST_WORKERS })
  const rest = listOf(others, 'the list of workers', MOST_WORKERS).map((name) => textOf(name, 'a worker'))
  return { workers: listOf(page, 'a page of workers', WORKERS_A_PAGE).map(workerOf), rest }
}

function workerOf(answer: unknown): WorkerEntry {
  const found = fieldsOf(answer, 'the entry of a worker')
  const text = (field: string) => textOf(found[field] ?? '', `${field} of a worker`)
  // A worker whose entry has gone is only known by the list.
  const number = (field: string) => counterOf(text(field) || '0', `${field} of a worker`)
  return {
    name: textOf(found.name, 'the name of a worker'),
    process: text('process'),
    pod: text('pod'),
    podUid: text('podUid'),
    poolUid: text('poolUid'),
    node: text('node'),
    slots: number('slots'),
    isolation: text('isolation'),
    ...(text('isolationNote') && { isolationNote: text('isolationNote') }),
    version: text('version'),
    startedAtMs: number('startedAtMs'),
    held: amountOf(found.held, 'what a worker holds'),
    alive: found.alive === 1,
    draining: found.draining === 1,
  }
}

/** Throws RedisDataInvalid. */
export function jobOf(id: string, answer: unknown): JobDetails | undefined {
  const found = fieldsOf(answer, 'a job')
  const state = oneOf(found.state, 'the state of a job', JOB_STATES)
  if (state === 'unknown') return undefined
  const text = longTextOf(found.text)
  const worker = longTextOf(found.worker)
  const known = recordOf(listOf(found.known, 'the attempts of a job').map(longTextOf))
  const ended = parseEnded(text)
  const envelope = parseEnvelope(text)
  const [, heldAttempt, heldCrashes] = longTextOf(found.entry).split(':')
  const crashes = heldCrashes === undefined ? undefined : Number.parseInt(heldCrashes, 10)
  return {
    id,
    state,
    task: ended?.task ?? envelope?.task ?? '',
    enqueuedAtMs: ended?.enqueuedAtMs ?? envelope?.enqueuedAtMs ?? 0,
    attempts: counterOf(heldAttempt ?? ended?.attempts ?? known.attempts ?? 0, 'attempts of a job'),
    crashes: counterOf(crashes || ended?.crashes || known.crashes || 0, 'crashes of a job'),
    ...(envelope && { envelope }),
    ...(ended && { ended }),
    ...(known.progress && { progress: known.progress }),
    cancelling: known.cancel === '1',
    ...(worker && { worker }),
    ...(envelope && flowIn(text, id)),
    ...(state === 'delayed' &&
      (known.escalated ? { escalatedTo: known.escalated } : { dueAtMs: timeOf(found.at) })),
    ...(state === 'buried' && { buriedAtMs: timeOf(found.at) }),
    failures: failuresOf(known),
  }
}

/** The flow and the name in it, of the id of a job (lua/flow.lua). */
export const FLOW_JOB_ID = /^([^:]+):([^:]+)(?::\d+)?$/

/** As lua/text.lua has it: the field `f` is the home of a flow, or `/` and the id of a batch. */
function flowIn(text: string, jobId: string): { flow?: FlowOfJob } {
  const home = / f=(\S+)/.exec(text.slice(0, text.indexOf('\n')))?.[1]
  if (home === undefined) return {}
  if (home.startsWith('/')) return { flow: { id: home.slice(1) } }
  const [, id, job] = FLOW_JOB_ID.exec(jobId) ?? []
  return id !== undefined && job !== undefined ? { flow: { id, job, home } } : {}
}

/** In one line, from the record of an attempt. */
export const failureOf = (record: string): string => failureText(parseRecord(record), MAX_WHY)

/** Texts of a job and its attempts: the connection bounds them, and '' stands for none. */
const longTextOf = (value: unknown): string =>
  textOf(value ?? '', 'a part of a job', Number.POSITIVE_INFINITY)

/** A score: Redis may write a large number with a fraction or an exponent. */
export function timeOf(value: unknown): number {
  const found = typeof value === 'string' && value !== '' ? Math.floor(Number(value)) : Number.NaN
  return numberOf(found, 'the time of a job', { least: 0, most: Number.MAX_SAFE_INTEGER })
}

function failuresOf(known: Record<string, string>): AttemptRecord[] {
  return Object.entries(known)
    .filter(([field]) => field.startsWith('#'))
    .sort(([a], [b]) => Number(a.slice(1)) - Number(b.slice(1)))
    .map(([, json]) => parseRecord(json))
}

const TEXTS = ['group', 'message', 'signal', 'output', 'worker', 'pod', 'node']
const NUMBERS = [
  ...['exitCode', 'startedAtMs', 'endedAtMs'],
  ...['durationMs', 'cpuUserMs', 'cpuSystemMs', 'maxRssBytes'],
]

/** Fields that cannot be what they say are left out. */
function parseRecord(json: string): AttemptRecord {
  const found = fieldsIn(json)
  if (typeof found.outcome !== 'string') return { outcome: 'unreadable' }
  for (const name of TEXTS) if (typeof found[name] !== 'string') delete found[name]
  for (const name of NUMBERS) if (!Number.isFinite(found[name])) delete found[name]
  const { error, ...rest } = found
  const parsed = parseError(error)
  return { ...rest, ...(parsed && { error: parsed }) } as unknown as AttemptRecord
}

/** Empty where the record is not the JSON of an object: it is still a failed attempt. */
function fieldsIn(json: string): Record<string, unknown> {
  try {
    const found: unknown = JSON.parse(json)
    return typeof found === 'object' && found !== null ? { ...found } : {}
  } catch {
    return {}
  }
}

/** Name and value in turn. */
export function fieldsOf(answer: unknown, what: string): Record<string, unknown> {
  const flat = listOf(answer, what, 100)
  const fields: Record<string, unknown> = Object.create(null)
  for (let i = 0; i + 1 < flat.length; i += 2) fields[textOf(flat[i], what)] = flat[i + 1]
  return fields
}

function recordOf(flat: readonly string[]): Record<string, string> {
  const record: Record<string, string> = Object.create(null)
  for (let i = 0; i + 1 < flat.length; i += 2) record[flat[i] ?? ''] = flat[i + 1] ?? ''
  return record
}
