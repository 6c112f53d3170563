// What a pool says of queues whose Redis answers and cannot be used: the queue's reason, and whether it may pass.
import { planWorkerPool } from '../../../operator/src/worker-pool/plan.ts'
import { deploymentWith, NOW, observed, podOf, queueOf } from './observed.ts'

const { load: _, ...unknown } = queueOf()

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
  const plan = planWorkerPool(observed({ ...three, queues: [{ ...unknown, problem }], workers: 'unknown' }), {
    nowMs: NOW,
    wallMs: NOW,
  })
  const conditions = Object.fromEntries((plan.status?.conditions ?? []).map((each) => [each.type, each]))
  expect(conditions.Ready).toMatchObject({ status: ready, reason, message: 'in words' })
  expect(conditions.RedisReachable?.status).toBe(reachable)
  expect(conditions.Suspended).toMatchObject({ status: 'Unknown', reason })
  expect(conditions.Stalled?.status).toBe(stalled)
  expect(plan.decision.replicas).toBe(3)
  expect(plan.deployment?.replicas ?? 3).toBe(3)
})
