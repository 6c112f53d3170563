// When a schedule is due, in words for people. Pure. What is not one of the usual forms is shown as it is
// written.
import type { Timing } from './due.ts'

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const MONTHS = [
  ...['January', 'February', 'March', 'April', 'May', 'June'],
  ...['July', 'August', 'September', 'October', 'November', 'December'],
]
/** More of them are no sentence. */
const MOST_TIMES = 8
const NICKNAMES: Record<string, string> = {
  '@hourly': '0 * * * *',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@weekly': '0 0 * * 0',
  '@monthly': '0 0 1 * *',
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
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
  return words === 'every minute' || /^every \d+ minutes$/.test(words) ? words : `${words}, ${timeZone}`
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
  const times = timesOf(minute, hour)
  return days === undefined || times === undefined ? `cron ${cron}` : `${times} ${days}`
}

/** `at 08:30, 17:30`; `every 5 minutes from 08:00 to 18:59`. */
function timesOf(minute: string, hour: string): string | undefined {
  const hours = hoursOf(hour)
  if (hours === undefined) return undefined
  if (/^\d{1,2}$/.test(minute))
    return hours.length <= MOST_TIMES
      ? `at ${hours.map((each) => `${two(each)}:${two(minute)}`).join(', ')}`
      : undefined
  const [, step = '1'] = /^\*(?:\/(\d+))?$/.exec(minute) ?? [undefined, 'none']
  const [from, to] = [hours[0], hours.at(-1)]
  const isWhole = hours.every((each, n) => Number(each) === Number(from) + n)
  if (from === undefined || to === undefined || !isWhole || 60 % Number(step) !== 0) return undefined
  const often = step === '1' ? 'every minute' : `every ${step} minutes`
  return hours.length === 24 ? often : `${often} from ${two(from)}:00 to ${two(to)}:59`
}

function hoursOf(text: string): string[] | undefined {
  const all = new Set<number>()
  for (const part of text.split(',')) {
    const found = /^(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:\/(\d{1,2}))?$/.exec(part)
    const [, from, to = from, step = '1'] = found ?? []
    // What 5/10 means is not the same everywhere.
    if (!found || (from !== undefined && found[2] === undefined && found[3] !== undefined)) return undefined
    for (let each = Number(from ?? 0); each <= Number(to ?? 23); each += Number(step) || 24) all.add(each)
  }
  return [...all].sort((a, b) => a - b).map(String)
}

function daysOf(day: string, month: string, weekday: string): string | undefined {
  const months = month === '*' ? '' : monthsOf(month.toUpperCase())
  const weekdays = weekday === '*' ? '' : weekdaysOf(weekday.toUpperCase())
  const dates = day === '*' ? '' : datesOf(day)
  if (months === undefined || weekdays === undefined || dates === undefined) return undefined
  // Either will do.
  const days = [dates, weekdays].filter(Boolean).join(' or ') || 'every day'
  return months === '' ? days : `${days}, in ${months}`
}

function datesOf(day: string): string | undefined {
  if (day === 'L') return 'on the last day of the month'
  return /^\d{1,2}(,\d{1,2})*$/.test(day) ? `on day ${day.split(',').join(', ')} of the month` : undefined
}

function monthsOf(text: string): string | undefined {
  const nameOf = (each: string) =>
    MONTHS[/^\d{1,2}$/.test(each) ? Number(each) - 1 : MONTHS.findIndex((name) => shortOf(name) === each)]
  const [, from, to] = /^(\w+)-(\w+)$/.exec(text) ?? []
  const names = (from && to ? [from, to] : text.split(',')).map(nameOf)
  return names.includes(undefined) ? undefined : names.join(from ? ' to ' : ', ')
}

function weekdaysOf(text: string): string | undefined {
  const nameOf = (each: string) =>
    DAYS[/^\d$/.test(each) ? Number(each) % 7 : DAYS.findIndex((name) => shortOf(name) === each)]
  const [, from, to] = /^(\w+)-(\w+)$/.exec(text) ?? []
  const names = (from && to ? [from, to] : text.split(',')).map(nameOf)
  if (names.includes(undefined)) return undefined
  return from && to ? `${names.join(' to ')}` : `on ${names.join(', ')}`
}

const shortOf = (name: string): string => name.slice(0, 3).toUpperCase()
const two = (text: string): string => text.padStart(2, '0')
