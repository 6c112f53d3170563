// The history of a queue: what workers added up and what the state was, by time (lua/stats.lua).
import { checkOptions, type Rule, type Rules, shown, wholeNumber } from '../options.ts'
import { amountOf, listOf, textOf } from './answers.ts'
import { addText, addUp, type Places, placesFor, type Sum, type Times, timesIn } from './figure-sums.ts'
import { percentile, totalOf } from './log-buckets.ts'
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
   * Made longer where there would be more than 180 steps, and to whole buckets of 10 s, 1 min, 10 min, 1 h or 12 h.
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
  { seconds: 43_200, keptMs: 8_640_000_000 },
] as const
/** A bucket of 40 tasks has 14 KB, and takes Redis 60 µs and this process 150. */
const MOST_BUCKETS = 2 * MOST_STEPS
/** Of one call: Redis does nothing else meanwhile. */
const BUCKETS_A_CALL = 12
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
  const found = new Steps(question, plan)
  const calls = Array.from(
    { length: Math.ceil(plan.starts.length / BUCKETS_A_CALL) },
    (_, n) => n * BUCKETS_A_CALL,
  )
  const readNext = async () => {
    for (let first = calls.shift(); first !== undefined; first = calls.shift()) {
      const starts = plan.starts.slice(first, first + BUCKETS_A_CALL)
      const answer = listOf(
        await verbs.run('history', [plan.seconds, ...starts]),
        'a history',
        BUCKETS_A_CALL,
      )
      for (const [n, bucket] of answer.entries())
        found.add(first + n, listOf(bucket, 'a bucket of the history'))
    }
  }
  // Redis reads while the answer before is added up.
  await Promise.all([readNext(), readNext()])
  return historyOf(question, plan, found)
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
  const kept = RESOLUTIONS.filter(
    ({ seconds, keptMs }) => beginMs >= nowMs - keptMs && endMs - beginMs <= 1_000 * seconds * MOST_BUCKETS,
  )
  const fine = (kept.length > 0 ? kept : RESOLUTIONS.slice(-1)).filter(
    ({ seconds }, i, all) => 1_000 * seconds >= wantedMs || i === all.length - 1,
  )
  // A longer step is made of the coarsest buckets that fit.
  const { seconds } = (stepMs === 0 ? fine[0] : coarsest(kept, wantedMs)) ?? RESOLUTIONS[4]
  const bucketMs = 1_000 * seconds
  const step = bucketMs * Math.ceil(wantedMs / bucketMs)
  const from = step * Math.floor(beginMs / step)
  const steps = Math.ceil((endMs - from) / step)
  const starts = Array.from({ length: (steps + 1) * (step / bucketMs) }, (_, i) => from - step + i * bucketMs)
  return { seconds, stepMs: step, fromMs: from, steps, starts }
}

const coarsest = (kept: readonly (typeof RESOLUTIONS)[number][], stepMs: number) =>
  kept.findLast(({ seconds }) => 1_000 * seconds <= stepMs) ?? kept[0]

interface Step {
  /** Some figure is known of this time. */
  isKnown: boolean
  /** The highest of each gauge. */
  readonly state: Map<string, number>
  /** By the task, or under '' of all. */
  readonly sums: Map<string, Sum>
}

/** What is asked for of the buckets of each step, added up as they are read: 100 days of 100 tasks have 12 MB. */
export class Steps {
  readonly places: Places
  readonly #isByTask: boolean
  readonly #bucketsAStep: number
  /** In front of them the one before the first. */
  readonly all: readonly Step[]

  constructor({ series, by }: HistoryQuestion, { starts, steps }: Plan) {
    this.places = placesOf(series)
    this.#isByTask = by === 'task'
    this.#bucketsAStep = starts.length / (steps + 1)
    this.all = Array.from({ length: steps + 1 }, () => ({
      ...{ isKnown: false, state: new Map(), sums: new Map() },
    }))
  }

  /** The rows of a bucket of the plan: tasks and their figures in turn, and under '' the state of the queue. */
  add(nth: number, rows: readonly unknown[]): void {
    const step = this.all[Math.floor(nth / this.#bucketsAStep)]
    if (!step || rows.length === 0) return
    step.isKnown = true
    for (let n = 0; n < rows.length; n += 2) {
      const task = textOf(rows[n], 'a task of the history')
      const figures = textOf(rows[n + 1], 'figures of the history', 65_536)
      if (task === '') addState(step.state, figures)
      else if (this.places.size > 0) addText(this.#sumOf(step, task), figures, this.places)
    }
  }

  #sumOf({ sums }: Step, task: string): Sum {
    const key = this.#isByTask ? task : ''
    const known = sums.get(key)
    if (known) return known
    const sum = new Float64Array(this.places.size)
    sums.set(key, sum)
    return sum
  }
}

/** Of the figures that these series are made of. */
function placesOf(series: readonly HistorySeries[]): Places {
  const amounts: string[] = []
  const times: Times[] = []
  for (const each of series) {
    const { what, which } = partsOf(each)
    if (what !== undefined) times.push(what)
    if (which === 'mean') amounts.push(`${what}Ms`)
    if (what === undefined && !isState(each)) amounts.push(...(each === 'failed' ? FAILURES : [each]))
  }
  return placesFor(amounts, times)
}

/** `what` only of series of times. */
function partsOf(series: HistorySeries): { what?: Times; which?: string } {
  const [what, which] = series.split('.')
  return which !== undefined && (what === 'wait' || what === 'run') ? { what, which } : {}
}

function addState(state: Map<string, number>, text: string): void {
  for (const [, name = '', n] of text.matchAll(/(\S+) (\d{1,16})/g))
    state.set(name, Math.max(state.get(name) ?? 0, Number(n)))
}

/** Columns from what was read (pure). */
export function historyOf(question: HistoryQuestion, plan: Plan, found: Steps): History {
  return {
    stepMs: plan.stepMs,
    times: Array.from({ length: plan.steps }, (_, i) => plan.fromMs + i * plan.stepMs),
    columns: question.series.flatMap((series) => columnsOf(series, question, found)),
  }
}

function columnsOf(series: HistorySeries, { by }: HistoryQuestion, { all, places }: Steps): HistoryColumn[] {
  if (series === 'enqueued') return [enqueuedOf(all)]
  const asked = all.slice(1)
  if (isState(series)) {
    const values = asked.map(({ state }) => state.get(series) ?? null)
    const known = values.filter((value) => value !== null)
    return [{ series, values, total: known.length === 0 ? null : Math.max(...known) }]
  }
  const column = (names: Partial<HistoryColumn>, task: string, failures?: readonly string[]) =>
    columnOf({ series, ...names }, sumsOf(asked, task, places), { places, failures })
  if (by === 'outcome' && series === 'failed')
    return FAILURES.map((outcome) => column({ outcome }, '', [outcome])).filter(({ total }) => total)
  if (by !== 'task') return [column({}, '')]
  const tasks = new Set(asked.flatMap(({ sums }) => [...sums.keys()]))
  return [...tasks].sort().map((task) => column({ task }, task))
}

const isState = (series: HistorySeries): boolean =>
  series === 'enqueued' || GAUGES.some((each) => each === series)

type Names = Pick<HistoryColumn, 'series' | 'task' | 'outcome'>
interface Reading {
  places: Places
  failures?: readonly string[] | undefined
}

function columnOf(names: Names, sums: readonly (Sum | undefined)[], reading: Reading): HistoryColumn {
  const total = new Float64Array(reading.places.size)
  for (const sum of sums) if (sum) addUp(total, sum)
  return {
    ...names,
    values: sums.map((sum) => (sum ? figureOf(names.series, sum, reading) : null)),
    total: sums.some((sum) => sum) ? figureOf(names.series, total, reading) : null,
  }
}

/** In each step; undefined where nothing is known of that time. */
const sumsOf = (steps: readonly Step[], task: string, { size }: Places): (Sum | undefined)[] => {
  const none = new Float64Array(size)
  return steps.map(({ isKnown, sums }) => (isKnown ? (sums.get(task) ?? none) : undefined))
}

function figureOf(series: HistorySeries, sum: Sum, { places, failures = FAILURES }: Reading): number | null {
  const amount = (name: string) => sum[places.amounts.get(name) ?? -1] ?? 0
  const { what, which } = partsOf(series)
  if (what === undefined) {
    const names = series === 'failed' ? failures : [series]
    return names.reduce((all, name) => all + amount(name), 0)
  }
  const counts = timesIn(sum, places, what)
  if (which !== 'mean') return percentile(counts, Number(which?.slice(1)) / 100) ?? null
  const count = totalOf(counts)
  return count === 0 ? null : amount(`${what}Ms`) / count
}

/** The counter only grows: a step has what it grew by since the step before. */
function enqueuedOf(steps: readonly Step[]): HistoryColumn {
  const counters = steps.map(({ state }) => state.get('enqueued') ?? null)
  const grown = (from: number | null | undefined, to: number | null | undefined) =>
    typeof from === 'number' && typeof to === 'number' ? Math.max(0, to - from) : null
  const known = counters.filter((counter) => counter !== null)
  return {
    series: 'enqueued',
    values: counters.slice(1).map((counter, i) => grown(counters[i], counter)),
    total: known.length < 2 ? null : grown(known[0], known.at(-1)),
  }
}
