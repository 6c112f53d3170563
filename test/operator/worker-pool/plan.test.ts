// What a pool gets next, in tables: every row a rule.
import fc from 'fast-check'
import { deploymentOf, hashOf, TEMPLATE_ANNOTATION } from '../../../operator/src/fleet/deployment.ts'
import { canLower } from '../../../operator/src/fleet/write.ts'
import {
  deploymentWith,
  draining,
  memoryOf,
  NOW,
  type Observed,
  observed,
  type Planned,
  planWorkerPool,
  podOf,
  poolOf,
  queueOf,
  workerOf,
} from './observed.ts'

const plan = (changes: Partial<Observed>) => planWorkerPool(observed(changes), { nowMs: NOW, wallMs: NOW })
const marks = ({ podPatches }: Planned, isMarked = true) =>
  podPatches.flatMap((patch) => (patch.isMarked === isMarked ? [patch.name] : []))
const unmarks = (planned: Planned) => marks(planned, false)
const replicasOf = (changes: Partial<Observed>) => plan(changes).deployment?.replicas
/** Three idle pods of a Deployment of three, and one job that one of them runs. */
const three = {
  deployment: deploymentWith(3),
  pods: [podOf('a'), podOf('b'), podOf('c')],
  workers: [workerOf('a', 1), workerOf('b'), workerOf('c')],
  queues: [queueOf({ busy: 1 })],
}
/** By this leader, some version ago. */
const written = { hash: 'any', generation: 4, replicas: 3 }
/** As Redis shows it once b and c get no claims any more. */
const drained = {
  workers: [workerOf('a', 1), workerOf('b', 0, { isDraining: true }), workerOf('c', 0, { isDraining: true })],
  memory: memoryOf({ draining: draining('b', 'c'), applied: written }),
}
const marked = (uid: string) => podOf(uid, { isMarked: true })

describe('a new pool', () => {
  test('gets its Deployment, with a number', () => {
    expect(plan({}).deployment).toMatchObject({
      replicas: 0,
      rendered: { manifest: { metadata: { name: 'mail' } } },
    })
    expect(replicasOf({ queues: [queueOf({ ready: 3 })] })).toBe(3)
  })

  test('gets none while its queue is not there, and nothing is tried in vain', () => {
    const problem = { reason: 'QueueNotFound', message: 'there is none' } as const
    const planned = plan({ queues: [{ name: 'mail', weight: 1, problem }] })
    expect(planned.deployment).toBeUndefined()
    expect(planned.status?.conditions.find(({ type }) => type === 'Ready')).toMatchObject({
      status: 'False',
      reason: 'QueueNotFound',
    })
  })
})

describe('more pods', () => {
  test('come in one step, and those that drained are needed again', () => {
    const planned = plan({
      ...three,
      queues: [queueOf({ ready: 9, busy: 1 })],
      memory: memoryOf({ draining: draining('c'), applied: written }),
    })
    expect(planned.deployment?.replicas).toBe(10)
    expect(planned.undrain).toEqual(['c'])
  })

  test('claim again only when a new leader has written, so that the one before cannot remove them any more', () => {
    const workers = [workerOf('a'), workerOf('b', 0, { isDraining: true })]
    const pods = [podOf('a'), marked('b')]
    const needed = { ...three, deployment: deploymentWith(2), queues: [queueOf({ ready: 2 })], workers, pods }
    const taken = plan(needed)
    // Not known what was written last: it may be looking at an old state.
    expect(taken).toMatchObject({ undrain: [], deployment: { replicas: 2, resourceVersion: '77' } })
    expect(unmarks(taken)).toEqual([])
    const after = plan({ ...needed, memory: memoryOf({ applied: { ...written, replicas: 2 } }) })
    expect(after.undrain).toEqual(['b'])
    expect(unmarks(after)).toEqual(['mail-b'])
  })

  test('are written whatever the version once more is surely more', () => {
    const applied = { hash: 'any', generation: 4, replicas: 3 }
    const more = { ...three, queues: [queueOf({ ready: 9, busy: 1 })] }
    expect(plan({ ...more, memory: memoryOf({ applied }) }).deployment).not.toHaveProperty('resourceVersion')
    const behind = memoryOf({ applied: { ...applied, replicas: 12 } })
    expect(plan({ ...more, memory: behind }).deployment).toHaveProperty('resourceVersion', '77')
  })

  test('lose the mark when they are needed again', () => {
    const pods = [podOf('a'), podOf('b'), marked('c')]
    const needed = { ...three, pods, queues: [queueOf({ ready: 9, busy: 1 })] }
    expect(unmarks(plan({ ...needed, memory: memoryOf({ applied: written }) }))).toEqual(['mail-c'])
  })
})

describe('pods that are on their way out', () => {
  const lowered = { ...three, deployment: deploymentWith(1), queues: [queueOf({ ready: 9, busy: 1 })] }
  const leaving = [podOf('a'), marked('b'), marked('c')]

  test('get no claims again when they are seen to be told: their workers may not have heard of it', () => {
    const pods = [
      podOf('a'),
      ...['b', 'c'].map((uid) => podOf(uid, { state: 'terminating', isMarked: true })),
    ]
    expect(plan({ ...lowered, ...drained, pods }).undrain).toEqual([])
  })

  test('are not needed again once the number was lowered: their ReplicaSet removes them, and then there are more', () => {
    const planned = plan({ ...lowered, workers: drained.workers, memory: drained.memory, pods: leaving })
    expect({ undrain: planned.undrain, unmarked: unmarks(planned) }).toEqual({ undrain: [], unmarked: [] })
    expect(planned.deployment?.replicas ?? 1).toBe(1)
    const gone = plan({ ...lowered, workers: [workerOf('a', 1)], memory: drained.memory, pods: [podOf('a')] })
    expect(gone.deployment?.replicas).toBe(10)
  })

  test('are known from what was written, where the watch has not shown it yet', () => {
    const memory = memoryOf({
      draining: draining('b', 'c'),
      applied: { hash: 'any', generation: 5, replicas: 1 },
    })
    const planned = plan({
      ...lowered,
      deployment: deploymentWith(3),
      workers: drained.workers,
      memory,
      pods: leaving,
    })
    expect({ undrain: planned.undrain, unmarked: unmarks(planned) }).toEqual({ undrain: [], unmarked: [] })
    expect(planned.deployment?.replicas ?? 3).toBe(3)
  })

  test('are not told apart in a rollout, where the old ones go whatever is marked', () => {
    const pods = [podOf('a', { templateHash: 'new' }), marked('b'), marked('c')]
    expect(plan({ ...lowered, workers: drained.workers, memory: drained.memory, pods }).undrain).toEqual([
      'b',
      'c',
    ])
  })
})

describe('fewer pods', () => {
  test('first claim nothing: idle ones are chosen', () => {
    const planned = plan(three)
    expect(planned.drain.sort()).toEqual(['b', 'c'])
    expect(marks(planned)).toEqual([])
    expect(planned.deployment?.replicas).toBe(3)
  })

  test('are marked when they drained before we looked and hold nothing', () => {
    const planned = plan({ ...three, ...drained })
    expect(marks(planned).sort()).toEqual(['mail-b', 'mail-c'])
    expect(planned.deployment?.replicas).toBe(3)
  })

  test('go when the mark is seen, by as many as are marked, and only from this state of the Deployment', () => {
    const pods = [podOf('a'), marked('b'), podOf('c')]
    const planned = plan({ ...three, ...drained, pods })
    expect(planned.deployment).toMatchObject({ replicas: 2, resourceVersion: '77' })
  })

  test('are told again when Redis does not show that they drain, and stay', () => {
    const planned = plan({ ...three, memory: memoryOf({ draining: draining('b', 'c') }) })
    expect(planned.drain.sort()).toEqual(['b', 'c'])
    expect(marks(planned)).toEqual([])
  })

  test('that never registered are given a while to do so', () => {
    const workers = [workerOf('a', 1)]
    const since = (ms: number) =>
      memoryOf({
        draining: new Map([
          ['b', { sinceMs: NOW - ms, renewedAtMs: NOW - 1 }],
          ['c', { sinceMs: NOW - ms, renewedAtMs: NOW - 1 }],
        ]),
      })
    expect(marks(plan({ ...three, workers, memory: since(10_000) }))).toEqual([])
    expect(marks(plan({ ...three, workers, memory: since(20_000) })).sort()).toEqual(['mail-b', 'mail-c'])
  })

  test('are not decided while workers are at work in pods that the watch has not shown', () => {
    const workers = [workerOf('a', 1), workerOf('unseen-1', 2), workerOf('unseen-2', 2)]
    const planned = plan({
      deployment: deploymentWith(3),
      pods: [podOf('a')],
      workers,
      queues: [queueOf({ busy: 5 })],
    })
    expect(planned.decision.replicas).toBe(5)
    const few = plan({
      deployment: deploymentWith(9),
      pods: [podOf('a')],
      workers,
      queues: [queueOf({ busy: 5 })],
    })
    expect(few.deployment?.replicas).toBe(9)
  })

  describe('in pods that the watch does not show', () => {
    const few = { deployment: deploymentWith(9), pods: [podOf('a')], queues: [queueOf({ busy: 4 })] }
    /** Looks every 5 s; answers what was planned last. */
    const plannedAt = (seconds: number, workersAt: (second: number) => Observed['workers']) => {
      let last = planWorkerPool(observed({ ...few, workers: workersAt(0) }), { nowMs: NOW, wallMs: NOW })
      for (let second = 5; second <= seconds; second += 5) {
        const now = observed({ ...few, workers: workersAt(second), memory: last.memory })
        const nowMs = NOW + second * 1_000
        last = planWorkerPool(now, { nowMs, wallMs: nowMs })
      }
      return last
    }
    const active = ({ currentStatus }: Planned) =>
      currentStatus.conditions.find(({ type }) => type === 'ScalingActive')?.message

    test('workers count for three minutes, and then not: somebody took the labels of a pod', () => {
      const workersAt = () => [workerOf('a'), workerOf('unseen', 4)]
      expect(plannedAt(175, workersAt)).toMatchObject({
        decision: { replicas: 4 },
        deployment: { replicas: 9 },
      })
      expect(active(plannedAt(175, workersAt))).toBe('the number of pods follows the jobs')
      expect(plannedAt(185, workersAt)).toMatchObject({
        decision: { replicas: 0 },
        deployment: { replicas: 1 },
      })
      expect(active(plannedAt(185, workersAt))).toContain('are not counted')
    })

    test('whoever names a new pod again and again keeps the pool from shrinking no longer than with one', () => {
      const workersAt = (second: number) => [workerOf('a'), workerOf(`unseen-${Math.trunc(second / 60)}`, 4)]
      expect(plannedAt(185, workersAt)).toMatchObject({
        decision: { replicas: 0 },
        deployment: { replicas: 1 },
      })
    })

    test('nor whoever lets it breathe in between; after half an hour of peace they are believed again', () => {
      const breathing = (second: number) => [
        workerOf('a'),
        ...(second % 60 < 50 ? [workerOf('unseen', 4)] : []),
      ]
      expect(plannedAt(400, breathing)).toMatchObject({
        decision: { replicas: 0 },
        deployment: { replicas: 1 },
      })
      const later = (second: number) =>
        second < 200 || second > 2_000 ? [workerOf('a'), workerOf('unseen', 4)] : [workerOf('a')]
      expect(plannedAt(2_010, later).decision.replicas).toBe(4)
    })
  })

  test('stay while they hold a job, however long they drain', () => {
    const workers = [
      workerOf('a', 1),
      workerOf('b', 1, { isDraining: true }),
      workerOf('c', 1, { isDraining: true }),
    ]
    const planned = plan({ ...three, workers, memory: memoryOf({ draining: draining('b', 'c'), wanted: 1 }) })
    expect(marks(planned)).toEqual([])
    expect(planned.deployment?.replicas).toBe(3)
  })

  test('are not given up while one that is busy still has a mark of an earlier decision', () => {
    const pods = [marked('a'), marked('b'), podOf('c')]
    const planned = plan({ ...three, ...drained, pods })
    expect(unmarks(planned)).toEqual(['mail-a'])
    expect(planned.deployment?.replicas).toBe(3)
  })

  test('that do not exist are given up without anybody’s end', () => {
    const full = { ...three, pods: [podOf('a')], workers: [workerOf('a', 1)] }
    expect(replicasOf(full)).toBe(1)
  })

  test('are not decided while Redis cannot be read', () => {
    const queues = [{ ...queueOf(), problem: { reason: 'RedisUnreachable', message: 'away' } as const }]
    const { load: _, ...unknown } = queues[0] ?? queueOf()
    const planned = plan({ ...three, queues: [unknown], workers: 'unknown' })
    expect(planned.decision).toMatchObject({ replicas: 3, reason: 'RedisUnreachable' })
    expect(planned.drain).toEqual([])
  })

  test('are not decided by an operator that has just started', () => {
    const scaling = { behavior: { scaleDown: { stabilizationWindowSeconds: 60 } } }
    expect(plan({ ...three, pool: poolOf({ scaling }) }).decision).toMatchObject({
      replicas: 3,
      reason: 'ScaleDownStabilized',
    })
  })

  test('of a Manual pool drain before they go, too', () => {
    const pool = poolOf({ replicas: 2, scaling: { mode: 'Manual' } })
    const planned = plan({ ...three, pool })
    expect(planned.drain.length).toBe(1)
    expect(planned.deployment?.replicas).toBe(3)
  })
})

describe('the number', () => {
  test('does not fall while Redis cannot be read, whatever is marked and whoever asks for it', () => {
    const pods = [podOf('a'), marked('b'), podOf('c')]
    const pool = poolOf({ replicas: 2, scaling: { mode: 'Manual' } })
    const lowered = { ...three, ...drained, pods, pool }
    expect(replicasOf(lowered)).toBe(2)
    const { load: _, ...unknown } = queueOf()
    expect(replicasOf({ ...lowered, workers: 'unknown', queues: [unknown] }) ?? 3).toBe(3)
  })
})

describe('the number may be lowered', () => {
  const well: Partial<Observed> = { ...three, pods: [podOf('a'), podOf('b'), marked('c')] }
  const rows: [string, Partial<Observed>, boolean][] = [
    ['when all else is well', {}, true],
    [
      'not before the Deployment was seen by its controller',
      { deployment: deploymentWith(3, { status: { observedGeneration: 3 } }) },
      false,
    ],
    ['not while pods are missing', { pods: [podOf('a'), marked('c')] }, false],
    ['not while there are too many pods', { pods: [podOf('a'), podOf('b'), podOf('d'), marked('c')] }, false],
    [
      'not in the middle of a rollout',
      { pods: [podOf('a'), podOf('b', { templateHash: 'new' }), marked('c')] },
      false,
    ],
    [
      'not while a pod that stays is not ready',
      { pods: [podOf('a'), podOf('b', { isReady: false }), marked('c')] },
      false,
    ],
    [
      'also while the one that goes is not ready',
      { pods: [podOf('a'), podOf('b'), podOf('c', { isReady: false, isMarked: true })] },
      true,
    ],
    [
      'whatever terminates beside them',
      { pods: [podOf('a'), podOf('b'), marked('c'), podOf('x', { state: 'terminating' })] },
      true,
    ],
  ]
  test.each(rows)('%s', (_rule, changes, may) => {
    expect(canLower(observed({ ...well, ...changes }))).toBe(may)
  })
})

describe('the Deployment is written', () => {
  const pool = poolOf()
  const manifest = deploymentOf({ pool, queues: [{ name: 'mail', weight: 1 }], secretName: 'millhand-redis' })
  const applied = { hash: hashOf(manifest), generation: 4, replicas: 0 }
  const settled = { pool, deployment: deploymentWith(0), memory: memoryOf({ applied }) }

  test('not again when nothing changed', () => {
    expect(plan(settled).deployment).toBeUndefined()
  })

  test('again when somebody changed it', () => {
    const memory = memoryOf({ applied: { ...applied, generation: 3 } })
    expect(plan({ ...settled, memory }).deployment?.replicas).toBe(0)
  })

  test('with the number that is there when it is not known how many are needed', () => {
    const { load: _, ...unknown } = queueOf()
    const queues = [{ ...unknown, problem: { reason: 'RedisUnreachable', message: 'away' } as const }]
    const planned = plan({
      queues,
      workers: 'unknown',
      deployment: deploymentWith(7),
      pool: poolOf({ slots: 9 }),
    })
    expect(planned.deployment?.replicas).toBe(7)
  })

  test('not again for a while when the API server refused it', () => {
    const refusal = { hash: applied.hash, message: 'no', atMs: NOW - 1_000 }
    const isReady = (changes: Partial<Observed>) => plan(changes).status?.conditions[0]
    expect(isReady({ pool, memory: memoryOf({ refusal }) })).toMatchObject({ reason: 'InvalidTemplate' })
    // Another template is another question, also the one that was there before.
    expect(
      isReady({ ...settled, memory: memoryOf({ applied, refusal: { ...refusal, hash: 'another' } }) }),
    ).toMatchObject({ reason: 'Ready' })
    expect(plan({ pool, memory: memoryOf({ refusal }) }).deployment).toBeUndefined()
    const there = { pool, deployment: deploymentWith(0) }
    expect(plan({ ...there, memory: memoryOf({ refusal }) }).deployment).toBeUndefined()
    expect(
      plan({ pool, memory: memoryOf({ refusal: { ...refusal, atMs: NOW - 301_000 } }) }).deployment,
    ).toBeDefined()
    expect(plan({ pool: poolOf({ slots: 5 }), memory: memoryOf({ refusal }) }).deployment).toBeDefined()
  })

  test('with the number alone meanwhile, and not again with one that was refused too', () => {
    const refusal = { hash: applied.hash, message: 'no', atMs: NOW - 1_000 }
    const more = { pool, deployment: deploymentWith(0), queues: [queueOf({ ready: 2 })] }
    expect(plan({ ...more, memory: memoryOf({ refusal }) }).deployment).toMatchObject({
      isNumberOnly: true,
      replicas: 2,
    })
    const both = memoryOf({ refusal: { ...refusal, replicas: 2 } })
    expect(plan({ ...more, memory: both }).deployment).toBeUndefined()
    expect(plan({ ...more, queues: [queueOf({ ready: 3 })], memory: both }).deployment?.replicas).toBe(3)
  })

  test('not with a new template while more pods terminate than the pool may have', () => {
    const metadata = { ...deploymentWith(1).metadata, annotations: { [TEMPLATE_ANNOTATION]: 'old' } }
    const leaving = (count: number) =>
      Array.from({ length: count }, (_, n) => podOf(`t${n}`, { state: 'terminating' }))
    const memory = memoryOf({ applied: { ...applied, hash: undefined, replicas: 1 } })
    const deployment = deploymentWith(1, { metadata })
    const rolling = { pool, deployment, queues: [queueOf({ ready: 1 })], memory }
    expect(plan({ ...rolling, pods: [podOf('a'), ...leaving(10)] }).deployment).toMatchObject({
      isNumberOnly: false,
    })
    expect(plan({ ...rolling, pods: [podOf('a'), ...leaving(11)] }).deployment).toBeUndefined()
    const taken = { ...rolling, pods: [podOf('a'), ...leaving(11)], memory: memoryOf() }
    expect(plan(taken).deployment).toMatchObject({ isNumberOnly: true, replicas: 1 })
    const more = { ...rolling, queues: [queueOf({ ready: 4 })], pods: [podOf('a'), ...leaving(11)] }
    expect(plan(more).deployment).toMatchObject({ isNumberOnly: true, replicas: 4 })
  })
})

describe('what a dead worker held is put back', () => {
  const death = { process: 'process-a', reason: 'OOMKilled', counting: 'counted' as const }
  const reaped = {
    pod: 'mail-a',
    worker: 'process-a:1',
    queue: 'shop.mail',
    reason: 'OOMKilled',
    counting: 'counted',
  }
  test('when the kubelet says that its process ended, and it still holds its name', () => {
    expect(plan({ ...three, pods: [podOf('a', { deaths: [death] })] }).reap).toEqual([reaped])
    expect(
      plan({ ...three, pods: [podOf('a', { deaths: [{ ...death, process: 'another' }] })] }).reap,
    ).toEqual([])
  })
  test('of a deleted pod too, and of a pod that failed as a whole', () => {
    const deletedPods = [podOf('a', { state: 'ended', deaths: [death] })]
    expect(plan({ ...three, pods: [], deletedPods }).reap).toEqual([reaped])
    const whole = { reason: 'the pod failed: Evicted', counting: 'uncounted' as const }
    const pods = [podOf('a', { state: 'ended', deaths: [whole] })]
    expect(plan({ ...three, pods }).reap).toEqual([{ ...reaped, ...whole }])
  })
  test('by the worker itself, where its pod was deleted by force: it has no time left, and claims nothing before that', () => {
    const isForced = true
    const forced = { ...three, pods: [podOf('b'), podOf('c')], deletedPods: [podOf('a', { isForced })] }
    const told = { worker: 'process-a:1', queue: 'shop.mail' }
    expect(plan(forced)).toMatchObject({ reap: [], dismiss: [told], drain: expect.arrayContaining(['a']) })
    // Its container had restarted once, or it waits for a finalizer.
    const pods = [podOf('a', { isForced, deaths: [{ ...death, process: 'earlier' }] })]
    expect(plan({ ...three, pods })).toMatchObject({ reap: [], dismiss: [told] })
    const workers = [workerOf('a', 1, { isDraining: true })]
    expect(plan({ ...forced, workers })).toMatchObject({ dismiss: [told], undrain: [] })
  })
  test('not by one that is dead, nor by one whose pod is only not seen any more or has its grace', () => {
    const deletedPods = [podOf('a', { isForced: true })]
    expect(plan({ ...three, deletedPods, workers: [workerOf('a', 1, { isAlive: false })] }).dismiss).toEqual(
      [],
    )
    expect(plan({ ...three, deletedPods, workers: 'unknown' }).dismiss).toEqual([])
    const without = { ...three, pods: [podOf('b'), podOf('c')] }
    expect(plan({ ...without, deletedPods: [podOf('a')] }).dismiss).toEqual([])
    expect(plan({ ...without, pods: [podOf('a', { state: 'terminating' })] }).dismiss).toEqual([])
  })
  test('but never a worker of another pod', () => {
    expect(plan({ ...three, pods: [podOf('b', { deaths: [death] })] }).reap).toEqual([])
  })
})

describe('looks again', () => {
  test.each([
    ['soon while there is work', { queues: [queueOf({ ready: 1 })] }, 1_000],
    [
      'soon while a job is held by nobody yet',
      { deployment: deploymentWith(0), queues: [queueOf({ busy: 1 })] },
      1_000,
    ],
    [
      'soon when the last job has ended just now',
      { deployment: deploymentWith(1), pods: [podOf('a')], workers: [workerOf('a', 1)] },
      1_000,
    ],
    ['seldom when idle: the queue wakes it', { deployment: deploymentWith(0) }, 15_000],
    [
      'when the next delayed job is due',
      { deployment: deploymentWith(0), queues: [{ ...queueOf(), nextMs: 300 }] },
      305,
    ],
    [
      'soon while pods drain',
      { ...three, queues: [queueOf()], workers: [], memory: memoryOf({ draining: draining('a') }) },
      1_000,
    ],
  ] as [string, Partial<Observed>, number][])('%s', (_rule, changes, ms) => {
    expect(plan(changes).checkAgainAfterMs).toBe(ms)
  })
})

test('whatever is observed: never above maxReplicas but what is there, never a busy pod marked, never a lower number than the pods that are not marked', () => {
  const pods = fc.array(
    fc.record({
      held: fc.integer({ min: 0, max: 2 }),
      isReady: fc.boolean(),
      isMarked: fc.boolean(),
      drains: fc.boolean(),
    }),
    { maxLength: 8 },
  )
  fc.assert(
    fc.property(
      pods,
      fc.integer({ min: 0, max: 30 }),
      fc.integer({ min: 0, max: 9 }),
      (made, ready, replicas) => {
        const uid = (n: number) => `p${n}`
        const changes = {
          pods: made.map(({ isReady, isMarked }, n) =>
            podOf(uid(n), { isReady, isMarked, startedAtMs: NOW - n }),
          ),
          workers: made.map(({ held, drains }, n) => workerOf(uid(n), held, { isDraining: drains })),
          queues: [queueOf({ ready })],
          deployment: deploymentWith(replicas),
          memory: memoryOf({
            draining: draining(...made.flatMap(({ drains }, n) => (drains ? [uid(n)] : []))),
          }),
        }
        const planned = plan(changes)
        const busy = made.flatMap(({ held }, n) => (held > 0 ? [`mail-${uid(n)}`] : []))
        expect(marks(planned).filter((name) => busy.includes(name))).toEqual([])
        const next = planned.deployment?.replicas ?? replicas
        expect(next).toBeLessThanOrEqual(Math.max(10, replicas))
        if (next < replicas && made.length >= replicas) {
          const staying = made.filter(({ isMarked, held }) => !isMarked || held > 0).length
          expect(next).toBeGreaterThanOrEqual(Math.min(replicas, staying))
        }
      },
    ),
  )
})
