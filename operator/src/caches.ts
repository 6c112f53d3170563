// The operator's copies of what it watches, and who is to be looked at when something changes. main.ts wires it; reconciles read it.
// A namespace is served from when all of its collections are filled: before, pods that are not seen would look like pods that are not there.

import type { QueuePlace } from '@millhand/control/redis/problems'
import { NOT_ITS_OWN } from '@millhand/control/resources/conditions'
import { redisSecretOf, type TaskQueueObject } from '@millhand/control/resources/task-queue'
import type { WorkerPoolObject } from '@millhand/control/resources/worker-pool'
import type { Log } from 'millhand/queue'
import { type Deployment, type Pod, trimDeployment, trimMetadata, trimPod } from './fleet/cluster.ts'
import { POOL_LABEL } from './fleet/deployment.ts'
import type { Watched } from './fleet/kube-fleet.ts'
import { type Kube, kinds, type ResourceKind } from './kube/client.ts'
import { type Change, type KubeObject, keyOf, Reflector } from './kube/reflector.ts'

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

/** Stands for all namespaces where none is named. */
const ALL = ''
const MANAGED = 'app.kubernetes.io/managed-by=millhand'
/** How long it is known how a deleted pod's processes ended; by then their heartbeats have run out. */
const DELETED_KEPT_MS = 60_000

export class ClusterCaches implements Watched {
  readonly #options: CachesOptions
  readonly #taskQueues: Collection<TaskQueueObject>
  readonly #workerPools: Collection<WorkerPoolObject>
  readonly #deployments: Collection<Deployment>
  readonly #pods: Collection<Pod>
  readonly #poolsByQueue = new Index()
  readonly #podsByPool = new Index()
  readonly #watched = new Map<string, Pick<Reflector<KubeObject>, 'isSynced' | 'refusal'>[]>()
  readonly #served = new Set<string>()
  readonly #unreadable = new Set<string>()
  readonly #synced = Promise.withResolvers<void>()
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

  /** Resolves when at least one namespace is served and nothing more is to be expected of the others for now. */
  get synced(): Promise<void> {
    return this.#synced.promise
  }

  get isSynced(): boolean {
    const isSettled = (namespace: string) => this.#served.has(namespace) || this.#unreadable.has(namespace)
    return this.#served.size > 0 && [...this.#watched.keys()].every(isSettled)
  }

  /** Those that were named, and whether the API server lets the operator read them; for metrics. */
  get namespaces(): { namespace: string; isReadable: boolean }[] {
    return this.#options.namespaces.map((namespace) => ({
      namespace,
      isReadable: !this.#unreadable.has(namespace),
    }))
  }

  /** For a new leader, who has seen no changes. */
  lookAtAll(): void {
    for (const namespace of this.#served) this.#lookAt(namespace)
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

  taskQueue(key: string): TaskQueueObject | undefined {
    return this.#isServed(key) ? this.#taskQueues.get(key) : undefined
  }

  hasTaskQueue(uid: string): boolean {
    for (const { metadata } of this.#taskQueues.list()) if (metadata.uid === uid) return true
    return false
  }

  workerPool(key: string): WorkerPoolObject | undefined {
    return this.#isServed(key) ? this.#workerPools.get(key) : undefined
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

  #isServed(key: string): boolean {
    return this.#served.has(ALL) || this.#served.has(key.slice(0, key.indexOf('/')))
  }

  #lookAt(namespace: string): void {
    const isThere = ({ metadata }: KubeObject) => namespace === ALL || metadata.namespace === namespace
    for (const object of this.#taskQueues.list())
      if (isThere(object)) this.#options.onTaskQueue(keyOf(object))
    for (const object of this.#workerPools.list())
      if (isThere(object)) this.#options.onWorkerPool(keyOf(object))
  }

  /** A collection of it was filled, refused, or given again. */
  #turned(namespace: string): void {
    const { log } = this.#options
    const reflectors = this.#watched.get(namespace) ?? []
    const refusal = reflectors.find((each) => each.refusal !== undefined)?.refusal
    if (refusal !== undefined && !this.#unreadable.has(namespace)) {
      this.#unreadable.add(namespace)
      log.error('cannot read a namespace: check that it exists and that the operator has its Role in it', {
        namespace,
        error: refusal,
      })
    }
    if (refusal === undefined && this.#unreadable.delete(namespace))
      log.info('namespace is readable again', { namespace })
    if (!this.#served.has(namespace) && reflectors.every((each) => each.isSynced)) {
      this.#served.add(namespace)
      this.#lookAt(namespace)
    }
    if (this.isSynced) this.#synced.resolve()
  }

  #collect<T extends KubeObject>(kind: ResourceKind, what: Collecting<T>): Collection<T> {
    const { kube, log, namespaces } = this.#options
    const { labelSelector, keep, onChange } = what
    const places = namespaces.length === 0 ? [undefined] : namespaces
    return new Collection(
      places.map((namespace) => {
        const where = { ...(namespace && { namespace }), ...(labelSelector && { labelSelector }) }
        const place = namespace ?? ALL
        const reflector = new Reflector<T>({
          name: kind.plural,
          source: kube.listWatch<T>(kind, where),
          keep,
          onChange,
          onRefused: () => this.#turned(place),
          log,
        })
        void reflector.synced.then(() => this.#turned(place))
        this.#watched.set(place, [...(this.#watched.get(place) ?? []), reflector])
        return reflector
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
  return status?.queueName !== undefined && !(ready && NOT_ITS_OWN.includes(ready.reason))
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
