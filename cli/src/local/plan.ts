// What a pool of processes needs next, decided from what was observed. Pure: the same decisions as in the cluster, and what they mean
// for processes. Carried out by pool.ts.

import {
  type Decision,
  decideReplicas,
  type Load,
  type QueueLoad,
  type ScalingHistory,
} from '@millhand/control/decide/replicas'
import { type Candidate, chooseVictims } from '@millhand/control/decide/victims'
import type { WorkerPool } from '@millhand/control/resources/worker-pool'

export interface LocalObservation {
  pool: WorkerPool
  /** Unknown while Redis cannot be read. */
  queues: QueueLoad[] | 'unknown'
  /** Those that were not told to stop. */
  workers: readonly Candidate[]
  /** The number decided last. */
  wanted: number
  history: ScalingHistory
  nowMs: number
}

export interface LocalPlan {
  decision: Decision
  /** How many more. */
  start: number
  /** Pod UIDs that get no claims from now on, renewed at each plan. */
  drain: string[]
  /** Pod UIDs that are needed again. */
  undrain: string[]
  /** Pod UIDs that hold nothing and will get nothing: they can go. */
  stop: string[]
}

export function planLocalPool(observation: LocalObservation): LocalPlan {
  const { pool, queues, workers, wanted, history, nowMs } = observation
  const load = queues === 'unknown' ? queues : loadOf(queues, workers)
  const decision = decideReplicas({ pool, current: wanted, load, history, nowMs })
  const start = Math.max(0, decision.replicas - workers.length)
  // What they hold is not known, so nobody may go.
  if (load === 'unknown') return { decision, start, drain: [], undrain: [], stop: [] }

  const victims = chooseVictims(workers, workers.length - decision.replicas)
  const isVictim = (worker: Candidate) => victims.includes(worker.podUid)
  return {
    decision,
    start,
    drain: victims,
    undrain: uids(workers.filter((worker) => worker.isDraining && !isVictim(worker))),
    // It drained before we looked, so what it held then is all that it will ever hold.
    stop: uids(workers.filter((worker) => isVictim(worker) && worker.isDraining && worker.held === 0)),
  }
}

function loadOf(queues: QueueLoad[], workers: readonly Candidate[]): Load {
  const working = workers.filter((worker) => !worker.isDraining)
  return { busy: working.reduce((busy, worker) => busy + worker.held, 0), queues }
}

function uids(workers: readonly Candidate[]): string[] {
  return workers.map((worker) => worker.podUid)
}
