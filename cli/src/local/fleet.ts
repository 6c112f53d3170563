// The fleet of a pool on one machine: processes instead of pods. It starts, watches and ends each process.
// world.ts has one fleet for each pool; the reconcile of the pool observes and sets it.
//
//   pod:      live ── told to end ──▶ terminating ── its process has ended ──▶ gone, remembered for a minute
//   process:  starting → ready ── ends by itself ──▶ crashed ── after a while, as a kubelet does ──▶ starting
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { Death, Fleet, FleetDone, FleetView, FleetWish, Trouble } from '@millhand/control/world'
import { afterDeath, allowedStarts, noCrashes } from './crash-loop.ts'
import type { LocalEvent, OnEvent, WorkerLogEntry } from './events.ts'
import type { Guard } from './guard.ts'
import type { Outside } from './outside.ts'
import { crashOf, type LocalPod, misconfigurationOf, unregisteredOf, viewOf } from './pod.ts'
import {
  describeEnding,
  type Ending,
  MISCONFIGURED,
  startCheck,
  startWorkerProcess,
  type WorkerPlan,
  type WorkerProcess,
} from './worker-process.ts'

export interface FleetContext {
  outside: Outside
  guard: Guard
  /** The folder of the termination logs. */
  runFolder: string
  onEvent: OnEvent
}

export interface FleetOptions extends FleetContext {
  /** `namespace/name` of the pool. */
  key: string
  plan: WorkerPlan
  /** A process became ready or ended: the pool must be reconciled. */
  onChange: () => void
}

type Because = Extract<LocalEvent, { kind: 'worker-stopping' }>['because']

/** After this time the heartbeat of a dead worker has run out. */
const DELETED_KEPT_MS = 60_000
const MOST_DEATHS = 10
/** The interval of reconciles while processes start. */
const STARTING_AGAIN_MS = 250

export class LocalFleet implements Fleet {
  readonly key: string
  /** The name of the pool. */
  readonly pool: string
  readonly #options: FleetOptions
  readonly #pods = new Set<LocalPod>()
  #deleted: { pod: LocalPod; atMs: number }[] = []
  #plan: WorkerPlan
  /** The number of times the code was saved. */
  #revision = 0
  /** The size that was set last. */
  #size: number | undefined
  #applied: string | undefined
  #crashes = noCrashes
  #misconfiguration: Trouble | undefined
  #checking: ReturnType<typeof startCheck> | undefined
  #isEnding = false

  constructor(options: FleetOptions) {
    this.key = options.key
    this.pool = options.key.slice(options.key.indexOf('/') + 1)
    this.#options = options
    this.#plan = options.plan
    this.#check()
  }

  /** All processes, also those that were told to stop. */
  get processes(): WorkerProcess[] {
    return [...this.#pods].flatMap(({ process }) => process ?? [])
  }

  /** The number of workers now. */
  get pods(): { name: string; uid: string; process: WorkerProcess; isStopping: boolean }[] {
    return [...this.#pods].flatMap(({ name, uid, process, isStopping }) =>
      process ? [{ name, uid, process, isStopping }] : [],
    )
  }

  /** The next `set` replaces workers with another plan. */
  use(plan: WorkerPlan): void {
    if (JSON.stringify(plan) === JSON.stringify(this.#plan)) return
    this.#plan = plan
    this.#renewed()
  }

  /** The code was saved; the next `set` replaces the workers. */
  renew(): void {
    this.#revision += 1
    this.#renewed()
  }

  see(): FleetView {
    const live = this.#live()
    const nowMs = this.#nowMs()
    this.#deleted = this.#deleted.filter(({ atMs }) => nowMs - atMs < DELETED_KEPT_MS)
    const applied = this.#applied
    const isReplaced = applied === this.#template && live.every(({ template }) => template === applied)
    const isComplete = isReplaced && live.length === this.#size
    const rollout = isReplaced ? (isComplete ? 'complete' : 'resizing') : 'replacing'
    const trouble = this.#misconfiguration
    const view = (pod: LocalPod) => viewOf(pod, { applied, trouble })
    return {
      pods: [...this.#pods].map(view),
      deletedPods: this.#deleted.map(({ pod }) => ({ ...view(pod), state: 'ended' })),
      ...(this.#size !== undefined && { size: this.#size }),
      selector: '',
      rollout: this.#size === undefined ? 'absent' : rollout,
      going: new Set(),
      isOurs: true,
      unregistered: unregisteredOf,
    }
  }

  async set(wish: FleetWish): Promise<FleetDone> {
    if (this.#isEnding) return {}
    const from = this.#size
    if (!wish.isFrozen) this.#resize(wish)
    const againInMs = this.#startMissing()
    const to = this.#size
    return {
      ...(to !== undefined && to !== from && { scaled: { from: from ?? 0, to } }),
      ...(againInMs !== undefined && { againInMs }),
    }
  }

  /** The workers finish their jobs, and no other one starts. */
  end(because: Because): void {
    this.#isEnding = true
    this.#checking?.kill()
    for (const pod of this.#live()) this.#stop(pod, because)
  }

  async ended(): Promise<void> {
    await Promise.all([this.#checking?.ended, ...this.processes.map(({ ended }) => ended)])
  }

  /** The ended processes whose jobs may still be held in Redis. */
  get deaths(): { pod: string; death: Death }[] {
    const pods = [...this.#pods, ...this.#deleted.map(({ pod }) => pod)]
    return pods.flatMap(({ name, deaths }) => deaths.map((death) => ({ pod: name, death })))
  }

  get #template(): string {
    return `${this.#revision} ${JSON.stringify(this.#plan)}`
  }

  #live(): LocalPod[] {
    return [...this.#pods].filter(({ isStopping }) => !isStopping)
  }

  #renewed(): void {
    this.#misconfiguration = undefined
    this.#crashes = noCrashes
    this.#check()
    this.#options.onChange()
  }

  /** Reports a file that does not load now, not at the first job. */
  #check(): void {
    this.#checking?.kill()
    const checking = startCheck(this.#plan, this.#options.guard)
    this.#checking = checking
    void checking.ended.then((ending) => {
      if (this.#checking === checking && ending.code === MISCONFIGURED) this.#misconfigured(ending)
    })
  }

  /** The wanted pods exist, with or without a process. */
  #resize({ replicas, isKnown, isBehind, empty }: FleetWish): void {
    for (const pod of this.#live()) if (pod.template !== this.#template) this.#stop(pod, 'replaced')
    if (isKnown && !isBehind) for (const pod of this.#live()) if (empty.has(pod.uid)) this.#stop(pod, 'idle')
    for (let live = this.#live().length; live < replicas; live++) this.#add()
    this.#size = this.#live().length
    this.#applied = this.#template
  }

  #add(): void {
    this.#pods.add({
      name: this.#freeName(),
      uid: randomUUID(),
      template: this.#template,
      createdAtMs: this.#nowMs(),
      isStopping: false,
      restarts: 0,
      deaths: [],
    })
  }

  /** Answers when to reconcile again, where some workers are not ready. */
  #startMissing(): number | undefined {
    if (this.#misconfiguration) return undefined
    const nowMs = this.#nowMs()
    const missing = this.#live().filter(({ process }) => !process)
    const starting = this.#live().filter(({ process }) => process && !process.isReady).length
    const starts = allowedStarts(this.#crashes, { missing: missing.length, starting }, nowMs)
    for (const pod of missing.slice(0, starts)) this.#start(pod)
    if (missing.length + starting === 0) return undefined
    return Math.max(STARTING_AGAIN_MS, this.#crashes.notBeforeMs - nowMs)
  }

  #start(pod: LocalPod): void {
    const { runFolder, guard, onEvent } = this.#options
    const { pool } = this
    const { name, uid } = pod
    const process = startWorkerProcess({
      plan: this.#plan,
      podName: name,
      podUid: uid,
      terminationLog: join(runFolder, uid),
      startedAtMs: this.#nowMs(),
      guard,
      onLine: (stream, line, entry) => {
        onEvent({ kind: 'worker-output', pool, worker: name, stream, line, ...(entry && { entry }) })
        this.#heard(pod, entry)
      },
    })
    pod.process = process
    onEvent({ kind: 'worker-started', pool, worker: name, pid: process.pid })
    void process.ended.then((ending) => this.#ended(pod, process, ending))
  }

  #heard(pod: LocalPod, entry: WorkerLogEntry | undefined): void {
    const { name: worker, process } = pod
    if (entry?.message !== 'worker ready' || !process) return
    pod.trouble = undefined
    const { pool } = this
    const { onEvent, onChange } = this.#options
    const startedWithinMs = this.#nowMs() - process.startedAtMs
    onEvent({ kind: 'worker-ready', pool, worker, pid: process.pid, startedWithinMs })
    onChange()
  }

  #stop(pod: LocalPod, because: Because): void {
    pod.isStopping = true
    const { name: worker, process } = pod
    if (!process) {
      this.#remove(pod)
      return
    }
    const { pool } = this
    const { onEvent } = this.#options
    onEvent({ kind: 'worker-stopping', pool, worker, pid: process.pid, because })
    process.stop()
  }

  #ended(pod: LocalPod, process: WorkerProcess, ending: Ending): void {
    delete pod.process
    const { name: worker, isStopping } = pod
    const { pool } = this
    const { onEvent, onChange } = this.#options
    const wasOrderly = isStopping && ending.code === 0
    if (ending.processName && !wasOrderly) {
      const counting = isStopping ? 'uncounted' : 'counted'
      const death: Death = { process: ending.processName, reason: describeEnding(ending), counting }
      pod.deaths = [...pod.deaths, death].slice(-MOST_DEATHS)
    }
    if (isStopping) {
      this.#remove(pod)
      onEvent({ kind: 'worker-stopped', pool, worker, pid: process.pid })
    } else if (ending.code === MISCONFIGURED) this.#misconfigured(ending)
    else this.#died(pod, process, ending)
    onChange()
  }

  #remove(pod: LocalPod): void {
    this.#pods.delete(pod)
    if (pod.deaths.length > 0) this.#deleted.push({ pod, atMs: this.#nowMs() })
  }

  #misconfigured(ending: Ending): void {
    const { pool } = this
    const { onEvent, onChange } = this.#options
    // All workers of a pool say the same.
    if (!this.#misconfiguration) onEvent({ kind: 'pool-misconfigured', pool, message: ending.lastWords })
    this.#misconfiguration = misconfigurationOf(pool, ending)
    onChange()
  }

  #died(pod: LocalPod, { pid, startedAtMs }: WorkerProcess, ending: Ending): void {
    const nowMs = this.#nowMs()
    const livedMs = nowMs - startedAtMs
    this.#crashes = afterDeath(this.#crashes, livedMs, nowMs)
    pod.restarts += 1
    pod.trouble = crashOf(pod, ending, livedMs)
    const { pool } = this
    const { onEvent } = this.#options
    const reason = [describeEnding(ending), ending.lastWords].filter(Boolean).join(': ')
    const nextStartInMs = this.#crashes.notBeforeMs - nowMs
    onEvent({ kind: 'worker-died', pool, worker: pod.name, pid, reason, nextStartInMs })
  }

  #nowMs(): number {
    return this.#options.outside.nowMs()
  }

  #freeName(): string {
    const taken = new Set([...this.#pods].map(({ name }) => name))
    for (let n = 1; ; n++) {
      const name = `${this.pool}-${n}`
      if (!taken.has(name)) return name
    }
  }
}
