// What the status of a Schedule says of what was found, when it is written, and when the queue is looked at again.
import type { ScheduleState } from 'millhand/queue'
import {
  type ObservedSchedule,
  planSchedule,
  type SchedulePlan,
} from '../../../control/src/decide/schedule.ts'
import type { Reason } from '../../../control/src/resources/reasons.ts'
import { seenSchedule } from './seen-schedule.ts'

const NOW = Date.parse('2026-11-22T08:00:00Z')
const MINUTE = 60_000

const last = (state: NonNullable<ScheduleState['last']>['state'], more: object = {}) => ({
  ...{ id: 'nightly@1', dueAtMs: NOW - 5 * MINUTE, firedAtMs: NOW - 5 * MINUTE, lateMs: 0, state },
  ...more,
})

const seen = (more: Partial<ScheduleState> = {}, spec: object = {}) => seenSchedule(more, NOW, spec)

const troubled = (reason: Reason): ObservedSchedule => ({
  ...seen(),
  found: { kind: 'problem', reason, message: `because of ${reason}` },
})

const conditionsOf = ({ status }: SchedulePlan) =>
  Object.fromEntries(
    (status?.conditions ?? []).map(({ type, status, reason }) => [type, `${status} ${reason}`]),
  )

const rows: [string, ObservedSchedule, Record<string, string>][] = [
  [
    'nothing is wrong',
    seen(),
    {
      Ready: 'True Ready',
      RedisReachable: 'True Connected',
      Late: 'False OnTime',
      Suspended: 'False Active',
      Stalled: 'False Progressing',
    },
  ],
  ['due for a minute', seen({ nextAtMs: NOW - MINUTE }), { Late: 'True NotEnqueued', Ready: 'True Ready' }],
  ['due for less', seen({ nextAtMs: NOW - MINUTE + 1 }), { Late: 'False OnTime' }],
  [
    'paused by a person: nothing is late',
    seen({ isPaused: true, nextAtMs: NOW - MINUTE }),
    { Late: 'False OnTime', Suspended: 'True Paused' },
  ],
  [
    'suspended by its manifest, which comes first',
    seen({ isPaused: true }, { suspend: true }),
    { Suspended: 'True Suspended' },
  ],
  [
    'no such queue',
    troubled('QueueNotFound'),
    {
      Ready: 'False QueueNotFound',
      Late: 'Unknown QueueNotFound',
      Suspended: 'Unknown QueueNotFound',
      Stalled: 'True QueueNotFound',
    },
  ],
  [
    'a queue that is new',
    troubled('QueueNotReady'),
    { Ready: 'False QueueNotReady', Stalled: 'False Progressing' },
  ],
  ['a name that is taken', troubled('NameTaken'), { Ready: 'False NameTaken', Stalled: 'True NameTaken' }],
  [
    'a zone that there is not',
    troubled('InvalidSchedule'),
    { Ready: 'False InvalidSchedule', Stalled: 'True InvalidSchedule' },
  ],
  [
    'a Redis that is away',
    troubled('RedisUnreachable'),
    {
      Ready: 'Unknown RedisUnreachable',
      RedisReachable: 'False RedisUnreachable',
      Stalled: 'False Progressing',
    },
  ],
  ['a newer layout', troubled('NewerLayout'), { Ready: 'False NewerLayout', Stalled: 'True NewerLayout' }],
]
test.each(rows)('its conditions: %s', (_what, observed, expected) => {
  expect(conditionsOf(planSchedule(observed, NOW))).toMatchObject(expected)
})

test('the status says when, and how the last one went', () => {
  const { status } = planSchedule(seen({ last: last('buried', { lateMs: 61_400 }) }), NOW)
  expect(status).toMatchObject({
    observedGeneration: 1,
    queueName: 'default.mail',
    nextDueAt: '2026-11-22T08:10:00Z',
    last: {
      dueAt: '2026-11-22T07:55:00Z',
      firedAt: '2026-11-22T07:55:00Z',
      lateSeconds: 61,
      jobId: 'nightly@1',
      outcome: 'buried',
    },
  })
})

test('what nobody knows any more of the last job is left out, and what was known stays while Redis is away', () => {
  const { status } = planSchedule(seen({ last: last('unknown') }), NOW)
  expect(status?.last).not.toHaveProperty('outcome')
  const away = planSchedule({ ...troubled('RedisUnreachable'), status }, NOW)
  expect(away.status).toMatchObject({ nextDueAt: status?.nextDueAt, last: status?.last })
})

test('a status that is still true is not written again, and only news become Events', () => {
  const first = planSchedule(seen(), NOW)
  expect(first.events.map(({ reason }) => reason)).toEqual(['Ready'])
  const again = planSchedule({ ...seen(), status: first.status }, NOW + MINUTE)
  expect([again.status, again.events]).toEqual([undefined, []])
  const late = planSchedule({ ...seen({ nextAtMs: NOW }), status: first.status }, NOW + 2 * MINUTE)
  expect(late.events.map(({ reason }) => reason)).toEqual(['NotEnqueued'])
})

test.each([
  ['far from the next time', seen(), 15_000],
  ['the next time is near: right after it', seen({ nextAtMs: NOW + 9_000 }), 9_500],
  ['due every second: not more often than every 5 s', seen({ nextAtMs: NOW + 1_000 }), 5_000],
  ['nothing due ever', { ...seen(), found: { kind: 'open', state: paused() } } as ObservedSchedule, 15_000],
  ['its last job runs', seen({ last: last('held') }), 5_000],
  ['its last job has ended', seen({ last: last('completed') }), 15_000],
  ['Redis is away', troubled('RedisUnreachable'), 5_000],
])('the next look: %s', (_what, observed, inMs) => {
  expect(planSchedule(observed, NOW).checkAgainAfterMs).toBe(inMs)
})

function paused(): ScheduleState {
  const { nextAtMs: _, ...state } = seen({ isPaused: true }).found.state
  return state
}
