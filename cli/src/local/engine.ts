// Runs the controllers of control/ over the world of `millhand up`, with one Redis for all queues, as main.ts
// of the operator does in a cluster. Started and stopped by index.ts.
import { hostname } from 'node:os'
import { setTimeout as after } from 'node:timers/promises'
import { type Controllers, startControllers } from '@millhand/control/controllers'
import { openFence } from '@millhand/control/engine/fence'
import type { RedisWords } from '@millhand/control/redis/problems'
import type { Reach } from '@millhand/control/redis/reach'
import { Servers } from '@millhand/control/redis/servers'
import type { TaskQueue } from '@millhand/control/resources/task-queue'
import { type Log, type RedisAccess, reasonOf } from 'millhand/queue'
import type { OnEvent } from './events.ts'
import type { Manifests } from './manifests.ts'
import { claimNames, releaseNames } from './names.ts'
import { LocalWorld, type LocalWorldOptions } from './world.ts'

export interface EngineOptions extends Omit<LocalWorldOptions, 'look'> {
  /** Take over queues that another owner has declared. */
  takeOver: boolean
}

const MAX_OWNER_NAME = 200
/** The time after its drain timeout in which a worker must end. */
const PATIENCE_MS = 10_000
const KILLED_AFTER_MS = 3_000

export class Engine {
  readonly world: LocalWorld
  readonly servers: Servers
  readonly #options: EngineOptions
  readonly #controllers: Controllers
  #manifests: Manifests | undefined
  #isRedisAway = false

  constructor(options: EngineOptions) {
    this.#options = options
    this.servers = this.#connect()
    this.world = new LocalWorld({ ...options, look: (kind, key) => this.#controllers.look(kind, key) })
    this.#controllers = this.#start()
  }

  /**
   * Resolves when the queues are configured. Throws QueueTaken or RedisUnavailable; then nothing has started.
   */
  async start(manifests: Manifests): Promise<void> {
    await claimNames(manifests.queues, { ...this.#options, ownerUidOf: this.#ownerUidOf })
    this.declare(manifests)
    await this.world.settled
  }

  declare(manifests: Manifests): void {
    this.#manifests = manifests
    this.world.declare(manifests)
  }

  /**
   * Workers finish their jobs within the drain timeout of their pools. When `hurry` resolves, they hand their
   * jobs back.
   */
  async stop(hurry: Promise<void>): Promise<void> {
    await this.#controllers.stop()
    await this.#endWorkers(hurry)
    // Other jobs are put back when the heartbeats of their workers run out.
    await this.#putBack().catch(() => {})
  }

  async close(): Promise<void> {
    await this.#controllers.stop()
    await releaseNames(this.#manifests?.queues ?? [], this.servers, this.#ownerUidOf)
    this.servers.close()
  }

  readonly #ownerUidOf = ({ metadata: { namespace, name } }: TaskQueue): string =>
    this.#options.uidOf('TaskQueue', namespace, name)

  #connect(): Servers {
    const { redis, outside, onEvent } = this.#options
    return new Servers({
      reach: reachOf(redis),
      name: 'millhand-up',
      queueNames: ['*'],
      onStirred: (place) => this.world.lookAtQueue(place),
      onState: (state, error) => this.#redisIs(state, error),
      fence: openFence,
      log: logTo(onEvent),
      nowMs: () => performance.now(),
      wallMs: outside.nowMs,
    })
  }

  #start(): Controllers {
    const { outside, onEvent } = this.#options
    const owner = `millhand up in ${outside.workingFolder} on ${hostname()}`.slice(-MAX_OWNER_NAME)
    return startControllers({
      world: this.world,
      servers: this.servers,
      ownerName: () => owner,
      log: logTo(onEvent),
      nowMs: () => performance.now(),
      wallMs: outside.nowMs,
      onPlanned: ({ pool, memory }, { decision }) => {
        const { replicas: to, reason, message } = decision
        const { wanted: from = 0 } = memory
        if (to !== from) onEvent({ kind: 'pool-scaled', pool: pool.metadata.name, from, to, reason, message })
      },
      onPutBack: ({ metadata: { name: pool } }, { pod: worker, jobs, reason }) =>
        onEvent({ kind: 'jobs-put-back', pool, worker, jobs, reason }),
      onDecision: () => {},
      onGone: () => {},
    })
  }

  #redisIs(state: 'ready' | 'away', error: Error | undefined): void {
    const { onEvent } = this.#options
    if (state === 'away') {
      this.#isRedisAway = true
      onEvent({ kind: 'redis-away', message: error ? reasonOf(error) : 'the connection was lost' })
    } else if (this.#isRedisAway) {
      this.#isRedisAway = false
      onEvent({ kind: 'redis-back' })
      // Redis may have restarted without its data.
      this.world.objects.lookAtAll()
    }
  }

  async #endWorkers(hurry: Promise<void>): Promise<void> {
    const { fleets } = this.world
    const processes = () => fleets.flatMap((fleet) => fleet.processes)
    this.#options.onEvent({ kind: 'stopping', workers: processes().length })
    for (const fleet of fleets) fleet.end('stop')
    const ended = Promise.all(fleets.map((fleet) => fleet.ended()))
    const longestDrainMs = Math.max(
      0,
      ...(this.#manifests?.pools ?? []).map(({ pool }) => pool.drainTimeoutMs),
    )
    if (await isFirst(ended, hurry, longestDrainMs + PATIENCE_MS)) return
    for (const process of processes()) process.handBack()
    if (await isFirst(ended, never, KILLED_AFTER_MS)) return
    for (const process of processes()) process.kill()
    await ended
  }

  /** Tells Redis of the processes that ended after the controllers had stopped. */
  async #putBack(): Promise<void> {
    const { onEvent } = this.#options
    for (const { pool, queueNames } of this.#manifests?.pools ?? []) {
      const { namespace, name } = pool.metadata
      const fleet = this.world.fleets.find(({ key }) => key === `${namespace}/${name}`)
      for (const { pod: worker, death } of fleet?.deaths ?? [])
        for (const queueName of queueNames) {
          const { process = '', reason, counting } = death
          const opened = await this.servers.open(queueName, { namespace, secretName: '' })
          if (opened.kind !== 'open') continue
          const jobs = await opened.seen.toWrite.reapProcess({ process, reason, counting })
          if (jobs > 0) onEvent({ kind: 'jobs-put-back', pool: name, worker, jobs, reason })
        }
    }
  }
}

const never = new Promise<never>(() => {})

/** Whether it resolves before `other`, and in time. */
async function isFirst(ended: Promise<unknown>, other: Promise<unknown>, withinMs: number): Promise<boolean> {
  const patience = new AbortController()
  const outOfPatience = after(withinMs, undefined, { signal: patience.signal }).catch(() => {})
  const isFirst = await Promise.race([
    ended.then(() => true),
    other.then(() => false),
    outOfPatience.then(() => false),
  ])
  patience.abort()
  return isFirst
}

const WORDS: RedisWords = {
  redis: 'the Redis of millhand up',
  address: '--redis',
  credentials: '--redis',
  network: '',
  reader: 'millhand up',
}

/** All queues are in one Redis, the one that the user named. */
function reachOf(access: RedisAccess): Reach {
  return {
    addressOf: async () => ({ kind: 'address', access }),
    wordsFor: () => WORDS,
    isDenied: () => false,
    forget: () => {},
  }
}

/** Logs warnings and errors of the controllers. Events tell what they did. */
function logTo(onEvent: OnEvent): Log {
  const tell: Log['warn'] = (message, { key, error } = {}) => {
    const where = typeof key === 'string' ? ` (${key})` : ''
    onEvent({ kind: 'warning', message: `${message}${where}${error ? `: ${reasonOf(error)}` : ''}` })
  }
  return { debug: () => {}, info: () => {}, warn: tell, error: tell }
}
