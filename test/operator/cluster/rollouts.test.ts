// New templates and broken ones meet pods that are busy: jobs go on where they began, and terminating pods do not pile up.
import { sharedCluster } from '../../cluster/shared.ts'
import { onCluster } from '../../cluster/suites.ts'
import { eventually } from '../../eventually.ts'
import { openScene, type Scene, taskQueue } from './scene.ts'
import { conditionOf, type Seen, versionOf, type World, type WorldChange, watchWorld } from './world.ts'

const SOON = { withinMs: 120_000, everyMs: 50 }
/** Longer than any test: such a job ends when it is cancelled. */
const LONG_MS = 600_000
const drain = { timeoutSeconds: 500 }
const behavior = { scaleDown: { stabilizationWindowSeconds: 1 } }

onCluster('while jobs run', () => {
  let scene: Scene
  let world: World
  beforeAll(async () => {
    const cluster = await sharedCluster()
    world = await watchWorld(cluster)
    scene = await openScene('rollouts', { cluster })
  }, 3_600_000)
  afterAll(async () => {
    await scene?.remove()
    await world?.stop()
  }, 60_000)

  const keyOf = (name: string) => `${scene.namespace}/${name}`
  const depth = async (name: string) => (await scene.queue(name)).depth()
  const claimed = (name: string, jobs: number) =>
    eventually(async () => (await depth(name)).counts.claimed === jobs, { ...SOON, what: `${jobs} claims` })
  const longJobs = (name: string, count: number) =>
    scene.enqueue(name, 'sleep', new Array(count).fill({ ms: LONG_MS }))
  const pool = (name: string, version: string, spec: object, worker: object = {}) =>
    scene.pool(name, { slots: 1, drain, ...spec }, { env: [{ name: 'VERSION', value: version }], ...worker })
  const condition = (name: string, type: string, reason: string) =>
    eventually(() => conditionOf(world.pools.get(keyOf(name)), type)?.reason === reason, {
      ...SOON,
      what: `${type} of ${name} to be ${reason}`,
    })
  const rolledOut = (name: string, version: string, count: number) =>
    eventually(
      () => {
        const live = world.livePods(keyOf(name))
        return live.length === count && live.every((pod) => versionOf(pod) === version && isReady(pod))
      },
      { ...SOON, what: `${count} ready pods of template ${version}` },
    )

  /** They were held all the time since their first claim. */
  async function cancelHeld(name: string, ids: readonly string[]): Promise<void> {
    const queue = await scene.queue(name)
    for (const id of ids)
      expect(await queue.job(id)).toMatchObject({ state: 'held', attempts: 1, crashes: 0, failures: [] })
    for (const id of ids) await queue.cancel(id)
  }

  test('templates in a row reach all pods, and wait while too many pods terminate', async () => {
    const scaling = { minReplicas: 3, maxReplicas: 3, behavior }
    const rollout = { maxSurge: 3 }
    const give = (version: string) => scene.apply(pool('rows', version, { rollout, scaling }))
    await scene.apply(taskQueue('rows'))
    const ids: string[] = []
    for (const version of ['1', '2', '3']) {
      await give(version)
      await rolledOut('rows', version, 3)
      ids.push(...(await longJobs('rows', 3)))
      await claimed('rows', ids.length)
    }
    for (const version of ['4', '5']) await give(version)
    await eventually(() => {
      const { metadata, status } = world.pools.get(keyOf('rows')) ?? {}
      return metadata?.generation === 5 && status?.observedGeneration === 5
    }, SOON)
    expect(versionOf(world.deployments.get(keyOf('rows')))).toBe('3')

    await cancelHeld('rows', ids.slice(0, 3))
    await rolledOut('rows', '5', 3)
    await cancelHeld('rows', ids.slice(3))
    await eventually(() => world.pods(keyOf('rows')).length === 3, { ...SOON, what: 'the end of old pods' })

    const { templates, mostTerminating } = rolloutsIn(world.changesOf(keyOf('rows')))
    expect(templates).toEqual([
      { version: '1', terminating: 0 },
      { version: '2', terminating: 0 },
      { version: '3', terminating: 3 },
      { version: '5', terminating: 3 },
    ])
    expect(mostTerminating).toBe(6)
    expect((await depth('rows')).counts).toMatchObject({ claimed: 9, cancelled: 9, lost: 0, retried: 0 })
  }, 300_000)

  test('a template whose image is missing gets stuck, hurts nobody, and a repaired one rolls out by itself', async () => {
    const rollout = { maxSurge: 0, maxUnavailable: 1, progressDeadlineSeconds: 5 }
    const of = (minReplicas: number) => ({ rollout, scaling: { minReplicas, maxReplicas: 3, behavior } })
    const broken = { image: 'millhand.test/no-such:1', imagePullPolicy: 'Never' }
    const ofVersion = (version: string) =>
      world.livePods(keyOf('stuck')).filter((pod) => versionOf(pod) === version)
    await scene.apply(taskQueue('stuck'), pool('stuck', '1', of(3)))
    const ids = await longJobs('stuck', 3)
    await claimed('stuck', 3)

    await scene.apply(pool('stuck', 'broken', of(3), broken))
    await condition('stuck', 'Ready', 'ImagePullBackOff')
    await condition('stuck', 'Progressing', 'ProgressDeadlineExceeded')
    const working = uidsOf(ofVersion('1'))
    expect(working).toHaveLength(2)

    // Fewer are wanted from now on, and those of them that could go are marked.
    await scene.apply(pool('stuck', 'broken', of(1), broken))
    await cancelHeld('stuck', ids)
    const marked = () =>
      world
        .livePods(keyOf('stuck'))
        .filter(({ metadata }) => metadata.annotations?.['controller.kubernetes.io/pod-deletion-cost'])
    await eventually(() => marked().length === 2, { ...SOON, what: 'marks on all but one' })
    // A few looks of the operator.
    await new Promise((resolve) => setTimeout(resolve, 4_000))
    expect(world.deployments.get(keyOf('stuck'))?.spec.replicas).toBe(3)
    expect(uidsOf(ofVersion('1'))).toEqual(working)
    await scene.enqueue('stuck', 'echo', [1])
    await eventually(async () => (await depth('stuck')).counts.completed === 1, SOON)

    await scene.apply(pool('stuck', '2', of(1)))
    await rolledOut('stuck', '2', 1)
    await condition('stuck', 'Progressing', 'RolloutComplete')
    await condition('stuck', 'Ready', 'Ready')
    expect((await depth('stuck')).counts).toMatchObject({ claimed: 4, cancelled: 3, lost: 0, retried: 0 })
  }, 300_000)

  test('a template whose workers never register takes no working pod away, and the pool says why', async () => {
    const scaling = { minReplicas: 2, maxReplicas: 3, behavior }
    const rollout = { progressDeadlineSeconds: 15 }
    const own = { exec: { command: ['/nowhere'] } }
    const give = (version: string, worker: object = {}, pod: object = {}) => {
      const whole = pool('silent', version, { rollout, scaling }, worker) as PoolManifest
      Object.assign(whole.spec.template.spec, pod)
      return scene.apply(whole)
    }
    await scene.apply(taskQueue('silent'))
    await give('1')
    await rolledOut('silent', '1', 2)
    const working = uidsOf(world.livePods(keyOf('silent')))

    const sleeps = ['node', '-e', 'setInterval(() => {}, 1000)']
    const elsewhere = [{ ip: '10.255.255.1', hostnames: [`redis.${scene.namespace}`] }]
    const broken: [string, object, object, string, string][] = [
      ['args', { args: ['nofile.js'] }, {}, 'CrashLoopBackOff', 'invalid settings or task files'],
      ['image', { command: sleeps }, {}, 'WorkersNotRegistered', 'does not run millhand-worker'],
      ['probe', { command: sleeps, livenessProbe: own }, {}, 'WorkersNotRegistered', 'did not register'],
      ['redis', {}, { hostAliases: elsewhere }, 'WorkersNotRegistered', 'cannot reach the Redis'],
    ]
    for (const [version, worker, pod, reason, words] of broken) {
      await give(version, worker, pod)
      await condition('silent', 'Ready', reason)
      await condition('silent', 'Progressing', 'ProgressDeadlineExceeded')
      await condition('silent', 'Stalled', 'ProgressDeadlineExceeded')
      const seen = world.pools.get(keyOf('silent'))
      expect(conditionOf(seen, 'Ready')).toMatchObject({
        status: 'False',
        message: expect.stringContaining(words),
      })
      expect(conditionOf(seen, 'Progressing')?.status).toBe('False')
      expect(conditionOf(seen, 'Stalled')?.status).toBe('True')
      const ofFirst = world.livePods(keyOf('silent')).filter((each) => versionOf(each) === '1')
      expect(uidsOf(ofFirst.filter(isReady))).toEqual(working)
      const before = (await depth('silent')).counts.completed
      await scene.enqueue('silent', 'echo', [version])
      await eventually(async () => (await depth('silent')).counts.completed === before + 1, SOON)
    }
    await give('2')
    await rolledOut('silent', '2', 2)
    await condition('silent', 'Ready', 'Ready')
    await condition('silent', 'Stalled', 'Progressing')
  }, 540_000)
})

interface PoolManifest {
  spec: { template: { spec: object } }
}

/** Each template that was written, with the pods that were terminating at that moment. */
function rolloutsIn(changes: readonly WorldChange[]) {
  const terminating = new Set<string | undefined>()
  const templates: { version: string | undefined; terminating: number }[] = []
  let mostTerminating = 0
  for (const { kind, now, before } of changes) {
    const uid = (now ?? before)?.metadata.uid
    if (kind === 'pod' && now && isTerminating(now)) terminating.add(uid)
    else if (kind === 'pod') terminating.delete(uid)
    else if (versionOf(now) !== templates.at(-1)?.version)
      templates.push({ version: versionOf(now), terminating: terminating.size })
    mostTerminating = Math.max(mostTerminating, terminating.size)
  }
  return { templates, mostTerminating }
}

/** One whose containers have ended is only an object that is about to go. */
function isTerminating({ metadata, status }: Seen): boolean {
  return metadata.deletionTimestamp !== undefined && !['Succeeded', 'Failed'].includes(status.phase)
}

function isReady(pod: Seen): boolean {
  return conditionOf(pod, 'Ready')?.status === 'True'
}

function uidsOf(pods: readonly Seen[]): string[] {
  return pods.map(({ metadata }) => metadata.uid as string).sort()
}
