// What a schedule does, and when: its fields, checked, and the texts of them in Redis (lua/schedule.lua).
// Loads croner, so schedules.ts loads it when a schedule is set or fires.
import { JOB_OPTIONS, type JobOptions, newJob, withTagged } from '../job.ts'
import { anything, checkOptions, oneOf, type Rules, shown, wholeNumber } from '../options.ts'
import { checkTiming, type Missed, type Plan, planAfter, planDue, type Timing } from './due.ts'

export const OVERLAPS = ['Allow', 'Forbid', 'Replace'] as const
/**
 * What a run does while the job of the one before it waits or runs: start too, be left out, or cancel that
 * job.
 */
export type Overlap = (typeof OVERLAPS)[number]

/** The options of the jobs of a schedule: those of any job but `id`, `delayMs` and `at`. */
export type ScheduledJobOptions = Omit<JobOptions, 'id' | 'delayMs' | 'at'>

/** A schedule: when (`cron` or `everyMs`), and which job. */
export interface ScheduleSpec extends Timing {
  /** The name of the task. */
  readonly task: string
  /** The input of each job. */
  readonly input?: unknown
  readonly options?: ScheduledJobOptions | undefined
  /** Default: Allow. */
  readonly overlap?: Overlap | undefined
  readonly missed?: Missed | undefined
  /** It does not fire. */
  readonly suspend?: boolean | undefined
}

const NAME = /^[A-Za-z0-9:._-]{1,100}$/
const LONGEST_MS = 366 * 24 * 3_600_000
const A_TEXT = { isValid: (value: unknown) => typeof value === 'string' && value.length <= 200, is: 'a text' }
const AN_OBJECT = (is: string) => ({
  isValid: (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value),
  is,
})
const FIELDS: Rules = {
  cron: A_TEXT,
  everyMs: wholeNumber(1_000, LONGEST_MS),
  timeZone: A_TEXT,
  task: anything,
  input: anything,
  options: AN_OBJECT('an object with options of a job'),
  overlap: oneOf(OVERLAPS),
  missed: AN_OBJECT('{ maxRuns, withinMs }'),
  jitterMs: wholeNumber(0, 24 * 3_600_000),
  suspend: { isValid: (value) => typeof value === 'boolean', is: 'true or false' },
}
const MISSED_FIELDS: Rules = { maxRuns: wholeNumber(1, 100), withinMs: wholeNumber(10_000, LONGEST_MS) }
const { id: _, delayMs: __, at: ___, ...OPTIONS } = JOB_OPTIONS

export function checkScheduleName(name: unknown): asserts name is string {
  if (typeof name !== 'string' || !NAME.test(name))
    throw new TypeError(`invalid name of a schedule ${shown(name)}: use 1 to 100 of A-Z a-z 0-9 . : _ -`)
}

/** Throws TypeError with the field, its value, and what it may be. */
export function checkSchedule(name: string, spec: ScheduleSpec): void {
  scheduleTexts(name, spec)
}

/** A schedule as it lies in Redis. Throws TypeError. */
export interface ScheduleTexts {
  readonly spec: string
  readonly head: string
  readonly input: string
  readonly overlap: Overlap
}

/** Throws TypeError as `checkSchedule`. */
export function scheduleTexts(name: string, spec: ScheduleSpec): ScheduleTexts {
  checkScheduleName(name)
  checkOptions('field of a schedule', spec, FIELDS)
  checkTiming(spec)
  const { cron, everyMs, timeZone, jitterMs, task, input, options, overlap = 'Allow', missed, suspend } = spec
  if (missed) checkOptions('field of missed', missed, MISSED_FIELDS)
  const { flags, lane, call, payload } = newJob(task, input, options, OPTIONS)
  const when = { cron, everyMs, timeZone, jitterMs }
  return {
    spec: JSON.stringify({ ...when, task, options, overlap, missed, suspend: suspend || undefined }),
    head: `${withTagged(flags)}${lane} - ${call}`,
    input: payload,
    overlap,
  }
}

export const isActive = ({ suspend }: ScheduleSpec, isPaused: boolean): boolean => !suspend && !isPaused

/** Whether both are due at the same times. */
export function isSameTiming(one: Timing, other: Timing): boolean {
  const textOf = ({ cron, everyMs, timeZone = 'UTC', jitterMs = 0 }: Timing) =>
    JSON.stringify([cron, everyMs, timeZone, jitterMs])
  return textOf(one) === textOf(other)
}

/** When a schedule that begins or goes on now fires first. */
export const planFrom = planAfter

/** What to do with a schedule that is due. Throws for one that this program cannot read. */
export function planOf(name: string, spec: ScheduleSpec, times: { dueMs: number; nowMs: number }): Plan {
  const { cron, everyMs, timeZone, jitterMs, overlap, missed: { maxRuns = 1, withinMs } = {} } = spec
  const timing = { cron, everyMs, timeZone, jitterMs }
  checkTiming(timing)
  return planDue(name, { ...timing, withinMs, maxRuns: overlap === 'Allow' ? maxRuns : 1 }, times)
}
