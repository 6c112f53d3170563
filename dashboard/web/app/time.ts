// Times as people read them: local, or UTC on demand; relative for an hour, then the clock, then the date.
// Millis inside.
import { computed, signal } from '@preact/signals'
import { isUtc } from './settings.ts'

/** What the clock of the server is ahead of ours. */
export const skewMs = signal(0)
const ticks = signal(Date.now())
setInterval(() => {
  if (!document.hidden) ticks.value = Date.now()
}, 1_000)
addEventListener('visibilitychange', () => {
  ticks.value = Date.now()
})

/** The server's clock, to the second: whoever reads it is drawn again each second. */
export const now = computed(() => ticks.value + skewMs.value)
/** Our clock at this moment. */
export const oursMs = (): number => Date.now()
/** The server's clock at this moment. */
export const nowMs = (): number => Date.now() + skewMs.value

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** 85 ms, 1.4 s, 2 m 11 s, 3 h 5 m, 12 d 4 h. */
export function duration(ms: number): string {
  const value = Math.max(0, ms)
  if (value < 100) return `${Math.round(value)} ms`
  if (value < 9_950) return `${(value / SECOND).toFixed(1)} s`
  if (value < MINUTE) return `${Math.round(value / SECOND)} s`
  if (value < HOUR) return two(value, 'm', 's')
  if (value < DAY) return two(value, 'h', 'm')
  return two(value, 'd', 'h')
}

const UNITS = { d: DAY, h: HOUR, m: MINUTE, s: SECOND }
type Unit = keyof typeof UNITS

function two(ms: number, large: Unit, small: Unit): string {
  const rest = Math.floor((ms % UNITS[large]) / UNITS[small])
  return `${Math.floor(ms / UNITS[large])} ${large}${rest ? ` ${rest} ${small}` : ''}`
}

/** "12 s ago", "in 2 m 11 s" within an hour; then 14:02:11; then 3 Nov 14:02. */
export function when(atMs: number, currentMs: number): string {
  const away = atMs - currentMs
  if (Math.abs(away) < SECOND) return 'now'
  if (Math.abs(away) >= HOUR) return isSameDay(atMs, currentMs) ? clock(atMs) : dateAndClock(atMs)
  const text = duration(
    Math.abs(away) < MINUTE ? Math.round(Math.abs(away) / SECOND) * SECOND : Math.abs(away),
  )
  const told = text.replace(/\.0 s$/, ' s')
  return away < 0 ? `${told} ago` : `in ${told}`
}

export const clock = (atMs: number): string => formats().clock.format(atMs)
export const dateAndClock = (atMs: number): string => formats().date.format(atMs)
/** Everything about a moment, for a tooltip. */
export const exactly = (atMs: number): string =>
  isTime(atMs)
    ? `${formatsOf(false).exact.format(atMs)} · ${new Date(atMs).toISOString()} · ${atMs}`
    : 'no time'
export const zoneName = computed(() => (isUtc.value ? 'UTC' : localZone(ticks.value)))

export const isTime = (atMs: number) => Number.isFinite(atMs) && Math.abs(atMs) <= 8.64e15
const isSameDay = (a: number, b: number) => formats().day.format(a) === formats().day.format(b)

function localZone(atMs: number): string {
  const minutes = -new Date(atMs).getTimezoneOffset()
  if (minutes === 0) return 'UTC±0'
  const hours = Math.floor(Math.abs(minutes) / 60)
  const rest = Math.abs(minutes) % 60
  return `UTC${minutes < 0 ? '−' : '+'}${hours}${rest ? `:${String(rest).padStart(2, '0')}` : ''}`
}

const formats = () => formatsOf(isUtc.value)
const made = new Map<boolean, ReturnType<typeof makeFormats>>()

function formatsOf(utc: boolean) {
  const known = made.get(utc) ?? makeFormats(utc)
  made.set(utc, known)
  return known
}

function makeFormats(utc: boolean) {
  const zone = utc ? { timeZone: 'UTC' } : {}
  const time = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' } as const
  const day = { day: 'numeric', month: 'short' } as const
  return {
    clock: new Intl.DateTimeFormat('en-GB', { ...time, second: '2-digit', ...zone }),
    date: new Intl.DateTimeFormat('en-GB', { ...day, ...time, ...zone }),
    day: new Intl.DateTimeFormat('en-GB', { ...day, year: 'numeric', ...zone }),
    exact: new Intl.DateTimeFormat('en-GB', {
      ...day,
      ...time,
      year: 'numeric',
      second: '2-digit',
      timeZoneName: 'short',
      ...zone,
    }),
  }
}
