// The history of a queue: what workers added up and what the state was, by time (lua/stats.lua).
import { checkOptions, type Rule, type Rules, shown, wholeNumber } from '../options.ts'
import { amountOf, listOf, pairsOf, textOf } from './answers.ts'
import { percentile } from './log-buckets.ts'
import type { Depth } from './reads.ts'
import type { Verbs } from './verbs.ts'

/** Outcomes of attempts that failed. */
const FAILURES = ['failed', 'timed-out', 'out-of-memory', 'output-limit', 'killed', 'exited'] as const
const GAUGES = ['ready', 'delayed', 'busy', 'buried', 'oldestMs', 'replicas'] as const
export const HISTORY_SERIES = [
  ...(['completed', 'failed', 'cancelled', 'handed-back', 'enqueued'] as const),
  ...([
    'wait.p50',
    'wait.p95',
    'wait.p99',
    'wait.mean',
    'run.p50',
    'run.p95',
    'run.p99',
    'run.mean',
  ] as const),
  ...GAUGES,
] as const
/**
 * completed, failed, cancelled, handed-back: attempts that ended so in a step. enqueued: jobs. wait (from
 * enqueued or due to the start of the first attempt) and run: ms, at most 7 % wrong. The others are the
 * state: the highest of a step; oldestMs is for how long the oldest job is ready, replicas are workers.
 */
export type HistorySeries = (typeof HISTORY_SERIES)[number]

export interface HistoryQuestion {
  readonly series: readonly HistorySeries[]
  /** A column for each task, or one of `failed` for each outcome; not for the state. Default: one for all. */
  readonly by?: 'task' | 'outcome' | undefined
  /** Default: an hour before the end. */
  readonly fromMs?: number | undefined
  /** Default: now, by the clock of Redis. */
  readonly toMs?: number | undefined
  /**
   * Made longer where there would be more than 180 steps, and to whole buckets of 10 s, 1 min, 10 min or 1 h.
   */
  readonly stepMs?: number | undefined
}

export interface History {
  readonly stepMs: number
  /** When each step begins. */
  readonly times: readonly number[]
  readonly columns: readonly HistoryColumn[]
}

export interface HistoryColumn {
  readonly series: HistorySeries
  readonly task?: string
  readonly outcome?: string
  /** One for each step; null: nothing is known of that time. */
  readonly values: readonly (number | null)[]
  /** Of all steps together. */
  readonly total: number | null
}

export const MOST_STEPS = 180
const RESOLUTIONS = [
  { seconds: 10, keptMs: 7_200_000 },
  { seconds: 60, keptMs: 93_600_000 },
  { seconds: 600, keptMs: 1_296_000_000 },
  { seconds: 3_600, keptMs: 8_640_000_000 },
] as const
/** Of one call: Redis does nothing else meanwhile. */
const BUCKETS_A_CALL = 60
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const LONGEST_MS = 100 * DAY_MS

const QUESTION: Rules = {
  series: {
    isValid: (value) => Array.isArray(value) && value.length > 0 && value.every((each) => isSeries(each)),
    is: `a list of ${HISTORY_SERIES.join(', ')}`,
  },
  by: { isValid: (value) => value === 'task' || value === 'outcome', is: 'task or outcome' },
  fromMs: wholeNumber(0, 2 ** 50),
  toMs: wholeNumber(0, 2 ** 50),
  stepMs: wholeNumber(1, 10 * DAY_MS),
} satisfies Record<keyof HistoryQuestion, Rule>
const isSeries = (value: unknown): boolean => HISTORY_SERIES.some((each) => each === value)

/** Throws TypeError for a question that cannot be answered. */
async function history(verbs: Verbs, question: HistoryQuestion): Promise<History> {
  checkOptions('option of history', question, QUESTION)
  const nowMs = await timeOf(verbs)
  const plan = planOf(question, nowMs)
  const wanted = wantedIn(question.series)
  const buckets: Bucket[] = []
  for (let i = 0; i < plan.starts.length; i += BUCKETS_A_CALL) {
    const starts = plan.starts.slice(i, i + BUCKETS_A_CALL)
    const answer = listOf(await verbs.run('history', [plan.seconds, ...starts]), 'a history', BUCKETS_A_CALL)
    buckets.push(...answer.map((each) => bucketOf(each, wanted)))
  }
  return historyOf(question, plan, buckets)
}

/**
 * The state of the queue goes into its history, once in 10 s: for who looks at it anyway. Answers whether it
 * was written.
 */
async function sample(
  verbs: Verbs,
  depth: Depth,
  { replicas }: { replicas?: number } = {},
): Promise<boolean> {
  const { ready, delayed, busy, buried, oldestReadyMs: oldestMs = 0, counts } = depth
  const state = { ready, delayed, busy, buried, oldestMs, enqueued: counts.enqueued, replicas }
  const known = Object.entries(state).filter(([, n]) => n !== undefined)
  return verbs.write('sample', [known.flat().join(' ')], (answer) => amountOf(answer, 'a sample') === 1)
}

export const remembering = { history, sample }

async function timeOf({ redis }: Verbs): Promise<number> {
  const [seconds] = listOf(await redis.call('TIME'), 'the time of Redis', 2)
  return 1_000 * amountOf(seconds, 'the time of Redis')
}

interface Plan {
  readonly seconds: number
  readonly stepMs: number
  readonly fromMs: number
  readonly steps: number
  /** Of the buckets to be read: those of one step before the first come first. */
  readonly starts: readonly number[]
}

/** Which buckets are read (pure). */
export function planOf({ fromMs, toMs, stepMs = 0 }: HistoryQuestion, nowMs: number): Plan {
  const endMs = Math.min(toMs ?? nowMs, nowMs)
  const beginMs = Math.max(fromMs ?? endMs - HOUR_MS, nowMs - LONGEST_MS)
  if (endMs <= nowMs - LONGEST_MS)
    throw new TypeError(`invalid toMs ${shown(endMs)}: history is kept for 100 days`)
  if (beginMs >= endMs)
    throw new TypeError(`invalid fromMs ${shown(beginMs)}: use a time before the end, ${endMs}`)
  const wantedMs = Math.max(stepMs, (endMs - beginMs) / MOST_STEPS)
  const kept = RESOLUTIONS.filter(({ keptMs }) => beginMs >= nowMs - keptMs)
  const fine = (kept.length > 0 ? kept : RESOLUTIONS.slice(-1)).filter(
    ({ seconds }, i, all) => 1_000 * seconds >= wantedMs || i === all.length - 1,
  )
  // A longer step is made of the coarsest buckets that fit.
  const { seconds } = (stepMs === 0 ? fine[0] : coarsest(kept, wantedMs)) ?? RESOLUTIONS[3]
  const bucketMs = 1_000 * seconds
  const step = bucketMs * Math.ceil(wantedMs / bucketMs)
  const from = step * Math.floor(beginMs / step)
  const steps = Math.ceil((endMs - from) / step)
  const starts = Array.from({ length: (steps + 1) * (step / bucketMs) }, (_, i) => from - step + i * bucketMs)
  return { seconds, stepMs: step, fromMs: from, steps, starts }
}

const coarsest = (kept: readonly (typeof RESOLUTIONS)[number][], stepMs: number) =>
  kept.findLast(({ seconds }) => 1_000 * seconds <= stepMs) ?? kept[0]

/** The figures of each task in a bucket, and under '' the state of the queue. */
type Bucket = ReadonlyMap<string, ReadonlyMap<string, number>>

/** 100 days of 100 tasks are 2,400 buckets of some 50 KB: of a task only what is asked for is kept. */
function bucketOf(answer: unknown, wanted: RegExp): Bucket {
  return new Map(
    pairsOf(answer).map(([field, figures]) => {
      const task = textOf(field, 'a task of the history')
      const text = textOf(figures, 'figures of the history', 65_536)
      return [task, figuresOf(text, task === '' ? ALL : wanted)]
    }),
  )
}

const ALL = /(\S+) (\d{1,16})/g

/** The figures of tasks that these series are made of. */
function wantedIn(series: readonly HistorySeries[]): RegExp {
  const names = series.flatMap((each) => {
    const [what = '', which] = each.split('.')
    if (which !== undefined) return [`${what}:\\d+`, `${what}Ms`]
    return each === 'failed' ? FAILURES : [each]
  })
  return new RegExp(`(?<!\\S)(${[...new Set(names)].join('|')}) (\\d{1,16})`, 'g')
}

function figuresOf(text: string, wanted: RegExp): ReadonlyMap<string, number> {
  return new Map([...text.matchAll(wanted)].map(([, name = '', n]) => [name, Number(n)]))
}

/** Columns from what was read (pure). */
export function historyOf(question: HistoryQuestion, plan: Plan, buckets: readonly Bucket[]): History {
  const each = plan.starts.length / (plan.steps + 1)
  const steps = Array.from({ length: plan.steps + 1 }, (_, i) => buckets.slice(i * each, (i + 1) * each))
  const times = Array.from({ length: plan.steps }, (_, i) => plan.fromMs + i * plan.stepMs)
  const sums = sumsOf(steps.slice(1))
  return {
    stepMs: plan.stepMs,
    times,
    columns: question.series.flatMap((series) => columnsOf(series, question, { steps, sums })),
  }
}

function columnsOf(
  series: HistorySeries,
  { by }: HistoryQuestion,
  { steps, sums }: { steps: readonly Bucket[][]; sums: Sums },
): HistoryColumn[] {
  if (series === 'enqueued') return [enqueuedOf(steps)]
  const [, ...asked] = steps
  if (isGauge(series)) {
    const values = asked.map((buckets) => highest(buckets, series))
    return [{ series, values, total: highest(asked.flat(), series) }]
  }
  if (by === 'outcome' && series === 'failed')
    return FAILURES.map((outcome) => columnOf({ series, outcome }, sums(), [outcome])).filter(
      ({ total }) => total,
    )
  if (by !== 'task') return [columnOf({ series }, sums())]
  const tasks = new Set(asked.flat().flatMap((bucket) => [...bucket.keys()].filter((task) => task !== '')))
  return [...tasks].sort().map((task) => columnOf({ series, task }, sums(task)))
}

const isGauge = (series: HistorySeries): series is (typeof GAUGES)[number] =>
  GAUGES.some((each) => each === series)

function columnOf(
  names: Pick<HistoryColumn, 'series' | 'task' | 'outcome'>,
  sums: readonly (Figures | undefined)[],
  failures?: readonly string[],
): HistoryColumn {
  const known = sums.filter((sum) => sum !== undefined)
  const total = known.length === 0 ? undefined : added(known)
  const value = (sum: Figures | undefined) => figureOf(names.series, sum, failures)
  return { ...names, values: sums.map(value), total: value(total) }
}

type Figures = ReadonlyMap<string, number>
type Sums = (task?: string) => readonly (Figures | undefined)[]

/** What all tasks, or one, have in each step; undefined where nothing is known of that time. Added up once. */
function sumsOf(steps: readonly Bucket[][]): Sums {
  const known = new Map<string | undefined, readonly (Figures | undefined)[]>()
  return (task) => {
    const sums = known.get(task) ?? steps.map((buckets) => summed(buckets, task))
    known.set(task, sums)
    return sums
  }
}

function summed(buckets: readonly Bucket[], task?: string): Figures | undefined {
  if (buckets.every((bucket) => bucket.size === 0)) return undefined
  if (task !== undefined) return added(buckets.flatMap((bucket) => bucket.get(task) ?? []))
  return added(buckets.flatMap((bucket) => [...bucket].flatMap(([name, each]) => (name === '' ? [] : each))))
}

function added(all: readonly Figures[]): Figures {
  const sum = new Map<string, number>()
  for (const figures of all) for (const [figure, n] of figures) sum.set(figure, (sum.get(figure) ?? 0) + n)
  return sum
}

function figureOf(
  series: HistorySeries,
  figures: ReadonlyMap<string, number> | undefined,
  failures: readonly string[] = FAILURES,
): number | null {
  if (!figures) return null
  const [what = '', which] = series.split('.')
  if (which === undefined) {
    const names = series === 'failed' ? failures : [series]
    return names.reduce((sum, name) => sum + (figures.get(name) ?? 0), 0)
  }
  const counts = new Map<number, number>()
  for (const [name, n] of figures)
    if (name.startsWith(`${what}:`)) counts.set(Number(name.slice(what.length + 1)), n)
  if (which !== 'mean') return percentile(counts, Number(which.slice(1)) / 100) ?? null
  const count = [...counts.values()].reduce((sum, n) => sum + n, 0)
  return count === 0 ? null : (figures.get(`${what}Ms`) ?? 0) / count
}

function highest(buckets: readonly Bucket[], gauge: string): number | null {
  const found = buckets.flatMap((bucket) => bucket.get('')?.get(gauge) ?? [])
  return found.length === 0 ? null : found.reduce((most, n) => Math.max(most, n))
}

/** The counter only grows: a step has what it grew by since the step before. */
function enqueuedOf(steps: readonly Bucket[][]): HistoryColumn {
  const counters = steps.map((buckets) => highest(buckets, 'enqueued'))
  const grown = (from: number | null | undefined, to: number | null | undefined) =>
    typeof from === 'number' && typeof to === 'number' ? Math.max(0, to - from) : null
  const known = counters.filter((counter) => counter !== null)
  return {
    series: 'enqueued',
    values: counters.slice(1).map((counter, i) => grown(counters[i], counter)),
    total: known.length < 2 ? null : grown(known[0], known.at(-1)),
  }
}
