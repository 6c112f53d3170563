// The world of `millhand up`: resources come from manifests, their status is kept here, and the workers of a
// pool are processes (fleet.ts). Events of Kubernetes become events of local/ (events.ts).
import { Objects } from '@millhand/control/objects'
import type { QueuePlace } from '@millhand/control/redis/problems'
import type { IndexOf, ObjectOf } from '@millhand/control/resources/object'
import { KINDS, type Kind } from '@millhand/control/resources/schemas'
import type { TaskQueueObject, TaskQueueStatus } from '@millhand/control/resources/task-queue'
import type { WorkerPoolObject } from '@millhand/control/resources/worker-pool'
import type { News, Subject, World } from '@millhand/control/world'
import type { RedisAccess } from 'millhand/queue'
import { type FleetContext, LocalFleet } from './fleet.ts'
import type { Declared, LocalPool, Manifests } from './manifests.ts'
import { variablesOf } from './task-modules.ts'
import { environmentOf, type WorkerPlan } from './worker-process.ts'

export interface LocalWorldOptions extends FleetContext {
  redis: RedisAccess
  /** The UID of a resource, the same after a restart: it identifies the owner of a queue in Redis. */
  uidOf: (kind: Kind, namespace: string, name: string) => string
  look: (kind: Kind, key: string) => void
}

export class LocalWorld implements World {
  readonly #options: LocalWorldOptions
  readonly objects: Objects
  readonly #fleets = new Map<string, LocalFleet>()
  /** Fleets of deleted pools, whose workers finish. */
  readonly #leaving = new Set<LocalFleet>()
  readonly #plans = new Map<string, WorkerPlan>()
  readonly #settled = Promise.withResolvers<void>()
  #pools: readonly LocalPool[] = []
  #undeclared: Manifests['undeclared'] = new Map()

  constructor(options: LocalWorldOptions) {
    this.#options = options
    this.objects = new Objects({ look: options.look })
  }

  /** Replaces the manifests. Each status stays. */
  declare({ pools, resources, undeclared }: Manifests): void {
    this.#pools = pools
    this.#undeclared = undeclared
    for (const local of pools) this.#plans.set(keyOf(local), this.#planOf(local))
    for (const [key, fleet] of this.#fleets) {
      const plan = this.#plans.get(key)
      if (plan) fleet.use(plan)
    }
    const declared = new Set(resources.map(({ kind, key }) => `${kind} ${key}`))
    for (const kind of KINDS)
      for (const before of [...this.objects.list(kind)]) {
        const key = `${before.metadata.namespace}/${before.metadata.name}`
        if (!declared.has(`${kind} ${key}`)) this.objects.change(kind, { key, before })
      }
    for (const resource of resources) this.#take(resource)
    this.#tellWhetherSettled()
  }

  /** Resolves when each queue of the manifests has been reconciled once. */
  get settled(): Promise<void> {
    return this.#settled.promise
  }

  get fleets(): LocalFleet[] {
    return [...this.#fleets.values(), ...this.#leaving]
  }

  /** The code of these pools was saved: their workers are replaced. */
  renew(pools: readonly LocalPool[]): void {
    for (const local of pools) this.#fleets.get(keyOf(local))?.renew()
  }

  /** A queue has work: its pools are reconciled. */
  lookAtQueue({ queueName }: QueuePlace): void {
    for (const local of this.#pools)
      if (local.queueNames.includes(queueName)) this.#options.look('WorkerPool', keyOf(local))
  }

  /** A pool may serve an undeclared queue, which has its settings in Redis. */
  get<K extends Kind>(kind: K, key: string): ObjectOf[K] | undefined {
    const standIn = kind === 'TaskQueue' ? this.#undeclared.get(key) : undefined
    return this.objects.get(kind, key) ?? (standIn as ObjectOf[K] | undefined)
  }

  find<K extends Kind>(kind: K, index: IndexOf[K], name: string): Iterable<ObjectOf[K]> {
    return this.objects.find(kind, index, name)
  }

  async isGone({ kind, namespace, name, uid }: Subject): Promise<boolean> {
    return this.objects.get(kind, `${namespace}/${name}`)?.metadata.uid !== uid
  }

  fleet({ metadata: { namespace, name } }: WorkerPoolObject): LocalFleet {
    const key = `${namespace}/${name}`
    const known = this.#fleets.get(key)
    if (known) return known
    const plan = this.#plans.get(key)
    if (!plan) throw new Error(`no plan for the workers of the pool ${key}`)
    const onChange = () => this.#options.look('WorkerPool', key)
    const fleet = new LocalFleet({ ...this.#options, key, plan, onChange })
    this.#fleets.set(key, fleet)
    return fleet
  }

  forgetFleet(key: string): void {
    const fleet = this.#fleets.get(key)
    this.#fleets.delete(key)
    this.#plans.delete(key)
    if (!fleet) return
    fleet.end('deleted')
    this.#leaving.add(fleet)
    void fleet.ended().then(() => this.#leaving.delete(fleet))
  }

  async writeStatus({ kind, namespace, name }: Subject, status: object): Promise<boolean> {
    const key = `${namespace}/${name}`
    const before = this.objects.get(kind, key)
    if (!before) return true
    const now = { ...before, status } as ObjectOf[Kind]
    this.objects.change(kind, { key, now, before })
    if (kind === 'TaskQueue') this.#tellConfigured(now as TaskQueueObject, before as TaskQueueObject)
    this.#tellWhetherSettled()
    return true
  }

  tell({ kind, namespace, name }: Subject, { type, reason, message }: News): void {
    this.#options.onEvent({ kind: 'resource-event', resource: kind, namespace, name, type, reason, message })
  }

  #take({ kind, key, manifest }: Declared): void {
    const { uidOf } = this.#options
    const [namespace = '', name = ''] = key.split('/')
    const before = this.objects.get(kind, key)
    const { generation = 0 } = before?.metadata ?? {}
    const isSame = JSON.stringify(before?.spec) === JSON.stringify(manifest.spec)
    const metadata = {
      ...manifest.metadata,
      namespace,
      uid: uidOf(kind, namespace, name),
      generation: isSame ? generation : generation + 1,
    }
    const now = { ...manifest, metadata, ...(before?.status && { status: before.status }) } as ObjectOf[Kind]
    this.objects.change(kind, { key, now, ...(before && { before }) })
  }

  #planOf(local: LocalPool): WorkerPlan {
    const { redis, outside, uidOf, onEvent } = this.#options
    const { namespace, name } = local.pool.metadata
    const { variables, warnings } = variablesOf(local.pool, outside.env)
    for (const message of warnings) onEvent({ kind: 'warning', message })
    const poolUid = uidOf('WorkerPool', namespace, name)
    const sources = { own: outside.env, variables, redis, poolUid }
    return { taskModules: local.taskModules, env: environmentOf(local, sources) }
  }

  #tellConfigured({ status, metadata }: TaskQueueObject, before: TaskQueueObject): void {
    if (!isReady(status) || !status) return
    const isNew = !isReady(before.status) || before.status?.observedGeneration !== metadata.generation
    if (isNew) this.#options.onEvent({ kind: 'queue-configured', queue: status.queueName })
  }

  #tellWhetherSettled(): void {
    if ([...this.objects.list('TaskQueue')].every(({ status }) => status)) this.#settled.resolve()
  }
}

export function keyOf({ pool: { metadata } }: LocalPool): string {
  return `${metadata.namespace}/${metadata.name}`
}

function isReady(status: TaskQueueStatus | undefined): boolean {
  return status?.conditions.find(({ type }) => type === 'Ready')?.status === 'True'
}
