// When the autoscalers of nodes are asked to leave a pod alone, in tables: every row a rule.
import fc from 'fast-check'
import type { Pod } from '../../../operator/src/fleet/cluster.ts'
import { type GuardMemory, planGuards } from '../../../operator/src/fleet/guards.ts'
import { type FleetPod, GUARD, readPod } from '../../../operator/src/fleet/pods.ts'
import {
  deploymentWith,
  draining,
  memoryOf,
  NOW,
  type Observed,
  observed,
  planWorkerPool,
  podOf,
  poolOf,
  queueOf,
  workerOf,
} from '../worker-pool/observed.ts'

/** Each of these pods does the same since `sinceMs` ago. */
const since = (ms: number, isBusy: boolean, ...uids: string[]): GuardMemory => ({
  activities: new Map(uids.map((uid) => [uid, { isBusy, sinceMs: NOW - ms }])),
  restsUntilMs: 0,
})
const on = (uid: string) => podOf(uid, { guard: 'on' })
const plan = (changes: Partial<Observed>) => planWorkerPool(observed(changes), { nowMs: NOW, wallMs: NOW })
/** A pool whose pods all stay. */
const staying = (pods: FleetPod[], held: number, guards: GuardMemory): Partial<Observed> => ({
  pool: poolOf({ scaling: { minReplicas: pods.length, maxReplicas: 100 } }),
  deployment: deploymentWith(pods.length),
  pods,
  workers: pods.map(({ uid }) => workerOf(uid, held)),
  queues: [queueOf({ busy: held * pods.length })],
  memory: memoryOf({ guards }),
})
const guarded = { name: 'mail-a', isGuarded: true }
const released = { name: 'mail-a', isGuarded: false }

describe('a pod', () => {
  const busyFor = (ms: number, pod = podOf('a')) => staying([pod], 1, since(ms, true, 'a'))
  const idleFor = (ms: number, pod = on('a')) => staying([pod], 0, since(ms, false, 'a'))
  const never: GuardMemory = { activities: new Map(), restsUntilMs: 0 }
  test.each([
    ['busy for less than 30 s is not guarded', busyFor(29_999), []],
    ['busy for 30 s is guarded', busyFor(30_000), [guarded]],
    ['that is guarded and busy stays so', busyFor(3_600_000, on('a')), []],
    ['that is guarded and idle for less than 60 s stays so', idleFor(59_999), []],
    ['idle for 60 s is released', idleFor(60_000), [released]],
    ['that is idle and not guarded stays so', idleFor(3_600_000, podOf('a')), []],
    ['that has become idle is looked at from now on', staying([on('a')], 0, since(90_000, true, 'a')), []],
    ['that has become busy too', staying([podOf('a')], 1, since(90_000, false, 'a')), []],
    ['seen busy for the first time counts from now on', staying([podOf('a')], 1, never), []],
    ['seen idle and guarded after a restart of the operator too', staying([on('a')], 0, never), []],
    ['that terminates is left alone', idleFor(90_000, podOf('a', { guard: 'on', state: 'terminating' })), []],
    ['that ended is left alone', busyFor(90_000, podOf('a', { state: 'ended' })), []],
    ['guarded by somebody else is left alone, busy', busyFor(90_000, podOf('a', { guard: 'foreign' })), []],
    ['guarded by somebody else is left alone, idle', idleFor(90_000, podOf('a', { guard: 'foreign' })), []],
  ] as [string, Partial<Observed>, object[]][])('%s', (_rule, changes, patches) => {
    expect(plan(changes).podPatches).toEqual(patches)
  })

  test('is not touched, and nothing is forgotten, while Redis cannot be read', () => {
    const { load: _, ...unknown } = queueOf()
    const away = { ...unknown, problem: { reason: 'RedisUnreachable', message: 'away' } as const }
    for (const changes of [busyFor(90_000), idleFor(90_000)]) {
      const planned = plan({ ...changes, queues: [away], workers: 'unknown' })
      expect(planned.podPatches).toEqual([])
      expect(planned.memory.guards).toEqual(changes.memory?.guards)
    }
  })

  test('that is gone, or on its way, is forgotten', () => {
    const pods = [podOf('a'), podOf('b', { state: 'terminating' })]
    const { memory } = plan(staying(pods, 1, since(5_000, true, 'a', 'b', 'c')))
    expect([...memory.guards.activities]).toEqual([['a', { isBusy: true, sinceMs: NOW - 5_000 }]])
  })

  test('that holds jobs of one queue only is busy', () => {
    const both = { ...busyFor(30_000), workers: [workerOf('a', 0), workerOf('a', 1, { queue: 'shop.sms' })] }
    expect(plan(both).podPatches).toEqual([guarded])
  })

  test.each([
    ['that goes loses the guard with the patch that marks it', 'on', { isMarked: true, isGuarded: false }],
    ['that goes and has no guard is only marked', 'off', { isMarked: true }],
    ['that goes and has somebody else’s guard keeps that', 'foreign', { isMarked: true }],
  ] as [string, FleetPod['guard'], object][])('%s', (_rule, guard, patch) => {
    const changes = {
      deployment: deploymentWith(2),
      pods: [podOf('a', { guard }), podOf('b', { guard: 'on' })],
      workers: [workerOf('a', 0, { isDraining: true }), workerOf('b', 1)],
      queues: [queueOf({ busy: 1 })],
      memory: memoryOf({ draining: draining('a'), guards: since(2_000, false, 'a') }),
    }
    expect(plan(changes).podPatches).toEqual([{ name: 'mail-a', ...patch }])
  })
})

describe('many pods', () => {
  const uids = Array.from({ length: 45 }, (_, n) => `p${n}`)
  const all = (held: number, guards: GuardMemory, make = (uid: string) => podOf(uid)) =>
    staying(uids.map(make), held, guards)

  test('are guarded 20 at a time, with a second between', () => {
    const first = plan(all(1, since(40_000, true, ...uids)))
    expect(first.podPatches.length).toBe(20)
    expect(first.memory.guards.restsUntilMs).toBe(NOW + 1_000)
    const during = { ...first.memory.guards, restsUntilMs: NOW + 1 }
    expect(plan(all(1, during)).podPatches).toEqual([])
    expect(plan(all(1, { ...during, restsUntilMs: NOW })).podPatches.length).toBe(20)
  })

  test('are released 20 at a time, and the rest is looked at soon', () => {
    const planned = plan(all(0, since(70_000, false, ...uids), on))
    expect(planned.podPatches.length).toBe(20)
    expect(planned.checkAgainAfterMs).toBe(1_000)
  })

  test('are all marked at once, whatever guards they lose', () => {
    const pods = uids.map((uid) => podOf(uid, { guard: 'on' }))
    const guards = { ...since(0, false), restsUntilMs: NOW + 1_000 }
    const planned = plan({
      deployment: deploymentWith(45),
      pods,
      workers: uids.map((uid) => workerOf(uid, 0, { isDraining: true })),
      memory: memoryOf({ draining: draining(...uids), guards }),
    })
    expect(planned.podPatches).toEqual(pods.map(({ name }) => ({ name, isMarked: true, isGuarded: false })))
  })

  test('are marked and keep their guards while a policy refuses to turn them', () => {
    const pods = uids.map((uid) => podOf(uid, { guard: 'on' }))
    const planned = plan({
      deployment: deploymentWith(45),
      pods,
      workers: uids.map((uid) => workerOf(uid, 0, { isDraining: true })),
      memory: memoryOf({
        draining: draining(...uids),
        guards: { ...since(0, false), restsUntilMs: NOW + 300_000 },
      }),
    })
    expect(planned.podPatches).toEqual(pods.map(({ name }) => ({ name, isMarked: true })))
  })
})

describe('an idle pool is looked at again', () => {
  test.each([
    ['when its guarded pod has been idle for 60 s', since(50_000, false, 'a'), on('a'), 10_000],
    ['as usual long before that', since(1_000, false, 'a'), on('a'), 15_000],
    ['as usual when no pod is guarded', since(50_000, false, 'a'), podOf('a'), 15_000],
  ] as [string, GuardMemory, FleetPod, number][])('%s', (_rule, guards, pod, ms) => {
    expect(plan(staying([pod], 0, guards)).checkAgainAfterMs).toBe(ms)
  })
})

describe('a pod object', () => {
  const withAnnotations = (annotations: Record<string, string>): Pod => ({
    metadata: { name: 'mail-a', uid: 'a', annotations },
  })
  test.each([
    ['without annotations has no guard', {}, 'off'],
    ['with the operator’s annotations has one', GUARD, 'on'],
    [
      'whose template wants it to stay is somebody else’s',
      { 'karpenter.sh/do-not-disrupt': 'true' },
      'foreign',
    ],
    [
      'whose template lets it be evicted is somebody else’s',
      { 'cluster-autoscaler.kubernetes.io/safe-to-evict': 'true' },
      'foreign',
    ],
  ])('%s', (_rule, annotations, guard) => {
    expect(readPod(withAnnotations(annotations), undefined).guard).toBe(guard)
  })
})

test('whenever it is looked at: guarded only after 30 s of work, released only after 60 s of none', () => {
  const looks = fc.array(fc.record({ afterMs: fc.integer({ min: 1, max: 50_000 }), isBusy: fc.boolean() }), {
    maxLength: 40,
  })
  fc.assert(
    fc.property(looks, (made) => {
      let nowMs = 0
      let pod = podOf('a')
      let memory: GuardMemory = { activities: new Map(), restsUntilMs: 0 }
      let changedAtMs = 0
      let wasBusy: boolean | undefined
      for (const { afterMs, isBusy } of made) {
        nowMs += afterMs
        if (isBusy !== wasBusy) changedAtMs = nowMs
        wasBusy = isBusy
        const forMs = nowMs - changedAtMs
        const planned = planGuards({ pods: [pod], isBusy: () => isBusy, empty: new Set(), memory, nowMs })
        const wasOn = pod.guard === 'on'
        const isOn = isBusy ? wasOn || forMs >= 30_000 : wasOn && forMs < 60_000
        expect([...planned.turned]).toEqual(isOn === wasOn ? [] : [pod])
        pod = { ...pod, guard: isOn ? 'on' : 'off' }
        memory = planned.memory
      }
    }),
  )
})
