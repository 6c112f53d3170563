// Sums over queues, and rates from looks that are far apart: pure.
import type { QueueNow, QueueNumbers } from '../../dashboard/src/api.ts'
import { type Sample, samplesWith, sumsOf } from '../../dashboard/src/server/numbers.ts'

const NUMBERS: QueueNumbers = {
  ...{ ready: 3, blocked: 1, due: 0, delayed: 2, busy: 4, buried: 5, isPaused: false, isSuspended: false },
  ...{ enqueued: 9, completed: 8, retried: 0, failed: 5, cancelled: 0, expired: 0, vanished: 0 },
  ...{ workers: 2, draining: 1, slots: 6 },
}
const queue = (name: string, seen: Partial<QueueNow>): QueueNow => ({
  namespace: 'test',
  name,
  queueName: `test.${name}`,
  conditions: [],
  pools: [],
  ...seen,
})

test('amounts are added, the oldest age and the oldest look are kept, queues that were never read are left out', () => {
  const perSecond = { enqueued: 0.1, completed: 0.2, failed: 0 }
  expect(
    sumsOf([
      queue('a', { atMs: 900, numbers: { ...NUMBERS, oldestReadyMs: 70, perSecond } }),
      queue('b', { atMs: 700, numbers: { ...NUMBERS, oldestReadyMs: 50 } }),
      queue('c', { atMs: 800, numbers: { ...NUMBERS, perSecond } }),
      queue('d', { unread: { reason: 'RedisUnreachable', message: 'no answer', sinceMs: 1 } }),
    ]),
  ).toEqual({
    ...{ queues: 3, atMs: 700, ready: 9, blocked: 3, delayed: 6, busy: 12, buried: 15 },
    ...{ oldestReadyMs: 70, perSecond: { enqueued: 0.2, completed: 0.4, failed: 0 }, workers: 6, slots: 18 },
  })
  expect(sumsOf([])).toEqual({
    ...{ queues: 0, ready: 0, blocked: 0, delayed: 0, busy: 0, buried: 0, workers: 0, slots: 0 },
  })
})

test.each([
  ['looks of the last ten seconds', [0, 4_000, 9_000], 12_000, [4_000, 9_000, 12_000]],
  ['of a queue that is looked at seldom, the look before', [0, 4_000], 30_000, [4_000, 30_000]],
  ['of one that nobody looked at for a minute, none', [0, 4_000], 64_001, [64_001]],
])('a rate is measured from %s', (_, before, nowMs, left) => {
  const sample = (atMs: number): Sample => ({ atMs, enqueued: 1, completed: 1, buried: 0 })
  expect(samplesWith(before.map(sample), sample(nowMs)).map(({ atMs }) => atMs)).toEqual(left)
})
