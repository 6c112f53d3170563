// Adds up texts of figures (lua/stats.lua), of which a long question has tens of thousands: each figure that is asked
// for has a place in an array, and a text is read once, without a copy of any name (pure).
import { TIME_BUCKETS } from './log-buckets.ts'

/** A number in each place. */
export type Sum = Float64Array

export interface Places {
  readonly size: number
  /** Of figures with one number. */
  readonly amounts: ReadonlyMap<string, number>
  /** Where the buckets of times begin. */
  readonly times: Readonly<Record<Times, number | undefined>>
}
export type Times = 'wait' | 'run'

export function placesFor(amounts: readonly string[], times: readonly Times[]): Places {
  const names = [...new Set(amounts)]
  const beginOf = (what: Times) => {
    const nth = [...new Set(times)].indexOf(what)
    return nth < 0 ? undefined : names.length + nth * TIME_BUCKETS
  }
  return {
    size: names.length + new Set(times).size * TIME_BUCKETS,
    amounts: new Map(names.map((name, place) => [name, place])),
    times: { wait: beginOf('wait'), run: beginOf('run') },
  }
}

export const timesIn = (sum: Sum, { times }: Places, what: Times): Sum =>
  sum.subarray(times[what] ?? 0, (times[what] ?? 0) + TIME_BUCKETS)

export function addUp(sum: Sum, more: Sum): void {
  for (let place = 0; place < sum.length; place += 1) sum[place] = (sum[place] ?? 0) + (more[place] ?? 0)
}

const [SPACE, COLON, ZERO, NINE] = [0x20, 0x3a, 0x30, 0x39]

/** Names and numbers in turn. What is none, because another program wrote it, is left out. */
export function addText(sum: Sum, text: string, places: Places): void {
  for (let at = 0; at < text.length; ) {
    const name = at
    let colon = -1
    for (; at < text.length; at += 1) {
      const code = text.charCodeAt(at)
      if (code === SPACE) break
      if (code === COLON) colon = at
    }
    const place = colon < 0 ? amountPlace(text, name, at, places) : timePlace(text, name, colon, at, places)
    const begin = at + 1
    for (at = begin; at < text.length && text.charCodeAt(at) !== SPACE; at += 1);
    const number = place === undefined ? Number.NaN : numberIn(text, begin, at)
    if (place !== undefined && number >= 0) sum[place] = (sum[place] ?? 0) + number
    at += 1
  }
}

const amountPlace = (text: string, from: number, end: number, { amounts }: Places): number | undefined =>
  amounts.size === 0 ? undefined : amounts.get(text.slice(from, end))

/** Of `wait:<bucket>` or `run:<bucket>`. */
function timePlace(text: string, from: number, colon: number, end: number, { times }: Places) {
  const what = text.startsWith('wait:', from)
    ? times.wait
    : text.startsWith('run:', from)
      ? times.run
      : undefined
  if (what === undefined) return undefined
  const bucket = numberIn(text, colon + 1, end)
  return bucket < TIME_BUCKETS ? what + bucket : undefined
}

/** NaN where it is none. */
function numberIn(text: string, from: number, end: number): number {
  if (end === from || end - from > 16) return Number.NaN
  let number = 0
  for (let at = from; at < end; at += 1) {
    const code = text.charCodeAt(at)
    if (code < ZERO || code > NINE) return Number.NaN
    number = 10 * number + code - ZERO
  }
  return number
}
