// What a pool says of its queues, its pods and its rollout: reasons that people know, and Stalled where a person has to mend something.

import type { Reason } from '../../../control/src/resources/reasons.ts'
import type { WorkerPool } from '../../../control/src/resources/worker-pool.ts'
import type { Trouble } from '../../../control/src/world.ts'
import type { FleetPod } from '../../../operator/src/fleet/pods.ts'
import {
  deploymentWith,
  fleetOf,
  memoryOf,
  NOW,
  type Observed,
  observed,
  planWorkerPool,
  podOf,
  poolOf,
  queueOf,
  workerOf,
} from './observed.ts'

const { load: _, ...unknown } = queueOf()

const planned = (more: Parameters<typeof observed>[0]) => {
  const plan = planWorkerPool(observed(more), { nowMs: NOW, wallMs: NOW })
  const conditions = Object.fromEntries((plan.status?.conditions ?? []).map((each) => [each.type, each]))
  return { plan, conditions }
}

test.each<[Reason, string, string, string]>([
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

test.each<[Reason, string]>([
  ['RedisUnreachable', 'False'],
  ['RedisFull', 'True'],
  ['QueueNotReady', 'Unknown'],
])(
  'a queue that is not found does not hide another one with %s: RedisReachable is %s',
  (reason, reachable) => {
    const [notFound, other] = [
      { reason: 'QueueNotFound', message: 'not found' },
      { reason, message: 'in words' },
    ] as const
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
  const queues = [
    { ...unknown, problem: { reason: 'QueueNotFound', message: 'not found' } as const },
    queueOf(),
  ]
  const { conditions } = planned({ queues, workers: 'unknown' })
  expect(conditions.RedisReachable?.status).toBe('True')
  expect(conditions.ScalingActive).toMatchObject({ status: 'Unknown', reason: 'QueueNotFound' })
})

describe('of its pods', () => {
  const MINUTE_MS = 60_000
  const written = (pool: WorkerPool, replicas: number, conditions: object[] = []) =>
    deploymentWith(replicas, {
      metadata: {
        ...deploymentWith(replicas).metadata,
        annotations: fleetOf(observed({ pool })).rendered.manifest.metadata.annotations,
      },
      status: { ...deploymentWith(replicas).status, conditions },
    })
  const old = (uid: string) => podOf(uid, { isCurrent: false, templateHash: 'old' })
  const fresh = (uid: string, pod: Partial<FleetPod> = {}) =>
    podOf(uid, { isReady: false, startedAtMs: NOW - 5_000, ...pod })
  const trouble = (reason: Trouble['reason'], isLasting = true) => ({
    trouble: { reason, message: 'in words', isLasting },
  })
  const silentFor = (ms: number) => ({ unregisteredSinceMs: NOW - ms })
  const failed = {
    type: 'Progressing',
    status: 'False',
    reason: 'ProgressDeadlineExceeded',
    message: 'timed out',
  }
  const refused = { type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message: 'PodSecurity' }

  const conditionsOf = (
    replicas: number,
    pods: FleetPod[],
    conditions: object[] = [],
    more: Partial<Observed> = {},
  ) => {
    const pool = poolOf({ scaling: { mode: 'Manual' }, replicas })
    const workers = pods.filter(({ isReady }) => isReady).map(({ uid }) => workerOf(uid))
    return planned({ pool, pods, workers, deployment: written(pool, replicas, conditions), ...more })
      .conditions
  }

  const rows: [string, number, FleetPod[], object[], string, string, string][] = [
    ['needs none', 0, [], [], 'True Ready', 'True RolloutComplete', 'False Progressing'],
    ['starts', 1, [fresh('a')], [], 'False PodsStarting', 'True RolloutComplete', 'False Progressing'],
    [
      'has no image, told once',
      1,
      [fresh('a', trouble('ImagePullBackOff', false))],
      [],
      'False ImagePullBackOff',
      'True RolloutComplete',
      'False Progressing',
    ],
    [
      'has no image',
      1,
      [fresh('a', trouble('ImagePullBackOff'))],
      [],
      'False ImagePullBackOff',
      'True RolloutComplete',
      'True ImagePullBackOff',
    ],
    [
      'may not run as root',
      1,
      [fresh('a', trouble('CreateContainerConfigError'))],
      [],
      'False CreateContainerConfigError',
      'True RolloutComplete',
      'True CreateContainerConfigError',
    ],
    [
      'crashes',
      1,
      [fresh('a', trouble('CrashLoopBackOff'))],
      [],
      'False CrashLoopBackOff',
      'True RolloutComplete',
      'True CrashLoopBackOff',
    ],
    ['gets no pods', 1, [], [refused], 'False FailedCreate', 'True RolloutComplete', 'True FailedCreate'],
    [
      'finds no node for a minute',
      1,
      [fresh('a', trouble('Unschedulable', false))],
      [],
      'False Unschedulable',
      'True RolloutComplete',
      'False Progressing',
    ],
    [
      'finds no node for longer than it may',
      1,
      [fresh('a', { ...trouble('Unschedulable', false), startedAtMs: NOW - 11 * MINUTE_MS })],
      [],
      'False Unschedulable',
      'False ProgressDeadlineExceeded',
      'True ProgressDeadlineExceeded',
    ],
    [
      'does not register for a moment',
      1,
      [fresh('a', silentFor(20_000))],
      [],
      'False PodsStarting',
      'True RolloutComplete',
      'False Progressing',
    ],
    [
      'does not register',
      1,
      [fresh('a', silentFor(31_000))],
      [],
      'False WorkersNotRegistered',
      'True RolloutComplete',
      'False Progressing',
    ],
    [
      'does not register for longer than it may',
      1,
      [fresh('a', { ...silentFor(11 * MINUTE_MS), startedAtMs: NOW - 11 * MINUTE_MS })],
      [],
      'False WorkersNotRegistered',
      'False ProgressDeadlineExceeded',
      'True ProgressDeadlineExceeded',
    ],
    [
      'has one pod that works and one that crashes',
      2,
      [fresh('a', { isReady: true }), fresh('b', trouble('CrashLoopBackOff'))],
      [],
      'False CrashLoopBackOff',
      'True RolloutComplete',
      'False Progressing',
    ],
    [
      'has more pods than it needs',
      1,
      [fresh('a', { isReady: true }), fresh('b', { isReady: true })],
      [],
      'True Ready',
      'True RolloutComplete',
      'False Progressing',
    ],
    [
      'rolls out',
      2,
      [old('a'), old('b'), fresh('c')],
      [],
      'True Ready',
      'True RollingOut',
      'False Progressing',
    ],
    [
      'rolls out what crashes',
      2,
      [old('a'), old('b'), fresh('c', trouble('CrashLoopBackOff'))],
      [],
      'False CrashLoopBackOff',
      'True RollingOut',
      'True CrashLoopBackOff',
    ],
    [
      'rolls out what does not register',
      2,
      [old('a'), old('b'), fresh('c', silentFor(31_000))],
      [],
      'False WorkersNotRegistered',
      'True RollingOut',
      'False Progressing',
    ],
    [
      'rolls out what gets no pods',
      2,
      [old('a'), old('b')],
      [refused],
      'False FailedCreate',
      'True RollingOut',
      'True FailedCreate',
    ],
    [
      'has been stuck',
      2,
      [old('a'), old('b'), fresh('c', silentFor(MINUTE_MS))],
      [failed],
      'False WorkersNotRegistered',
      'False ProgressDeadlineExceeded',
      'True ProgressDeadlineExceeded',
    ],
    [
      'has been stuck for no reason that is known',
      2,
      [old('a'), old('b'), fresh('c')],
      [failed],
      'False ProgressDeadlineExceeded',
      'False ProgressDeadlineExceeded',
      'True ProgressDeadlineExceeded',
    ],
    [
      'replaces what crashed',
      2,
      [
        podOf('a', { isCurrent: false, ...trouble('CrashLoopBackOff'), isReady: false }),
        old('b'),
        old('d'),
        fresh('c'),
      ],
      [],
      'True Ready',
      'True RollingOut',
      'False Progressing',
    ],
  ]
  test.each(rows)('a pool that %s', (_, replicas, pods, conditions, ready, progressing, stalled) => {
    const found = conditionsOf(replicas, pods, conditions)
    const shown = (type: string) => `${found[type]?.status} ${found[type]?.reason}`
    expect([shown('Ready'), shown('Progressing'), shown('Stalled')]).toEqual([ready, progressing, stalled])
  })

  test('who works on is told beside what is broken', () => {
    const { Ready } = conditionsOf(2, [old('a'), old('b'), fresh('c', trouble('CrashLoopBackOff'))])
    expect(Ready?.message).toBe('in words (2 other pods work)')
  })

  test('a worker that does not register is told with the likely reasons, the log and the remedy', () => {
    const { Ready } = conditionsOf(1, [fresh('a', silentFor(31_000))])
    expect(Ready?.message).toBe(
      'pod mail-a runs and its worker did not register within 30 s: it cannot reach the Redis of the Secret millhand-redis ' +
        '(NetworkPolicy, host, port), Redis refuses its password, or the image does not run millhand-worker. ' +
        'See kubectl --namespace shop logs mail-a --container worker; ' +
        'after a change of the Secret: kubectl --namespace shop rollout restart deployment/mail',
    )
  })

  test('more ready pods than are needed are counted as such', () => {
    const { Ready } = conditionsOf(1, [fresh('a', { isReady: true }), fresh('b', { isReady: true })])
    expect(Ready?.message).toBe('2 pods are ready, 1 needed: the others are removed when they are idle')
  })

  test('a ready pod whose worker Redis knows no more is not taken for one that works', () => {
    const pods = [fresh('a', { isReady: true })]
    const at = (sinceMs: number) =>
      conditionsOf(1, pods, [], {
        workers: [],
        memory: memoryOf({ silent: new Map([['a', NOW - sinceMs]]) }),
      })
    expect(at(29_000).Ready).toMatchObject({ status: 'True' })
    expect(at(31_000).Ready).toMatchObject({ status: 'False', reason: 'WorkersNotRegistered' })
    expect(conditionsOf(1, pods).Ready).toMatchObject({ status: 'True' })
  })
})

describe('the counts of slots', () => {
  const { status } = planWorkerPool(
    observed({
      pool: poolOf({ slots: 4 }),
      deployment: deploymentWith(3),
      pods: [podOf('a'), podOf('b', { isReady: false }), podOf('c', { state: 'terminating' })],
      workers: [workerOf('a', 2), workerOf('b', 1), workerOf('c', 3)],
    }),
    { nowMs: NOW, wallMs: NOW },
  )
  test('slots are those of ready pods', () => expect(status?.slots).toBe(4))
  test('busySlots are those of pods that are not terminating', () => expect(status?.busySlots).toBe(3))
})

describe('the isolation of the workers', () => {
  const fork = workerOf('a', 0)
  const fallen = workerOf('b', 0, { isolation: 'Spawn', fallback: 'Fork needs glibc' })

  test('is told as it is, each mode once, and why one fell back', () => {
    const { plan, conditions } = planned({ workers: [fallen, fork, fallen] })
    expect(plan.status?.isolationInUse).toEqual(['Fork', 'Spawn'])
    expect(conditions.IsolationFallback).toMatchObject({ status: 'True', reason: 'ForkUnavailable' })
    expect(conditions.IsolationFallback?.message).toContain('1 pod uses Spawn')
    expect(conditions.IsolationFallback?.message).toContain('Fork needs glibc')
  })

  test('that is what the pool asks for is no fallback', () => {
    const { conditions } = planned({ workers: [fork] })
    expect(conditions.IsolationFallback).toMatchObject({ status: 'False', reason: 'AsConfigured' })
  })

  test('is what was used last while there are no workers, or while Redis cannot be read', () => {
    const before = planned({ workers: [fallen] }).plan.status
    for (const workers of [[], 'unknown'] satisfies Observed['workers'][]) {
      expect(planned({ workers }).conditions.IsolationFallback).toMatchObject({ reason: 'NoWorkers' })
      const { plan, conditions } = planned({ workers, ...(before && { status: { ...before, replicas: 9 } }) })
      expect(plan.status?.isolationInUse).toEqual(['Spawn'])
      expect(conditions.IsolationFallback).toMatchObject({ status: 'True', reason: 'ForkUnavailable' })
    }
  })
})

test('the counts of a status are of the same pods: those that live', () => {
  const [old, current] = [podOf('old', { isCurrent: false }), podOf('current')]
  const going = podOf('going', { state: 'terminating' })
  const workers = [workerOf('old', 2), workerOf('going', 3)]
  const { plan } = planned({ deployment: deploymentWith(2), pods: [old, current, going], workers })
  expect(plan.status).toMatchObject({ replicas: 2, updatedReplicas: 1, terminatingReplicas: 1, busySlots: 2 })
})
