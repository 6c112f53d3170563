// The shape of a job: what the client writes, what Redis keeps, what the worker reads. Text from Redis is
// parsed here and nowhere else.
import { reasonOf } from './errors.ts'
import { HEADERS, type Headers, headersIn, headersText } from './headers.ts'
import { newJobId } from './job-id.ts'
import { checkOptions, oneOf, type Rules, shown, validDate, wholeNumber } from './options.ts'

import { flagsOf, NO_TAGS, TAGS, tagsIn, tagsText } from './tags.ts'
import { UNIQUE, type Unique, uniqueKeyIn, uniqueText } from './unique.ts'

export { withTagged } from './tags.ts'
export { ON_DUPLICATE, type Unique } from './unique.ts'

export const LANES = ['urgent', 'high', 'normal', 'low'] as const
/** The lane of a job: workers take jobs of all lanes in the ratio 8 : 4 : 2 : 1. */
export type Priority = (typeof LANES)[number]

/** The options of one job. A number here wins over the queue's setting of the same name. */
export interface JobOptions {
  /** 1 to 128 of A-Z a-z 0-9 . : _ - ; a job with a known id is not enqueued again. Default: a new id. */
  id?: string
  /**
   * What this job has in common with others: a tenant, a user, an account. Jobs of several keys are served in
   * turn, and a queue may limit each key. 1 to 128 of A-Z a-z 0-9 . : _ -
   */
  key?: string
  /** At most 5 names to find the job by until it has ended, each 1 to 64 of A-Z a-z 0-9 : . _ - @ / */
  tags?: readonly string[]
  /** Enqueues nothing while another job of the queue has the same unique key. */
  unique?: Unique
  /**
   * Texts that the task finds in `job.headers`, like the context of a trace: names of 1 to 64 of A-Z a-z 0-9
   * . _ -, and together, as in the query of a URL, at most 1,024 bytes.
   */
  headers?: Headers
  /** Default: normal. */
  priority?: Priority
  /** The job does not start before this many ms from now. */
  delayMs?: number
  /** The job does not start before this time. */
  at?: Date
  /**
   * The job ends as expired, and never runs, where its first attempt has not begun so long after it was due;
   * ms (`expiresInSeconds` of the queue).
   */
  expiresInMs?: number
  /** Attempts that may fail before the job is buried (`retry.maxAttempts` of the queue). */
  maxAttempts?: number
  /** The wait before the second attempt, doubled for each further one; ms (`retry.backoff.baseSeconds`). */
  backoffMs?: number
  /** The longest wait between two attempts; ms (`retry.backoff.maxSeconds`). */
  maxBackoffMs?: number
  /** Workers that may die with the job before it is buried (`retry.maxCrashes`). */
  maxCrashes?: number
  /** How long one attempt may run; ms. Never more than the queue allows. */
  timeoutMs?: number
}

/** A job on its way to Redis, checked. */
export interface NewJob {
  readonly id: string
  /** `<priority>` or `<priority>/<key>`. */
  readonly lane: string
  /** What there is besides the envelope (queue/lua/text.lua). */
  readonly flags: string
  /** '' at once, '+<ms>' from now by the server's clock, '@<ms>' on the wall clock. */
  readonly when: string
  /** `<task>` and the named fields ` <name>=<value>`: the part of the header that the client decides. */
  readonly call: string
  /** JSON text. */
  readonly payload: string
}

/** A job that has not ended, as it lies in Redis. */
export interface Envelope {
  /** `<priority>` or `<priority>/<key>`. */
  readonly lane: string
  readonly enqueuedAtMs: number
  readonly task: string
  readonly timeoutMs: number | undefined
  /** When it was to become ready, if not at once. */
  readonly dueAtMs: number | undefined
  /** It ends as expired where it has not started by then. */
  readonly expiresAtMs: number | undefined
  readonly tags: readonly string[]
  readonly uniqueKey: string | undefined
  readonly headers: Headers | undefined
  /** JSON text; '' for undefined. */
  readonly payload: string
}

/** A job that has ended, as its outcome is kept. */
export interface EndedJob {
  readonly state: 'completed' | 'cancelled' | 'expired'
  readonly endedAtMs: number
  readonly attempts: number
  readonly crashes: number
  readonly enqueuedAtMs: number
  readonly task: string
  readonly facts: AttemptFacts
  /** JSON text. */
  readonly result: string
  readonly output: string | undefined
}

/** How an attempt went; a number that is not known is absent. */
export interface AttemptFacts {
  readonly durationMs?: number
  /** Processor time of its child, where the child ran no other job; ms. */
  readonly cpuUserMs?: number
  readonly cpuSystemMs?: number
  /** Peak memory of its child. */
  readonly maxRssBytes?: number
}

const TASK_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/
/** With an @: `<schedule>@<due ms>`, which only schedules make. */
const JOB_ID = /^[A-Za-z0-9:._@-]{1,128}$/
const NAME_OF_A_CLIENT = /^[A-Za-z0-9:._-]{1,128}$/
const HEADER = /^2\S ((?:urgent|high|normal|low)(?:\/\S{1,150})?) (\d{1,15}) (\S{1,100})([^\n]{0,1900})\n/
const ENDED = /^=(c|x|e) ([0-9a-f]+) ([0-9a-f]+)(?:\+([0-9a-f]+))? ([0-9a-f]+) (\S+)([^\n]*)\n/

/** The most that any queue may allow (spec.limits.maxPayload of a TaskQueue). */
export const MAX_PAYLOAD_BYTES = 16 * 1024 * 1024

export const JOB_OPTIONS: Rules = {
  id: { isValid: isKey, is: 'a text of 1 to 128 of A-Z a-z 0-9 . : _ -' },
  key: { isValid: isKey, is: 'a text of 1 to 128 of A-Z a-z 0-9 . : _ -' },
  tags: TAGS,
  unique: UNIQUE,
  priority: oneOf(LANES),
  delayMs: wholeNumber(0),
  at: validDate,
  expiresInMs: wholeNumber(1),
  maxAttempts: wholeNumber(1),
  backoffMs: wholeNumber(0),
  maxBackoffMs: wholeNumber(0),
  maxCrashes: wholeNumber(1),
  timeoutMs: wholeNumber(1),
  headers: HEADERS,
}

/** Throws TypeError for a name, an option or a payload that is none. */
export function newJob(
  task: string,
  payload: unknown,
  options: JobOptions = {},
  known = JOB_OPTIONS,
): NewJob {
  if (typeof task !== 'string' || !TASK_NAME.test(task))
    throw new TypeError(
      `invalid task name ${shown(task)}: use 1 to 100 of A-Z a-z 0-9 . _ -, a letter or digit first`,
    )
  checkOptions('option of a job', options, known)
  const { id = newJobId(), key, tags = NO_TAGS, unique, priority = 'normal' } = options
  return {
    id,
    lane: key === undefined ? priority : `${priority}/${key}`,
    flags: flagsOf(options),
    when: whenOf(options),
    call:
      task +
      fieldsText(options, payload === undefined) +
      tagsText(tags) +
      uniqueText(unique) +
      headersText(options.headers),
    payload: jsonOf(payload, task),
  }
}

/** Of a key, or an id that a client gives. */
export function isKey(value: unknown): value is string {
  return typeof value === 'string' && NAME_OF_A_CLIENT.test(value)
}

export function isJobId(value: unknown): value is string {
  return typeof value === 'string' && JOB_ID.test(value)
}

/** The names of the fields of a header that a client writes; scripts read them too (queue/lua/text.lua). */
const FIELDS = [
  [' a=', 'maxAttempts'],
  [' b=', 'backoffMs'],
  [' m=', 'maxBackoffMs'],
  [' c=', 'maxCrashes'],
  [' t=', 'timeoutMs'],
  [' x=', 'expiresInMs'],
] as const
/** Marks an input of undefined, which JSON cannot express. */
const NO_INPUT = ' i=0'

function fieldsText(options: JobOptions, hasNoInput: boolean): string {
  let text = hasNoInput ? NO_INPUT : ''
  for (const [name, option] of FIELDS) {
    const value = options[option]
    if (value !== undefined) text += name + value
  }
  return text
}

function whenOf({ delayMs, at }: JobOptions): string {
  if (delayMs !== undefined && at !== undefined) throw new TypeError('give delayMs or at, not both')
  if (at !== undefined) return `@${at.getTime()}`
  return delayMs ? `+${delayMs}` : ''
}

function jsonOf(payload: unknown, task: string): string {
  let text: string | undefined
  try {
    text = JSON.stringify(payload ?? null)
  } catch (error) {
    throw new TypeError(`the payload of ${task} cannot be written as JSON: ${reasonOf(error)}`, {
      cause: error,
    })
  }
  if (text === undefined)
    throw new TypeError(`the payload of ${task} cannot be written as JSON: it is a ${typeof payload}`)
  return text
}

/** Answers undefined for text that is no envelope of this layout. */
export function parseEnvelope(text: string): Envelope | undefined {
  const match = HEADER.exec(text)
  if (!match) return undefined
  const [header, lane = '', enqueued, task = '', fields = ''] = match
  return {
    lane,
    enqueuedAtMs: Number(enqueued),
    task,
    timeoutMs: numberIn(/ t=(\d+)/, fields),
    dueAtMs: numberIn(/ d=(\d+)/, fields),
    expiresAtMs: numberIn(/ x=(\d+)/, fields),
    tags: tagsIn(fields),
    headers: headersIn(fields),
    uniqueKey: uniqueKeyIn(fields),
    payload: `${fields} `.includes(`${NO_INPUT} `) ? '' : text.slice(header.length),
  }
}

function numberIn(fields: RegExp, text: string): number | undefined {
  const found = fields.exec(text)?.[1]
  return found === undefined ? undefined : Number(found)
}

/** The part of the outcome that the worker knows; `settle` takes it. */
export function completedText(
  { enqueuedAtMs, task }: Envelope,
  { facts, result }: { facts: AttemptFacts & { output?: string | undefined }; result: string },
): string {
  const numbers = [
    facts.durationMs,
    facts.cpuUserMs,
    facts.cpuSystemMs,
    facts.maxRssBytes && facts.maxRssBytes / 1024,
  ]
  while (numbers.length > 0 && numbers.at(-1) === undefined) numbers.pop()
  const known = numbers.map((value) => (value === undefined ? '-' : Math.round(value).toString(16))).join(' ')
  const output = facts.output ? `\n${JSON.stringify(facts.output)}` : ''
  return `${enqueuedAtMs} ${task} ${known}\n${result}${output}`
}

export function parseEnded(text: string): EndedJob | undefined {
  const match = ENDED.exec(text)
  if (!match) return undefined
  const [header, state, endedAt = '', attempts = '', crashes = '0', livedMs = '', task = '', rest = ''] =
    match
  const [duration, user, system, rssKiB] = rest.trim().split(' ').map(numberOrNothing)
  const [result = 'null', output] = text.slice(header.length).split('\n')
  return {
    state: state === 'c' ? 'completed' : state === 'e' ? 'expired' : 'cancelled',
    endedAtMs: fromHex(endedAt),
    attempts: fromHex(attempts),
    crashes: fromHex(crashes),
    enqueuedAtMs: fromHex(endedAt) - fromHex(livedMs),
    task,
    facts: {
      ...(duration !== undefined && { durationMs: duration }),
      ...(user !== undefined && { cpuUserMs: user }),
      ...(system !== undefined && { cpuSystemMs: system }),
      ...(rssKiB !== undefined && { maxRssBytes: rssKiB * 1024 }),
    },
    result,
    output: output === undefined ? undefined : textOfJson(output),
  }
}

function numberOrNothing(text: string): number | undefined {
  return /^[0-9a-f]+$/.test(text) ? fromHex(text) : undefined
}

const fromHex = (text: string): number => Number.parseInt(text, 16)

function textOfJson(json: string): string | undefined {
  try {
    return String(JSON.parse(json))
  } catch {
    return undefined
  }
}
