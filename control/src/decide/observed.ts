// The input of each decision about a WorkerPool: the resource, its queues, its fleet, and what Redis says.
import type { Reason } from '../resources/reasons.ts'
import type { IsolationMode, WorkerPool, WorkerPoolStatus } from '../resources/worker-pool.ts'
import type { FleetView } from '../world.ts'
import type { PoolMemory } from './memory.ts'
import type { QueueLoad } from './replicas.ts'

/** The problem that keeps the pool from serving a queue. */
export interface QueueProblem {
  reason: Reason
  message: string
}

export interface ObservedQueue {
  name: string
  weight: number
  /** In Redis; absent where the TaskQueue is not known. */
  queueName?: string
  secretName?: string
  problem?: QueueProblem
  /** Absent while Redis cannot be read. */
  load?: QueueLoad
  /** ms until its next delayed job is due, or its rest is over. */
  nextMs?: number
}

/** A worker process in one queue, as it registered. */
export interface ObservedWorker {
  name: string
  /** In Redis. */
  queue: string
  process: string
  podUid: string
  held: number
  /** Its heartbeat has not run out. */
  isAlive: boolean
  /** Redis gives it nothing to claim. */
  isDraining: boolean
  /** Absent for an unknown mode. */
  isolation?: IsolationMode
  /** Why the worker does not use the configured mode. */
  fallback?: string
}

export interface ObservedPool {
  pool: WorkerPool
  generation: number
  status: WorkerPoolStatus | undefined
  queues: ObservedQueue[]
  fleet: FleetView
  /** Of this pool, in all its queues; 'unknown' while a Redis cannot be read. */
  workers: ObservedWorker[] | 'unknown'
  memory: PoolMemory
}

/** What the workers of one pod hold, over all queues. */
export interface PodHolds {
  jobs: number
  /** In every queue that it registered in. */
  isDraining: boolean
}

export function heldByPod(workers: ObservedPool['workers']): ReadonlyMap<string, PodHolds> {
  const held = new Map<string, PodHolds>()
  if (workers === 'unknown') return held
  for (const { podUid, held: jobs, isDraining } of workers) {
    const known = held.get(podUid) ?? { jobs: 0, isDraining: true }
    held.set(podUid, { jobs: known.jobs + jobs, isDraining: known.isDraining && isDraining })
  }
  return held
}
