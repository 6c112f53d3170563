// What the API server does not do for a pool (a webhook that is down, a right that is missing) stands in the pool's conditions in its
// words; what else can be done is done. In an in-process turn of plan and apply, because a webhook of a real API server fails as it likes.

import { silent } from 'millhand/queue'
import type { WorkerPoolStatus } from '../../../control/src/resources/worker-pool.ts'
import { type Kube, kinds } from '../../../operator/src/kube/client.ts'
import { KubeError } from '../../../operator/src/kube/errors.ts'
import {
  appliedPlan,
  deploymentWith,
  draining,
  memoryOf,
  NOW,
  type Observed,
  observed,
  planWorkerPool,
  podOf,
  queueOf,
  workerOf,
} from './observed.ts'

const webhook = new KubeError(
  'Internal error occurred: failed calling webhook "check.example.com": connection refused',
  { status: 500, reason: 'InternalError' },
)
const noPatch = (what: string) =>
  new KubeError(
    `${what} "mail" is forbidden: User "system:serviceaccount:m:millhand" cannot patch resource "${what}" in API group ""`,
    { status: 403, reason: 'Forbidden' },
  )

/** A pool before an API server that takes everything but what `refusals` say of a kind; one second between its turns. */
function poolBefore(refusals: Map<object, KubeError>, changes: Partial<Observed> = {}) {
  let memory = changes.memory ?? memoryOf()
  let status: WorkerPoolStatus | undefined
  let nowMs = NOW
  const writes: object[] = []
  const answer = async <T>(kind: object, object: object) => {
    const refusal = refusals.get(kind)
    if (refusal) throw refusal
    writes.push(kind)
    return { ...object, metadata: { generation: 4 } } as T
  }
  const kube: Pick<Kube, 'apply' | 'findOne' | 'mergePatch'> = {
    apply: async <T>(kind: object, object: object) => answer<T>(kind, object),
    mergePatch: async (kind) => answer(kind, {}),
    findOne: async () => undefined,
  }
  const turn = async () => {
    nowMs += 1_000
    const seen = observed({ queues: [queueOf({ ready: 3 })], ...changes, memory, status })
    const plan = planWorkerPool(seen, { nowMs, wallMs: nowMs })
    const context = {
      kube,
      world: {
        writeStatus: async (_subject: object, written: object) => {
          status = written as WorkerPoolStatus
          return true
        },
        tell: () => {},
      },
      log: silent,
      leader: 'test',
      nowMs: () => nowMs,
      onDecision: () => {},
    }
    const outcome = await appliedPlan(plan, seen, context)
    memory = outcome.memory
    return outcome
  }
  const conditions = () =>
    Object.fromEntries((status?.conditions ?? []).map((each) => [each.type, each])) as Record<
      string,
      WorkerPoolStatus['conditions'][number]
    >
  return { turn, conditions, writes }
}

test.each([
  ['a webhook that is down', webhook, 'ApiServerFails', 'False'],
  ['a right that the operator does not have', noPatch('deployments'), 'NotPermitted', 'True'],
])(
  '%s for Deployments is told in its words, once it fails again, until it is over',
  async (_what, error, reason, stalled) => {
    const refusals = new Map([[kinds.deployment, error]])
    const { turn, conditions, writes } = poolBefore(refusals as Map<object, KubeError>)
    expect((await turn()).failure).toBe(error)
    expect((await turn()).failure).toBe(error)
    expect(conditions().Ready?.reason).not.toBe(reason)
    expect((await turn()).failure).toBe(error)
    expect(conditions().Ready).toMatchObject({
      status: 'False',
      reason,
      message: expect.stringContaining(error.message),
    })
    expect(conditions().Stalled?.status).toBe(stalled)
    refusals.clear()
    expect((await turn()).failure).toBeUndefined()
    await turn()
    expect(writes).toContain(kinds.deployment)
    expect(conditions().Ready?.reason).not.toBe(reason)
  },
)

test('a right on pods that is missing is told, and keeps the number of pods from nothing but falling', async () => {
  const pods = [podOf('a'), podOf('b')]
  const workers = [workerOf('a', 1), workerOf('b', 0, { isDraining: true })]
  const { turn, conditions, writes } = poolBefore(new Map([[kinds.pod as object, noPatch('pods')]]), {
    deployment: deploymentWith(2),
    pods,
    workers,
    queues: [queueOf({ busy: 1 })],
    memory: memoryOf({ draining: draining('b'), applied: { hash: 'any', generation: 4, replicas: 2 } }),
  })
  for (let times = 0; times < 3; times++) await turn()
  expect(conditions().Ready).toMatchObject({
    reason: 'NotPermitted',
    message: expect.stringContaining('cannot patch'),
  })
  expect(writes).toContain(kinds.deployment)
})

test('of long words no more is told than a person reads', async () => {
  const long = new KubeError('x'.repeat(100_000), { status: 500, reason: 'InternalError' })
  const { turn, conditions } = poolBefore(new Map([[kinds.deployment as object, long]]))
  for (let times = 0; times < 3; times++) await turn()
  expect(conditions().Ready?.message).toMatch(/x{500}…$/)
})
