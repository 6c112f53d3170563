// The caches of watched objects, and which keys to reconcile when one changes. main.ts wires them; reconciles
// read them. A namespace is served when all its collections are filled: before, pods that were not listed yet
// would look like pods that do not exist. A kind whose CRD is missing holds up none of the others.

import { Index, Objects } from '@millhand/control/objects'
import type { QueuePlace } from '@millhand/control/redis/problems'
import type { Change, IndexOf, ObjectOf } from '@millhand/control/resources/object'
import { KINDS, type Kind } from '@millhand/control/resources/schemas'
import type { World } from '@millhand/control/world'
import type { Log } from 'millhand/queue'
import { type Deployment, type Pod, trimDeployment, trimMetadata, trimPod } from './fleet/cluster.ts'
import { POOL_LABEL } from './fleet/deployment.ts'
import type { Watched } from './fleet/kube-fleet.ts'
import { type Kube, kinds, type ResourceKind } from './kube/client.ts'
import { isNotFound } from './kube/errors.ts'
import { type KubeObject, Reflector } from './kube/reflector.ts'

export interface CachesOptions {
  kube: Kube
  /** Empty: all. */
  namespaces: readonly string[]
  look: (kind: Kind, key: string) => void
  log: Log
  /** Monotonic, ms. */
  nowMs: () => number
}

/** The key for all namespaces, where none is named. */
const ALL = ''
/** Kinds that came with a later release than TaskQueue and WorkerPool. */
const OPTIONAL: readonly string[] = [kinds.Schedule.plural]
const MANAGED = 'app.kubernetes.io/managed-by=millhand'
/** How long deleted pods are remembered; by then the heartbeats of their workers have run out. */
const DELETED_KEPT_MS = 60_000

export class ClusterCaches implements Watched, Pick<World, 'get' | 'find'> {
  readonly #options: CachesOptions
  readonly #objects: Objects
  readonly #reflectors: Reflector<KubeObject>[] = []
  readonly #deployments: Collection<Deployment>
  readonly #pods: Collection<Pod>
  readonly #podsByPool = new Index()
  readonly #watched = new Map<string, Pick<Reflector<KubeObject>, 'name' | 'isSynced' | 'refusal'>[]>()
  readonly #missing = new Set<string>()
  readonly #served = new Set<string>()
  readonly #unreadable = new Set<string>()
  readonly #synced = Promise.withResolvers<void>()
  /** Oldest first. */
  readonly #deleted: { pool: string; pod: Pod; atMs: number }[] = []

  constructor(options: CachesOptions) {
    this.#options = options
    this.#objects = new Objects({ look: options.look, isServed: (key) => this.#isServed(key) })
    for (const kind of KINDS) this.#watchKind(kind)
    this.#deployments = this.#collect(kinds.deployment, {
      labelSelector: `${MANAGED},${POOL_LABEL}`,
      keep: trimDeployment,
      onChange: ({ key }) => options.look('WorkerPool', key),
    })
    this.#pods = this.#collect(kinds.pod, {
      labelSelector: `${MANAGED},${POOL_LABEL}`,
      keep: trimPod,
      onChange: (change) => this.#podChanged(change),
    })
  }

  run(signal: AbortSignal): Promise<unknown> {
    return Promise.all(this.#reflectors.map((each) => each.run(signal)))
  }

  /** Resolves when at least one namespace is served and the others are served or refused. */
  get synced(): Promise<void> {
    return this.#synced.promise
  }

  get isSynced(): boolean {
    const isSettled = (namespace: string) => this.#served.has(namespace) || this.#unreadable.has(namespace)
    return this.#served.size > 0 && [...this.#watched.keys()].every(isSettled)
  }

  /** The named namespaces, and whether the operator may read them; for metrics. */
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
    const pools = this.#objects.keysOf('WorkerPool', 'queue', `${place.namespace}/${name}`)
    for (const key of pools) this.#options.look('WorkerPool', key)
  }

  /** The TaskQueue that has this name in this Redis. */
  taskQueueOf({ namespace, secretName, queueName }: QueuePlace): string | undefined {
    const [queue] = this.find('TaskQueue', 'place', `${namespace}/${secretName}/${queueName}`)
    return queue?.metadata.name
  }

  get<K extends Kind>(kind: K, key: string): ObjectOf[K] | undefined {
    return this.#objects.get(kind, key)
  }

  find<K extends Kind>(kind: K, index: IndexOf[K], name: string): Iterable<ObjectOf[K]> {
    return this.#objects.find(kind, index, name)
  }

  list<K extends Kind>(kind: K): Iterable<ObjectOf[K]> {
    return this.#objects.list(kind)
  }

  deployment(key: string): Deployment | undefined {
    return this.#deployments.get(key)
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

  #watchKind<K extends Kind>(kind: K): void {
    this.#collect<ObjectOf[K] & KubeObject>(kinds[kind], {
      keep: kept,
      onChange: (change: Change<ObjectOf[K]>) => this.#objects.change(kind, change),
    })
  }

  #podChanged({ key, now, before }: Change<Pod>): void {
    const poolOf = (pod: Pod | undefined) =>
      pod ? [`${pod.metadata.namespace}/${pod.metadata.labels?.[POOL_LABEL]}`] : []
    this.#podsByPool.move(key, poolOf(before), poolOf(now))
    for (const pool of new Set([...poolOf(before), ...poolOf(now)])) {
      if (before && !now) this.#remember(pool, before)
      this.#options.look('WorkerPool', pool)
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

  #lookAt(served: string): void {
    this.#objects.lookAtAll((namespace) => served === ALL || namespace === served)
  }

  /** Called when a collection of the namespace was filled, refused, or is readable again. */
  #turned(namespace: string): void {
    const { log } = this.#options
    const reflectors = (this.#watched.get(namespace) ?? []).filter((each) => !this.#isMissing(each))
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

  /** The cluster has CRDs of an older release, or none of this kind. It is asked for on and on. */
  #isMissing({
    name,
    refusal,
    isSynced,
  }: Pick<Reflector<KubeObject>, 'name' | 'isSynced' | 'refusal'>): boolean {
    const isMissing = OPTIONAL.includes(name) && isNotFound(refusal)
    const { log } = this.#options
    if (isMissing && !this.#missing.has(name)) {
      this.#missing.add(name)
      log.warn(
        'the cluster has no CRD of a kind, and the others are served: apply the CRDs of this release',
        {
          collection: name,
        },
      )
    }
    if (isSynced && !isMissing && this.#missing.delete(name))
      log.info('the CRD of a kind is there now', { collection: name })
    return isMissing
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
        this.#reflectors.push(reflector as unknown as Reflector<KubeObject>)
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

/** Without managers, and without the status that the CRD gives to an object that no operator has looked at. */
function kept<T extends KubeObject & { status?: { conditions?: unknown } }>(object: T): T {
  const { status, ...rest } = object
  const isWritten = status?.conditions !== undefined
  return { ...(rest as T), ...(isWritten && { status }), metadata: trimMetadata(object.metadata) }
}
