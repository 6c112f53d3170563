// What a pool says of queues whose Redis answers and cannot be used: the queue's reason, and whether it may pass.
import { planWorkerPool } from '../../../operator/src/worker-pool/plan.ts'
import { deploymentWith, NOW, observed, podOf, queueOf } from './observed.ts'

const { load: _, ...unknown } = queueOf()

const planned = (more: Parameters<typeof observed>[0]) => {
  const plan = planWorkerPool(observed(more), { nowMs: NOW, wallMs: NOW })
  const conditions = Object.fromEntries((plan.status?.conditions ?? []).map((each) => [each.type, each]))
  return { plan, conditions }
}

test.each([
  ['RedisUnreachable', 'Unknown', 'False', 'False'],
  ['RedisNotServing', 'False', 'True', 'False'],
  ['RedisIsCluster', 'False', 'True', 'True'],
  ['RedisScriptsFail', 'False', 'True', 'True'],
  ['RedisFull', 'False', 'True', 'True'],
  ['RedisRefused', 'False', 'False', 'True'],
])('%s: Ready is %s, RedisReachable %s, Stalled %s', (reason, ready, reachable, stalled) => {
  const problem = { reason, message: 'in words' }
  const three = { deployment: deploymentWith(3), pods: ['a', 'b', 'c'].map((uid) => podOf(uid)) }
  const { plan, conditions } = planned({ ...three, queues: [{ ...unknown, problem }], workers: 'unknown' })
  expect(conditions.Ready).toMatchObject({ status: ready, reason, message: 'in words' })
  expect(conditions.RedisReachable?.status).toBe(reachable)
  expect(conditions.Suspended).toMatchObject({ status: 'Unknown', reason })
  expect(conditions.Stalled?.status).toBe(stalled)
  expect(plan.decision.replicas).toBe(3)
  expect(plan.deployment?.replicas ?? 3).toBe(3)
})

test.each([
  ['RedisUnreachable', 'False'],
  ['RedisFull', 'True'],
  ['QueueNotReady', 'Unknown'],
])(
  'a queue that is not found does not hide another one with %s: RedisReachable is %s',
  (reason, reachable) => {
    const [notFound, other] = [
      { reason: 'QueueNotFound', message: 'not found' },
      { reason, message: 'in words' },
    ]
    const queues = [
      { ...unknown, problem: notFound },
      { ...unknown, problem: other },
    ]
    const { conditions } = planned({ queues, workers: 'unknown' })
    expect(conditions.RedisReachable?.status).toBe(reachable)
    expect(conditions.Ready?.reason).toBe('QueueNotFound')
  },
)

test('one queue that can be seen is enough to know that Redis answers', () => {
  const queues = [{ ...unknown, problem: { reason: 'QueueNotFound', message: 'not found' } }, queueOf()]
  const { conditions } = planned({ queues, workers: 'unknown' })
  expect(conditions.RedisReachable?.status).toBe('True')
  expect(conditions.ScalingActive).toMatchObject({ status: 'Unknown', reason: 'QueueNotFound' })
})
