// The operator cannot reach Redis and its workers can: what it does not know it leaves as it is, also when it is started anew meanwhile.
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { type SharedCluster, sharedCluster } from '../../cluster/shared.ts'
import { onTestbed } from '../../cluster/suites.ts'
import { eventually } from '../../eventually.ts'
import { type OperatorProcess, openScene, type Scene, taskQueue } from './scene.ts'
import { type World, watchWorld } from './world.ts'

const STAGE = { withinMs: 60_000, everyMs: 100 }
const behavior = { scaleDown: { stabilizationWindowSeconds: 1 } }

onTestbed('an operator that cannot see Redis', () => {
  let cluster: SharedCluster
  let world: World
  let scene: Scene
  let pipe: Awaited<ReturnType<typeof startPipe>>
  beforeAll(async () => {
    cluster = await sharedCluster()
    world = await watchWorld(cluster)
    scene = await openScene('blind', { cluster, variables: { MILLHAND_REDIS_NETWORKS: '0.0.0.0/0' } })
    pipe = await startPipe(cluster, `redis.${scene.namespace}`)
  }, 3_600_000)
  afterAll(async () => {
    pipe?.process.kill('SIGKILL')
    await scene?.remove()
    await world?.stop()
  }, 60_000)

  const key = () => `${scene.namespace}/mail`
  const replicas = (): number => world.deployments.get(key())?.spec.replicas
  const counts = async () => (await (await scene.queue('mail')).depth()).counts
  const condition = (type: string) =>
    world.pools.get(key())?.status?.conditions?.find((each: { type: string }) => each.type === type)
  const leads = ({ lines }: OperatorProcess) =>
    eventually(() => lines.some(({ message }) => message === 'became leader'), STAGE)

  test('neither takes its pods away when they are idle nor adds any when jobs wait, and goes on by itself', async () => {
    await scene.apply(
      taskQueue('mail'),
      scene.pool('mail', { slots: 1, scaling: { maxReplicas: 4, behavior } }),
    )
    await eventually(() => replicas() === 0, STAGE)
    const [first = '', second = ''] = await scene.enqueue('mail', 'sleep', [{ ms: 300_000 }, { ms: 300_000 }])
    const queue = await scene.queue('mail')
    await eventually(async () => (await queue.depth()).busy === 2, STAGE)
    // These pods know the true address; the operator gets one that can be cut off.
    await scene.apply({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'millhand-redis' },
      stringData: { url: `redis://127.0.0.1:${pipe.port}` },
    })
    await scene.operator.stop()
    const operator = await scene.startOperator()
    await leads(operator)
    await eventually(() => operator.lines.some(({ message }) => message === 'connected to Redis'), STAGE)

    pipe.process.kill('SIGSTOP')
    await eventually(() => condition('RedisReachable')?.status === 'False', STAGE)
    expect(condition('RedisReachable').reason).toBe('RedisUnreachable')
    const since = world.replicasOf(key()).length
    for (const id of [first, second]) await queue.cancel(id)
    await eventually(async () => (await counts()).cancelled === 2, STAGE)
    await stays(2, 8_000)
    await scene.enqueue('mail', 'sleep', new Array(20).fill({ ms: 2_000 }))
    await stays(2, 8_000)
    await operator.stop()
    const anew = await scene.startOperator()
    await leads(anew)
    await stays(2, 8_000)
    expect(condition('RedisReachable').status).toBe('False')
    expect(condition('Ready').status).toBe('Unknown')
    expect(world.replicasOf(key()).length).toBe(since)

    pipe.process.kill('SIGCONT')
    await eventually(() => condition('RedisReachable')?.status === 'True', STAGE)
    await eventually(async () => (await counts()).completed === 20, STAGE)
    await eventually(() => replicas() === 0, STAGE)
    expect(await counts()).toMatchObject({ claimed: 22, lost: 0, retried: 0 })
    for (const each of [operator, anew])
      expect(each.lines.filter(({ level }) => level === 'error')).toEqual([])
  }, 240_000)

  async function stays(count: number, forMs: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, forMs))
    expect(replicas()).toBe(count)
    expect(world.livePods(key())).toHaveLength(count)
  }
})

async function startPipe(cluster: SharedCluster, host: string) {
  const program = fileURLToPath(new URL('./redis-pipe.ts', import.meta.url))
  const started = cluster.inside([process.execPath, program, host, '6379'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (!started.stdout) throw new Error('it has no output')
  const [port] = await once(createInterface({ input: started.stdout }), 'line')
  return { process: started, port: Number(port) }
}
