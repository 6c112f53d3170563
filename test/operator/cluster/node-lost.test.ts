// A node that is lost. Redis misses the heartbeats of its workers long before Kubernetes gives the node up, so their jobs run elsewhere by
// then, and nothing that Kubernetes says of the node or its pods later takes anything from anybody: a silent kubelet is no dead worker.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { clusterLeftOut, startCluster, whichCluster } from '../../cluster/cluster.ts'
import { equipped, type SharedCluster } from '../../cluster/shared.ts'
import { eventually } from '../../eventually.ts'
import { POD_UID_VARIABLE, type RecordedQueue, recordedQueue, recordedTasks } from './history.ts'
import { type KubeJson, openScene, type Scene, taskQueue } from './scene.ts'

const leftOut = clusterLeftOut()
if (leftOut) console.warn(leftOut)
const kind = leftOut ? 'none' : (await whichCluster()).kind
if (!leftOut && kind !== 'testbed') console.warn('LEFT OUT: only a node of the testbed can be lost')
const onTestbed = kind === 'testbed' ? describe : describe.skip
const MINUTE = { withinMs: 60_000, everyMs: 50 }
/** Kubernetes' own are 50 s. */
const NODE_GRACE_SECONDS = 10
const say = (line: string) => process.stderr.write(`${line}\n`)

onTestbed('of a node that is lost', () => {
  const folder = join(mkdtempSync(join(tmpdir(), 'millhand-test-')), 'cluster')
  let cluster: SharedCluster
  let scene: Scene
  let mail: RecordedQueue
  let alone: RecordedQueue
  let powerCutAt: number
  /** Of jobs in `mail`, the pods in their order; looked up at the end. */
  const ranIn = new Map<string, (string | undefined)[]>()

  beforeAll(async () => {
    const options = { folder, nodes: 2, nodeGraceSeconds: NODE_GRACE_SECONDS, endsWithMe: true }
    cluster = await equipped(await startCluster(options))
    // Redis stays.
    await newPodsGoTo('node1')
    scene = await openScene('node-lost', { cluster })
    const redis = await scene.redis()
    mail = recordedQueue(redis, scene.namespace, 'mail')
    alone = recordedQueue(redis, scene.namespace, 'alone')
    await newPodsGoTo('node2')
    await scene.apply(
      recordedTasks(),
      taskQueue('mail'),
      taskQueue('alone'),
      pool('mail', 1),
      pool('alone', 1),
    )
    await eventually(
      async () => (await workersOf(mail)).length + (await workersOf(alone)).length === 2,
      MINUTE,
    )
  }, 3_600_000)
  afterAll(async () => {
    await scene?.remove()
    await cluster?.stop()
    rmSync(folder, { recursive: true, force: true })
    for (const each of [mail, alone]) each?.history.remove()
  }, 60_000)

  const newPodsGoTo = async (node: 'node1' | 'node2') => {
    const other = node === 'node1' ? 'node2' : 'node1'
    await cluster.kubectl(['uncordon', node])
    await cluster.kubectl(['cordon', other])
  }
  const pool = (name: string, replicas: number) =>
    scene.pool(
      name,
      { scaling: { minReplicas: replicas, maxReplicas: replicas } },
      { env: [POD_UID_VARIABLE] },
    )
  const workersOf = ({ queue }: RecordedQueue) => queue.workers()
  const podsOf = async (name: string): Promise<KubeJson[]> =>
    (await scene.get('pods')).items.filter(
      ({ metadata }: KubeJson) => metadata.labels['millhand.dev/pool'] === name,
    )
  const isReady = ({ status }: KubeJson) =>
    status.conditions.find(({ type }: KubeJson) => type === 'Ready')?.status === 'True'
  const isNodeReady = async () => isReady(await scene.get('node', 'node2'))
  /** Ids of jobs that are held by now. */
  async function begin({ enqueue, queue, history }: RecordedQueue, inputs: object[]): Promise<string[]> {
    const before = history.of('acknowledged').length
    await enqueue('naps', inputs)
    const ids = history.of('acknowledged').slice(before)
    await eventually(async () => (await queue.depth()).busy === inputs.length, MINUTE)
    return ids.map(({ job }) => job)
  }
  const completed = (each: RecordedQueue, ids: string[]) => async () =>
    (await Promise.all(ids.map((id) => each.queue.job(id)))).every((job) => job?.state === 'completed')

  test('whose kubelet alone is silent, the jobs go on and end where they began', async () => {
    const [pod] = await podsOf('mail')
    // It outlasts the 11 s until the node is said to be away, and ends before its pods are given up, 30 s after that.
    const [id = ''] = await begin(mail, [{ ms: 25_000 }])
    await cluster.stopKubelet('node2')
    await eventually(async () => !(await isNodeReady()), MINUTE)
    const isCutOff = async () => !isReady(await scene.get('pod', pod.metadata.name))
    await eventually(isCutOff, { ...MINUTE, what: 'the pod is said to be not ready' })
    expect(await mail.queue.job(id)).toMatchObject({ state: 'held', crashes: 0 })
    await eventually(completed(mail, [id]), MINUTE)
    expect(await mail.queue.job(id)).toMatchObject({ attempts: 1, crashes: 0, failures: [] })
    ranIn.set(id, [pod.metadata.uid])

    await cluster.startKubelet('node2')
    await eventually(isNodeReady, MINUTE)
    await eventually(async () => isReady(await scene.get('pod', pod.metadata.name)), MINUTE)
    expect((await podsOf('mail')).map(({ metadata }) => metadata.uid)).toEqual([pod.metadata.uid])
    const { status } = await scene.get('pod', pod.metadata.name)
    expect(status.containerStatuses[0].restartCount).toBe(0)
  }, 180_000)

  test('that loses its power, the jobs run once more elsewhere when the heartbeats have run out', async () => {
    const ids = await begin(mail, [{ ms: 40_000 }, { ms: 40_000 }])
    await begin(alone, [{ ms: 40_000 }])
    const [lost] = await workersOf(mail)
    await newPodsGoTo('node1')
    await scene.apply(pool('mail', 2))
    const stays = await eventually(
      async () => (await workersOf(mail)).find(({ podUid }) => podUid !== lost?.podUid),
      MINUTE,
    )
    expect(stays).toMatchObject({ node: 'node1', held: 0 })

    await cluster.cutPower('node2')
    powerCutAt = performance.now()
    await eventually(
      async () => (await workersOf(mail)).find(({ name, held }) => name === stays.name && held === 2),
      MINUTE,
    )
    const tookMs = performance.now() - powerCutAt
    const found = await Promise.all(ids.map((id) => mail.queue.job(id)))
    say(`jobs of a lost node ran elsewhere after ${Math.round(tookMs)} ms: ${found[0]?.failures[0]?.message}`)
    // The lease, the sweep, and room for a busy machine.
    expect(tookMs).toBeLessThan(15_000)
    for (const job of found)
      expect(job).toMatchObject({
        state: 'held',
        crashes: 1,
        failures: [
          {
            outcome: 'worker-lost',
            message: expect.stringContaining('heartbeat'),
            worker: lost?.name,
            pod: lost?.pod,
            node: 'node2',
            maxRssBytes: expect.any(Number),
          },
        ],
      })
    await eventually(completed(mail, ids), MINUTE)
    for (const id of ids) ranIn.set(id, [lost?.podUid, stays.podUid])
  }, 180_000)

  test('a pool that had all its pods on it gets others half a minute after the node is given up', async () => {
    await eventually(async () => (await alone.queue.depth()).counts.completed === 1, { withinMs: 150_000 })
    const tookMs = performance.now() - powerCutAt
    say(`the job of a pool that had lost all its pods was done after ${Math.round(tookMs)} ms`)
    // 10 s until the node is given up, 30 s that its pods are waited for, a pod's start, the job itself.
    expect(tookMs).toBeLessThan(130_000)
    const [job] = await alone.queue.jobs('completed')
    expect(await alone.queue.job(job?.id ?? '')).toMatchObject({ crashes: 1 })
  }, 180_000)

  test('the pods are taken away in the end, and everything stays as it is', async () => {
    const before = await Promise.all([mail, alone].map(({ queue }) => queue.depth()))
    const onLost = async () =>
      (await scene.get('pods')).items.filter(({ spec }: KubeJson) => spec.nodeName === 'node2')
    expect((await onLost()).length).toBe(2)
    const gone = 'node.kubernetes.io/out-of-service=nodeshutdown:NoExecute'
    await cluster.kubectl(['taint', 'node', 'node2', gone])
    await eventually(async () => (await onLost()).length === 0, { withinMs: 90_000, everyMs: 200 })
    const later = await begin(mail, [{ ms: 1_000 }])
    await eventually(completed(mail, later), MINUTE)
    const after = await Promise.all([mail, alone].map(({ queue }) => queue.depth()))
    expect(after.map(({ counts }) => counts.lost)).toEqual(before.map(({ counts }) => counts.lost))
    await eventually(async () => (await scene.get('wp', 'mail')).status.readyReplicas === 2, MINUTE)
    for (const each of [mail, alone]) {
      await each.readHistory()
      expect(await each.judge({ faults: 1 })).toEqual([])
    }
    const pods = [...ranIn.keys()].map((id) => mail.history.of('started', id).map(({ podUid }) => podUid))
    expect(pods).toEqual([...ranIn.values()])
    expect(scene.operator.lines.filter(({ level }) => level === 'error')).toEqual([])
  }, 180_000)
})
