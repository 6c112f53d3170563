// What the charts of a queue show of its history.
import { CHARTS, isUnknown, linesOf, RANGES, SERIES, tasksOf } from '../../../dashboard/web/app/history.ts'
import { HISTORY_SERIES } from '../../../worker-runtime/src/queue/history.ts'

const [attempts, jobs] = CHARTS

test('amounts of a step are shown a minute, states as they are, and what is unknown stays unknown', () => {
  const history = {
    stepMs: 20_000,
    times: [0, 20_000],
    columns: [
      { series: 'completed', values: [4, null], total: 4 },
      { series: 'failed', values: [0, null], total: 0 },
      { series: 'ready', values: [null, 7], total: 7 },
    ],
  }
  expect(attempts && linesOf(attempts, history).map(({ values }) => values)).toEqual([
    [12, null],
    [0, null],
  ])
  const lines = jobs ? linesOf(jobs, history) : []
  expect(lines.map(({ values }) => values)).toEqual([[null, 7], []])
  expect(isUnknown(lines)).toBe(false)
  expect(isUnknown(lines.slice(1))).toBe(true)
})

test('each series that is asked for is one that a queue has, and each range is one that it keeps', () => {
  expect(SERIES.split(',').filter((series) => !HISTORY_SERIES.includes(series as never))).toEqual([])
  expect(Math.max(...Object.values(RANGES).map(({ ms }) => ms))).toBeLessThan(100 * 86_400_000)
})

test('the slowest task comes first, and one of which no time is known comes last', () => {
  const column = (series: string, task: string, total: number | null) => ({ series, task, values: [], total })
  const columns = [
    column('completed', 'quick', 9),
    column('completed', 'slow', 1),
    column('failed', 'quick', 2),
    column('completed', 'unknown', null),
    column('run.p95', 'quick', 10),
    column('run.p95', 'slow', 2_000),
    column('run.p95', 'unknown', null),
  ]
  const rest = { runHalf: null, wait95: null }
  expect(tasksOf({ stepMs: 1, times: [], columns })).toEqual([
    { task: 'slow', completed: 1, failed: 0, run95: 2_000, ...rest },
    { task: 'quick', completed: 9, failed: 2, run95: 10, ...rest },
    { task: 'unknown', completed: 0, failed: 0, run95: null, ...rest },
  ])
})
