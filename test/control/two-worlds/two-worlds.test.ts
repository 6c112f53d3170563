// The operator and `millhand up` run the same controllers: in the same situation they say the same. What the
// operator says stands on a recorded cluster here; `real` names the suite that meets the situation in a real
// one. A manifest that the API server refuses is compared in test/control/resources/crds-on-cluster.test.ts.
import { jest } from '@jest/globals'
import { defaultSettings, openQueue } from 'millhand/queue'
import { eventually } from '../../eventually.ts'
import type { Play } from './recorded-cluster.ts'
import {
  endScenes,
  type Manifest,
  operatorScene,
  pool,
  queue,
  type Scene,
  type Shown,
  schedule,
  upScene,
} from './worlds.ts'

jest.setTimeout(180_000)
afterEach(endScenes)

interface Situation {
  name: string
  real: string
  play?: Play
  first?: readonly Manifest[]
  /** What happens, the same in both. */
  act?: (scene: Scene) => Promise<unknown>
  /** What both say of the pool `work` in the end, of conditions these at least. */
  pool?: Shown
  queue?: Shown
  schedule?: Shown
}

const manual = (replicas: number, more: object = {}) =>
  pool({ replicas, scaling: { mode: 'Manual' }, ...more })
const both = [queue(), pool()]
/** Waits until the pool says so, in one world. */
const says = (scene: Scene, shown: Shown, name = 'work') =>
  eventually(() => isShown(scene.shown('WorkerPool', name), shown), {
    what: JSON.stringify(shown),
    withinMs: 45_000,
  })
const isRunning = async (scene: Scene, jobs: number, name = 'default.work') => {
  const queue = openQueue(scene.connection(), name)
  await eventually(async () => (await queue.depth()).busy === jobs, { what: `${jobs} run`, withinMs: 45_000 })
}
/** A worker of no pool runs a job that throws RetryAfter, and ends. */
const rests = async (scene: Scene, ms: number) => {
  const queue = openQueue(scene.connection(), 'default.work')
  await scene.enqueue('work', 1)
  const { worker } = STRANGER
  await queue.register({ ...STRANGER, slots: 1 })
  const { claims } = await queue.settleAndClaim({ worker, wanted: 1 })
  const settlements = claims.map(({ id, token }) => ({
    ...{ id, token, verdict: 'rests' as const },
    text: `${ms} queue\n${JSON.stringify({ outcome: 'rests' })}`,
  }))
  await queue.settleAndClaim({ worker, settlements })
  await queue.deregister(worker)
}
const STRANGER = {
  ...{ worker: 'p:1', process: 'p', pod: '', podUid: 'stranger', poolUid: 'no-pool', node: '' },
  ...{ isolation: '', isolationNote: '', version: '' },
}

const SITUATIONS: Situation[] = [
  {
    name: 'nothing to do',
    real: 'operator.test.ts',
    pool: { conditions: { Ready: 'True Ready', ScalingActive: 'True Automatic' }, decision: 'Idle', pods: 0 },
    queue: { conditions: { Ready: 'True Ready', Suspended: 'False Active' } },
  },
  {
    name: 'more jobs: the pool grows',
    real: 'operator.test.ts',
    act: (scene) => scene.enqueue('work', 2),
    pool: { conditions: { Ready: 'True Ready' }, decision: 'Concurrency', wanted: 2, pods: 2, ready: 2 },
  },
  {
    name: 'more jobs than the pool may grow for',
    real: 'scaling.test.ts',
    act: (scene) => scene.enqueue('work', 5),
    pool: {
      conditions: { ScalingLimited: 'True MaxReplicas' },
      decision: 'MaxReplicas',
      wanted: 3,
      ready: 3,
    },
  },
  {
    name: 'the jobs end: the pool shrinks to none',
    real: 'operator.test.ts',
    async act(scene) {
      await scene.enqueue('work', 2)
      await isRunning(scene, 2)
      scene.release()
    },
    pool: { conditions: { Ready: 'True Ready' }, decision: 'Idle', wanted: 0, pods: 0 },
  },
  {
    name: 'one of two workers is not needed any more',
    real: 'shrinking.test.ts',
    first: [queue(), manual(2)],
    async act(scene) {
      await scene.enqueue('work', 1)
      await isRunning(scene, 1)
      await says(scene, { ready: 2 })
      await scene.declare(queue(), manual(1))
    },
    pool: { decision: 'Manual', wanted: 1, pods: 1, ready: 1, draining: 0 },
  },
  {
    name: 'a busy worker is not needed any more: it drains',
    real: 'shrinking.test.ts',
    first: [queue(), manual(1)],
    async act(scene) {
      await scene.enqueue('work', 1)
      await isRunning(scene, 1)
      await scene.declare(queue(), manual(0))
    },
    pool: { decision: 'Manual', wanted: 0, pods: 1, ready: 1, draining: 1 },
  },
  {
    name: 'a least number of workers',
    real: 'scaling.test.ts',
    first: [queue(), pool({ scaling: { minReplicas: 2 } })],
    pool: { conditions: { Ready: 'True Ready' }, decision: 'MinReplicas', wanted: 2, ready: 2 },
  },
  {
    name: 'a number that a person sets',
    real: 'scaling.test.ts',
    first: [queue(), manual(1)],
    pool: { conditions: { ScalingActive: 'False Manual' }, decision: 'Manual', wanted: 1, ready: 1 },
  },
  {
    name: 'a suspended queue',
    real: 'scaling.test.ts',
    first: [queue('work', { suspend: true }), pool()],
    act: (scene) => scene.enqueue('work', 2),
    pool: { conditions: { Suspended: 'True QueuesSuspended' }, decision: 'Suspended', wanted: 0 },
    queue: { conditions: { Suspended: 'True Suspended' } },
  },
  {
    name: 'a paused queue',
    real: 'scaling.test.ts',
    async act(scene) {
      await says(scene, { decision: 'Idle' })
      await openQueue(scene.connection(), 'default.work').pause()
      await scene.enqueue('work', 2)
    },
    pool: { conditions: { Suspended: 'True QueuesSuspended' }, decision: 'Suspended', wanted: 0 },
    queue: { conditions: { Suspended: 'True Paused' } },
  },
  {
    name: 'a queue that rests, because a task asked for it',
    real: 'scaling.test.ts',
    first: [queue(), manual(0)],
    async act(scene) {
      await rests(scene, 3_600_000)
      // Where the pool may grow before it has seen that, a worker is started for the job that was ready.
      await says(scene, { conditions: { Suspended: 'True QueuesResting' } })
      await scene.declare(...both)
    },
    pool: { conditions: { Suspended: 'True QueuesResting' }, decision: 'Suspended', wanted: 0 },
    queue: { conditions: { Ready: 'True Ready', Suspended: 'True Resting' } },
  },
  {
    name: 'a queue whose rest is over',
    real: 'scaling.test.ts',
    first: [queue(), manual(0)],
    async act(scene) {
      await rests(scene, 5_000)
      await scene.declare(...both)
    },
    pool: { decision: 'Concurrency', wanted: 1, pods: 1, ready: 1 },
    queue: { conditions: { Suspended: 'False Active' } },
  },
  {
    name: 'a limit of running jobs',
    real: 'scaling.test.ts',
    first: [queue('work', { limits: { maxBusy: 1 } }), pool()],
    act: (scene) => scene.enqueue('work', 4),
    pool: { conditions: { Ready: 'True Ready' }, decision: 'Concurrency', wanted: 1, ready: 1 },
  },
  {
    name: 'workers that end again and again',
    real: 'conditions.test.ts',
    play: 'crashes',
    first: [queue(), manual(1)],
    pool: { conditions: { Ready: 'False CrashLoopBackOff', Stalled: 'True CrashLoopBackOff' }, ready: 0 },
  },
  {
    name: 'a task module that does not load',
    real: 'conditions.test.ts',
    play: 'misconfigured',
    first: [queue(), manual(1)],
    pool: { conditions: { Ready: 'False CrashLoopBackOff', Stalled: 'True CrashLoopBackOff' }, ready: 0 },
  },
  {
    name: 'a worker that ends for lack of memory while a job runs',
    real: 'recovery.test.ts',
    first: [queue(), manual(1)],
    async act(scene) {
      await scene.enqueue('work', 1)
      await isRunning(scene, 1)
      scene.kill('OOMKilled')
      const left = openQueue(scene.connection(), 'default.work')
      await eventually(async () => (await left.depth()).counts.lost === 1, { what: 'its job is put back' })
    },
    pool: { conditions: { Ready: 'True Ready' }, wanted: 1, pods: 1, ready: 1 },
  },
  {
    name: 'a Redis that is away',
    real: 'conditions.test.ts',
    first: [queue(), pool({ scaling: { minReplicas: 1 } })],
    async act(scene) {
      await says(scene, { ready: 1, conditions: { IsolationFallback: 'False AsConfigured' } })
      await scene.redis.shutDown()
    },
    pool: {
      conditions: {
        Ready: 'Unknown RedisUnreachable',
        RedisReachable: 'False RedisUnreachable',
        ScalingActive: 'Unknown RedisUnreachable',
      },
      decision: 'RedisUnreachable',
      wanted: 1,
      pods: 1,
    },
    queue: { conditions: { Ready: 'Unknown RedisUnreachable' } },
  },
  {
    name: 'a Redis that is back',
    real: 'conditions.test.ts',
    async act(scene) {
      await says(scene, { decision: 'Idle' })
      await scene.redis.shutDown()
      await says(scene, { decision: 'RedisUnreachable' })
      await scene.redis.start()
    },
    pool: {
      conditions: { Ready: 'True Ready', RedisReachable: 'True Connected' },
      decision: 'Idle',
      wanted: 0,
    },
    queue: { conditions: { Ready: 'True Ready' } },
  },
  {
    name: 'a queue whose name another owner has',
    real: 'conditions.test.ts',
    async act(scene) {
      const theirs = openQueue(scene.connection(), 'default.theirs')
      await theirs.configure({ ...defaultSettings, ownerUid: 'somebody' })
      await scene.declare(queue('theirs'), pool({ queues: [{ name: 'theirs' }] }))
    },
    pool: { conditions: { Ready: 'False QueueNotReady', Stalled: 'False Progressing' } },
  },
  {
    name: 'a queue that takes over the name of an owner that is gone',
    real: 'conditions.test.ts',
    async act(scene) {
      const theirs = openQueue(scene.connection(), 'default.theirs')
      const ownerUID = '5d3b4a52-5b0e-4b7f-9d42-3c2b6d2c2f10'
      await theirs.configure({ ...defaultSettings, ownerUid: ownerUID })
      const heir = queue('theirs', { takeOver: { ownerUID } })
      await scene.declare(queue(), heir, pool({ queues: [{ name: 'theirs' }] }))
    },
    pool: { conditions: { Ready: 'True Ready' }, decision: 'Idle' },
  },
  {
    name: 'queues of one pool in different Secrets',
    real: 'conditions.test.ts',
    first: [
      queue(),
      queue('far', { redis: { secretRef: { name: 'other' } } }),
      pool({ queues: [{ name: 'work' }, { name: 'far' }] }),
    ],
    pool: { conditions: { Ready: 'False QueuesInDifferentRedis', Stalled: 'True QueuesInDifferentRedis' } },
  },
  {
    // Workers that claim nothing: who claims first changes what is left for the other.
    name: 'two pools of one queue: each grows for its share',
    real: 'many.test.ts',
    play: 'misconfigured',
    first: [queue(), pool(), pool({}, 'more')],
    act: (scene) => scene.enqueue('work', 4),
    pool: { decision: 'Concurrency', wanted: 2, pods: 2, ready: 0 },
  },
  {
    name: 'a pool that is deleted beside another one',
    real: 'scaling.test.ts',
    first: [queue(), manual(1), pool({ replicas: 1, scaling: { mode: 'Manual' } }, 'more')],
    async act(scene) {
      await says(scene, { ready: 1 }, 'more')
      await scene.declare(queue(), manual(1))
      const left = openQueue(scene.connection(), 'default.work')
      await eventually(async () => (await left.workers()).length === 1, {
        what: 'one worker is left',
        withinMs: 45_000,
      })
    },
    pool: { conditions: { Ready: 'True Ready' }, wanted: 1, pods: 1, ready: 1 },
  },
  {
    name: 'new settings of the workers',
    real: 'rollouts.test.ts',
    first: [queue(), manual(1)],
    async act(scene) {
      await says(scene, { ready: 1 })
      await scene.declare(queue(), manual(1, { slots: 2 }))
      const workers = openQueue(scene.connection(), 'default.work')
      await eventually(async () => (await workers.workers()).map(({ slots }) => slots).join() === '2', {
        what: 'the new worker',
        withinMs: 45_000,
      })
    },
    pool: {
      conditions: { Ready: 'True Ready', Progressing: 'True RolloutComplete' },
      wanted: 1,
      pods: 1,
      ready: 1,
    },
  },
  {
    name: 'a schedule of a queue without workers: its job is enqueued, and the pool grows for it',
    real: 'schedules.test.ts',
    first: [...both, schedule()],
    schedule: { conditions: { Ready: 'True Ready', Late: 'False OnTime', Suspended: 'False Active' } },
    pool: { decision: 'Concurrency', wanted: 1, pods: 1, ready: 1 },
  },
  {
    name: 'a schedule that is suspended',
    real: 'schedules.test.ts',
    first: [...both, schedule({ suspend: true })],
    schedule: { conditions: { Ready: 'True Ready', Suspended: 'True Suspended' } },
    pool: { decision: 'Idle', wanted: 0 },
  },
  {
    name: 'a schedule that a person pauses',
    real: 'schedules.test.ts',
    first: [...both, schedule({ cron: '0 8 1 1 *' })],
    act: (scene) => {
      const { schedules } = openQueue(scene.connection(), 'default.work')
      return eventually(() => schedules.pause('work'), { what: 'the schedule is there' })
    },
    schedule: { conditions: { Ready: 'True Ready', Suspended: 'True Paused' } },
  },
  {
    name: 'a schedule whose queue is not there',
    real: 'schedules.test.ts',
    first: [...both, schedule({ queue: 'elsewhere' })],
    schedule: { conditions: { Ready: 'False QueueNotFound', Stalled: 'True QueueNotFound' } },
  },
  {
    name: 'a schedule whose name a program has',
    real: 'schedules.test.ts',
    async act(scene) {
      const { schedules } = openQueue(scene.connection(), 'default.work')
      await schedules.set('work', { cron: '@daily', task: 'untilFile' })
      await scene.declare(...both, schedule())
    },
    schedule: { conditions: { Ready: 'False NameTaken', Stalled: 'True NameTaken' } },
  },
  {
    name: 'a schedule that is deleted, though its queue still has the one of a program',
    real: 'schedules.test.ts',
    first: [...both, schedule({ cron: '0 8 1 1 *' })],
    async act(scene) {
      const { schedules } = openQueue(scene.connection(), 'default.work')
      await schedules.set('programs', { cron: '@yearly', task: 'untilFile' })
      await eventually(() => schedules.get('work'), { what: 'the schedule is set' })
      await scene.declare(...both)
      const names = async () => (await schedules.list()).schedules.map(({ name }) => name)
      await eventually(async () => (await names()).join() === 'programs', { what: 'it is deleted' })
    },
    pool: { decision: 'Idle' },
  },
]

test.each(SITUATIONS)('$name ($real)', async ({ play = 'works', first = both, act, ...expected }) => {
  const operator = await operatorScene(play)
  await operator.declare(...first)
  const up = await upScene(play, first)
  await Promise.all([operator, up].map((scene) => act?.(scene)))
  const shown = (scene: Scene) => ({
    pool: scene.shown('WorkerPool', 'work'),
    ...(expected.queue && { queue: scene.shown('TaskQueue', 'work') }),
    ...(expected.schedule && { schedule: scene.shown('Schedule', 'work') }),
  })
  const isAsExpected = (scene: Scene) => {
    const { pool, queue = {}, schedule = {} } = shown(scene)
    return (
      isShown(pool, expected.pool ?? {}) &&
      isShown(queue, expected.queue ?? {}) &&
      isShown(schedule, expected.schedule ?? {})
    )
  }
  const areSame = () => JSON.stringify(shown(operator)) === JSON.stringify(shown(up))
  await eventually(() => isAsExpected(operator) && areSame(), { withinMs: 45_000 }).catch(() => {})
  expect(shown(operator)).toMatchObject({
    pool: expected.pool ?? {},
    ...(expected.queue && { queue: expected.queue }),
    ...(expected.schedule && { schedule: expected.schedule }),
  })
  expect(shown(up)).toEqual(shown(operator))
})

test('a queue that is deleted gives its name back, while another one is there', async () => {
  const operator = await operatorScene('works')
  const first = [queue(), queue('other'), pool()]
  await operator.declare(...first)
  const up = await upScene('works', first)
  for (const scene of [operator, up]) {
    const other = openQueue(scene.connection(), 'default.other')
    await eventually(async () => await other.owner(), { what: 'it has an owner' })
    await scene.declare(queue(), pool())
    await eventually(async () => (await other.owner()) === undefined, { what: 'its name is free' })
    expect((await openQueue(scene.connection(), 'default.work').owner())?.uid).toBeDefined()
  }
})

test('a pool whose queue nobody declares waits in a cluster, and works under up: on purpose', async () => {
  const operator = await operatorScene('works')
  await operator.declare(pool())
  const up = await upScene('works', [pool()])
  await says(operator, { conditions: { Ready: 'False QueueNotFound', Stalled: 'True QueueNotFound' } })
  await says(up, { conditions: { Ready: 'True Ready' }, decision: 'Idle' })
  expect(await openQueue(up.connection(), 'default.work').owner()).toBeUndefined()
})

function isShown({ conditions = {}, ...numbers }: Shown, wanted: Shown): boolean {
  const { conditions: types = {}, ...rest } = wanted
  const isSaid = Object.entries(types).every(([type, says]) => conditions[type] === says)
  return (
    isSaid && Object.entries(rest).every(([name, value]) => numbers[name as keyof typeof numbers] === value)
  )
}
