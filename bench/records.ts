// Reads the records of a round's jobs, and tells whether exactly the enqueued jobs ran.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Starts {
  /** Numbers of jobs and when each started, in the order of the files. */
  readonly numbers: number[]
  readonly atMicros: number[]
  /** Lines that are not a record. */
  readonly torn: number
}

export function readStarts(folder: string): Starts {
  const starts = { numbers: [] as number[], atMicros: [] as number[], torn: 0 }
  for (const name of readdirSync(folder)) {
    for (const line of readFileSync(join(folder, name), 'utf8').split('\n')) {
      if (line === '') continue
      const match = /^(\d+) (\d{16})$/.exec(line)
      if (match) {
        starts.numbers.push(Number(match[1]))
        starts.atMicros.push(Number(match[2]))
      } else starts.torn += 1
    }
  }
  return starts
}

/** The problems, if any: each of 0 … count-1 ran as often as it should. */
export function judgeDelivery(starts: Starts, count: number, timesExpected = (_n: number) => 1): string[] {
  const times = new Uint32Array(count)
  const strange: number[] = []
  for (const n of starts.numbers) {
    if (n >= 0 && n < count) times[n] = (times[n] ?? 0) + 1
    else strange.push(n)
  }
  const lost: number[] = []
  const repeated: number[] = []
  times.forEach((ran, n) => {
    if (ran < timesExpected(n)) lost.push(n)
    if (ran > timesExpected(n)) repeated.push(n)
  })
  return [
    ...said('lost', lost),
    ...said('ran too often', repeated),
    ...said('never enqueued but run', strange),
    ...(starts.torn > 0 ? [`${starts.torn} records cannot be read`] : []),
  ]
}

function said(what: string, numbers: number[]): string[] {
  if (numbers.length === 0) return []
  const some = numbers.slice(0, 5).join(', ')
  return [`${numbers.length} jobs ${what}: ${some}${numbers.length > 5 ? ', …' : ''}`]
}

/** The value below which the share lies (nearest rank); NaN of nothing. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
}
