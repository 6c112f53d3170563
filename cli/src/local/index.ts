// The export `@millhand/cli/local`: queues and workers on one machine, from the same manifests as in a
// cluster. Used by `millhand up`, the demo and tests. Its caller prints and handles signals.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve, sep } from 'node:path'
import type { Objects } from '@millhand/control/objects'
import type { Servers } from '@millhand/control/redis/servers'
import type { TaskQueue } from '@millhand/control/resources/task-queue'
import type { RedisAccess } from 'millhand/queue'
import type { LocalDashboard } from './dashboard.ts'
import { keepEmbeddedRedis } from './embedded-redis.ts'
import { Engine } from './engine.ts'
import type { OnEvent } from './events.ts'
import { type Guard, startGuard } from './guard.ts'
import { type LocalPool, type Manifests, ManifestsRefused, readManifests } from './manifests.ts'
import { type Outside, theOutside } from './outside.ts'
import { type Reload, watchFiles } from './reload.ts'
import { claimFolder, stableUids } from './running.ts'

export { PortTaken } from '@millhand/dashboard/server/listen'
export type { PlacedProblem } from './documents.ts'
export { type EmbeddedRedis, startEmbeddedRedis } from './embedded-redis.ts'
export type { LocalEvent, OnEvent, WorkerLogEntry } from './events.ts'
export { startGuard } from './guard.ts'
export {
  describeProblem,
  type LocalPool,
  type Manifests,
  ManifestsRefused,
  readManifests,
} from './manifests.ts'
export { QueueTaken } from './names.ts'
export { type Outside, theOutside } from './outside.ts'
export { NoRedisServer } from './redis-server.ts'
export { AlreadyRunning, findRunning, type RunningUp } from './running.ts'

export interface LocalOptions {
  /** Files and folders with manifests. */
  paths: readonly string[]
  /** The namespace of resources without one; default: `default`. */
  namespace?: string
  /** A Redis that runs already. Absent: an embedded one. */
  redis?: RedisAccess
  /** Take over queues that another owner declared in this Redis. Only where that owner is gone for good. */
  takeOver?: boolean
  /** Replace workers when files are saved. */
  reload: boolean
  /**
   * The folder of the embedded Redis' data; `temporary`: none. Absent: `.millhand/redis` in the working
   * folder.
   */
  dataFolder?: string
  /** The port of the dashboard; 0: any free port. Absent: no dashboard. */
  dashboardPort?: number
  onEvent?: OnEvent
  /** Replaces the environment, working folder and clock of this process. */
  outside?: Partial<Outside>
}

export interface LocalWorker {
  pool: string
  name: string
  pid: number
  podUid: string
  isReady: boolean
  isStopping: boolean
}

export interface Local {
  readonly redisUrl: string
  /** The address of the dashboard, with the token that signs in. */
  readonly dashboardUrl: string | undefined
  readonly namespace: string
  /** The pools of the manifests as they are now. */
  readonly pools: readonly LocalPool[]
  readonly queues: readonly TaskQueue[]
  /** The resources with their status. */
  readonly objects: Objects
  /** The connections to its Redis, by queue. */
  readonly servers: Servers
  workers(): LocalWorker[]
  /** The processes of the workers: for tests that kill some. */
  workerPids(): number[]
  /** Undefined with a Redis that ran already. */
  redisPid(): number | undefined
  /** Workers finish their jobs. At a second call they hand their jobs back and end at once. */
  stop(): Promise<void>
  /** Resolves after `stop`; rejects when local mode cannot go on. */
  readonly done: Promise<void>
}

/**
 * Throws ManifestsRefused, AlreadyRunning, NoRedisServer, RedisUnavailable or QueueTaken; then nothing runs.
 */
export async function startLocal(options: LocalOptions): Promise<Local> {
  const run = new LocalRun(options)
  try {
    await run.start()
    return run
  } catch (error) {
    await run.cleanUp()
    throw error
  }
}

class LocalRun implements Local {
  readonly namespace: string
  readonly #options: LocalOptions
  readonly #outside: Outside
  readonly #onEvent: OnEvent
  readonly #done = Promise.withResolvers<void>()
  readonly #hurry = Promise.withResolvers<void>()
  /** The functions that undo each step of the start, the last one first. */
  readonly #cleanUps: (() => unknown)[] = []
  #manifests: Manifests
  #areManifestsRefused = false
  #redis: RedisAccess & { pid?: () => number } = { url: '' }
  #engine: Engine | undefined
  #dashboard: LocalDashboard | undefined
  #reload: Reload | undefined
  #changes: Promise<void> = Promise.resolve()
  #stopped: Promise<void> | undefined

  constructor(options: LocalOptions) {
    this.#options = options
    this.#outside = theOutside(options.outside)
    this.#onEvent = options.onEvent ?? (() => {})
    this.namespace = options.namespace ?? 'default'
    this.#manifests = this.#readManifests()
    this.#done.promise.catch(() => {})
  }

  get redisUrl(): string {
    return this.#redis.url
  }

  get dashboardUrl(): string | undefined {
    return this.#dashboard?.url
  }

  get pools(): readonly LocalPool[] {
    return this.#manifests.pools
  }

  get queues(): readonly TaskQueue[] {
    return this.#manifests.queues
  }

  get done(): Promise<void> {
    return this.#done.promise
  }

  get objects(): Objects {
    return this.#started.world.objects
  }

  get servers(): Servers {
    return this.#started.servers
  }

  workers(): LocalWorker[] {
    return (this.#engine?.world.fleets ?? []).flatMap(({ pool, pods }) =>
      pods.map(({ name, uid: podUid, isStopping, process: { pid, isReady } }) => {
        return { pool, name, pid, podUid, isReady, isStopping }
      }),
    )
  }

  workerPids(): number[] {
    return this.workers().map(({ pid }) => pid)
  }

  redisPid(): number | undefined {
    return this.#redis.pid?.()
  }

  stop(): Promise<void> {
    if (this.#stopped) this.#hurry.resolve()
    this.#stopped ??= this.#stop().then(this.#done.resolve, this.#done.reject)
    return this.#stopped
  }

  async start(): Promise<void> {
    const { workingFolder } = this.#outside
    const claim = claimFolder(workingFolder, { pid: process.pid, namespace: this.namespace })
    this.#cleanUps.push(claim.release)
    const guard = startGuard()
    this.#cleanUps.push(guard.stop)
    const runFolder = mkdtempSync(join(tmpdir(), 'millhand-up-'))
    guard.removeAtEnd(runFolder)
    this.#cleanUps.push(() => rmSync(runFolder, { recursive: true, force: true }))

    await this.#provideRedis(guard, runFolder)
    await this.#startEngine(guard, runFolder)
    await this.#serveDashboard()
    if (this.#options.reload) this.#reload = await this.#watch()
    claim.announce(this.redisUrl, this.dashboardUrl)
  }

  async cleanUp(): Promise<void> {
    for (const cleanUp of this.#cleanUps.splice(0).reverse()) await cleanUp()
  }

  async #stop(): Promise<void> {
    await this.#reload?.stop()
    await this.#changes
    await this.#engine?.stop(this.#hurry.promise)
    await this.cleanUp()
  }

  #fail(error: unknown): void {
    this.#done.reject(error)
    void this.stop()
  }

  async #provideRedis(guard: Guard, runFolder: string): Promise<void> {
    const { redis: given, dataFolder = join('.millhand', 'redis') } = this.#options
    if (given !== undefined) {
      this.#redis = given
      return
    }
    const isPersistent = dataFolder !== 'temporary'
    const folder = isPersistent ? this.#resolve(dataFolder) : join(runFolder, 'redis')
    const onFetch = (message: string) => this.#onEvent({ kind: 'redis-fetching', message })
    const redis = await keepEmbeddedRedis(
      { outside: this.#outside, guard, folder, isPersistent, onFetch },
      (output) => this.#onEvent({ kind: 'redis-exited', output }),
    )
    this.#cleanUps.push(redis.stop)
    const { url, version, pid } = redis
    this.#redis = { url, pid }
    this.#onEvent({ kind: 'redis-started', url, version, ...(isPersistent && { dataFolder: folder }) })
  }

  async #startEngine(guard: Guard, runFolder: string): Promise<void> {
    const { pid: _, ...redis } = this.#redis
    const outside = this.#outside
    const engine = new Engine({
      outside,
      guard,
      runFolder,
      onEvent: this.#onEvent,
      redis,
      uidOf: stableUids(outside.workingFolder),
      takeOver: this.#options.takeOver === true,
    })
    this.#cleanUps.push(() => engine.close())
    await engine.start(this.#manifests)
    this.#engine = engine
  }

  async #serveDashboard(): Promise<void> {
    const { dashboardPort: port } = this.#options
    if (port === undefined) return
    // Loaded only where the dashboard is wanted.
    const { serveDashboard } = await import('./dashboard.ts')
    const wallMs = this.#outside.nowMs
    this.#dashboard = await serveDashboard(this, { port, onEvent: this.#onEvent, wallMs })
    this.#cleanUps.push(this.#dashboard.close)
  }

  get #started(): Engine {
    if (!this.#engine) throw new Error('up has not started yet')
    return this.#engine
  }

  async #watch(): Promise<Reload> {
    const paths = [...this.#options.paths.map((path) => this.#resolve(path)), ...this.#codeFolders()]
    const reload = await watchFiles({
      paths,
      onCode: (files) => this.#soon(() => this.#codeChanged(files)),
      onManifests: (files) => this.#soon(() => this.#manifestsChanged(files)),
      onTrouble: (message) => this.#onEvent({ kind: 'warning', message }),
    })
    this.#onEvent({ kind: 'watching', folders: reload.folders })
    return reload
  }

  /** One change after the other. */
  #soon(change: () => void | Promise<void>): void {
    this.#changes = this.#changes.then(change).catch((error) => this.#fail(error))
  }

  async #codeChanged(files: string[]): Promise<void> {
    // A missing task module may exist now.
    if (this.#areManifestsRefused) await this.#manifestsChanged(files)
    const pools = this.pools.filter(({ taskModules }) =>
      taskModules.some((module) => files.some((file) => file.startsWith(dirname(module) + sep))),
    )
    if (pools.length === 0) return
    this.#onEvent({ kind: 'code-changed', files, pools: pools.map(({ pool }) => pool.metadata.name) })
    this.#engine?.world.renew(pools)
  }

  async #manifestsChanged(files: string[]): Promise<void> {
    const foldersBefore = this.#codeFolders().join('\n')
    try {
      this.#manifests = this.#readManifests(this.#manifests)
      this.#areManifestsRefused = false
    } catch (error) {
      if (!(error instanceof ManifestsRefused)) throw error
      this.#areManifestsRefused = true
      this.#onEvent({ kind: 'manifests-refused', problems: error.problems })
      return
    }
    this.#onEvent({ kind: 'manifests-changed', files })
    this.#engine?.declare(this.#manifests)
    if (this.#codeFolders().join('\n') === foldersBefore) return
    await this.#reload?.stop()
    this.#reload = await this.#watch()
  }

  #readManifests(previous?: Manifests): Manifests {
    const { paths } = this.#options
    const { workingFolder } = this.#outside
    const manifests = readManifests(paths, {
      namespace: this.namespace,
      workingFolder,
      ...(previous && { previous }),
    })
    for (const message of manifests.warnings) this.#onEvent({ kind: 'warning', message })
    return manifests
  }

  #codeFolders(): string[] {
    return [
      ...new Set(
        this.#manifests.pools.flatMap(({ taskModules }) => taskModules.map((file) => dirname(file))),
      ),
    ]
  }

  #resolve(path: string): string {
    return resolve(this.#outside.workingFolder, path)
  }
}
