// Millhand in the model. The operator's own code decides how many pods, and which of them go. The steps
// follow control/src/decide and operator/src/fleet/write.ts: drain pods, mark the empty ones, reduce by the
// marked ones.

import { type Measured, measure, rateOf } from '../../control/src/decide/rates.ts'
import {
  type Decision,
  decideReplicas,
  type Load,
  noHistory,
  type ScalingHistory,
  shareOf,
} from '../../control/src/decide/replicas.ts'
import { chooseVictims } from '../../control/src/decide/victims.ts'
import type { Scaling } from '../../control/src/resources/worker-pool.ts'
import type { Cluster, Pod, Policy } from './cluster.ts'

/** The settings of the operator. */
const TICK_MS = 1_000
const IDLE_TICK_MS = 15_000
const REGISTERS_WITHIN_MS = 15_000
/** The shortest interval between two looks at a queue that often runs empty (redis/seen-queue.ts). */
const STIR_EVERY_MS = 200
/** From an enqueue into an empty queue to the changed Deployment. */
const STIR_TAKES_MS = 100

/** The default of spec.scaling.behavior.scaleDown. */
export const SCALE_DOWN_WINDOW_MS = 60_000

/** The processor time of the decisions, on this machine. */
export interface DecisionTimes {
  count: number
  totalMs: number
  longestMs: number
}

export const noDecisions = (): DecisionTimes => ({ count: 0, totalMs: 0, longestMs: 0 })

export class Millhand implements Policy {
  readonly #pool: { slots: number; scaling: Scaling }
  readonly #times: DecisionTimes
  #history: ScalingHistory = noHistory
  #wanted = 0
  #measured: Measured | undefined
  readonly #drainingSince = new WeakMap<Pod, number>()
  /** When the last stir is or was heard. */
  #tellAtMs = Number.NEGATIVE_INFINITY

  constructor(
    pool: { slots: number; maxReplicas: number; target: Scaling['target'] },
    times = noDecisions(),
  ) {
    const { slots, maxReplicas, target } = pool
    const rules = { selectPolicy: 'Max', policies: [] } as const
    this.#times = times
    this.#pool = {
      slots,
      scaling: {
        mode: 'Automatic',
        manualReplicas: 0,
        minReplicas: 0,
        maxReplicas,
        target,
        scaleUp: { stabilizationWindowMs: 0, ...rules, policies: [] },
        scaleDown: { stabilizationWindowMs: SCALE_DOWN_WINDOW_MS, ...rules, policies: [] },
      },
    }
  }

  stirred(nowMs: number): number {
    const isTold = this.#tellAtMs < nowMs
    if (isTold) this.#tellAtMs = Math.max(nowMs, this.#tellAtMs + STIR_EVERY_MS)
    return this.#tellAtMs + STIR_TAKES_MS
  }

  look(cluster: Cluster): number {
    const { nowMs } = cluster
    const load = this.#loadOf(cluster)
    const startedAtMs = performance.now()
    const decision = this.#decide(load, nowMs)
    const victims = this.#victimsOf(cluster, decision.replicas)
    this.#count(performance.now() - startedAtMs)
    cluster.want(decision.replicas)
    this.#apply(cluster, decision.replicas, victims)
    const hasWork = load.busy > 0 || cluster.waiting > 0
    const isChanging = victims.size > 0 || cluster.replicas !== decision.replicas
    return nowMs + (hasWork || isChanging || isStabilizing(decision) ? TICK_MS : IDLE_TICK_MS)
  }

  #loadOf(cluster: Cluster): Load {
    const { nowMs, enqueued, ended, running, waiting } = cluster
    this.#measured = measure(this.#measured, { enqueued, ended, busy: running }, nowMs)
    const rate = rateOf(this.#measured)
    const { slots } = this.#pool
    let busy = 0
    for (const { held, isDraining } of cluster.live) if (!isDraining) busy += held.length
    const queue = { ready: waiting, busy: running, isStopped: false, share: shareOf(slots, slots) }
    return { busy, queues: [{ ...queue, ...(rate && { rate }) }] }
  }

  #decide(load: Load, nowMs: number): Decision {
    const situation = { pool: this.#pool, current: this.#wanted, load, history: this.#history, nowMs }
    const decision = decideReplicas(situation)
    this.#history = decision.history
    this.#wanted = decision.replicas
    return decision
  }

  #victimsOf({ live }: Cluster, replicas: number): ReadonlySet<string> {
    if (live.length <= replicas) return new Set()
    const candidates = live.map((pod) => ({
      podUid: pod.uid,
      held: pod.held.length,
      startedAtMs: pod.createdAtMs,
      isReady: pod.state === 'ready',
      isDraining: pod.isDraining,
    }))
    return new Set(chooseVictims(candidates, live.length - replicas))
  }

  /** In the operator's order, from one observation. */
  #apply(cluster: Cluster, replicas: number, victims: ReadonlySet<string>): void {
    const { live } = cluster
    const empty = new Set(live.filter((pod) => victims.has(pod.uid) && this.#isEmpty(pod, cluster.nowMs)))
    const marked = live.filter(({ isMarked }) => isMarked)
    const next = nextReplicas(cluster, replicas, marked, empty)
    for (const pod of live) this.#drain(cluster, pod, victims.has(pod.uid))
    for (const pod of live) pod.isMarked = empty.has(pod)
    if (next !== cluster.replicas) cluster.scaleTo(next)
  }

  /** The pod drained before this look, so it will hold no other job. */
  #isEmpty(pod: Pod, nowMs: number): boolean {
    if (pod.state === 'ready') return pod.isDraining && pod.held.length === 0
    return nowMs - (this.#drainingSince.get(pod) ?? nowMs) > REGISTERS_WITHIN_MS
  }

  #drain(cluster: Cluster, pod: Pod, isVictim: boolean): void {
    if (isVictim === pod.isDraining) return
    if (isVictim) this.#drainingSince.set(pod, cluster.nowMs)
    else this.#drainingSince.delete(pod)
    cluster.drain(pod, isVictim)
  }

  #count(tookMs: number): void {
    this.#times.count += 1
    this.#times.totalMs += tookMs
    this.#times.longestMs = Math.max(this.#times.longestMs, tookMs)
  }
}

function nextReplicas(
  { live, replicas: current }: Cluster,
  wanted: number,
  marked: readonly Pod[],
  empty: ReadonlySet<Pod>,
): number {
  if (wanted >= current) return wanted
  const areEmpty = marked.every((pod) => empty.has(pod))
  const canLower = live.every(({ state, isMarked }) => state === 'ready' || isMarked)
  return areEmpty && canLower ? Math.max(wanted, current - marked.length) : current
}

const isStabilizing = ({ reason }: Decision): boolean =>
  reason === 'ScaleDownStabilized' || reason === 'ScaleUpStabilized'
