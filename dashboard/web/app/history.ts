// The history of a queue as lines of charts: which series each chart has, over which time.
import type { History } from '../../src/api.ts'

export interface Line {
  label: string
  /** The name of a colour. */
  tone: string
  values: readonly (number | null)[]
  isThin?: boolean
  isDashed?: boolean
  isFilled?: boolean
}

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** By the word in the address; the first one is the default. */
export const RANGES: Readonly<Record<string, { means: string; ms: number; everyMs: number }>> = {
  '1h': { means: 'the last hour', ms: HOUR, everyMs: 10_000 },
  '6h': { means: 'the last 6 hours', ms: 6 * HOUR, everyMs: 30_000 },
  '24h': { means: 'the last 24 hours', ms: DAY, everyMs: MINUTE },
  '7d': { means: 'the last 7 days', ms: 7 * DAY, everyMs: 10 * MINUTE },
  '30d': { means: 'the last 30 days', ms: 30 * DAY, everyMs: 10 * MINUTE },
}

interface ChartOf {
  title: string
  means: string
  unit: 'a minute' | 'ms' | 'jobs'
  lines: readonly (Omit<Line, 'values'> & { series: string })[]
}

const percentilesOf = (what: string): ChartOf['lines'] => [
  { series: `${what}.p50`, label: '50 %', tone: 'completed' },
  { series: `${what}.p95`, label: '95 %', tone: 'retrying' },
  { series: `${what}.p99`, label: '99 %', tone: 'buried', isThin: true, isDashed: true },
]

export const CHARTS: readonly ChartOf[] = [
  {
    title: 'Attempts a minute',
    means: 'attempts that ended, by how',
    unit: 'a minute',
    lines: [
      { series: 'completed', label: 'completed', tone: 'completed', isFilled: true },
      { series: 'failed', label: 'failed', tone: 'buried' },
    ],
  },
  {
    title: 'Jobs',
    means: 'the most at once',
    unit: 'jobs',
    lines: [
      { series: 'ready', label: 'ready', tone: 'ready', isFilled: true },
      { series: 'busy', label: 'running', tone: 'held' },
    ],
  },
  {
    title: 'Wait',
    means: 'until the first attempt; so many jobs waited less',
    unit: 'ms',
    lines: percentilesOf('wait'),
  },
  {
    title: 'Run',
    means: 'of one attempt; so many ran shorter',
    unit: 'ms',
    lines: percentilesOf('run'),
  },
]

/** What is asked for, for all charts together. */
export const SERIES = CHARTS.flatMap(({ lines }) => lines.map(({ series }) => series)).join(',')

/** Amounts of a step become amounts a minute. */
export function linesOf({ unit, lines }: ChartOf, { stepMs, columns }: History): Line[] {
  const factor = unit === 'a minute' ? MINUTE / stepMs : 1
  return lines.map(({ series, ...line }) => {
    const values = columns.find((column) => column.series === series)?.values ?? []
    return { ...line, values: values.map((value) => (value === null ? null : value * factor)) }
  })
}

export const isUnknown = (lines: readonly Line[]): boolean =>
  lines.every(({ values }) => values.every((value) => value === null))

export interface TaskFigures {
  task: string
  completed: number
  failed: number
  /** Of attempts, ms. */
  runHalf: number | null
  run95: number | null
  wait95: number | null
}

/** Of a history by task, the slowest first. */
export function tasksOf({ columns }: History): TaskFigures[] {
  const totals = new Map(columns.map(({ series, task, total }) => [`${series} ${task}`, total]))
  const tasks = new Set(columns.flatMap(({ task }) => task ?? []))
  const of = (series: string, task: string) => totals.get(`${series} ${task}`) ?? null
  return [...tasks]
    .map((task) => ({
      task,
      completed: of('completed', task) ?? 0,
      failed: of('failed', task) ?? 0,
      runHalf: of('run.p50', task),
      run95: of('run.p95', task),
      wait95: of('wait.p95', task),
    }))
    .sort((a, b) => (b.run95 ?? -1) - (a.run95 ?? -1))
}
