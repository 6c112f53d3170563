// A namespace with a Redis, and an operator that watches it: what the tests of the operator on a real Kubernetes play in. The operator is a
// process of this machine in the cluster's network, from the sources; the workers are pods of the worker's real image.
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { type Connection, connectRedis, newJob, openQueue, type Queue } from 'millhand/queue'
import { projectImages } from '../../cluster/images.ts'
import { type SharedCluster, sharedCluster } from '../../cluster/shared.ts'
import { eventually } from '../../eventually.ts'
import { freePort } from '../../free-port.ts'

// biome-ignore lint/suspicious/noExplicitAny: what the API server answers is looked at in parts
export type KubeJson = any
export type LogLine = { level: string; message: string; [fact: string]: unknown }

const OPERATOR = fileURLToPath(new URL('../../../operator/bin/millhand-operator.js', import.meta.url))
const TASKS = `import { RetryAfter, task } from 'millhand'
task('echo', async (input) => input)
task('sleep', ({ ms }) => new Promise((resolve) => setTimeout(() => resolve(ms), ms)))
task('rest', async ({ ms }, job) => {
  const restMs = (await job.step('until', () => Date.now() + ms)) - Date.now()
  if (restMs > 0) throw new RetryAfter(restMs, { pause: 'queue' })
})
task('die', () => process.kill(process.pid, 'SIGKILL'))
`

export interface OperatorProcess {
  process: ChildProcess
  lines: LogLine[]
  port: number
  stop(signal?: NodeJS.Signals): Promise<void>
}

/** What an operator should not say. That a call for its lease took too long is said on a busy machine, and harms nobody. */
export const isTrouble = ({ level, message }: LogLine): boolean =>
  level === 'error' || (level === 'warn' && !message.startsWith('The lease of the leader'))

export interface Scene {
  cluster: SharedCluster
  namespace: string
  workerImage: string
  operator: OperatorProcess
  startOperator(variables?: Record<string, string>): Promise<OperatorProcess>
  apply(...objects: object[]): Promise<void>
  get(kind: string, name?: string): Promise<KubeJson>
  /** The condition of a resource of ours. */
  condition(kind: string, name: string, type: string): Promise<KubeJson>
  queue(name: string): Promise<Queue>
  redis(): Promise<Connection>
  enqueue(queue: string, task: string, inputs: readonly unknown[]): Promise<string[]>
  pool(name: string, spec?: object, worker?: object): object
  remove(): Promise<void>
}

export const taskQueue = (name: string, spec: object = {}) => ({
  apiVersion: 'millhand.dev/v1beta1',
  kind: 'TaskQueue',
  metadata: { name },
  spec,
})

export const schedule = (name: string, spec: object) => ({
  apiVersion: 'millhand.dev/v1beta1',
  kind: 'Schedule',
  metadata: { name },
  spec,
})

export interface SceneOptions {
  /** Of the operators. */
  variables?: Record<string, string>
  /** The shared one when absent. */
  cluster?: SharedCluster
}

export async function openScene(
  prefix: string,
  { variables = {}, ...options }: SceneOptions = {},
): Promise<Scene> {
  const cluster = options.cluster ?? (await sharedCluster())
  const namespace = await cluster.newNamespace(prefix)
  const images = await projectImages(cluster, ['worker', 'redis'])
  const operators: OperatorProcess[] = []
  const connections: Connection[] = []
  const forwards: ChildProcess[] = []
  const kubectl = (args: string[], stdin?: string) =>
    cluster.kubectl(['-n', namespace, ...args], stdin === undefined ? {} : { stdin })
  const apply = async (...objects: object[]) => {
    const list = { apiVersion: 'v1', kind: 'List', items: objects }
    await kubectl(['apply', '-f', '-'], JSON.stringify(list))
  }
  const get = async (kind: string, name?: string): Promise<KubeJson> =>
    JSON.parse(await kubectl(['get', kind, ...(name ? [name] : []), '-o', 'json']))
  const startOperator = async (more: Record<string, string> = {}) => {
    const started = await startOperatorIn(cluster, {
      MILLHAND_OPERATOR_NAMESPACE: namespace,
      MILLHAND_WATCH_NAMESPACES: namespace,
      ...variables,
      ...more,
    })
    operators.push(started)
    return started
  }

  await apply(...redisObjects(images.redis, namespace), tasksObject())
  await kubectl(['rollout', 'status', 'deployment/redis', '--timeout=60s'])
  const operator = await startOperator()

  let connection: Promise<Connection> | undefined
  const connect = async () => {
    const { port, process } = await forward(cluster, namespace)
    forwards.push(process)
    const opened = connectRedis(`redis://127.0.0.1:${port}`)
    connections.push(opened)
    return opened
  }
  const redis = () => {
    connection ??= connect()
    return connection
  }
  const queue = async (name: string) => openQueue(await redis(), `${namespace}.${name}`)
  return {
    cluster,
    namespace,
    workerImage: images.worker,
    operator,
    startOperator,
    apply,
    get,
    queue,
    redis,
    condition: async (kind, name, type) => {
      const object = await get(kind, name)
      return object.status?.conditions?.find((condition: KubeJson) => condition.type === type)
    },
    enqueue: async (name, task, inputs) => {
      const jobs = inputs.map((input) => newJob(task, input))
      await (await queue(name)).enqueue(jobs)
      return jobs.map(({ id }) => id)
    },
    pool: (name, spec = {}, worker = {}) => workerPool(name, images.worker, spec, worker),
    remove: async () => {
      for (const each of connections) each.close()
      for (const process of forwards) process.kill()
      for (const each of operators) await each.stop()
      await cluster.deleteNamespace(namespace)
    },
  }
}

/** A pool of the tasks above, for one queue of its own name. */
function workerPool(name: string, image: string, spec: object, worker: object): object {
  return {
    apiVersion: 'millhand.dev/v1beta1',
    kind: 'WorkerPool',
    metadata: { name },
    spec: {
      queues: [{ name }],
      slots: 2,
      drain: { timeoutSeconds: 30 },
      template: {
        spec: {
          volumes: [{ name: 'tasks', configMap: { name: 'tasks' } }],
          containers: [
            {
              name: 'worker',
              image,
              imagePullPolicy: 'IfNotPresent',
              args: ['tasks.js'],
              volumeMounts: [{ name: 'tasks', mountPath: '/app/tasks.js', subPath: 'tasks.js' }],
              ...worker,
            },
          ],
        },
      },
      ...spec,
    },
  }
}

async function startOperatorIn(
  cluster: SharedCluster,
  variables: Record<string, string>,
): Promise<OperatorProcess> {
  const port = await freePort()
  const env = { ...process.env, MILLHAND_HTTP_PORT: String(port), ...variables }
  const started = cluster.inside([process.execPath, OPERATOR], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const lines: LogLine[] = []
  for (const stream of [started.stdout, started.stderr])
    if (stream) createInterface({ input: stream }).on('line', (line) => lines.push(parsed(line)))
  const ended = new Promise<void>((resolve) => started.once('exit', () => resolve()))
  const stop = async (signal: NodeJS.Signals = 'SIGTERM') => {
    started.kill(signal)
    await ended
  }
  await eventually(() => lines.some(({ message }) => message === 'operator started'), {
    what: 'the start of the operator',
    withinMs: 60_000,
  }).catch((error) => {
    throw new Error(`the operator did not start: ${lines.map((line) => line.message).join('\n')}`, {
      cause: error,
    })
  })
  return { process: started, lines, port, stop }
}

/** A line that is no JSON is a stack trace. */
function parsed(line: string): LogLine {
  try {
    return JSON.parse(line)
  } catch {
    return { level: 'error', message: line }
  }
}

/** From this machine to the Redis in the cluster, as a developer would. */
async function forward(
  cluster: SharedCluster,
  namespace: string,
): Promise<{ port: number; process: ChildProcess }> {
  const port = await freePort()
  const args = [
    '--kubeconfig',
    cluster.kubeconfig,
    '-n',
    namespace,
    'port-forward',
    'service/redis',
    `${port}:6379`,
  ]
  const started = spawn(cluster.kubectlProgram, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  await new Promise<void>((resolve, reject) => {
    started.stdout?.once('data', () => resolve())
    started.once('exit', (code) => reject(new Error(`kubectl port-forward ended with ${code}`)))
  })
  return { port, process: started }
}

function redisObjects(image: string, namespace: string): object[] {
  const labels = { app: 'redis' }
  return [
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'millhand-redis' },
      stringData: { url: `redis://redis.${namespace}:6379` },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'redis' },
      spec: { selector: labels, ports: [{ port: 6379 }] },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'redis' },
      spec: {
        replicas: 1,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: redisPod(image) },
      },
    },
  ]
}

function redisPod(image: string): object {
  return {
    securityContext: { runAsNonRoot: true, runAsUser: 999, seccompProfile: { type: 'RuntimeDefault' } },
    terminationGracePeriodSeconds: 1,
    containers: [
      {
        name: 'redis',
        image,
        imagePullPolicy: 'IfNotPresent',
        args: ['--save', '', '--protected-mode', 'no'],
        securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
        readinessProbe: { tcpSocket: { port: 6379 }, periodSeconds: 1 },
      },
    ],
  }
}

function tasksObject(): object {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'tasks' }, data: { 'tasks.js': TASKS } }
}
