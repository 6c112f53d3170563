// What the pools of a queue say about a job that waits for workers: one row a rule.
import { whyWithPools } from '@millhand/control/decide/why'
import type { WorkerPoolObject, WorkerPoolStatus } from '@millhand/control/resources/worker-pool'

const SINCE = '2026-03-01T12:00:00Z'
const NO_WORKERS = { code: 'no-workers', text: 'no worker serves the queue' }

function pool(status: Partial<WorkerPoolStatus> | undefined, queue = 'mail'): WorkerPoolObject {
  const usual = { replicas: 2, desiredReplicas: 2, readyReplicas: 2 }
  const decision = { reason: 'Concurrency', message: 'for 8 jobs' }
  const whole = { ...usual, decision, conditions: [], ...status }
  return {
    metadata: { name: 'pool' },
    spec: { queues: [{ name: queue }] },
    ...(status && { status: whole }),
  } as unknown as WorkerPoolObject
}

const condition = (type: string, status: string, reason: string) => ({
  conditions: [
    {
      type,
      status,
      reason,
      message: `${reason} says kubelet`,
      observedGeneration: 1,
      lastTransitionTime: SINCE,
    },
  ] as WorkerPoolStatus['conditions'],
})

test.each<[string, WorkerPoolObject[], [code: string, text: RegExp][]]>([
  ['no pool', [], [['NoPool', /no WorkerPool names the queue mail/]]],
  ['the pool of another queue', [pool({}, 'other')], [['NoPool', /./]]],
  ['a pool that nobody has seen', [pool(undefined)], [['NoStatus', /has no status yet/]]],
  [
    'pods that do not start',
    [pool(condition('Ready', 'False', 'ImagePullBackOff'))],
    [['ImagePullBackOff', /WorkerPool pool: ImagePullBackOff says kubelet/]],
  ],
  ['no room in the cluster', [pool(condition('Ready', 'False', 'Unschedulable'))], [['Unschedulable', /./]]],
  ['a quota', [pool(condition('Ready', 'False', 'FailedCreate'))], [['FailedCreate', /./]]],
  [
    'a pool at its maximum',
    [pool(condition('ScalingLimited', 'True', 'MaxReplicas'))],
    [['MaxReplicas', /./]],
  ],
  [
    'a pool at zero',
    [
      pool({
        replicas: 0,
        desiredReplicas: 0,
        readyReplicas: 0,
        decision: { reason: 'Suspended', message: 'm' },
      }),
    ],
    [['Suspended', /pool: m/]],
  ],
  ['pods that start', [pool({ desiredReplicas: 3 })], [['PodsStarting', /2 of 3 pods are ready/]]],
  ['a pool that is as it should be', [pool({})], [['Concurrency', /2 pods: for 8 jobs/]]],
  [
    'two pools',
    [pool({}), pool(undefined)],
    [
      ['Concurrency', /./],
      ['NoStatus', /./],
    ],
  ],
])('%s', (_what, pools, expected) => {
  const causes = whyWithPools([NO_WORKERS], 'mail', pools)
  expect(causes[0]).toBe(NO_WORKERS)
  expect(causes.slice(1).map(({ code }) => code)).toEqual(expected.map(([code]) => code))
  for (const [i, [, text]] of expected.entries()) expect(causes[i + 1]?.text).toMatch(text)
})

test('since when comes from the condition, and the pool is named', () => {
  const [, cause] = whyWithPools([NO_WORKERS], 'mail', [
    pool(condition('Ready', 'False', 'CrashLoopBackOff')),
  ])
  expect(cause).toMatchObject({ sinceMs: Date.parse(SINCE), subject: 'workerpool/pool' })
})

test('a job that pods cannot help has no cause of a pool', () => {
  const paused = [{ code: 'paused', text: 'paused' }]
  expect(whyWithPools(paused, 'mail', [])).toEqual(paused)
})
