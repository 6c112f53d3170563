// The worker's image in a pod as the operator makes it, under restricted pod security: it forks, works, tells the truth about its
// health, ends politely, and leaves its name when it is killed.
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { eventually } from '../eventually.ts'
import { allPids, procText } from '../processes.ts'
import { projectImages } from './images.ts'
import { type SharedCluster, sharedCluster } from './shared.ts'
import { onCluster } from './suites.ts'

const MINUTE_MS = 60_000
const PORT = 9400
const PHOTOS = ['astronaut.png', 'chelsea.png', 'coffee.png', 'hubble_deep_field.jpg', 'rocket.jpg']
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** A second file of tasks, beside the image's own. */
const MORE_TASKS = `import { task } from 'millhand'
task('sleeps', ({ ms }) => new Promise((done) => setTimeout(done, ms, 'slept')))`

interface Pod {
  metadata: { name: string; uid: string }
  status: { podIP: string; containerStatuses: ContainerStatus[] }
}
interface Terminated {
  exitCode: number
  message?: string
}
interface ContainerStatus {
  restartCount: number
  state: { terminated?: Terminated }
  lastState: { terminated?: Terminated }
}

onCluster('a worker in a pod', () => {
  let cluster: SharedCluster
  let namespace: string
  let pod: Pod

  beforeAll(async () => {
    cluster = await sharedCluster()
    const images = await projectImages(cluster, ['thumbnails', 'redis'])
    namespace = await cluster.newNamespace('worker-pod')
    await apply(...redisObjects(images.redis), ...workerObjects(images.thumbnails))
    await kubectl('rollout', 'status', 'deployment', '--timeout=120s')
    pod = await onlyPod()
    await eventually(() => saidBy(pod, 'worker ready'), { withinMs: MINUTE_MS, what: 'the worker is ready' })
  }, 60 * MINUTE_MS)

  afterAll(() => cluster?.deleteNamespace(namespace))

  test('it forks, and says so to whoever asks', async () => {
    expect(await saidBy(pod, 'isolation falls back')).toBeUndefined()
    expect(await saidBy(pod, 'worker ready')).toMatchObject({ isolation: 'Fork' })
    const seen = await inside(`
      const redis = connectRedis(url)
      answer = await openQueue(redis, '${namespace}.thumbnails').workers()
      redis.close()`)
    expect(seen).toEqual([expect.objectContaining({ pod: pod.metadata.name, isolation: 'Fork' })])
    expect(seen).toEqual([expect.not.objectContaining({ isolationNote: expect.anything() })])
  })

  test(
    'it makes a thumbnail of each photo in each width',
    async () => {
      const results = await inside(`
      const jobs = []
      for (const file of ${JSON.stringify(PHOTOS)}) for (const width of [80, 160, 240, 320])
        jobs.push(await queue.enqueue('thumbnail', { file, width, out: file + width + '.webp' }))
      answer = await Promise.all(jobs.map((job) => job.result({ timeoutMs: 60_000 })))`)
      const widths = (results as { width: number; bytes: number }[]).map(
        ({ width, bytes }) => bytes > 0 && width,
      )
      expect(widths).toEqual(PHOTOS.flatMap(() => [80, 160, 240, 320]))
    },
    MINUTE_MS,
  )

  test('it is healthy, and its metrics count what it made', async () => {
    expect(await page('/healthz')).toEqual([200, 'working\n'])
    const [status, text] = await page('/metrics')
    expect(status).toBe(200)
    expect(text).toContain(
      'millhand_jobs_total{queue="thumbnails",task="thumbnail",outcome="completed"} 20\n',
    )
    expect(text).toMatch(/^millhand_zygote_rss_bytes [1-9]/m)
  })

  test(
    'its zygote is killed, and jobs go on with another one',
    async () => {
      const killed = await inContainer(`answer = zygote(); process.kill(answer, 'SIGKILL')`)
      const result = await inside(`
      const job = await queue.enqueue('thumbnail', { file: 'rocket.jpg', width: 99, out: 'after.webp' })
      answer = await job.result({ timeoutMs: 30_000 })`)
      expect(result).toMatchObject({ width: 99 })
      expect(await inContainer('answer = zygote()')).not.toBe(killed)
      expect((await onlyPod()).status.containerStatuses[0]?.restartCount).toBe(0)
    },
    MINUTE_MS,
  )

  test(
    'while Redis is away it says so, and works again by itself',
    async () => {
      const pauseMs = 45_000
      await inside(`
      const redis = connectRedis(url)
      await redis.call('CLIENT', 'PAUSE', '${pauseMs}', 'ALL')
      redis.close()`)
      const ill = await eventually(async () => isIll(await page('/healthz')), {
        withinMs: pauseMs,
        everyMs: 500,
        what: '503',
      })
      expect(ill).toMatch(
        new RegExp(`^Redis has not answered for the queue ${namespace}.thumbnails for 3\\d s\n$`),
      )
      // Nothing that a restart would mend.
      expect((await page('/livez'))[0]).toBe(200)
      const isWell = async () => (await page('/healthz'))[0] === 200
      await eventually(isWell, { withinMs: MINUTE_MS, everyMs: 500, what: '200' })
      expect((await onlyPod()).status.containerStatuses[0]?.restartCount).toBe(0)
      expect(await inside(`answer = await (await queue.enqueue('sleeps', { ms: 1 })).result()`)).toBe('slept')
    },
    3 * MINUTE_MS,
  )

  test(
    'told to stop, it finishes what it runs and exits with 0',
    async () => {
      await enqueueAndSeeRunning('last', 5_000)
      // The pod's object stays until somebody has looked at how it ended.
      await keepObject(['millhand.test/look'])
      try {
        await kubectl('delete', 'pod', pod.metadata.name, '--wait=false')
        const result = await inside(`answer = await queue.job('last').result({ timeoutMs: 30_000 })`)
        expect(result).toBe('slept')
        expect(await inside(`answer = await queue.job('last').details()`)).toMatchObject({
          attempts: 1,
          crashes: 0,
        })
        const ended = await eventually(
          async () => (await thePod()).status.containerStatuses[0]?.state.terminated,
          {
            withinMs: MINUTE_MS,
            everyMs: 200,
            what: 'the end of the container',
          },
        )
        expect(ended.exitCode).toBe(0)
      } finally {
        await keepObject([])
      }
    },
    3 * MINUTE_MS,
  )

  test(
    'killed with SIGKILL, it leaves its name where the operator looks, and the job comes back',
    async () => {
      if (cluster.kind !== 'testbed')
        return console.warn('LEFT OUT: only the testbed lets this process kill the first one of a pod')
      await eventually(async () => (await pods()).length === 1, { withinMs: MINUTE_MS, what: 'one pod' })
      pod = await onlyPod()
      const ready = () => saidBy(pod, 'worker ready')
      const { process: name } = await eventually(ready, {
        withinMs: MINUTE_MS,
        what: 'the next worker is ready',
      })
      await enqueueAndSeeRunning('survivor', 15_000)
      process.kill(workerOf(pod), 'SIGKILL')
      const last = await eventually(
        async () => (await thePod()).status.containerStatuses[0]?.lastState.terminated,
        { withinMs: MINUTE_MS, everyMs: 200, what: 'the end of the first container' },
      )
      expect(last).toMatchObject({ exitCode: 137, message: name })
      const result = await inside(`answer = await queue.job('survivor').result({ timeoutMs: 60_000 })`)
      expect(result).toBe('slept')
      expect(await inside(`answer = await queue.job('survivor').details()`)).toMatchObject({ crashes: 1 })
    },
    3 * MINUTE_MS,
  )

  const kubectl = (...args: string[]) => cluster.kubectl(['-n', namespace, ...args])

  async function apply(...objects: object[]): Promise<void> {
    const list = { apiVersion: 'v1', kind: 'List', items: objects }
    await cluster.kubectl(['-n', namespace, 'apply', '-f', '-'], { stdin: JSON.stringify(list) })
  }

  async function pods(): Promise<Pod[]> {
    return JSON.parse(await kubectl('get', 'pods', '-l', 'app=worker', '-o', 'json')).items
  }

  async function onlyPod(): Promise<Pod> {
    const [one, ...others] = await pods()
    if (!one || others.length > 0) throw new Error('there is not one pod')
    return one
  }

  async function thePod(): Promise<Pod> {
    return JSON.parse(await kubectl('get', 'pod', pod.metadata.name, '-o', 'json'))
  }

  async function keepObject(finalizers: string[]): Promise<void> {
    const patch = JSON.stringify({ metadata: { finalizers } })
    await kubectl('patch', 'pod', pod.metadata.name, '--type=merge', '-p', patch)
  }

  /** The first line of its log with this message. */
  async function saidBy({ metadata }: Pod, message: string): Promise<Record<string, unknown> | undefined> {
    const lines = (await kubectl('logs', metadata.name)).trim().split('\n').filter(Boolean)
    return lines.map((line) => JSON.parse(line)).find((line) => line.message === message)
  }

  /** Runs a script in the cluster's network, with the pod's queue at hand; what it puts into `answer`. */
  async function inside(script: string): Promise<unknown> {
    const url = `redis://redis.${namespace}:6379`
    return said(
      cluster.inside(
        [
          process.execPath,
          '--conditions=millhand-source',
          '--disable-warning=ExperimentalWarning',
          '--input-type=module',
          '-e',
          `import { connect } from 'millhand/client'
          import { connectRedis, openQueue } from 'millhand/queue'
          const url = '${url}'
          const client = connect({ redis: url, namespace: '${namespace}' })
          let answer
          { const queue = client.queue('thumbnails'); ${script} }
          client.close()
          process.stdout.write(JSON.stringify(answer ?? null))`,
        ],
        { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] },
      ),
    )
  }

  /** Runs a script in the container, as exec of the image's Node. */
  async function inContainer(script: string): Promise<unknown> {
    const whole = `const fs = require('fs')
      const zygote = () => fs.readFileSync('/proc/1/task/1/children', 'utf8').split(' ').filter(Boolean).map(Number)
        .find((pid) => fs.readFileSync('/proc/' + pid + '/cmdline', 'utf8').includes('zygote-entry'))
      let answer; ${script}; process.stdout.write(JSON.stringify(answer ?? null))`
    return JSON.parse(await kubectl('exec', pod.metadata.name, '--', 'node', '-e', whole))
  }

  async function page(path: string): Promise<[number, string]> {
    return (await inside(`
      const response = await fetch('http://${pod.status.podIP}:${PORT}${path}')
      answer = [response.status, await response.text()]`)) as [number, string]
  }

  async function enqueueAndSeeRunning(id: string, ms: number): Promise<void> {
    await inside(`await queue.enqueue('sleeps', { ms: ${ms} }, { id: '${id}' })
      while (await queue.job('${id}').state() !== 'held') await new Promise((look) => setTimeout(look, 20))`)
  }
})

const isIll = ([status, text]: [number, string]) => status === 503 && text

async function said(child: ReturnType<SharedCluster['inside']>): Promise<unknown> {
  let text = ''
  child.stdout?.on('data', (chunk) => {
    text += chunk
  })
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`the script inside ended with ${code}`)
  return JSON.parse(text)
}

/** The pid on this machine of the first process of a pod's container. */
function workerOf({ metadata }: Pod): number {
  const [pid, ...others] = allPids()
    .filter((each) => procText(each, 'cgroup').includes(metadata.uid))
    .filter((each) => procText(each, 'cmdline').includes('bin/millhand-worker.js'))
  if (!pid || others.length > 0) throw new Error('there is not one such process')
  return pid
}

const RESTRICTED_POD = { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } }
const RESTRICTED = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ['ALL'] },
}

function deployment(name: string, spec: object): object {
  const labels = { app: name }
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
  }
}

function redisObjects(image: string): object[] {
  const args = ['--save', '', '--appendonly', 'no', '--protected-mode', 'no', '--dir', '/tmp']
  const container = { name: 'redis', image, args, securityContext: RESTRICTED }
  return [
    deployment('redis', { securityContext: { ...RESTRICTED_POD, runAsUser: 1000 }, containers: [container] }),
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'redis' },
      spec: { selector: { app: 'redis' }, ports: [{ port: 6379 }] },
    },
  ]
}

/** As the operator makes it; only the folder for the thumbnails is the example's own. */
function workerObjects(image: string): object[] {
  const fromField = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } })
  const env = [
    { name: 'MILLHAND_REDIS_URL', valueFrom: { secretKeyRef: { name: 'millhand-redis', key: 'url' } } },
    fromField('MILLHAND_NAMESPACE', 'metadata.namespace'),
    { name: 'MILLHAND_QUEUES', value: '[{"name":"thumbnails","weight":1}]' },
    { name: 'MILLHAND_SLOTS', value: '2' },
    { name: 'MILLHAND_ISOLATION', value: 'Fork' },
    { name: 'MILLHAND_DRAIN_TIMEOUT_SECONDS', value: '20' },
    fromField('MILLHAND_POD_NAME', 'metadata.name'),
    fromField('MILLHAND_POD_UID', 'metadata.uid'),
    fromField('MILLHAND_NODE_NAME', 'spec.nodeName'),
    { name: 'MILLHAND_HTTP_PORT', value: String(PORT) },
    { name: 'THUMBNAILS_OUT', value: '/out' },
  ]
  const container = {
    name: 'worker',
    image,
    args: ['tasks.ts', '/more/more.mjs'],
    env,
    ports: [{ name: 'millhand', containerPort: PORT }],
    livenessProbe: {
      httpGet: { path: '/livez', port: 'millhand' },
      periodSeconds: 10,
      failureThreshold: 6,
    },
    securityContext: RESTRICTED,
    volumeMounts: [
      { name: 'out', mountPath: '/out' },
      { name: 'more', mountPath: '/more' },
    ],
  }
  return [
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'millhand-redis' },
      stringData: { url: 'redis://redis:6379' },
    },
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'more' }, data: { 'more.mjs': MORE_TASKS } },
    deployment('worker', {
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 30,
      securityContext: RESTRICTED_POD,
      containers: [container],
      volumes: [
        { name: 'out', emptyDir: {} },
        { name: 'more', configMap: { name: 'more' } },
      ],
    }),
  ]
}
