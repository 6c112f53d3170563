// The operator's loop on a laptop: looks at the queues, lets each pool take a step, waits a moment or for something to happen.
//
//   observe (queues, workers) → plan (control/: need.ts, leaving.ts) → apply (pool.ts: processes instead of pods)
import { setTimeout as after } from 'node:timers/promises'
import type { ObservedQueue } from '@millhand/control/decide/observed'
import { shareOf } from '@millhand/control/decide/replicas'
import { workersOf } from '@millhand/control/reconcile/observe-pool'
import { loadOfQueue, lookAt, type QueueView } from '@millhand/control/redis/view'
import { queueSettings, type TaskQueue } from '@millhand/control/resources/task-queue'
import {
  type Connection,
  type Owner,
  openQueue,
  ownerText,
  type Queue,
  type RedisAccess,
  RedisUnavailable,
  stirredChannel,
  type WorkerEntry,
} from 'millhand/queue'
import type { LocalPool, Manifests } from './manifests.ts'
import { type PoolContext, type PoolMakeup, RunningPool } from './pool.ts'
import { variablesOf } from './task-modules.ts'
import { environmentOf } from './worker-process.ts'

export interface SupervisorOptions extends Omit<PoolContext, 'onChange'> {
  redis: RedisAccess
  connection: Connection
  /** For being told that a queue has something to do; without it the next look comes a little later. */
  messages: Connection
  /** The owner of a resource in Redis, by kind and name: the same after a restart. */
  uidOf: (kind: string, namespace: string, name: string) => string
  /** Who we are, for people. */
  ownerName: string
  /** Queues of another owner are ours from now on. */
  takeOver: boolean
}

/** A queue that these manifests declare belongs to another owner, in the same Redis. */
export class QueueTaken extends Error {
  override name = 'QueueTaken'
}

const BUSY_TICK_MS = 250
const IDLE_TICK_MS = 1000
/** A job that is due exactly now should be seen as due. */
const DUE_MARGIN_MS = 5
const RELEASE_WITHIN_MS = 2_000

export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #pools = new Map<string, RunningPool>()
  /** Their workers finish; then they are forgotten. */
  readonly #leavingPools = new Set<RunningPool>()
  readonly #queues = new Map<string, Queue>()
  readonly #views = new Map<string, QueueView>()
  #declared: TaskQueue[] = []
  /** Queues that are ours in Redis, by name, with the UID that says so. */
  readonly #owned = new Map<string, string>()
  #bell = Promise.withResolvers<void>()
  #isStopping = false
  #loop: Promise<void> = Promise.resolve()
  readonly #failure = Promise.withResolvers<never>()

  constructor(options: SupervisorOptions) {
    this.#options = options
  }

  get pools(): RunningPool[] {
    return [...this.#pools.values(), ...this.#leavingPools]
  }

  /** Rejects when it cannot go on; never resolves. */
  get failed(): Promise<never> {
    return this.#failure.promise
  }

  /** Throws QueueTaken, and then nothing was started. */
  async start(manifests: Manifests): Promise<void> {
    await this.reconfigure(manifests)
    this.#loop = this.#run().catch(this.#failure.reject)
  }

  /** Workers whose code or settings are the same are kept. */
  async reconfigure(manifests: Manifests): Promise<void> {
    this.#declared = manifests.queues
    try {
      await this.configureQueues()
    } catch (error) {
      // Done again when Redis is back.
      if (!(error instanceof RedisUnavailable)) throw error
    }
    const makeups = new Map(manifests.pools.map((local) => [keyOf(local), this.#makeupOf(local)]))
    for (const [key, pool] of this.#pools) {
      if (makeups.has(key)) continue
      this.#pools.delete(key)
      this.#leavingPools.add(pool)
      pool.replaceWorkers()
    }
    for (const [key, makeup] of makeups) this.#adopt(key, makeup)
    this.wake()
  }

  async configureQueues(): Promise<void> {
    for (const queue of this.#declared) {
      const { namespace, name } = queue.metadata
      const uid = this.#options.uidOf('TaskQueue', namespace, name)
      const inRedis = this.#queue(queue.queueName)
      const settings = queueSettings(queue, uid, this.#options.ownerName)
      if (queue.formerOwnerUid) await inRedis.release(queue.formerOwnerUid)
      if ((await inRedis.configure(settings)) === 'name-taken') {
        await this.#takeOver(inRedis)
        if ((await inRedis.configure(settings)) === 'name-taken') throw taken(inRedis.name)
      }
      this.#owned.set(inRedis.name, uid)
      this.#options.onEvent({ kind: 'queue-configured', queue: queue.queueName })
    }
  }

  /** At the end the names are free again: an owner that is gone keeps nobody out. */
  async releaseQueues(): Promise<void> {
    if (!this.#options.connection.isReady) return
    const released = [...this.#owned].map(([name, uid]) => this.#queue(name).release(uid))
    await Promise.race([Promise.allSettled(released), after(RELEASE_WITHIN_MS, undefined, { ref: false })])
  }

  /** Once a queue: whoever takes it over from us later keeps it. */
  async #takeOver(queue: Queue): Promise<void> {
    const { takeOver, onEvent } = this.#options
    const owner = await queue.owner()
    if (!owner) return
    if (!takeOver || this.#owned.has(queue.name)) throw taken(queue.name, owner)
    await queue.release(owner.uid)
    onEvent({ kind: 'warning', message: `took ${queue.name} over from ${ownerText(owner)}` })
  }

  /** The code of these pools changed: new workers for new jobs. */
  replaceWorkers(pools: RunningPool[]): void {
    for (const pool of pools) pool.replaceWorkers()
    this.wake()
  }

  wake(): void {
    this.#bell.resolve()
  }

  /** Workers finish their jobs, for as long as their pools allow. `hurry` resolves when they shall hand them back instead. */
  async stop(hurry: Promise<void>): Promise<void> {
    this.#isStopping = true
    this.wake()
    await this.#loop
    const workers = this.pools.flatMap((pool) => pool.workers)
    this.#options.onEvent({ kind: 'stopping', workers: workers.length })
    for (const pool of this.pools) pool.stopWorkers()
    const ended = Promise.all(this.pools.map((pool) => pool.ended())).catch(() => {})
    const longestDrainMs = Math.max(0, ...this.pools.map((pool) => pool.makeup.local.pool.drainTimeoutMs))
    const patience = new AbortController()
    const outOfPatience = after(longestDrainMs + 10_000, undefined, { signal: patience.signal }).catch(
      () => {},
    )
    const isHurried = await Promise.race([
      ended.then(() => false),
      hurry.then(() => true),
      outOfPatience.then(() => true),
    ])
    patience.abort()
    if (!isHurried) return
    for (const pool of this.pools) pool.handBackJobs()
    const isStuck = await Promise.race([ended.then(() => false), after(3000, true, { ref: false })])
    if (isStuck) for (const pool of this.pools) pool.killWorkers()
    await ended
  }

  async #run(): Promise<void> {
    while (!this.#isStopping) {
      this.#bell = Promise.withResolvers()
      const waitMs = await this.#tick()
      const timer = new AbortController()
      await Promise.race([
        this.#bell.promise,
        after(waitMs, undefined, { signal: timer.signal }).catch(() => {}),
      ])
      timer.abort()
    }
  }

  /** How long the next tick can wait. */
  async #tick(): Promise<number> {
    try {
      const views = await this.#observe()
      for (const pool of this.#pools.values()) await this.#step(pool, views)
    } catch (error) {
      // Redis went away in the middle of a step; the next tick sees that, and holds.
      if (!(error instanceof RedisUnavailable)) throw error
    }
    for (const pool of this.#leavingPools) if (pool.workers.length === 0) this.#leavingPools.delete(pool)
    return this.#nextTickMs()
  }

  async #step(pool: RunningPool, views: ReadonlyMap<string, QueueView> | 'unknown'): Promise<void> {
    if (this.#isStopping) return
    const { queues, uid } = pool.makeup
    const seen = queues.flatMap((queue) => {
      const view = views === 'unknown' ? undefined : views.get(queue.name)
      return view ? [{ queue: queue.name, view }] : []
    })
    return pool.step({
      queues: queues.map((queue) => this.#observedQueue(queue, pool, views)),
      workers: seen.length === queues.length ? workersOf(seen, uid) : 'unknown',
    })
  }

  async #observe(): Promise<ReadonlyMap<string, QueueView> | 'unknown'> {
    if (!this.#options.connection.isReady) return 'unknown'
    const names = new Set(
      [...this.#pools.values()].flatMap((pool) => pool.makeup.queues.map((queue) => queue.name)),
    )
    try {
      await Promise.all([...names].map((name) => this.#look(name)))
    } catch (error) {
      if (error instanceof RedisUnavailable) return 'unknown'
      throw error
    }
    return this.#views
  }

  /** Workers do that for each other. But after a reboot, or after an `up` that was killed, there may be none left to do it. */
  async #reapSilent(queue: Queue, workers: readonly WorkerEntry[]): Promise<void> {
    for (const { name, alive, held } of workers)
      if (!alive && held > 0)
        await queue.reap(name, 'silent', 'its heartbeat ran out: it was killed, or the machine was')
  }

  async #look(name: string): Promise<void> {
    const queue = this.#queue(name)
    const hasWorkers = [...this.#pools.values()].some(
      (pool) => pool.workers.length > 0 && pool.makeup.queues.includes(queue),
    )
    const nowMs = this.#options.outside.nowMs()
    const view = await lookAt(queue, this.#views.get(name), { hasWorkers, nowMs })
    await this.#reapSilent(queue, view.workers)
    this.#views.set(name, view)
  }

  #observedQueue(
    queue: Queue,
    { makeup }: RunningPool,
    views: ReadonlyMap<string, QueueView> | 'unknown',
  ): ObservedQueue {
    const view = views === 'unknown' ? undefined : views.get(queue.name)
    const share = shareOf(makeup.local.pool.slots, this.#slotsServing(queue))
    return { name: queue.name, weight: 1, ...(view && { load: loadOfQueue(view, share) }) }
  }

  #slotsServing(queue: Queue): number {
    return [...this.#pools.values()]
      .filter((pool) => pool.makeup.queues.includes(queue))
      .reduce((slots, pool) => slots + pool.makeup.local.pool.slots, 0)
  }

  #nextTickMs(): number {
    const depths = [...this.#views.values()].map((view) => view.depth)
    const isBusy =
      this.pools.some((pool) => pool.isChanging) || depths.some(({ ready, busy }) => ready + busy > 0)
    // What is due already waits for a slot or for a pause to end, not for us.
    const dueInMs = depths.flatMap(({ nextMs }) => (nextMs ? [nextMs + DUE_MARGIN_MS] : []))
    return Math.min(isBusy ? BUSY_TICK_MS : IDLE_TICK_MS, ...dueInMs.map((ms) => Math.max(ms, DUE_MARGIN_MS)))
  }

  #adopt(key: string, makeup: PoolMakeup): void {
    const pool = this.#pools.get(key)
    if (!pool) {
      const context = { ...this.#options, onChange: () => this.wake() }
      this.#pools.set(key, new RunningPool(makeup, context))
    } else if (JSON.stringify(pool.makeup.workerPlan) === JSON.stringify(makeup.workerPlan)) {
      pool.adjust(makeup)
    } else {
      pool.replaceWorkers(makeup)
    }
  }

  #makeupOf(local: LocalPool): PoolMakeup {
    const { redis, outside, uidOf, onEvent } = this.#options
    const { namespace, name } = local.pool.metadata
    const { variables, warnings } = variablesOf(local.pool, outside.env)
    for (const message of warnings) onEvent({ kind: 'warning', message })
    const uid = uidOf('WorkerPool', namespace, name)
    const sources = { own: outside.env, variables, redis, poolUid: uid }
    return {
      local,
      uid,
      workerPlan: { taskModules: local.taskModules, env: environmentOf(local, sources) },
      queues: local.queueNames.map((queueName) => this.#queue(queueName)),
    }
  }

  #queue(name: string): Queue {
    const known = this.#queues.get(name)
    if (known) return known
    const queue = openQueue(this.#options.connection, name)
    this.#queues.set(name, queue)
    // Without it the tick is enough; and the connection subscribes again by itself when it was lost.
    const { messages } = this.#options
    messages.subscribe(stirredChannel(name, messages.database), () => this.wake()).catch(() => {})
    return queue
  }
}

function keyOf({ pool }: LocalPool): string {
  return `${pool.metadata.namespace}/${pool.metadata.name}`
}

function taken(queue: string, owner?: Owner): QueueTaken {
  const who = owner ? `: ${ownerText(owner)}` : ''
  return new QueueTaken(
    `the queue ${queue} belongs to another owner in this Redis${who}. Use another --namespace or another Redis; or, when that owner is gone for good, add --take-over`,
  )
}
