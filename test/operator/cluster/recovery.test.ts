// What a dead worker held is ready again as soon as the kubelet has told of its death, and the attempt says what it died of.
import { spawn } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { newJob } from 'millhand/queue'
import { onCluster } from '../../cluster/suites.ts'
import { eventually } from '../../eventually.ts'
import { sendSignal } from '../../processes.ts'
import { type KubeJson, openScene, type Scene, taskQueue } from './scene.ts'
import { containerOf } from './workers.ts'

const MINUTE = { withinMs: 60_000, everyMs: 50 }
// A job of this long still runs when its worker ends, also where kubectl and the kubelet take seconds; ms.
const OUTLASTING = 15_000
// What is promised; ms.
const BACK_WITHIN = 2_000
const MEGABYTE = 2 ** 20
const say = (line: string) => process.stderr.write(`${line}\n`)

// The memory is taken in one go, faster than the worker looks at its children: the kernel ends what it chooses.
const TASKS = `import { writeFileSync } from 'node:fs'
import { task } from 'millhand'
task('echo', async (input) => input)
task('sleep', ({ ms }) => new Promise((resolve) => setTimeout(() => resolve(ms), ms)))
task('blow', () => {
  for (const kept = []; ; ) kept.push(Buffer.alloc(2 ** 30, 1))
})
// The kernel prefers children: this one is not preferred, and waits until the worker is stopped and looks at nobody.
task('blow-worker', async () => {
  writeFileSync('/proc/self/oom_score_adj', '0')
  await new Promise((resolve) => setTimeout(resolve, 6_000))
  for (const kept = []; ; ) kept.push(Buffer.alloc(2 ** 30, 1))
})
task('fill-disk', () => {
  writeFileSync('/tmp/full', Buffer.alloc(30 * 2 ** 20))
  return new Promise(() => {})
})
`
const tasks = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'tasks' },
  data: { 'tasks.js': TASKS },
}

/** The worker of a pod, as this machine sees it: the testbed's containers are processes here. */
function workerProcessOf(podUid: string): number {
  const container = containerOf(podUid)
  if (!container) throw new Error(`no worker runs in the pod ${podUid}`)
  return container.first
}

/** In the container of a worker: a signal upon which it ends by its own decision. */
const ENDS_ITSELF = {
  name: 'NODE_OPTIONS',
  value: "--import=data:text/javascript,process.pid===1&&process.on('SIGUSR2',()=>process.exit(70))",
}
const endItself = (pod: KubeJson) => sendSignal(workerProcessOf(pod.metadata.uid), 'SIGUSR2')

interface SeenEnd {
  atMs: number
  exitCode: number
  reason: string
}

/** How the worker of a pod ended, and when the API server first said so. Nothing of it had ended before. */
function endOf({ cluster, namespace }: Scene, pod: KubeJson): Promise<SeenEnd> {
  const status = '.status.containerStatuses[?(@.name=="worker")]'
  const columns = `{${status}.state.terminated}{${status}.lastState.terminated}{"\\n"}`
  const where = ['--kubeconfig', cluster.kubeconfig, '-n', namespace]
  const what = ['get', 'pod', pod.metadata.name, '--watch', '-o', `jsonpath=${columns}`]
  const watching = spawn(cluster.kubectlProgram, [...where, ...what], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return new Promise<SeenEnd>((resolve, reject) => {
    watching.once('exit', () => reject(new Error('the watch of the pod ended')))
    createInterface({ input: watching.stdout }).on('line', (line) => {
      const atMs = performance.now()
      if (line) resolve({ atMs, ...JSON.parse(line) })
    })
  }).finally(() => watching.kill())
}

onCluster('when a worker dies', () => {
  let scene: Scene
  beforeAll(async () => {
    scene = await openScene('recovery')
    await scene.apply(tasks)
  }, 3_600_000)
  afterAll(() => scene?.remove(), 60_000)

  const podsOf = async (name: string): Promise<KubeJson[]> =>
    (await scene.get('pods')).items.filter(
      (pod: KubeJson) => pod.metadata.labels['millhand.dev/pool'] === name,
    )
  const job = async (queue: string, id = '') => (await scene.queue(queue)).job(id)
  const inState = (queue: string, id: string, state: string) => async () =>
    (await job(queue, id))?.state === state
  const crashedOnce = async (queue: string, id: string) => {
    const found = await job(queue, id)
    return found?.crashes === 1 ? found : undefined
  }
  const one = { slots: 1, scaling: { minReplicas: 1, maxReplicas: 1 } }
  /** One worker with one long job. */
  async function oneBusy(name: string, ms: number, spec: object = {}, worker: object = {}) {
    const queue = taskQueue(name, { retry: { backoff: { baseSeconds: 0 } } })
    await scene.apply(queue, scene.pool(name, { ...one, ...spec }, worker))
    const [id = ''] = await scene.enqueue(name, 'sleep', [{ ms }])
    await eventually(inState(name, id, 'held'), MINUTE)
    const [pod] = await podsOf(name)
    return { id, pod }
  }
  /** What is known of a job after the worker of its pod was ended; it must be back 2 s after the kubelet's report. */
  async function recovered(queue: string, id: string, pod: KubeJson, endIt: () => unknown) {
    const reported = endOf(scene, pod)
    await endIt()
    const [found, end] = await Promise.all([
      eventually(
        async () => {
          const seen = await crashedOnce(queue, id)
          return seen && { ...seen, atMs: performance.now() }
        },
        { ...MINUTE, everyMs: 10 },
      ),
      reported,
    ])
    const tookMs = Math.round(found.atMs - end.atMs)
    say(`${queue}: the job was back ${tookMs} ms after the kubelet's report of ${end.reason} ${end.exitCode}`)
    expect(tookMs).toBeLessThan(BACK_WITHIN)
    return { end, failure: found.failures.at(-1) }
  }

  test('killed in its container, its job is back at once with the signal, and runs in the next one', async () => {
    const { id, pod } = await oneBusy('killed', OUTLASTING)
    const [worker] = await (await scene.queue('killed')).workers()
    const entry = `mh:{${scene.namespace}.killed}:worker:${worker?.name}`
    const isTold = async () => Boolean(await (await scene.redis()).call('HGET', entry, 'used'))
    await eventually(isTold, { ...MINUTE, what: 'a heartbeat tells what the job uses' })
    const killing = () => sendSignal(workerProcessOf(pod.metadata.uid), 'SIGKILL')
    const { failure } = await recovered('killed', id, pod, killing)
    say(`killed: ${JSON.stringify(failure)}`)
    const [message, node] = ['the container ended: signal 9', pod.spec.nodeName]
    expect(failure).toMatchObject({ outcome: 'worker-lost', message, pod: pod.metadata.name, node })
    expect(failure?.maxRssBytes).toBeGreaterThan(10 * MEGABYTE)
    expect((failure?.cpuUserMs ?? -1) + (failure?.cpuSystemMs ?? -1)).toBeGreaterThanOrEqual(0)
    await eventually(inState('killed', id, 'completed'), MINUTE)
  }, 120_000)

  test('by its own decision, the attempt names the exit code', async () => {
    const { id, pod } = await oneBusy('broken', OUTLASTING, {}, { env: [ENDS_ITSELF] })
    const { failure } = await recovered('broken', id, pod, () => endItself(pod))
    expect(failure).toMatchObject({ outcome: 'worker-lost', message: 'the container ended: exit code 70' })
    await eventually(inState('broken', id, 'completed'), MINUTE)
  }, 120_000)

  describe('or a child, of memory,', () => {
    const MEMORY = { resources: { limits: { memory: '400Mi' } }, env: [ENDS_ITSELF] }
    const isolation = { mode: 'Fork', maxMemory: '1Gi' }
    const two = { slots: 2, isolation, scaling: { minReplicas: 1, maxReplicas: 1 } }
    async function withNeighbour(name: string, task: string) {
      const queue = await scene.queue(name)
      const { id: neighbour } = newJob('sleep', { ms: OUTLASTING })
      await scene.apply(
        taskQueue(name, { retry: { backoff: { baseSeconds: 0 } } }),
        scene.pool(name, two, MEMORY),
      )
      await queue.enqueue([newJob('sleep', { ms: OUTLASTING }, { id: neighbour })])
      await eventually(inState(name, neighbour, 'held'), MINUTE)
      const [pod] = await podsOf(name)
      const blow = newJob(task, null, { maxAttempts: 1, maxCrashes: 1 })
      return { neighbour, pod, blow, begin: () => queue.enqueue([blow]) }
    }

    // With cgroup version 2 the kubelet has the kernel end the whole container.
    const whereItEndsOne = existsSync('/sys/fs/cgroup/memory') ? test : test.skip
    whereItEndsOne(
      'the child alone ends, as out of memory with what it used, and its neighbour goes on',
      async () => {
        const { neighbour, pod, blow, begin } = await withNeighbour('child-oom', 'blow')
        await begin()
        await eventually(inState('child-oom', blow.id, 'buried'), MINUTE)
        const failure = (await job('child-oom', blow.id))?.failures.at(-1)
        say(`child-oom: ${JSON.stringify(failure)}`)
        // Seldom the worker looks just before the kernel does it.
        const message = expect.stringMatching(/^the kernel killed the child|^the container uses \d+/)
        expect(failure).toMatchObject({ outcome: 'out-of-memory', message, signal: 'SIGKILL' })
        expect(failure?.maxRssBytes).toBeGreaterThan(150 * MEGABYTE)
        expect((failure?.cpuUserMs ?? 0) + (failure?.cpuSystemMs ?? 0)).toBeGreaterThan(0)
        await eventually(inState('child-oom', neighbour, 'completed'), MINUTE)
        expect(await job('child-oom', neighbour)).toMatchObject({ attempts: 1, crashes: 0, failures: [] })
        const { status } = await scene.get('pod', pod.metadata.name)
        expect(status.containerStatuses[0].restartCount).toBe(0)

        // containerd calls whatever ends this container later OOMKilled.
        const [later = ''] = await scene.enqueue('child-oom', 'sleep', [{ ms: OUTLASTING }])
        await eventually(inState('child-oom', later, 'held'), MINUTE)
        const ended = await recovered('child-oom', later, pod, () => endItself(pod))
        expect(ended.failure).toMatchObject({ message: 'the container ended: exit code 70' })
      },
      120_000,
    )

    test('the container ends, its jobs are back at once as OOMKilled, and the one that does it again is buried', async () => {
      const { neighbour, pod, blow, begin } = await withNeighbour('container-oom', 'blow-worker')
      await begin()
      await eventually(inState('container-oom', blow.id, 'held'), MINUTE)
      // Its child begins meanwhile.
      await new Promise((resolve) => setTimeout(resolve, 3_000))
      const stopped = () => {
        const worker = workerProcessOf(pod.metadata.uid)
        writeFileSync(`/proc/${worker}/oom_score_adj`, '1000')
        sendSignal(worker, 'SIGSTOP')
      }
      const { end, failure } = await recovered('container-oom', neighbour, pod, stopped)
      expect(end).toMatchObject({ reason: 'OOMKilled', exitCode: 137 })
      expect(failure).toMatchObject({ outcome: 'worker-lost', message: 'the container ended: OOMKilled' })
      await eventually(inState('container-oom', neighbour, 'completed'), MINUTE)
      expect(await job('container-oom', blow.id)).toMatchObject({
        state: 'buried',
        crashes: 1,
        failures: [{ outcome: 'worker-lost', message: 'the container ended: OOMKilled' }],
      })
    }, 120_000)
  })

  test('deleted by force, it is told so and hands its job back while it still lives', async () => {
    const { id, pod } = await oneBusy('forced', OUTLASTING)
    const { name, uid } = pod.metadata
    const queue = await scene.queue('forced')
    const began = performance.now()
    const deleting = ['delete', 'pod', name, '--grace-period=0', '--force', '--wait=false']
    await scene.cluster.kubectl(['-n', scene.namespace, ...deleting])
    const deletedAt = performance.now()
    const isBack = async () => !(await queue.workers()).some((each) => each.podUid === uid && each.held > 0)
    await eventually(isBack, { ...MINUTE, everyMs: 10 })
    const backAt = performance.now()
    const [tookMs, sinceAsked] = [backAt - deletedAt, backAt - began].map(Math.round)
    say(
      `forced: the job was back ${tookMs} ms after the deletion, ${sinceAsked} ms after kubectl was started`,
    )
    expect(tookMs).toBeLessThan(BACK_WITHIN)
    await eventually(inState('forced', id, 'completed'), MINUTE)
    // Its heartbeat did not have to run out: nobody took it for dead.
    expect(await job('forced', id)).toMatchObject({ attempts: 1, crashes: 0, failures: [] })
    expect((await podsOf('forced')).map(({ metadata }) => metadata.uid)).not.toContain(uid)
  }, 120_000)

  test('evicted by the kubelet for the disk that its job fills, the job is back at once', async () => {
    const little = { resources: { limits: { 'ephemeral-storage': '20Mi' } } }
    await scene.apply(taskQueue('disk'), scene.pool('disk', one, little))
    const [id = ''] = await scene.enqueue('disk', 'fill-disk', [null])
    await eventually(inState('disk', id, 'held'), MINUTE)
    const [pod] = await podsOf('disk')
    const [end, atMs] = await Promise.all([
      endOf(scene, pod),
      // The kubelet looks every ten seconds.
      eventually(async () => ((await inState('disk', id, 'held')()) ? undefined : performance.now()), {
        ...MINUTE,
        everyMs: 10,
      }),
    ])
    const tookMs = Math.round(atMs - end.atMs)
    say(`disk: the job was back ${tookMs} ms after the kubelet's report of an eviction`)
    expect(tookMs).toBeLessThan(BACK_WITHIN)
    expect((await scene.get('pod', pod.metadata.name)).status).toMatchObject({
      phase: 'Failed',
      reason: 'Evicted',
    })
    // Now and then the kubelet has lost the container by then, and does not know how it ended.
    const message = expect.stringMatching(/^the pod failed: Evicted: .*ephemeral/)
    expect(await job('disk', id)).toMatchObject({
      crashes: 1,
      failures: [{ outcome: 'worker-lost', message }],
    })
  }, 120_000)

  test('preempted, the job that fits into the grace ends where it began, and one that is cut short is back uncounted', async () => {
    const [node] = (await scene.get('nodes')).items
    const place = `millhand.test/${scene.namespace}`
    const capacity = { status: { capacity: { [place]: '1' } } }
    const patch = ['patch', 'node', node.metadata.name, '--subresource=status', '--type=merge', '-p']
    await scene.cluster.kubectl([...patch, JSON.stringify(capacity)])
    const taking = { resources: { limits: { [place]: 1 } } }
    const { id, pod } = await oneBusy('preempted', 600_000, { slots: 2 }, taking)
    const [short = ''] = await scene.enqueue('preempted', 'sleep', [{ ms: OUTLASTING }])
    await eventually(inState('preempted', short, 'held'), MINUTE)
    const priority = {
      apiVersion: 'scheduling.k8s.io/v1',
      kind: 'PriorityClass',
      metadata: { name: scene.namespace },
      value: 1_000,
    }
    const { containers, ...spec } = pod.spec
    const important = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'important' },
      spec: {
        priorityClassName: scene.namespace,
        securityContext: spec.securityContext,
        containers: [{ ...containers[0], args: ['--help'], volumeMounts: [] }],
      },
    }
    try {
      await scene.apply(priority)
      // The API server hears of a class a moment later.
      await eventually(() => scene.apply(important).then(() => true), MINUTE)
      const isTold = async () => (await scene.get('pod', pod.metadata.name)).metadata.deletionTimestamp
      await eventually(isTold, { ...MINUTE, what: 'the preemption' })
      await eventually(inState('preempted', short, 'completed'), MINUTE)
      expect(await job('preempted', short)).toMatchObject({ attempts: 1, crashes: 0, failures: [] })
      sendSignal(workerProcessOf(pod.metadata.uid), 'SIGKILL')
      await eventually(inState('preempted', id, 'ready'), MINUTE)
      const message = 'the pod was disrupted: PreemptionByScheduler (signal 9)'
      const where = { pod: pod.metadata.name, node: node.metadata.name }
      expect(await job('preempted', id)).toMatchObject({
        attempts: 0,
        crashes: 0,
        failures: [{ outcome: 'worker-lost', message, ...where }],
      })
    } finally {
      await scene.cluster.kubectl(['-n', scene.namespace, 'delete', 'pod', 'important', '--ignore-not-found'])
      await scene.cluster.kubectl(['delete', 'priorityclass', scene.namespace, '--ignore-not-found'])
    }
  }, 180_000)

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
    const { id, pod } = await oneBusy('hurried', OUTLASTING, { drain: { timeoutSeconds: 1 } })
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
      taskQueue('poison', { retry: { backoff: { baseSeconds: 0 }, maxCrashes: 2 } }),
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

  test('while the operator is away for a minute, work goes on, dead workers are noticed, and then it catches up', async () => {
    const scaling = { minReplicas: 2, maxReplicas: 4 }
    await scene.apply(
      taskQueue('away', { retry: { backoff: { baseSeconds: 0 } } }),
      scene.pool('away', { slots: 2, scaling }),
    )
    const queue = await scene.queue('away')
    await eventually(async () => (await queue.workers()).length === 2, MINUTE)
    const [long = ''] = await scene.enqueue('away', 'sleep', [{ ms: 15_000 }])
    await eventually(inState('away', long, 'held'), MINUTE)
    const holder = (await queue.workers()).find(({ held }) => held > 0)
    await scene.operator.stop()
    const stoppedAt = performance.now()
    const ids: string[] = []
    const enqueueing = setInterval(() => {
      void scene.enqueue('away', 'echo', [ids.length]).then((added) => ids.push(...added))
    }, 500)
    try {
      const force = ['delete', 'pod', holder?.pod ?? '', '--grace-period=0', '--force']
      await scene.cluster.kubectl(['-n', scene.namespace, ...force])
      // Its worker was told to stop before it was killed, so that this is no crash.
      const found = await eventually(async () => {
        const seen = await job('away', long)
        return seen?.failures.length === 1 ? seen : undefined
      }, MINUTE)
      expect(found).toMatchObject({ crashes: 0, failures: [{ outcome: 'worker-lost' }] })
      const backMs = Math.round(performance.now() - stoppedAt)
      say(`away: without an operator the job was back after ${backMs} ms: ${found.failures.at(-1)?.message}`)
      expect(backMs).toBeLessThan(20_000)
      await eventually(inState('away', long, 'completed'), MINUTE)
      await eventually(() => performance.now() - stoppedAt > 60_000, { withinMs: 70_000 })
    } finally {
      clearInterval(enqueueing)
    }
    expect(ids.length).toBeGreaterThan(100)
    const areDone = async () => (await queue.depth()).counts.completed === ids.length + 1
    await eventually(areDone, { ...MINUTE, what: 'all that was enqueued without an operator is done' })
    // More than two pods can do: only an operator brings more.
    await scene.enqueue('away', 'sleep', Array(8).fill({ ms: 8_000 }))
    const startedAt = performance.now()
    await scene.startOperator()
    await eventually(async () => (await queue.workers()).length === 4, MINUTE)
    say(
      `away: the pool had its size ${Math.round(performance.now() - startedAt)} ms after the operator's start`,
    )
  }, 240_000)
})
