// Which conditions are told as Events, and as warnings.
import { newsType, worthTelling } from '../../../control/src/decide/report.ts'
import type { Condition } from '../../../control/src/resources/conditions.ts'

const NOW = Date.parse('2026-01-01T12:00:00Z')
const ready = (status: Condition['status'], reason: Condition['reason']) =>
  ({ type: 'Ready', status, reason, message: '' }) as const
const since = (seconds: number, status: Condition['status'], reason: Condition['reason']): Condition => ({
  ...ready(status, reason),
  observedGeneration: 1,
  lastTransitionTime: new Date(NOW - seconds * 1_000).toISOString(),
})

test.each<[string, ReturnType<typeof ready>, Condition[], boolean]>([
  ['what is there at first', ready('False', 'InvalidTemplate'), [], true],
  ['what turned', ready('False', 'NameTaken'), [since(5, 'True', 'Ready')], true],
  ['what is as it was', ready('False', 'NameTaken'), [since(500, 'False', 'NameTaken')], false],
  ['a pod that starts', ready('False', 'PodsStarting'), [since(5, 'True', 'Ready')], true],
  ['a queue that is not ready at first', ready('False', 'QueueNotReady'), [], false],
  [
    'a queue that is not ready for a moment',
    ready('False', 'QueueNotReady'),
    [since(5, 'False', 'QueueNotReady')],
    false,
  ],
  [
    'a queue that is not ready for long',
    ready('False', 'QueueNotReady'),
    [since(31, 'False', 'QueueNotReady')],
    true,
  ],
  ['a Redis that starts', ready('Unknown', 'RedisUnreachable'), [], false],
  ['a failover', ready('Unknown', 'RedisUnreachable'), [since(9, 'True', 'Ready')], false],
  ['an outage', ready('Unknown', 'RedisUnreachable'), [since(31, 'Unknown', 'RedisUnreachable')], true],
])('%s', (_, finding, before, isTold) => {
  expect(worthTelling([finding], before, NOW)).toEqual(isTold ? [finding] : [])
})

test.each([
  ['True', 'Ready', 'Normal'],
  ['False', 'PodsStarting', 'Normal'],
  ['False', 'CrashLoopBackOff', 'Warning'],
  ['Unknown', 'RedisUnreachable', 'Warning'],
] as const)('%s %s is %s', (status, reason, type) => {
  expect(newsType(ready(status, reason))).toBe(type)
})
