// What the demo shows: one line that is redrawn on a terminal, a line a second elsewhere; and tables.
import type { Depth } from 'millhand/queue'

export interface Screen {
  say(text: string): void
  /** Where things are; replaced by the next one on a terminal. */
  show(progress: Progress): void
}

export interface Progress {
  depth: Depth
  jobs: number
  workers: number
  jobsPerSecond: number
}

const PLAIN_EVERY_MS = 1_000
const WIDEST_BAR = 24

export function openScreen(output: NodeJS.WriteStream): Screen {
  let nextPlainMs = 0
  return {
    say: (text) => output.write(`${output.isTTY ? '\r\x1b[K' : ''}${text}\n`),
    show(progress) {
      if (output.isTTY)
        output.write(`\r\x1b[K${progressLine(progress, output.columns).slice(0, output.columns - 1)}`)
      else if (performance.now() >= nextPlainMs) {
        output.write(`${progressLine(progress)}\n`)
        nextPlainMs = performance.now() + PLAIN_EVERY_MS
      }
    },
  }
}

/** The bar takes what is left of `columns`. */
export function progressLine({ depth, jobs, workers, jobsPerSecond }: Progress, columns = 100): string {
  const done = depth.counts.completed
  const numbers = [
    `${done}/${jobs} done`,
    `${jobs - done - depth.busy - depth.buried} waiting`,
    `${depth.busy} running`,
    `${depth.buried} failed`,
    `${workers} worker${workers === 1 ? '' : 's'}`,
    `${jobsPerSecond.toFixed(1)} jobs/s`,
  ].join(' · ')
  const width = Math.min(WIDEST_BAR, columns - numbers.length - 3)
  if (width < 5) return numbers
  const full = Math.round((width * done) / jobs)
  return `${'█'.repeat(full)}${'░'.repeat(width - full)}  ${numbers}`
}

/** The first column to the left, the others to the right. */
export function tableOf(rows: readonly (readonly (string | number)[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => String(row[column]).length)),
  )
  const cell = (text: string, column: number) =>
    column === 0 ? text.padEnd(widths[0] ?? 0) : text.padStart(widths[column] ?? 0)
  return rows
    .map((row) => `  ${row.map((each, column) => cell(String(each), column)).join('   ')}`.trimEnd())
    .join('\n')
}
