// When a schedule is due, in words for people. Pure. What is not one of the usual forms is shown as it is
// written.
import type { Timing } from './due.ts'

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const NICKNAMES: Record<string, string> = {
  '@hourly': '0 * * * *',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@weekly': '0 0 * * 0',
  '@monthly': '0 0 1 * *',
}
const UNITS = [
  [86_400_000, 'day'],
  [3_600_000, 'hour'],
  [60_000, 'minute'],
  [1_000, 'second'],
] as const

/** `at 03:00 every day, Europe/Berlin`; `every 10 minutes`; `cron 0 3 1 1 *, UTC`. */
export function whenText({ cron, everyMs, timeZone = 'UTC' }: Timing): string {
  if (everyMs !== undefined) return everyText(everyMs)
  const text = (cron ?? '').trim()
  if (text.startsWith('@every')) return text.slice(1).replaceAll(/\s+/g, ' ')
  const words = wordsOf(NICKNAMES[text] ?? text)
  return words.startsWith('every minute') || /^every \d+ minutes$/.test(words)
    ? words
    : `${words}, ${timeZone}`
}

function everyText(ms: number): string {
  const [unitMs, unit] = UNITS.find(([each]) => ms % each === 0) ?? [1, 'millisecond']
  const count = ms / unitMs
  return count === 1 ? `every ${unit}` : `every ${count} ${unit}s`
}

function wordsOf(cron: string): string {
  const [minute = '', hour = '', day = '', month = '', weekday = ''] = cron.split(/\s+/)
  const isEachDay = day === '*' && month === '*' && weekday === '*'
  if (isEachDay && hour === '*') {
    const [, step] = /^\*(?:\/(\d+))?$/.exec(minute) ?? []
    if (minute === '*' || step === '1') return 'every minute'
    if (step !== undefined && 60 % Number(step) === 0) return `every ${step} minutes`
    if (/^\d{1,2}$/.test(minute)) return `every hour at :${two(minute)}`
  }
  const days = daysOf(day, month, weekday)
  if (!/^\d{1,2}$/.test(minute) || !/^\d{1,2}(,\d{1,2})*$/.test(hour) || days === undefined)
    return `cron ${cron}`
  const times = hour.split(',').map((each) => `${two(each)}:${two(minute)}`)
  return `at ${times.join(', ')} ${days}`
}

function daysOf(day: string, month: string, weekday: string): string | undefined {
  if (month !== '*') return undefined
  if (day === '*' && weekday === '*') return 'every day'
  if (day === '*') return weekdaysOf(weekday.toUpperCase())
  if (weekday !== '*') return undefined
  if (day === 'L') return 'on the last day of the month'
  return /^\d{1,2}(,\d{1,2})*$/.test(day) ? `on day ${day.split(',').join(', ')} of the month` : undefined
}

function weekdaysOf(text: string): string | undefined {
  const nameOf = (each: string) =>
    DAYS[
      /^\d$/.test(each) ? Number(each) % 7 : DAYS.findIndex((name) => name.slice(0, 3).toUpperCase() === each)
    ]
  const [, from, to] = /^(\w+)-(\w+)$/.exec(text) ?? []
  const names = (from && to ? [from, to] : text.split(',')).map(nameOf)
  if (names.includes(undefined)) return undefined
  return from && to ? `${names.join(' to ')}` : `on ${names.join(', ')}`
}

const two = (text: string): string => text.padStart(2, '0')
