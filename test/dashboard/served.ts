// The dashboard over resources of a test and a real Redis, as `up` serves it: on 127.0.0.1, with a token.
import { Objects } from '../../control/src/objects.ts'
import { checkAgainstSchema } from '../../control/src/resources/schema.ts'
import { type Kind, loadSchemas } from '../../control/src/resources/schemas.ts'
import type { TaskQueueObject } from '../../control/src/resources/task-queue.ts'
import type { WorkerPoolObject } from '../../control/src/resources/worker-pool.ts'
import { tokenAuthority } from '../../dashboard/src/server/access/authorities.ts'
import { Gate, type GateOptions } from '../../dashboard/src/server/access/gate.ts'
import { localAccess } from '../../dashboard/src/server/access/local.ts'
import { parseTokens } from '../../dashboard/src/server/access/token-file.ts'
import type { Assets } from '../../dashboard/src/server/assets.ts'
import { listenLocally } from '../../dashboard/src/server/listen.ts'
import type { Plant } from '../../dashboard/src/server/plant.ts'
import { dashboardServer } from '../../dashboard/src/server/server.ts'
import { createLog } from '../../worker-runtime/src/log.ts'
import { openServers } from '../control/redis/open-servers.ts'

export const NAMESPACE = 'test'

export interface ServeOptions {
  redisUrl: string
  /** Names of TaskQueues, or whole ones. */
  queues: readonly (string | TaskQueueObject)[]
  pools?: readonly WorkerPoolObject[]
  assets?: Assets
  basePath?: string
  isReadOnly?: boolean
  /** Monotonic, ms. */
  nowMs?: () => number
  /** Lines of a file of tokens: the mode `token` instead of `local`. */
  grants?: string
}

export interface Served {
  url: string
  token: string
  port: number
  objects: Objects
  /** Lines of its log. */
  log: Record<string, unknown>[]
  /** Looks at Redis, as how many calls of each kind. */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Response>
  get<T>(path: string): Promise<T>
  stop(): void
}

export async function serve({
  redisUrl,
  queues,
  pools = [],
  grants,
  ...options
}: ServeOptions): Promise<Served> {
  const { servers } = openServers({ 'millhand-redis': redisUrl })
  const objects = new Objects({ look: () => {} })
  for (const queue of queues)
    declare(objects, 'TaskQueue', typeof queue === 'string' ? taskQueue(queue) : queue)
  for (const pool of pools) declare(objects, 'WorkerPool', pool)
  const plant: Plant = {
    kind: 'up',
    get: (kind, key) => objects.get(kind, key),
    list: (kind) => objects.list(kind),
    find: (kind, index, name) => objects.find(kind, index, name),
    open: (queueName, place) => servers.open(queueName, place),
  }
  const lines: Record<string, unknown>[] = []
  const log = createLog({ level: 'debug', write: (line) => lines.push(JSON.parse(line)) })
  const times = { nowMs: options.nowMs ?? (() => performance.now()), wallMs: () => Date.now() }
  const gate = { log, ...times, isReadOnly: options.isReadOnly === true }
  const { access, token } = grants === undefined ? localAccess(gate) : byTokens(grants, gate)
  const listening = await listenLocally(dashboardServer({ plant, access, log, ...times, ...options }), 0)
  const url = `http://127.0.0.1:${listening.port}`
  const call: Served['call'] = (method, path, body, headers) =>
    fetch(`${url}/api/v1/${path}`, {
      method,
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json', ...headers },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
  return {
    url,
    token,
    port: listening.port,
    objects,
    log: lines,
    call,
    async get<T>(path: string) {
      const response = await call('GET', path)
      const text = await response.text()
      if (response.status !== 200) throw new Error(`GET ${path}: ${response.status} ${text}`)
      return JSON.parse(text) as T
    },
    stop() {
      listening.close()
      servers.close()
    },
  }
}

function byTokens(grants: string, gate: Omit<GateOptions, 'authority' | 'hosts'>) {
  const hosts = { names: [], anyAddress: false, remedy: 'open 127.0.0.1' }
  const authority = tokenAuthority(async () => parseTokens(grants))
  return { access: new Gate({ ...gate, authority, hosts }), token: '' }
}

export function declare(objects: Objects, kind: Kind, object: TaskQueueObject | WorkerPoolObject): void {
  const key = `${object.metadata.namespace}/${object.metadata.name}`
  objects.change(kind, { key, now: object } as never)
}

/** As its controller leaves it. */
export function taskQueue(name: string, spec: object = {}, namespace = NAMESPACE): TaskQueueObject {
  const checked = manifest('TaskQueue', name, namespace, spec) as TaskQueueObject
  const condition = {
    type: 'Ready',
    status: 'True',
    reason: 'Ready',
    message: 'the queue is configured',
  } as const
  const when = { observedGeneration: 1, lastTransitionTime: new Date().toISOString() }
  const queueName = checked.spec.queueName ?? `${namespace}.${name}`
  return { ...checked, status: { observedGeneration: 1, queueName, conditions: [{ ...condition, ...when }] } }
}

export function workerPool(name: string, spec: object = {}, namespace = NAMESPACE): WorkerPoolObject {
  const template = { spec: { containers: [{ name: 'worker', image: 'example' }] } }
  return manifest('WorkerPool', name, namespace, { template, ...spec }) as WorkerPoolObject
}

function manifest(kind: Kind, name: string, namespace: string, spec: object): unknown {
  const metadata = { name, namespace, uid: `uid-${namespace}-${name}`, generation: 1 }
  const whole = { apiVersion: 'millhand.dev/v1beta1', kind, metadata, spec }
  const { value, problems } = checkAgainstSchema(whole, loadSchemas()[kind])
  if (problems.length > 0) throw new Error(problems.map(({ message }) => message).join('\n'))
  return value
}
