// The operator on a real Kubernetes: from a resource to pods that work off jobs, and back to none.
import { onCluster } from '../../cluster/suites.ts'
import { eventually } from '../../eventually.ts'
import { isTrouble, openScene, type Scene, taskQueue } from './scene.ts'

const MINUTE = { withinMs: 60_000, everyMs: 250 }

onCluster('an operator', () => {
  let scene: Scene
  beforeAll(async () => {
    scene = await openScene('operator')
  }, 3_600_000)
  afterAll(() => scene?.remove(), 60_000)

  test('runs the jobs of a queue in pods and goes back to none', async () => {
    const behavior = { scaleDown: { stabilizationWindowSeconds: 2 } }
    await scene.apply(taskQueue('echo'), scene.pool('echo', { scaling: { maxReplicas: 3, behavior } }))
    await eventually(async () => (await scene.condition('wp', 'echo', 'Ready'))?.status === 'True', MINUTE)
    await scene.enqueue('echo', 'echo', [1, 2, 3, 4, 5, 6, 7, 8])
    const queue = await scene.queue('echo')
    await eventually(async () => (await queue.depth()).counts.completed === 8, MINUTE)
    await eventually(async () => (await scene.get('deployment', 'echo')).spec.replicas === 0, MINUTE)
    await eventually(async () => (await scene.get('pods')).items.length === 1, MINUTE)
    expect((await queue.depth()).counts.lost).toBe(0)
    const status = async () => (await scene.get('wp', 'echo')).status
    await eventually(async () => (await status()).replicas === 0, MINUTE)
    expect(await status()).toMatchObject({ replicas: 0, desiredReplicas: 0, decision: { reason: 'Idle' } })
    expect(scene.operator.lines.filter(isTrouble)).toEqual([])
  }, 180_000)
})
