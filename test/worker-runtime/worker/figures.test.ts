// What a worker adds up between two heartbeats.
import type { Outcome } from '../../../worker-runtime/src/child/outcome.ts'
import { Figures } from '../../../worker-runtime/src/worker/figures.ts'

const succeeded = (startedAtMs: number, durationMs: number): Outcome => ({
  kind: 'succeeded',
  result: 'null',
  facts: { startedAtMs, durationMs },
})
const ended = (kind: 'timed-out' | 'could-not-start'): Outcome => ({
  kind,
  message: '',
  facts: { startedAtMs: 1_000, durationMs: 0 },
})

test('attempts are counted by task and outcome, their times in buckets', () => {
  const figures = new Figures()
  figures.ended({ task: 'a', readyAtMs: 1_000, outcome: succeeded(1_100, 50) })
  figures.ended({ task: 'a', readyAtMs: 1_000, outcome: succeeded(1_101, 1) })
  figures.ended({ task: 'b', outcome: ended('timed-out') })
  figures.ended({ task: 'b', outcome: ended('could-not-start') })
  expect(figures.take()).toEqual([
    ...['a', 'completed 2 run:28 1 runMs 51 wait:33 1 waitMs 201 run:0 1 wait:34 1'],
    ...['b', 'timed-out 1 run:0 1 runMs 0 could-not-start 1'],
  ])
  expect(figures.take()).toEqual([])
})

test('a clock that was wrong makes no time below 0', () => {
  const figures = new Figures()
  figures.ended({ task: 'a', readyAtMs: 9_000, outcome: succeeded(1_000, -5) })
  expect(figures.take()).toEqual(['a', 'completed 1 run:0 1 runMs 0 wait:0 1 waitMs 0'])
})

test('what did not arrive is sent with the next', () => {
  const figures = new Figures()
  figures.ended({ task: 'a', outcome: succeeded(1, 10) })
  const taken = figures.take()
  figures.ended({ task: 'a', outcome: succeeded(1, 10) })
  figures.giveBack(taken)
  expect(figures.take()).toEqual(['a', 'completed 2 run:17 2 runMs 20'])
})

test('tasks beyond a hundred are one', () => {
  const figures = new Figures()
  for (let n = 0; n < 150; n += 1) figures.ended({ task: `t${n}`, outcome: succeeded(1, 1) })
  const rows = figures.take()
  expect(rows).toHaveLength(2 * 101)
  expect(rows.slice(-2)).toEqual(['other', 'completed 50 run:0 50 runMs 50'])
})
