// The history of a queue: what is written, for how long it is kept, and how questions are answered.
import fc from 'fast-check'
import { type Connection, type HistoryQuestion, newJob, prefixOf, type Queue } from 'millhand/queue'
import { historyOf, planOf, Steps } from '../../../worker-runtime/src/queue/history.ts'
import {
  bucketOf,
  middleOf,
  percentile,
  TIME_BUCKETS,
} from '../../../worker-runtime/src/queue/log-buckets.ts'
import { ownQueues } from './own-queues.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const NOW = Math.floor(1_800_000_000_000 / DAY) * DAY

let redis: Connection
let queue: Queue
ownQueues('history', { slots: 1, isolation: 'Spawn', version: '' }, (itsQueue, connection) => {
  queue = itsQueue
  redis = connection
})
const renewWith = (...figures: string[]) => queue.renew('p:1', { figures })
const totals = async (question: Partial<HistoryQuestion> & Pick<HistoryQuestion, 'series'>) =>
  Object.fromEntries(
    (await queue.history(question)).columns.map(({ series, task, outcome, total }) => [
      [series, task ?? outcome].filter(Boolean).join(' '),
      total,
    ]),
  )
const statsKeys = async () =>
  ((await redis.call('KEYS', `${prefixOf(queue.name)}stats:*`)) as string[]).map(
    (key) => key.split('stats:')[1] ?? '',
  )

test('a time read from its bucket is at most 7 % wrong', () => {
  fc.assert(
    fc.property(fc.double({ min: 1, max: DAY, noNaN: true }), (ms) => {
      expect(Math.abs(middleOf(bucketOf(ms)) / ms - 1)).toBeLessThanOrEqual(0.07)
    }),
  )
  expect([bucketOf(0), bucketOf(1), bucketOf(2), bucketOf(DAY), bucketOf(1e12)]).toEqual([0, 0, 5, 131, 131])
})

test('percentiles of buckets are those of the times in them, at most 7 % wrong', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: DAY }), { minLength: 1 }), (times) => {
      const counts = new Array<number>(TIME_BUCKETS).fill(0)
      for (const each of times) counts[bucketOf(each)] = (counts[bucketOf(each)] ?? 0) + 1
      const sorted = [...times].sort((a, b) => a - b)
      for (const part of [0.5, 0.95, 0.99]) {
        const exact = sorted[Math.ceil(part * times.length) - 1] ?? Number.NaN
        expect(Math.abs((percentile(counts, part) ?? Number.NaN) / exact - 1)).toBeLessThanOrEqual(0.07)
      }
    }),
  )
  expect(percentile([0, 0], 0.5)).toBeUndefined()
})

test('figures of several heartbeats are summed, by task and for all', async () => {
  await renewWith('mail', 'completed 3 failed 1 run:28 4 runMs 200', 'sms', 'completed 1 timed-out 2')
  await renewWith('mail', 'completed 2 run:30 1 runMs 60')
  await queue.deregister('p:1', ['sms', 'completed 1'])
  expect(await totals({ series: ['completed', 'failed', 'run.mean', 'run.p50', 'wait.p50'] })).toEqual({
    ...{ completed: 7, failed: 3, 'run.mean': 52, 'wait.p50': null },
    'run.p50': middleOf(28),
  })
  expect(await totals({ series: ['completed'], by: 'task' })).toEqual({
    'completed mail': 5,
    'completed sms': 2,
  })
  expect(await totals({ series: ['failed'], by: 'outcome' })).toEqual({
    'failed failed': 1,
    'failed timed-out': 2,
  })
})

test('five resolutions, each kept for its time from its first figure on', async () => {
  await renewWith('mail', 'completed 1')
  await renewWith('mail', 'completed 1')
  const found = new Map<number, number>()
  for (const key of await statsKeys())
    found.set(
      Number.parseInt(key, 10),
      Number(await redis.call('TTL', `${prefixOf(queue.name)}stats:${key}`)),
    )
  expect([...found.keys()].sort((a, b) => a - b)).toEqual([10, 60, 600, 3_600, 43_200])
  for (const [seconds, hours] of [
    [10, 2],
    [60, 26],
    [600, 360],
    [3_600, 2_400],
    [43_200, 2_400],
  ] as const) {
    expect(found.get(seconds)).toBeLessThanOrEqual(hours * 3_600)
    expect(found.get(seconds)).toBeGreaterThan(hours * 3_600 - 60)
  }
})

test('a heartbeat without figures writes no history', async () => {
  await queue.renew('p:1')
  await queue.deregister('p:1')
  expect(await statsKeys()).toEqual([])
})

test('a hundred tasks have figures of their own, the others are one', async () => {
  for (let n = 0; n < 130; n += 1) await renewWith(`task-${n}`, 'completed 1')
  const found = await totals({ series: ['completed'], by: 'task' })
  expect(Object.keys(found).length).toBeLessThanOrEqual(2 * 103) // two buckets, where one ended meanwhile
  expect(Object.values(found).reduce<number>((sum, each) => sum + (each ?? 0), 0)).toBe(130)
  expect(found['completed other']).toBeGreaterThan(0)
})

test('the state is written once in ten seconds, by who looks first', async () => {
  await queue.enqueue([newJob('task', null), newJob('task', null)])
  const depth = await queue.depth()
  const written = [
    await queue.sample(depth, { replicas: 2 }),
    await queue.sample(depth),
    await queue.sample(depth),
  ]
  expect(written.filter(Boolean).length).toBeLessThanOrEqual(2)
  expect(written[0]).toBe(true)
  expect(await totals({ series: ['ready', 'busy', 'replicas', 'delayed', 'enqueued'] })).toEqual({
    ...{ ready: 2, busy: 0, replicas: 2, delayed: 0, enqueued: null },
  })
})

test('unknown is not zero: no figures are null, and none of a task beside others are 0', async () => {
  expect(await totals({ series: ['completed', 'ready', 'run.p99'] })).toEqual({
    completed: null,
    ready: null,
    'run.p99': null,
  })
  await renewWith('mail', 'failed 1')
  const { values, total } = (await queue.history({ series: ['completed'] })).columns[0] ?? {}
  expect(total).toBe(0)
  expect(values?.at(-1)).toBe(0)
  expect(values?.at(0)).toBeNull()
})

test.each<[string, Partial<HistoryQuestion>, { seconds: number; stepMs: number; steps: number }]>([
  ['half an hour', { fromMs: NOW - HOUR / 2 }, { seconds: 10, stepMs: 10_000, steps: 180 }],
  ['an hour', {}, { seconds: 60, stepMs: 60_000, steps: 60 }],
  ['an hour in steps of 30 s', { stepMs: 30_000 }, { seconds: 10, stepMs: 30_000, steps: 120 }],
  ['an hour in steps of a second', { stepMs: 1_000 }, { seconds: 10, stepMs: 20_000, steps: 180 }],
  ['a day', { fromMs: NOW - DAY }, { seconds: 600, stepMs: 600_000, steps: 144 }],
  ['a week', { fromMs: NOW - 7 * DAY }, { seconds: 3_600, stepMs: HOUR, steps: 168 }],
  ['a month', { fromMs: NOW - 30 * DAY }, { seconds: 43_200, stepMs: DAY / 2, steps: 60 }],
  [
    'a month in steps of 5 hours',
    { fromMs: NOW - 30 * DAY, stepMs: 5 * HOUR },
    { seconds: 43_200, stepMs: DAY / 2, steps: 60 },
  ],
  ['100 days', { fromMs: NOW - 100 * DAY }, { seconds: 43_200, stepMs: DAY, steps: 100 }],
  [
    'an hour of last week',
    { fromMs: NOW - 7 * DAY, toMs: NOW - 7 * DAY + HOUR },
    { seconds: 600, stepMs: 600_000, steps: 6 },
  ],
  ['a year', { fromMs: NOW - 365 * DAY }, { seconds: 43_200, stepMs: DAY, steps: 100 }],
])('%s is asked in buckets that are kept, in at most 180 steps', (_what, question, expected) => {
  const plan = planOf({ series: ['completed'], ...question }, NOW)
  expect(plan).toMatchObject(expected)
  expect(plan.starts).toHaveLength((plan.steps + 1) * (plan.stepMs / 1_000 / plan.seconds))
  for (const each of plan.starts) expect(each % (1_000 * plan.seconds)).toBe(0)
})

test('whatever is asked, a plan has at most 181 steps, and covers what was asked for', () => {
  const ms = fc.integer({ min: 1, max: 99 * DAY })
  const step = fc.integer({ min: 1, max: 10 * DAY })
  fc.assert(
    fc.property(ms, ms, fc.option(step), (long, ago, stepMs) => {
      const toMs = NOW - ago
      const plan = planOf(
        { series: ['completed'], fromMs: toMs - long, toMs, ...(stepMs !== null && { stepMs }) },
        NOW,
      )
      expect(plan.steps).toBeLessThanOrEqual(181) // the first one may begin before
      expect(plan.fromMs).toBeLessThanOrEqual(Math.max(toMs - long, NOW - 100 * DAY))
      expect(plan.fromMs + plan.steps * plan.stepMs).toBeGreaterThanOrEqual(toMs)
      expect(plan.starts[0]).toBe(plan.fromMs - plan.stepMs)
      expect(plan.starts.length).toBeLessThanOrEqual(600)
    }),
  )
})

test('enqueued is the growth of its counter, and unknown behind a gap', () => {
  const plan = {
    seconds: 10,
    stepMs: 10_000,
    fromMs: 0,
    steps: 4,
    starts: [-10_000, 0, 10_000, 20_000, 30_000],
  }
  const question = { series: ['enqueued'] } as const
  const steps = new Steps(question, plan)
  for (const [nth, enqueued] of [5, 7, undefined, 9, 10].entries())
    steps.add(nth, enqueued === undefined ? [] : ['', `enqueued ${enqueued}`])
  expect(historyOf(question, plan, steps).columns).toEqual([
    { series: 'enqueued', values: [2, null, null, 1], total: 5 },
  ])
})

test.each<[object, RegExp]>([
  [{ series: [] }, /invalid series an array: use a list of completed/],
  [{ series: ['nothing'] }, /invalid series/],
  [{ series: ['completed'], by: 'pod' }, /invalid by "pod": use task or outcome/],
  [{ series: ['completed'], fromMs: 2 ** 49 }, /invalid fromMs \d+: use a time before the end/],
  [{ series: ['completed'], stepMs: 0 }, /invalid stepMs/],
  [{ series: ['completed'], toMs: 5_000 }, /invalid toMs 5000: history is kept for 100 days/],
])('%j is refused', async (question, message) => {
  await expect(queue.history(question as HistoryQuestion)).rejects.toThrow(message)
})
