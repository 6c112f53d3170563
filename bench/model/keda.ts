// KEDA in the model, with the HPA that it makes: KEDA polls and takes a pool from 0 to 1 and back to 0, the
// HPA does 1 to N. As in
// https://github.com/kedacore/keda/blob/main/pkg/scaling/executor/scale_scaledobjects.go and
// https://github.com/kubernetes/kubernetes/blob/master/pkg/controller/podautoscaler/horizontal.go (with
// replica_calculator.go).
import type { Cluster, Policy } from './cluster.ts'
import type { Random } from './random.ts'

export interface KedaSettings {
  pollingIntervalMs: number
  cooldownPeriodMs: number
  /** listLength: jobs for each pod, the AverageValue of the HPA's metric. */
  listLength: number
  /**
   * The metric of the trigger. A list in Redis counts waiting jobs; a formula of two triggers can add running
   * ones.
   */
  counts: 'waiting' | 'waiting and running'
  /** Absent: no `behavior` in the ScaledObject. */
  behavior?: { scaleDownWindowMs: number; scaleUp: 'at once' }
  /** terminationGracePeriodSeconds of the pods. */
  graceMs: number
}

/** The defaults of a ScaledObject, a Redis list scaler and a pod. */
export const KEDA_DEFAULTS: KedaSettings = {
  pollingIntervalMs: 30_000,
  cooldownPeriodMs: 300_000,
  listLength: 5,
  counts: 'waiting',
  graceMs: 30_000,
}

/** The settings of a person who knows KEDA and the jobs. */
export const kedaTuned = (slots: number): KedaSettings => ({
  pollingIntervalMs: 5_000,
  cooldownPeriodMs: 60_000,
  listLength: slots,
  counts: 'waiting and running',
  behavior: { scaleDownWindowMs: 60_000, scaleUp: 'at once' },
  graceMs: 3_600_000,
})

/**
 * --horizontal-pod-autoscaler-sync-period, -tolerance and -downscale-stabilization: of the cluster, not of a
 * pool.
 */
export const HPA_SYNC_MS = 15_000
const TOLERANCE = 0.1
const DOWNSCALE_STABILIZATION_MS = 300_000

export class Keda implements Policy {
  readonly #settings: KedaSettings
  readonly #recommendations: { atMs: number; replicas: number }[] = []
  #pollAtMs: number
  #syncAtMs: number
  #activeAtMs = Number.NEGATIVE_INFINITY

  /** The phases of both clocks are random: they do not depend on the load. */
  constructor(settings: KedaSettings, random: Random) {
    this.#settings = settings
    this.#pollAtMs = random() * settings.pollingIntervalMs
    this.#syncAtMs = random() * HPA_SYNC_MS
  }

  look(cluster: Cluster): number {
    const { nowMs } = cluster
    if (nowMs >= this.#pollAtMs) {
      this.#poll(cluster)
      this.#pollAtMs += this.#settings.pollingIntervalMs
    }
    if (nowMs >= this.#syncAtMs) {
      this.#sync(cluster)
      this.#syncAtMs += HPA_SYNC_MS
    }
    return Math.min(this.#pollAtMs, this.#syncAtMs)
  }

  #metric({ waiting, running }: Cluster): number {
    return this.#settings.counts === 'waiting' ? waiting : waiting + running
  }

  /** From 0 to 1: activationListLength is 0, so one job is enough. And from any number to 0. */
  #poll(cluster: Cluster): void {
    const isActive = this.#metric(cluster) > 0
    if (isActive) this.#activeAtMs = cluster.nowMs
    if (isActive && cluster.replicas === 0) scale(cluster, 1)
    const isCold = this.#activeAtMs + this.#settings.cooldownPeriodMs < cluster.nowMs
    if (!isActive && cluster.replicas > 0 && isCold) scale(cluster, 0)
  }

  #sync(cluster: Cluster): void {
    const current = cluster.replicas
    // ScalingDisabled: from 0 an HPA does nothing.
    if (current === 0) return
    const { listLength, behavior } = this.#settings
    const recommended = recommendation(this.#metric(cluster), listLength, current)
    const windowMs = behavior?.scaleDownWindowMs ?? DOWNSCALE_STABILIZATION_MS
    const highest = this.#highest(recommended, cluster.nowMs, windowMs)
    // With `behavior` the highest recommendation only prevents scaling down; without it, it is the wish
    // itself.
    const stable = behavior ? Math.max(recommended, Math.min(current, highest)) : highest
    const limit = behavior ? Number.POSITIVE_INFINITY : Math.max(2 * current, 4)
    scale(cluster, Math.max(1, Math.min(stable, limit, cluster.setting.maxReplicas)))
  }

  #highest(recommended: number, nowMs: number, windowMs: number): number {
    // A sync is always a little late, so the recommendation of a whole window ago has expired.
    while ((this.#recommendations[0]?.atMs ?? nowMs) <= nowMs - windowMs) this.#recommendations.shift()
    this.#recommendations.push({ atMs: nowMs, replicas: recommended })
    return this.#recommendations.reduce((most, { replicas }) => Math.max(most, replicas), 0)
  }
}

/** For an external metric with an AverageValue; it does not matter which pods are ready. */
export function recommendation(metric: number, perPod: number, current: number): number {
  const ratio = metric / (perPod * current)
  return Math.abs(1 - ratio) > TOLERANCE ? Math.ceil(metric / perPod) : current
}

function scale(cluster: Cluster, replicas: number): void {
  cluster.want(replicas)
  if (replicas !== cluster.replicas) cluster.scaleTo(replicas)
}
