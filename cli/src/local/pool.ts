// One WorkerPool as processes: carries out what control/ decides for it, as the operator does with pods, and answers for every process from its
// start to its end.
// Driven by supervisor.ts, a step at a time.
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { type Leaving, leavingOf } from '@millhand/control/decide/leaving'
import { emptyMemory, type PoolMemory } from '@millhand/control/decide/memory'
import { type Need, needOf } from '@millhand/control/decide/need'
import type { ObservedPool } from '@millhand/control/decide/observed'
import type { FleetView } from '@millhand/control/world'
import type { Queue } from 'millhand/queue'
import { afterDeath, allowedStarts, noCrashes } from './crash-loop.ts'
import type { OnEvent } from './events.ts'
import type { Guard } from './guard.ts'
import type { LocalPool } from './manifests.ts'
import type { Outside } from './outside.ts'
import {
  describeEnding,
  type Ending,
  MISCONFIGURED,
  startCheck,
  startWorkerProcess,
  type WorkerPlan,
  type WorkerProcess,
} from './worker-process.ts'

export interface PoolContext {
  outside: Outside
  guard: Guard
  /** For the termination logs. */
  runFolder: string
  onEvent: OnEvent
  /** Something happened that the supervisor should look at now. */
  onChange: () => void
}

/** How the processes of a pool are started, and the queues they serve. */
export interface PoolMakeup {
  local: LocalPool
  workerPlan: WorkerPlan
  queues: Queue[]
  uid: string
}

/** What the supervisor saw before a step. */
export type PoolView = Pick<ObservedPool, 'queues' | 'workers'>

// Renewed well before; were we to die, the workers would claim again after so long.
const DRAIN_FOR_MS = 60_000

export class RunningPool {
  readonly #context: PoolContext
  #makeup: PoolMakeup
  readonly #workers = new Set<WorkerProcess>()
  readonly #reaps: {
    worker: string
    processName: string
    queues: readonly Queue[]
    reason: string
    counting: 'counted' | 'uncounted'
  }[] = []
  #reaping: Promise<void> | undefined
  #memory: PoolMemory
  #crashes = noCrashes
  #isMisconfigured = false
  #checking: ReturnType<typeof startCheck> | undefined

  constructor(makeup: PoolMakeup, context: PoolContext) {
    this.#makeup = makeup
    this.#context = context
    this.#memory = emptyMemory(makeup.uid)
    this.#check()
  }

  get makeup(): PoolMakeup {
    return this.#makeup
  }

  get name(): string {
    return this.#makeup.local.pool.metadata.name
  }

  /** All that live, those that were told to stop included. */
  get workers(): WorkerProcess[] {
    return [...this.#workers]
  }

  /** Whether the next step should come soon. */
  get isChanging(): boolean {
    return (
      this.#reaps.length > 0 || this.#memory.draining.size > 0 || this.workers.some(({ isReady }) => !isReady)
    )
  }

  async step(view: PoolView): Promise<void> {
    if (view.workers !== 'unknown') await this.#reapAll()
    const nowMs = this.#context.outside.nowMs()
    const observed = this.#observed(view)
    const need = needOf(observed, undefined, nowMs)
    const { replicas } = need.decision
    const leaving = leavingOf(observed, { replicas, isKnown: need.load !== 'unknown' }, nowMs)
    this.#sayScaled(need)
    await this.#tell(leaving)
    this.#memory = { ...this.#memory, draining: leaving.draining }
    for (const worker of this.workers) if (leaving.empty.has(worker.podUid)) this.#stop(worker, 'idle')
    const staying = this.workers.filter((worker) => !worker.isStopping)
    const starting = staying.filter((worker) => !worker.isReady).length
    const missing = Math.max(0, replicas - staying.length)
    const starts = this.#isMisconfigured ? 0 : allowedStarts(this.#crashes, missing, starting, nowMs)
    for (let started = 0; started < starts; started++) this.#start()
  }

  /** Of workers in Redis only our own processes count: each of them is known. */
  #observed({ queues, workers }: PoolView): ObservedPool {
    const ours = new Set(this.workers.map(({ podUid }) => podUid))
    return {
      pool: this.#makeup.local.pool,
      generation: 0,
      status: undefined,
      queues,
      fleet: this.#view(),
      workers: workers === 'unknown' ? workers : workers.filter(({ podUid }) => ours.has(podUid)),
      memory: this.#memory,
    }
  }

  #view(): FleetView {
    const pods = this.workers.map(({ podName, podUid, startedAtMs, isStopping, isReady }) => ({
      name: podName,
      uid: podUid,
      startedAtMs,
      state: isStopping ? ('terminating' as const) : ('live' as const),
      isReady,
      isCurrent: !isStopping,
      isForced: false,
      deaths: [],
    }))
    return { pods, deletedPods: [], selector: '', rollout: 'complete', going: new Set(), isOurs: true }
  }

  #sayScaled({ decision: { replicas, reason, message, history } }: Need): void {
    const from = this.#memory.wanted ?? 0
    this.#memory = { ...this.#memory, wanted: replicas, history }
    if (replicas === from) return
    this.#context.onEvent({ kind: 'pool-scaled', pool: this.name, from, to: replicas, reason, message })
  }

  async #tell({ drain, undrain }: Leaving): Promise<void> {
    const { queues } = this.#makeup
    if (drain.length > 0) await Promise.all(queues.map((queue) => queue.drain(drain, DRAIN_FOR_MS)))
    if (undrain.length > 0) await Promise.all(queues.map((queue) => queue.undrain(undrain)))
  }

  /** The next workers are started from these files; those there are finish what they run. */
  replaceWorkers(makeup: PoolMakeup = this.#makeup): void {
    this.#makeup = makeup
    this.#isMisconfigured = false
    this.#crashes = noCrashes
    for (const worker of this.workers) if (!worker.isStopping) this.#stop(worker, 'replaced')
    this.#check()
  }

  /** What does not concern the processes: how many there should be. */
  adjust(makeup: PoolMakeup): void {
    this.#makeup = makeup
  }

  /** They finish what they run. */
  stopWorkers(): void {
    this.#checking?.kill()
    for (const worker of this.workers) if (!worker.isStopping) this.#stop(worker, 'stop')
  }

  /** For workers that were told to stop: at once, and others run their jobs again. */
  handBackJobs(): void {
    for (const worker of this.workers) worker.handBack()
  }

  killWorkers(): void {
    for (const worker of this.workers) worker.kill()
  }

  async ended(): Promise<void> {
    await Promise.all([this.#checking?.ended, ...this.workers.map((worker) => worker.ended)])
    // What cannot be put back now comes back when the heartbeats run out.
    await this.#reapAll().catch(() => {})
  }

  /** A file that does not load is told now, and not with the first job. */
  #check(): void {
    this.#checking?.kill()
    const checking = startCheck(this.#makeup.workerPlan, this.#context.guard)
    this.#checking = checking
    void checking.ended.then((ending) => {
      if (this.#checking === checking && ending.code === MISCONFIGURED) this.#misconfigured(ending)
    })
  }

  #start(): void {
    const { runFolder, guard, outside } = this.#context
    const { queues } = this.#makeup // a later manifest may name others
    const podUid = randomUUID()
    const worker = startWorkerProcess({
      plan: this.#makeup.workerPlan,
      podName: this.#freeName(),
      podUid,
      terminationLog: join(runFolder, podUid),
      startedAtMs: outside.nowMs(),
      guard,
      onLine: (stream, line, entry) => {
        this.#context.onEvent({
          kind: 'worker-output',
          pool: this.name,
          worker: worker.podName,
          stream,
          line,
          ...(entry && { entry }),
        })
        if (entry?.message === 'worker ready') this.#becameReady(worker)
      },
    })
    this.#workers.add(worker)
    this.#context.onEvent({
      kind: 'worker-started',
      pool: this.name,
      worker: worker.podName,
      pid: worker.pid,
    })
    void worker.ended.then((ending) => this.#ended(worker, ending, queues))
  }

  #becameReady(worker: WorkerProcess): void {
    const startedWithinMs = this.#context.outside.nowMs() - worker.startedAtMs
    this.#context.onEvent({
      kind: 'worker-ready',
      pool: this.name,
      worker: worker.podName,
      pid: worker.pid,
      startedWithinMs,
    })
    this.#context.onChange()
  }

  #stop(worker: WorkerProcess, because: 'idle' | 'replaced' | 'stop'): void {
    if (!worker.isStopping)
      this.#context.onEvent({
        kind: 'worker-stopping',
        pool: this.name,
        worker: worker.podName,
        pid: worker.pid,
        because,
      })
    worker.stop()
  }

  #ended(worker: WorkerProcess, ending: Ending, queues: readonly Queue[]): void {
    this.#workers.delete(worker)
    const wasOrderly = worker.isStopping && ending.code === 0
    if (ending.processName && !wasOrderly) {
      const counting = worker.isStopping ? 'uncounted' : 'counted'
      const reason = describeEnding(ending)
      this.#reaps.push({ worker: worker.podName, processName: ending.processName, queues, reason, counting })
    }
    if (worker.isStopping)
      this.#context.onEvent({
        kind: 'worker-stopped',
        pool: this.name,
        worker: worker.podName,
        pid: worker.pid,
      })
    else if (ending.code === MISCONFIGURED) this.#misconfigured(ending)
    else this.#died(worker, ending)
    void this.#reapAll()
      .catch(() => {})
      .then(() => this.#context.onChange())
  }

  #misconfigured({ lastWords }: Ending): void {
    // Many workers of one pool say the same.
    if (!this.#isMisconfigured)
      this.#context.onEvent({ kind: 'pool-misconfigured', pool: this.name, message: lastWords })
    this.#isMisconfigured = true
  }

  #died(worker: WorkerProcess, ending: Ending): void {
    const nowMs = this.#context.outside.nowMs()
    this.#crashes = afterDeath(this.#crashes, nowMs - worker.startedAtMs, nowMs)
    const nextStartInMs = this.#crashes.notBeforeMs - nowMs
    const reason = [describeEnding(ending), ending.lastWords].filter(Boolean).join(': ')
    this.#context.onEvent({
      kind: 'worker-died',
      pool: this.name,
      worker: worker.podName,
      pid: worker.pid,
      reason,
      nextStartInMs,
    })
  }

  /** One at a time, so that each is reported once. What fails is tried again at the next step. */
  #reapAll(): Promise<void> {
    this.#reaping ??= this.#reapEach().finally(() => {
      this.#reaping = undefined
    })
    return this.#reaping
  }

  /** These processes are dead for sure, so nobody needs to wait for their heartbeats to run out. */
  async #reapEach(): Promise<void> {
    for (let reap = this.#reaps[0]; reap; reap = this.#reaps[0]) {
      const { worker, processName, queues, reason, counting } = reap
      const counts = await Promise.all(
        queues.map((queue) => queue.reapProcess(processName, reason, counting)),
      )
      this.#reaps.shift()
      const jobs = counts.reduce((sum, count) => sum + count, 0)
      if (jobs > 0) this.#context.onEvent({ kind: 'jobs-put-back', pool: this.name, worker, jobs, reason })
    }
  }

  #freeName(): string {
    const taken = new Set(this.workers.map((worker) => worker.podName))
    for (let n = 1; ; n++) {
      const name = `${this.name}-${n}`
      if (!taken.has(name)) return name
    }
  }
}
