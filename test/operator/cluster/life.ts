// The life of a pool, from its creation to its end, and how it looks at each stage whatever happens to the operator meanwhile: for tests
// that disturb it all the time.
import { eventually } from '../../eventually.ts'
import { claimsOf } from '../../handed-back.ts'
import { type Scene, taskQueue } from './scene.ts'
import { conditionOf, type Seen, versionOf, type World } from './world.ts'

const MOST = 3
const STAGE = { withinMs: 120_000, everyMs: 50 }
const behavior = { scaleDown: { stabilizationWindowSeconds: 1 } }
/** So short that a busy pod which is told to end hands its long job back: that job is claimed twice then. */
const drain = { timeoutSeconds: 1 }
const LONG_MS = 500_000

/** Created, grown from none for three jobs, shrunk around the one that runs on, kept at one, given another template, deleted. */
export async function livePool(scene: Scene, world: World, name: string): Promise<void> {
  const key = `${scene.namespace}/${name}`
  const queue = await scene.queue(name)
  const pool = ({ minReplicas = 0, version = '1' } = {}) =>
    scene.pool(
      name,
      { slots: 1, drain, scaling: { minReplicas, maxReplicas: MOST, behavior } },
      { env: [{ name: 'VERSION', value: version }] },
    )
  const counts = async () => (await queue.depth()).counts
  const replicas = (): number => world.deployments.get(key)?.spec.replicas
  const pods = () => world.livePods(key)
  const comes = (what: string, look: () => unknown) =>
    eventually(look, { ...STAGE, what: `${what} of ${key}` })

  await scene.apply(taskQueue(name), pool())
  await comes('a Deployment without pods', () => replicas() === 0 && isReady(world.queues.get(key)))
  const [long = ''] = await scene.enqueue(name, 'sleep', [{ ms: LONG_MS }, { ms: 300 }, { ms: 300 }])
  await comes('the end of two jobs', async () => (await counts()).completed === 2)
  await comes('the smaller number', () => replicas() === 1 && pods().length === 1)
  expect(await queue.job(long)).toMatchObject({ state: 'held', attempts: 1, crashes: 0 })
  expect(await counts()).toMatchObject({ claimed: await claimsOf(queue, 3), busy: 1 })

  await scene.apply(pool({ minReplicas: 1 }))
  await queue.cancel(long)
  await comes('the cancelled job', async () => (await queue.job(long))?.state === 'cancelled')
  await scene.apply(pool({ minReplicas: 1, version: '2' }))
  // Until it is gone, a pod that was told to end may still claim.
  await comes('one pod of the new template', () => {
    const [pod, ...others] = world.pods(key)
    return versionOf(pod) === '2' && others.length === 0
  })
  await scene.enqueue(name, 'echo', [1])
  await comes('the end of the last job', async () => (await counts()).completed === 3)
  await comes(
    'what all lives come to',
    async () => (await whatIsWrong(scene, world, name)).length === 0,
  ).catch(async (error) => {
    throw new Error(`${key}: ${(await whatIsWrong(scene, world, name)).join('; ')}`, { cause: error })
  })
  expect(await counts()).toMatchObject({
    enqueued: 4,
    claimed: await claimsOf(queue, 4),
    completed: 3,
    cancelled: 1,
    busy: 0,
    retried: 0,
    lost: 0,
    buried: 0,
  })

  await scene.cluster.kubectl(['-n', scene.namespace, 'delete', 'wp', name, '--wait=false'])
  await comes('nothing left', async () => {
    const args = [
      '-n',
      scene.namespace,
      'get',
      'deploy,rs,pods',
      '-l',
      `millhand.dev/pool=${name}`,
      '-o',
      'name',
    ]
    return pods().length === 0 && (await scene.cluster.kubectl(args)).trim() === ''
  })
  expect(world.replicasOf(key).map(({ replicas }) => replicas)).toContain(MOST)
  expect(Math.max(...world.replicasOf(key).map(({ replicas }) => replicas))).toBe(MOST)
  expect(world.mostLivePods(key)).toBeLessThanOrEqual(MOST)
  for (const { untilMs } of await marksOf(scene, name))
    expect(untilMs - Date.now()).toBeLessThanOrEqual(61_000)
}

/** Of a pool with one idle pod that is to stay. */
async function whatIsWrong(scene: Scene, world: World, name: string): Promise<string[]> {
  const key = `${scene.namespace}/${name}`
  const [pool, taskQueue, deployment] = [world.pools, world.queues, world.deployments].map((all) =>
    all.get(key),
  )
  const pods = world.livePods(key)
  const wanted = {
    replicas: 1,
    readyReplicas: 1,
    desiredReplicas: 1,
    terminatingReplicas: 0,
    drainingReplicas: 0,
  }
  const conditions = {
    Ready: 'True',
    Progressing: 'True',
    Reconciling: 'False',
    ScalingActive: 'True',
    ScalingLimited: 'False',
    RedisReachable: 'True',
    Suspended: 'False',
    Stalled: 'False',
  }
  const marks = (await marksOf(scene, name)).filter(({ untilMs }) => untilMs > Date.now())
  const problems = [
    pods.length !== 1 && `${pods.length} pods`,
    deployment?.spec.replicas !== 1 && `${deployment?.spec.replicas} replicas`,
    deployment?.metadata.ownerReferences?.[0]?.uid !== pool?.metadata.uid &&
      'the Deployment is not owned by the pool',
    ...pods.map(({ metadata }) => metadata.annotations?.[COST] && `${metadata.name} is marked to go`),
    ...pods.map(
      ({ metadata }) => marks.some(({ podUid }) => podUid === metadata.uid) && `${metadata.name} drains`,
    ),
    ...[pool, taskQueue].map(
      (object) =>
        object?.status?.observedGeneration !== object?.metadata.generation &&
        `the status of ${object?.kind} is old`,
    ),
    ...Object.entries(wanted).map(
      ([field, value]) => pool?.status?.[field] !== value && `status.${field} is ${pool?.status?.[field]}`,
    ),
    ...Object.entries(conditions).map(
      ([type, status]) =>
        conditionOf(pool, type)?.status !== status && `${type} is ${conditionOf(pool, type)?.status}`,
    ),
    !isReady(taskQueue) && 'the TaskQueue is not ready',
  ]
  return problems.filter((problem) => typeof problem === 'string')
}

/** Pods that shall claim nothing, and until when. */
async function marksOf(scene: Scene, name: string): Promise<{ podUid: string; untilMs: number }[]> {
  const key = `mh:{${scene.namespace}.${name}}:draining`
  const redis = await scene.redis()
  const uids = (await redis.call('ZRANGE', key, 0, -1)) as string[]
  const until = async (podUid: string) => ({
    podUid,
    untilMs: Number(await redis.call('ZSCORE', key, podUid)),
  })
  return Promise.all(uids.map(until))
}

const COST = 'controller.kubernetes.io/pod-deletion-cost'
const isReady = (object: Seen | undefined) => conditionOf(object, 'Ready')?.status === 'True'
