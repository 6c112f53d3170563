// Pods come and go without a busy one being killed, and what a dead one held comes back at once, with the reason.
import { onCluster } from '../../cluster/suites.ts'
import { eventually } from '../../eventually.ts'
import { type KubeJson, openScene, type Scene, taskQueue } from './scene.ts'

const MINUTE = { withinMs: 60_000, everyMs: 100 }
const behavior = { scaleDown: { stabilizationWindowSeconds: 1 } }

onCluster('a pool', () => {
  let scene: Scene
  beforeAll(async () => {
    scene = await openScene('scaling')
  }, 3_600_000)
  afterAll(() => scene?.remove(), 60_000)

  const kubectl = (...args: string[]) => scene.cluster.kubectl(['-n', scene.namespace, ...args])
  const replicas = async (name: string) => (await scene.get('deployment', name)).spec.replicas
  const podsOf = async (name: string): Promise<KubeJson[]> =>
    JSON.parse(await kubectl('get', 'pods', '-l', `millhand.dev/pool=${name}`, '-o', 'json')).items
  const counts = async (name: string) => (await (await scene.queue(name)).depth()).counts
  const ready = (name: string, count: number) =>
    eventually(async () => (await scene.get('wp', name)).status?.readyReplicas === count, {
      ...MINUTE,
      what: `${count} ready pods of ${name}`,
    })
  const busyPods = async (name: string) =>
    new Set(
      (await (await scene.queue(name)).workers()).filter(({ held }) => held > 0).map(({ podUid }) => podUid),
    )

  test('shrinks by its idle pods while a long job runs in one, and by that one when it has ended', async () => {
    await scene.apply(
      taskQueue('shrinks'),
      scene.pool('shrinks', { slots: 1, scaling: { maxReplicas: 4, behavior } }),
    )
    const long = { ms: 600_000 }
    const [first = '', ...others] = await scene.enqueue('shrinks', 'sleep', [long, long, long, long])
    await ready('shrinks', 4)
    const queue = await scene.queue('shrinks')
    const busyIs = (count: number) => eventually(async () => (await queue.depth()).busy === count, MINUTE)
    await busyIs(4)
    for (const id of others) await queue.cancel(id)
    await busyIs(1)
    const [busy] = await busyPods('shrinks')
    await eventually(async () => (await replicas('shrinks')) === 1, MINUTE)
    const left = await eventually(async () => {
      const pods = (await podsOf('shrinks')).filter(({ metadata }) => !metadata.deletionTimestamp)
      return pods.length === 1 ? pods : undefined
    }, MINUTE)
    expect(left[0].metadata.uid).toBe(busy)
    await queue.cancel(first)
    await eventually(async () => (await replicas('shrinks')) === 0, MINUTE)
    expect(await counts('shrinks')).toMatchObject({ cancelled: 4, lost: 0, retried: 0 })
  }, 180_000)

  test('of a person’s number changes by kubectl scale', async () => {
    await scene.apply(taskQueue('manual'), scene.pool('manual', { replicas: 1, scaling: { mode: 'Manual' } }))
    await ready('manual', 1)
    await kubectl('scale', 'wp/manual', '--replicas=2')
    await ready('manual', 2)
    await kubectl('scale', 'wp/manual', '--replicas=0')
    await ready('manual', 0)
    expect((await scene.get('wp', 'manual')).status.decision.message).toBe('0 replicas: set by spec.replicas')
  }, 120_000)

  test('is suspended with its queue, and goes on', async () => {
    await scene.apply(taskQueue('stops', { suspend: true }), scene.pool('stops', { scaling: { behavior } }))
    await eventually(
      async () => (await scene.condition('wp', 'stops', 'Suspended'))?.status === 'True',
      MINUTE,
    )
    await scene.enqueue('stops', 'echo', [1])
    expect(await replicas('stops')).toBe(0)
    await scene.apply(taskQueue('stops', { suspend: false }))
    await eventually(async () => (await counts('stops')).completed === 1, MINUTE)
  }, 120_000)

  test('has no pods while its queue rests, and has them again when the rest is over', async () => {
    await scene.apply(taskQueue('rests'), scene.pool('rests', { scaling: { behavior } }))
    await scene.enqueue('rests', 'rest', [{ ms: 12_000 }])
    const queue = await scene.queue('rests')
    await eventually(async () => (await queue.depth()).restsMs !== undefined, MINUTE)
    await scene.enqueue('rests', 'echo', [1])
    await eventually(async () => (await replicas('rests')) === 0, MINUTE)
    expect(await queue.depth()).toMatchObject({ ready: 2, busy: 0 })
    await eventually(async () => (await replicas('rests')) === 1, MINUTE)
    expect((await queue.depth()).restsMs).toBeUndefined()
    await eventually(async () => (await counts('rests')).completed === 2, MINUTE)
    expect(await counts('rests')).toMatchObject({ lost: 0, retried: 0 })
  }, 120_000)

  test('rolls out a new template while a job runs, and the job ends where it began', async () => {
    await scene.apply(taskQueue('rolls'), scene.pool('rolls', { scaling: { minReplicas: 1, behavior } }))
    await ready('rolls', 1)
    const [id] = await scene.enqueue('rolls', 'sleep', [{ ms: 6_000 }])
    await eventually(async () => (await busyPods('rolls')).size === 1, MINUTE)
    await scene.apply(
      scene.pool(
        'rolls',
        { scaling: { minReplicas: 1, behavior } },
        { env: [{ name: 'VERSION', value: '2' }] },
      ),
    )
    await eventually(async () => (await podsOf('rolls')).length === 2, MINUTE)
    await eventually(async () => (await counts('rolls')).completed === 1, MINUTE)
    const job = await (await scene.queue('rolls')).job(id ?? '')
    expect(job).toMatchObject({ state: 'completed', crashes: 0, failures: [] })
    await eventually(async () => (await podsOf('rolls')).length === 1, MINUTE)
  }, 120_000)

  test('whose pod is deleted by force has its job again', async () => {
    await scene.apply(taskQueue('forced'), scene.pool('forced', { scaling: { minReplicas: 1, behavior } }))
    await ready('forced', 1)
    const [id] = await scene.enqueue('forced', 'sleep', [{ ms: 3_000 }])
    const [first] = await eventually(async () => {
      const busy = await busyPods('forced')
      return busy.size === 1 ? [...busy] : undefined
    }, MINUTE)
    const [pod] = await podsOf('forced')
    await kubectl('delete', 'pod', pod.metadata.name, '--grace-period=0', '--force')
    await eventually(async () => (await counts('forced')).completed === 1, MINUTE)
    const job = await (await scene.queue('forced')).job(id ?? '')
    expect(job?.state).toBe('completed')
    expect([...(await busyPods('forced'))]).not.toContain(first)
  }, 120_000)

  test('that is deleted lets its pods finish, and leaves no object', async () => {
    await scene.apply(taskQueue('leaves'), scene.pool('leaves'))
    await scene.enqueue('leaves', 'sleep', [{ ms: 5_000 }])
    await eventually(async () => (await busyPods('leaves')).size === 1, MINUTE)
    await kubectl('delete', 'wp', 'leaves', '--wait=false')
    await eventually(async () => (await counts('leaves')).completed === 1, MINUTE)
    expect(await counts('leaves')).toMatchObject({ lost: 0, retried: 0 })
    await eventually(async () => (await podsOf('leaves')).length === 0, MINUTE)
    const left = await kubectl('get', 'deploy,rs,pods', '-l', 'millhand.dev/pool=leaves', '-o', 'name')
    expect(left.trim()).toBe('')
  }, 120_000)

  test('changed by hand is put right', async () => {
    await scene.apply(taskQueue('drifts'), scene.pool('drifts', { scaling: { minReplicas: 1 } }))
    await ready('drifts', 1)
    await kubectl('set', 'image', 'deployment/drifts', 'worker=example/other:1')
    const image = async () => (await scene.get('deployment', 'drifts')).spec.template.spec.containers[0].image
    await eventually(async () => (await image()) === scene.workerImage, MINUTE)
    await kubectl('scale', 'deployment/drifts', '--replicas=5')
    await eventually(async () => (await replicas('drifts')) === 1, MINUTE)
  }, 120_000)
})
