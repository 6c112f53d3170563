// When a schedule is due: cron expressions in a time zone, and intervals. Pure; used by schedules.ts, whoever
// fires.
//
// A time of day that a clock skips is due at the first time behind the gap, and one that it shows twice is
// due the first time. Where the hour is `*`, every hour that passes counts, also the one that a clock shows
// twice.
import { Cron } from 'croner'
import { reasonOf } from '../errors.ts'
import { nearest } from '../nearest.ts'
import { shown } from '../options.ts'

/** When: one of `cron` and `everyMs`. */
export interface Timing {
  /**
   * Five fields (minute, hour, day of the month, month, day of the week), or @hourly, @daily, @weekly,
   * @monthly, @yearly, or an interval like "@every 10m".
   */
  readonly cron?: string | undefined
  /** Due at the whole multiples of it since 1970-01-01T00:00Z; ms, at least 1,000. */
  readonly everyMs?: number | undefined
  /** The zone of `cron`, like Europe/Berlin; default UTC. */
  readonly timeZone?: string | undefined
  /** Each run starts up to so many ms later: how many depends on name and due time alone. Default 0. */
  readonly jitterMs?: number | undefined
}

/** How late a run may be. */
export interface Missed {
  /** How many of the runs that nobody started in time are made up for: the newest ones. Default 1. */
  readonly maxRuns?: number | undefined
  /** A run that is later than this is left out; ms, default 3,600,000. */
  readonly withinMs?: number | undefined
}

/** What to do with a schedule at a moment. */
export interface Plan {
  /** What to run now, the earliest first; `lateMs` behind the time at which it should have fired. */
  readonly runs: readonly { dueMs: number; lateMs: number }[]
  /** The next due time. Absent where there is none. */
  readonly nextMs?: number
  /** When it fires: the next due time, with its jitter. */
  readonly fireAtMs?: number
}

const MINUTE_MS = 60_000
const SHORTEST_MS = 1_000
const LONGEST_MS = 366 * 24 * 60 * MINUTE_MS
const UNITS_MS = { s: 1_000, m: MINUTE_MS, h: 60 * MINUTE_MS, d: 24 * 60 * MINUTE_MS }

/** Throws TypeError with the field, its value, and what it may be. */
export function checkTiming(timing: Timing): void {
  const { cron, everyMs, timeZone } = timing
  if ((cron === undefined) === (everyMs === undefined)) throw new TypeError('give either cron or everyMs')
  if (timeZone !== undefined && intervalOf(timing) !== undefined)
    throw new TypeError('timeZone belongs to a cron of five fields: an interval is the same everywhere')
  if (timeZone !== undefined) checkZone(timeZone)
  if (cron === undefined || intervalOf(timing) !== undefined) return
  // Croner would also take a date, and fields for seconds and years.
  if (!cron.startsWith('@') && cron.trim().split(/\s+/).length !== 5)
    throw new TypeError(
      `invalid cron ${shown(cron)}: use five fields: minute, hour, day of the month, month, day of the week; for seconds use everyMs`,
    )
  let first: Date | null
  try {
    first = cronOf(timing).nextRun(new Date(0))
  } catch (error) {
    throw new TypeError(`invalid cron ${shown(cron)}: ${reasonOf(error).replace(/^CronPattern: /, '')}`)
  }
  if (!first) throw new TypeError(`invalid cron ${shown(cron)}: there is no such day in any year`)
}

/** The first due time after a time; undefined where there is none. */
export function firstAfter(timing: Timing, afterMs: number): number | undefined {
  const everyMs = intervalOf(timing)
  if (everyMs !== undefined) return (Math.floor(afterMs / everyMs) + 1) * everyMs
  return cronOf(timing).nextRun(new Date(afterMs))?.getTime()
}

/** The next due times after a time, the earliest first; without jitter. */
export function dueTimes(timing: Timing, { afterMs, count }: { afterMs: number; count: number }): number[] {
  const times: number[] = []
  let at: number | undefined = afterMs
  while (times.length < count) {
    at = firstAfter(timing, at)
    if (at === undefined) break
    times.push(at)
  }
  return times
}

/** From when on a due time may run. A run never starts behind the next due time. */
export function fireAt(name: string, timing: Timing, dueMs: number): number {
  const { jitterMs = 0 } = timing
  if (jitterMs === 0) return dueMs
  const gapMs = (firstAfter(timing, dueMs) ?? Number.POSITIVE_INFINITY) - dueMs
  return dueMs + (hashOf(`${name}@${dueMs}`) % Math.min(jitterMs + 1, gapMs))
}

/** When a schedule that is new, or goes on, fires first. */
export function planAfter(name: string, timing: Timing, nowMs: number): Omit<Plan, 'runs'> {
  const nextMs = firstAfter(timing, nowMs)
  return nextMs === undefined ? {} : { nextMs, fireAtMs: fireAt(name, timing, nextMs) }
}

/** What a schedule whose next due time was `dueMs` runs now: the newest runs that are not too late. */
export function planDue(
  name: string,
  { maxRuns = 1, withinMs = 3_600_000, ...timing }: Timing & Missed,
  { dueMs, nowMs }: { dueMs: number; nowMs: number },
): Plan {
  const next = planAfter(name, timing, nowMs)
  // The last due time may still have its jitter before it.
  const isWaiting = (ms: number) => fireAt(name, timing, ms) > nowMs
  const latest = lastUntil(timing, nowMs, maxRuns + 1).filter((ms) => ms >= dueMs)
  const waiting = latest.find((ms) => ms > dueMs && isWaiting(ms))
  const runs = latest
    .filter((ms) => ms !== waiting)
    .map((ms) => ({ dueMs: ms, lateMs: Math.max(0, nowMs - fireAt(name, timing, ms)) }))
    .filter(({ lateMs }) => lateMs <= withinMs)
    .slice(0, maxRuns)
  return {
    runs: runs.reverse(),
    ...(waiting === undefined ? next : { nextMs: waiting, fireAtMs: fireAt(name, timing, waiting) }),
  }
}

/** The last due times until a time, the latest first. */
function lastUntil(timing: Timing, untilMs: number, count: number): number[] {
  const everyMs = intervalOf(timing)
  if (everyMs === undefined)
    return cronOf(timing)
      .previousRuns(count, new Date(untilMs + SHORTEST_MS))
      .map((at) => at.getTime())
      .filter((ms) => ms <= untilMs)
      .slice(0, count)
  const last = Math.floor(untilMs / everyMs)
  return Array.from({ length: count }, (_, i) => (last - i) * everyMs)
}

/**
 * Of an interval, in either notation; undefined for a cron of five fields. Throws TypeError for "@every x".
 */
function intervalOf({ cron, everyMs }: Timing): number | undefined {
  if (everyMs !== undefined || !cron?.startsWith('@every')) return everyMs
  const [, text = ''] = /^@every\s+((?:\d+[smhd])+)$/.exec(cron.trim()) ?? []
  let ms = 0
  for (const [, amount, unit] of text.matchAll(/(\d+)([smhd])/g))
    ms += Number(amount) * UNITS_MS[unit as keyof typeof UNITS_MS]
  if (ms >= SHORTEST_MS && ms <= LONGEST_MS) return ms
  throw new TypeError(
    `invalid cron ${shown(cron)}: use @every and a time of at least 1s and at most 366d, like "@every 10m" or "@every 1h30m"`,
  )
}

function cronOf({ cron = '', timeZone = 'UTC' }: Timing): Cron {
  return new Cron(fixedTimes(cron.trim()), {
    timezone: timeZone,
    mode: '5-part',
    fixedTimeRule: 'no-wildcard',
  })
}

/**
 * Croner takes a cron without wildcards and steps as times of day, each of which is due once a day, and any
 * other as an interval, which skips a gap. Where the hour is not `*`, wildcards and steps are written as the
 * numbers they mean.
 */
function fixedTimes(cron: string): string {
  const [minute = '', hour = '', ...days] = cron.split(/\s+/)
  if (days.length !== 3 || /^[*?](\/1)?$/.test(hour)) return cron
  return [listed(minute, 59), listed(hour, 23), ...days].join(' ')
}

/** What is not understood here stays as it is, for croner to refuse. */
function listed(field: string, most: number): string {
  return field
    .split(',')
    .flatMap((part) => {
      const [, from, to, step = '1'] = /^(?:[*?]|(\d+)-(\d+))(?:\/(\d+))?$/.exec(part) ?? []
      if (!/^[*?]|-/.test(part) || Number(step) === 0 || Number(to ?? most) > most) return [part]
      const numbers: string[] = []
      for (let n = Number(from ?? 0); n <= Number(to ?? most); n += Number(step)) numbers.push(String(n))
      return numbers.length === 0 ? [part] : numbers
    })
    .join(',')
}

function checkZone(timeZone: string): void {
  // An offset like +01:00 is a zone for Node, and not for croner.
  if (/^[A-Za-z]/.test(timeZone)) {
    try {
      new Intl.DateTimeFormat('en', { timeZone })
      return
    } catch {} // RangeError
  }
  const known = Intl.supportedValuesOf('timeZone')
  const ofCity = known.find((zone) => zone.toLowerCase().endsWith(`/${timeZone.toLowerCase()}`))
  const meant = ofCity ?? nearest(timeZone, known)
  throw new TypeError(
    `unknown timeZone ${shown(timeZone)}: ${meant ? `did you mean ${meant}?` : 'use a name like Europe/Berlin'}`,
  )
}

/** FNV-1a, 32 bits. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash >>> 0
}
