// What a dead worker held is ready again as soon as the kubelet has told of its death, and the attempt says what it died of.
import { readdirSync, readFileSync } from 'node:fs'
import { clusterLeftOut } from '../../cluster/cluster.ts'
import { eventually } from '../../eventually.ts'
import { type KubeJson, openScene, type Scene, taskQueue } from './scene.ts'

const leftOut = clusterLeftOut()
if (leftOut) console.warn(leftOut)
const onCluster = leftOut ? describe.skip : describe
const MINUTE = { withinMs: 60_000, everyMs: 50 }

/** The worker of a pod, as this machine sees it: the testbed's containers are processes here. */
function workerProcessOf(podUid: string): number {
  const found = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => isWorkerOf(pid, podUid))
  return Math.min(...found)
}

function isWorkerOf(pid: number, podUid: string): boolean {
  try {
    const isWorker = readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('millhand-worker.js')
    return isWorker && readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`MILLHAND_POD_UID=${podUid}\0`)
  } catch {
    return false
  }
}

onCluster('when a worker dies', () => {
  let scene: Scene
  beforeAll(async () => {
    scene = await openScene('recovery')
  }, 3_600_000)
  afterAll(() => scene?.remove(), 60_000)

  const podsOf = async (name: string): Promise<KubeJson[]> =>
    (await scene.get('pods')).items.filter(
      (pod: KubeJson) => pod.metadata.labels['millhand.dev/pool'] === name,
    )
  const job = async (queue: string, id = '') => (await scene.queue(queue)).job(id)
  /** One worker with one long job. */
  async function oneBusy(name: string, ms: number, spec: object = {}) {
    const one = { slots: 1, scaling: { minReplicas: 1, maxReplicas: 1 } }
    await scene.apply(
      taskQueue(name, { retry: { backoffSeconds: 0 } }),
      scene.pool(name, { ...one, ...spec }),
    )
    const [id = ''] = await scene.enqueue(name, 'sleep', [{ ms }])
    await eventually(async () => (await job(name, id))?.state === 'held', MINUTE)
    const [pod] = await podsOf(name)
    return { id, pod }
  }

  test('killed in its container, its job is back at once with the signal, and runs in the next one', async () => {
    const { id, pod } = await oneBusy('killed', 4_000)
    process.kill(workerProcessOf(pod.metadata.uid), 'SIGKILL')
    const killedAt = performance.now()
    const failed = await eventually(async () => {
      const found = await job('killed', id)
      return found?.crashes === 1 ? found : undefined
    }, MINUTE)
    const tookMs = performance.now() - killedAt
    process.stderr.write(`the job of a killed worker was back after ${Math.round(tookMs)} ms\n`)
    // By the heartbeat alone it takes the lease of 7 s and more.
    expect(tookMs).toBeLessThan(6_000)
    expect(failed.failures.at(-1)).toMatchObject({
      outcome: 'worker-lost',
      message: 'the container ended: signal 9',
    })
    await eventually(async () => (await job('killed', id))?.state === 'completed', MINUTE)
  }, 120_000)

  test('evicted with its job running, the job ends where it began', async () => {
    const { id, pod } = await oneBusy('evicted', 5_000)
    const eviction = {
      apiVersion: 'policy/v1',
      kind: 'Eviction',
      metadata: { name: pod.metadata.name, namespace: scene.namespace },
    }
    const path = `/api/v1/namespaces/${scene.namespace}/pods/${pod.metadata.name}/eviction`
    await scene.cluster.kubectl(['create', '--raw', path, '-f', '-'], { stdin: JSON.stringify(eviction) })
    await eventually(async () => (await job('evicted', id))?.state === 'completed', MINUTE)
    expect(await job('evicted', id)).toMatchObject({ crashes: 0, failures: [] })
  }, 120_000)

  test('deleted with less time than its job needs, the job is handed back uncounted and runs elsewhere', async () => {
    const { id, pod } = await oneBusy('hurried', 8_000, { drain: { timeoutSeconds: 1 } })
    await scene.cluster.kubectl(['-n', scene.namespace, 'delete', 'pod', pod.metadata.name, '--wait=false'])
    const second = await eventually(async () => {
      const worker = (await (await scene.queue('hurried')).workers()).find(({ held }) => held > 0)
      return worker?.podUid === pod.metadata.uid ? undefined : worker
    }, MINUTE)
    expect(second.podUid).not.toBe(pod.metadata.uid)
    expect(await job('hurried', id)).toMatchObject({ state: 'held', crashes: 0, failures: [] })
    await eventually(async () => (await job('hurried', id))?.state === 'completed', MINUTE)
  }, 120_000)

  test('again and again with the same job, the job is buried and says why, and the others are done', async () => {
    await scene.apply(
      taskQueue('poison', { retry: { backoffSeconds: 0, maxCrashes: 2 } }),
      scene.pool('poison', { slots: 1, scaling: { minReplicas: 1, maxReplicas: 1 } }),
    )
    const [bad = ''] = await scene.enqueue('poison', 'sleep', [{ ms: 600_000 }])
    const long = { withinMs: 90_000, everyMs: 50 }
    for (const crashes of [1, 2]) {
      await eventually(async () => (await job('poison', bad))?.state === 'held', long)
      const [pod] = await podsOf('poison')
      process.kill(workerProcessOf(pod.metadata.uid), 'SIGKILL')
      await eventually(async () => (await job('poison', bad))?.crashes === crashes, long)
    }
    const buried = await job('poison', bad)
    expect(buried).toMatchObject({ state: 'buried', crashes: 2 })
    expect(buried?.failures.at(-1)?.message).toBe('the container ended: signal 9')
    const [good = ''] = await scene.enqueue('poison', 'echo', [1])
    await eventually(async () => (await job('poison', good))?.state === 'completed', long)
  }, 240_000)
})
