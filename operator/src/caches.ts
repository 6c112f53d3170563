// The operator's copies of what it watches, and who is to be looked at when something changes. main.ts wires it; reconciles read it.
import type { Log } from 'millhand/queue'
import { type Kube, kinds, type ResourceKind } from './kube/client.ts'
import { type Change, type KubeObject, keyOf, Reflector } from './reconciling/reflector.ts'
import type { QueuePlace } from './redis/problems.ts'
import { type Deployment, type Pod, trimDeployment, trimMetadata, trimPod } from './resources/cluster.ts'
import { NOT_ITS_OWN } from './resources/conditions.ts'
import { redisSecretOf } from './resources/task-queue.ts'
import type { TaskQueueObject } from './task-queue/observe.ts'
import { POOL_LABEL } from './worker-pool/deployment.ts'
import type { Caches, WorkerPoolObject } from './worker-pool/observe.ts'

export interface CachesOptions {
  kube: Kube
  /** Empty: all. */
  namespaces: readonly string[]
  /** Keys to look at. */
  onTaskQueue: (key: string) => void
  onWorkerPool: (key: string) => void
  log: Log
  /** Monotonic, ms. */
  nowMs: () => number
}

const MANAGED = 'app.kubernetes.io/managed-by=millhand'
/** How long it is known how a deleted pod's processes ended; by then their heartbeats have run out. */
const DELETED_KEPT_MS = 60_000

export class ClusterCaches implements Caches {
  readonly #options: CachesOptions
  readonly #taskQueues: Collection<TaskQueueObject>
  readonly #workerPools: Collection<WorkerPoolObject>
  readonly #deployments: Collection<Deployment>
  readonly #pods: Collection<Pod>
  readonly #poolsByQueue = new Index()
  readonly #podsByPool = new Index()
  readonly #queuesByPlace = new Map<string, string>()
  /** Oldest first. */
  readonly #deleted: { pool: string; pod: Pod; atMs: number }[] = []

  constructor(options: CachesOptions) {
    this.#options = options
    this.#taskQueues = this.#collect(kinds.taskQueue, {
      keep: withoutManagers<TaskQueueObject>,
      onChange: (change) => this.#taskQueueChanged(change),
    })
    this.#workerPools = this.#collect(kinds.workerPool, {
      keep: withoutManagers<WorkerPoolObject>,
      onChange: (change) => this.#workerPoolChanged(change),
    })
    this.#deployments = this.#collect(kinds.deployment, {
      labelSelector: `${MANAGED},${POOL_LABEL}`,
      keep: trimDeployment,
      onChange: ({ key }) => options.onWorkerPool(key),
    })
    this.#pods = this.#collect(kinds.pod, {
      labelSelector: `${MANAGED},${POOL_LABEL}`,
      keep: trimPod,
      onChange: (change) => this.#podChanged(change),
    })
  }

  run(signal: AbortSignal): Promise<unknown> {
    return Promise.all(
      this.#all.flatMap((collection) => collection.reflectors.map((each) => each.run(signal))),
    )
  }

  get synced(): Promise<unknown> {
    return Promise.all(this.#all.flatMap((collection) => collection.reflectors.map((each) => each.synced)))
  }

  get isSynced(): boolean {
    return this.#all.every((collection) => collection.reflectors.every((each) => each.isSynced))
  }

  /** For a new leader, who has seen no changes. */
  lookAtAll(): void {
    for (const object of this.#taskQueues.list()) this.#options.onTaskQueue(keyOf(object))
    for (const object of this.#workerPools.list()) this.#options.onWorkerPool(keyOf(object))
  }

  /** The pools that serve a queue, by its place in Redis, and its TaskQueue. */
  lookAtQueue(place: QueuePlace): void {
    const name = this.taskQueueOf(place)
    if (name === undefined) return
    for (const key of this.#poolsByQueue.get(`${place.namespace}/${name}`)) this.#options.onWorkerPool(key)
  }

  /** The TaskQueue that has this name in this Redis. */
  taskQueueOf({ namespace, secretName, queueName }: QueuePlace): string | undefined {
    return this.#queuesByPlace.get(`${namespace}/${secretName}/${queueName}`)?.split('/')[1]
  }

  queue(key: string): TaskQueueObject | undefined {
    return this.#taskQueues.get(key)
  }

  hasQueue(uid: string): boolean {
    for (const { metadata } of this.#taskQueues.list()) if (metadata.uid === uid) return true
    return false
  }

  pool(key: string): WorkerPoolObject | undefined {
    return this.#workerPools.get(key)
  }

  deployment(key: string): Deployment | undefined {
    return this.#deployments.get(key)
  }

  *poolsServing(namespace: string, queue: string): Iterable<WorkerPoolObject> {
    for (const key of this.#poolsByQueue.get(`${namespace}/${queue}`)) {
      const pool = this.#workerPools.get(key)
      if (pool) yield pool
    }
  }

  *pods(namespace: string, pool: string): Iterable<Pod> {
    for (const key of this.#podsByPool.get(`${namespace}/${pool}`)) {
      const pod = this.#pods.get(key)
      if (pod) yield pod
    }
  }

  deletedPods(namespace: string, pool: string): Pod[] {
    const key = `${namespace}/${pool}`
    this.#forgetOld()
    return this.#deleted.flatMap((deleted) => (deleted.pool === key ? [deleted.pod] : []))
  }

  get #all() {
    return [this.#taskQueues, this.#workerPools, this.#deployments, this.#pods]
  }

  #taskQueueChanged({ key, now, before }: Change<TaskQueueObject>): void {
    const placesOf = (queue: TaskQueueObject | undefined) => (queue && isOwner(queue) ? [placeOf(queue)] : [])
    for (const place of placesOf(before))
      if (this.#queuesByPlace.get(place) === key) this.#queuesByPlace.delete(place)
    for (const place of placesOf(now)) this.#queuesByPlace.set(place, key)
    if (isNews(now, before)) this.#options.onTaskQueue(key)
    if (isNews(now, before) || conditionsDiffer(now, before))
      for (const pool of this.#poolsByQueue.get(key)) this.#options.onWorkerPool(pool)
  }

  #workerPoolChanged({ key, now, before }: Change<WorkerPoolObject>): void {
    const queuesOf = (pool: WorkerPoolObject | undefined) =>
      pool?.spec.queues.map(({ name }) => `${pool.metadata.namespace}/${name}`) ?? []
    this.#poolsByQueue.move(key, queuesOf(before), queuesOf(now))
    // Its own status is no news.
    if (isNews(now, before)) this.#options.onWorkerPool(key)
  }

  #podChanged({ key, now, before }: Change<Pod>): void {
    const poolOf = (pod: Pod | undefined) =>
      pod ? [`${pod.metadata.namespace}/${pod.metadata.labels?.[POOL_LABEL]}`] : []
    this.#podsByPool.move(key, poolOf(before), poolOf(now))
    for (const pool of new Set([...poolOf(before), ...poolOf(now)])) {
      if (before && !now) this.#remember(pool, before)
      this.#options.onWorkerPool(pool)
    }
  }

  #remember(pool: string, pod: Pod): void {
    this.#forgetOld()
    this.#deleted.push({ pool, pod, atMs: this.#options.nowMs() })
  }

  #forgetOld(): void {
    const now = this.#options.nowMs()
    const firstKept = this.#deleted.findIndex(({ atMs }) => now - atMs < DELETED_KEPT_MS)
    this.#deleted.splice(0, firstKept < 0 ? this.#deleted.length : firstKept)
  }

  #collect<T extends KubeObject>(kind: ResourceKind, what: Collecting<T>): Collection<T> {
    const { kube, log, namespaces } = this.#options
    const { labelSelector, keep, onChange } = what
    const places = namespaces.length === 0 ? [undefined] : namespaces
    return new Collection(
      places.map((namespace) => {
        const where = { ...(namespace && { namespace }), ...(labelSelector && { labelSelector }) }
        return new Reflector<T>({
          name: kind.plural,
          source: kube.listWatch<T>(kind, where),
          keep,
          onChange,
          log,
        })
      }),
    )
  }
}

interface Collecting<T extends KubeObject> {
  labelSelector?: string
  keep: (object: T) => T
  onChange: (change: Change<T>) => void
}

/** One kind, over all watched namespaces. */
class Collection<T extends KubeObject> {
  readonly reflectors: readonly Reflector<T>[]

  constructor(reflectors: readonly Reflector<T>[]) {
    this.reflectors = reflectors
  }

  get(key: string): T | undefined {
    for (const reflector of this.reflectors) {
      const found = reflector.get(key)
      if (found) return found
    }
    return undefined
  }

  *list(): Iterable<T> {
    for (const reflector of this.reflectors) yield* reflector.list()
  }
}

/** Keys under other keys. */
class Index {
  readonly #keys = new Map<string, Set<string>>()

  get(under: string): Iterable<string> {
    return this.#keys.get(under) ?? []
  }

  move(key: string, from: readonly string[], to: readonly string[]): void {
    for (const under of from) {
      const keys = this.#keys.get(under)
      keys?.delete(key)
      if (keys?.size === 0) this.#keys.delete(under)
    }
    for (const under of to) {
      const keys = this.#keys.get(under) ?? new Set()
      keys.add(key)
      this.#keys.set(under, keys)
    }
  }
}

function withoutManagers<T extends KubeObject>(object: T): T {
  return { ...object, metadata: trimMetadata(object.metadata) }
}

function placeOf({ metadata, spec, status }: TaskQueueObject): string {
  return `${metadata.namespace}/${redisSecretOf(spec)}/${status?.queueName}`
}

/** Of two that want one name in Redis, the one that has it. */
function isOwner({ status }: TaskQueueObject): boolean {
  const ready = status?.conditions.find(({ type }) => type === 'Ready')
  return status?.queueName !== undefined && !NOT_ITS_OWN.includes(ready?.reason ?? '')
}

/** New, gone, another spec, other annotations, or a resync; not merely another status. */
function isNews(now: KubeObject | undefined, before: KubeObject | undefined): boolean {
  if (!now || !before || now === before) return true
  return (
    now.metadata.uid !== before.metadata.uid ||
    now.metadata.generation !== before.metadata.generation ||
    now.metadata.deletionTimestamp !== before.metadata.deletionTimestamp ||
    JSON.stringify(now.metadata.annotations) !== JSON.stringify(before.metadata.annotations)
  )
}

function conditionsDiffer(now: TaskQueueObject | undefined, before: TaskQueueObject | undefined): boolean {
  return JSON.stringify(now?.status?.conditions) !== JSON.stringify(before?.status?.conditions)
}
