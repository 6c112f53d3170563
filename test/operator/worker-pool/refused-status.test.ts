// A status that the API server refuses: what a reconcile of a pool remembers and does is the same as if it had been taken.
import { silent } from 'millhand/queue'
import type { ApplyContext } from '../../../control/src/reconcile/worker-pool.ts'
import { type Kube, kinds } from '../../../operator/src/kube/client.ts'
import { KubeError } from '../../../operator/src/kube/errors.ts'
import { writeStatus } from '../../../operator/src/kube/status.ts'
import { appliedPlan, NOW, observed, planWorkerPool, queueOf } from './observed.ts'

const invalid = new KubeError('WorkerPool "mail" is invalid: status.x: Too long', {
  status: 422,
  reason: 'Invalid',
})
const policy = new KubeError('workerpools "mail" is forbidden: by a policy', {
  status: 403,
  reason: 'Forbidden',
})
const away = new KubeError('the API server is away', { status: 0, reason: 'Unreachable' })

/** An API server that takes everything but the status. */
async function applied(refusal: Error, changes: Parameters<typeof observed>[0] = {}) {
  const seen = observed({ queues: [queueOf({ ready: 3 })], ...changes })
  const plan = planWorkerPool(seen, { nowMs: NOW, wallMs: NOW })
  const refused: string[] = []
  const kube: Pick<Kube, 'apply' | 'findOne'> = {
    apply: async <T>(kind: object, object: object) => {
      if (kind === kinds.WorkerPool) throw refusal
      return { ...object, metadata: { generation: 1 } } as T
    },
    findOne: async () => undefined,
  }
  const context = {
    kube: { ...kube, mergePatch: async () => ({}) as never },
    log: silent,
    leader: 'test',
    nowMs: () => NOW,
    onDecision: () => {},
    onStatusRefused: (kind: string) => void refused.push(kind),
  }
  const world: ApplyContext['world'] = {
    writeStatus: ({ kind: _, ...metadata }, status) =>
      writeStatus(kinds.WorkerPool, { metadata, status }, { ...context, kube: kube as Kube }),
    tell: () => {},
  }
  const outcome = await appliedPlan(plan, seen, { ...context, world })
  return { outcome, refused, plan }
}

test.each([
  ['its schema', invalid],
  ['a policy', policy],
])('refused by %s is counted, and the pool scales on', async (_, refusal) => {
  const { outcome, refused, plan } = await applied(refusal)
  expect(refused).toEqual(['WorkerPool'])
  expect(outcome.failure).toBeUndefined()
  expect(outcome.memory).toMatchObject({ wanted: 3, history: plan.memory.history, applied: { replicas: 3 } })
  const again = observed({ memory: outcome.memory })
  expect(planWorkerPool(again, { nowMs: NOW + 30_000, wallMs: NOW }).status).toBeUndefined()
  expect(planWorkerPool(again, { nowMs: NOW + 61_000, wallMs: NOW }).status).toBeDefined()
})

test('not written because the API server is away, it is tried again, and what was done is remembered', async () => {
  const { outcome, refused } = await applied(away)
  expect(refused).toEqual([])
  expect(outcome.failure).toBe(away)
  expect(outcome.memory).toMatchObject({ wanted: 3, applied: { replicas: 3 } })
})
