// The operator and its worker pods on a Redis Cluster of three servers, whose queues live on different ones; and what it says when Redis lost enqueues.
import { fileURLToPath } from 'node:url'
import { clusterLeftOut } from '../../cluster/cluster.ts'
import { eventually } from '../../eventually.ts'
import { type KubeJson, openScene, type Scene, taskQueue } from './scene.ts'

const leftOut = clusterLeftOut()
if (leftOut) console.warn(leftOut)
const onCluster = leftOut ? describe.skip : describe
const MINUTE = { withinMs: 120_000, everyMs: 250 }
const QUEUE = fileURLToPath(new URL('../../../worker-runtime/src/queue/index.ts', import.meta.url))
const QUEUES = ['one', 'two', 'three', 'four']

onCluster('an operator', () => {
  let scene: Scene
  beforeAll(async () => {
    scene = await openScene('redis-forms', {
      variables: { MILLHAND_REDIS_SECRETS: 'millhand-redis,cluster-redis' },
    })
  }, 3_600_000)
  afterAll(() => scene?.remove(), 60_000)

  /** Runs a program where pods can be reached; answers what it printed, as JSON. */
  const inside = async (program: string): Promise<KubeJson> => {
    const script = `import { connectRedis, newJob, openQueue, prefixOf, slotOf } from '${QUEUE}'\n${program}`
    const args = ['--conditions=millhand-source', '--input-type=module', '-e', script]
    const child = scene.cluster.inside([process.execPath, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
    let text = ''
    child.stdout?.on('data', (chunk) => {
      text += chunk
    })
    const code = await new Promise((resolve) => child.once('close', resolve))
    expect(code).toBe(0)
    return JSON.parse(text)
  }

  test('tells with an Event, in the status and in its log that Redis lost enqueues, though no worker is there', async () => {
    await scene.apply(taskQueue('lossy'))
    const status = async () => (await scene.get('tq', 'lossy')).status
    await scene.enqueue('lossy', 'echo', [1, 2, 3, 4, 5, 6])
    await eventually(async () => (await status())?.jobs?.ready === 6, MINUTE)
    // What a replica that lagged by two enqueues would have.
    await (await scene.redis()).call('HSET', `mh:{${scene.namespace}.lossy}:counts`, 'enqueued', 4)
    await eventually(async () => (await status()).vanishedEnqueues === 2, MINUTE)
    const lost = async () => {
      const { items } = await scene.get('events.events.k8s.io')
      return items.find(({ reason }: KubeJson) => reason === 'EnqueuesLost')
    }
    expect((await eventually(lost, MINUTE)).note).toContain('lost at least 2 enqueues')
    expect((await (await scene.queue('lossy')).depth()).counts).toMatchObject({ enqueued: 6, vanished: 2 })
    const said = scene.operator.lines.find(({ message }) => /lost enqueues/.test(message))
    expect(said).toMatchObject({ level: 'error', atLeast: 2 })
  }, 300_000)

  test('scales a pool for queues on several servers of a Redis Cluster, and back to none', async () => {
    const { spec } = (await scene.get('deployment', 'redis')).spec.template
    const labels = { app: 'redis-cluster' }
    const [container] = spec.containers
    const args = [...container.args, '--dir', '/data', '--cluster-enabled', 'yes']
    const clustered = { ...container, args, volumeMounts: [{ name: 'data', mountPath: '/data' }] }
    const podSpec = { ...spec, containers: [clustered], volumes: [{ name: 'data', emptyDir: {} }] }
    await scene.apply(
      {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'redis-cluster' },
        spec: {
          replicas: 3,
          selector: { matchLabels: labels },
          template: { metadata: { labels }, spec: podSpec },
        },
      },
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'redis-cluster' },
        spec: { selector: labels, ports: [{ port: 6379 }] },
      },
      {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'cluster-redis' },
        stringData: { url: `redis+cluster://redis-cluster.${scene.namespace}:6379` },
      },
    )
    const ready = async () => (await scene.get('deployment', 'redis-cluster')).status?.readyReplicas === 3
    await eventually(ready, MINUTE)
    const { items } = await scene.get('pods')
    const hosts = items
      .filter(({ metadata }: KubeJson) => metadata.labels.app === 'redis-cluster')
      .map((pod: KubeJson) => pod.status.podIP)
    await inside(`
      const servers = ${JSON.stringify(hosts)}.map((host) => ({ host, redis: connectRedis('redis://' + host) }))
      for (const [at, { redis }] of servers.entries()) {
        await redis.call('CLUSTER', 'ADDSLOTSRANGE', Math.floor((at * 16384) / 3), Math.floor(((at + 1) * 16384) / 3) - 1)
        await redis.call('CLUSTER', 'SET-CONFIG-EPOCH', at + 1)
      }
      for (const { redis } of servers.slice(1)) await redis.call('CLUSTER', 'MEET', servers[0].host, 6379)
      for (const { redis } of servers)
        while (!/cluster_state:ok[^]*cluster_known_nodes:3/.test(await redis.call('CLUSTER', 'INFO')))
          await new Promise((resolve) => setTimeout(resolve, 100))
      for (const { redis } of servers) redis.close()
      console.log('true')`)

    const behavior = { scaleDown: { stabilizationWindowSeconds: 2 } }
    const redis = { secretRef: { name: 'cluster-redis' } }
    const queues = QUEUES.map((name) => ({ name }))
    await scene.apply(
      ...QUEUES.map((name) => taskQueue(name, { redis })),
      scene.pool('many', { queues, scaling: { maxReplicas: 2, behavior } }),
    )
    for (const name of QUEUES)
      await eventually(async () => (await scene.condition('tq', name, 'Ready'))?.status === 'True', MINUTE)
    const names = JSON.stringify(QUEUES.map((name) => `${scene.namespace}.${name}`))
    const url = `redis+cluster://${hosts[0]}:6379`
    const { completed, owners } = await inside(`
      const redis = connectRedis('${url}')
      const queues = ${names}.map((name) => openQueue(redis, name))
      for (const queue of queues) await queue.enqueue([1, 2, 3, 4, 5].map((input) => newJob('echo', input)))
      const completed = async () => Promise.all(queues.map(async (queue) => (await queue.depth()).counts.completed))
      const untilMs = Date.now() + 120_000
      while ((await completed()).some((count) => count < 5) && Date.now() < untilMs)
        await new Promise((resolve) => setTimeout(resolve, 250))
      const slots = await redis.call('CLUSTER', 'SLOTS')
      const owners = ${names}.map((name) => slots.find(([first, last]) => first <= slotOf(prefixOf(name)) && slotOf(prefixOf(name)) <= last)[0])
      console.log(JSON.stringify({ completed: await completed(), owners }))
      redis.close()`)
    expect(completed).toEqual(QUEUES.map(() => 5))
    console.log(`${new Set(owners).size} of three servers have queues`)
    await eventually(async () => (await scene.get('deployment', 'many')).spec.replicas === 0, MINUTE)
    for (const name of QUEUES)
      expect(await scene.condition('tq', name, 'RedisReachable')).toMatchObject({ status: 'True' })
  }, 600_000)
})
