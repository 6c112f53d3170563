// What a reconcile of a WorkerPool remembers for the next one. Lost when the operator restarts, and nothing breaks: no pod is removed
// before a whole window was seen, and an unchanged Deployment is written once more.
import { type GuardMemory, noGuardMemory } from './guards.ts'
import { noHistory, type ScalingHistory } from './replicas.ts'

export interface PoolMemory {
  /** The pool's UID: a pool of the same name is another one. */
  uid: string
  history: ScalingHistory
  /** The number decided last. */
  wanted: number | undefined
  /** What was written last, and the generation that the Deployment had then: another one means that somebody changed it. */
  applied: { hash: string; generation: number; replicas: number } | undefined
  /** This operator wrote the Deployment since it leads: what one that led before may still be about to write gets a conflict. */
  hasWritten: boolean
  /** What the API server refused to write, so that it is not asked the same again and again. */
  refusal: { hash: string; message: string; atMs: number } | undefined
  isNameTaken: boolean
  /** Pod UID → when its claims were stopped, and when that was last said to Redis. */
  draining: ReadonlyMap<string, { sinceMs: number; renewedAtMs: number }>
  guards: GuardMemory
  statusWrittenAtMs: number
}

export function emptyMemory(uid: string): PoolMemory {
  return {
    uid,
    history: noHistory,
    wanted: undefined,
    applied: undefined,
    hasWritten: false,
    refusal: undefined,
    isNameTaken: false,
    draining: new Map(),
    guards: noGuardMemory,
    statusWrittenAtMs: Number.NEGATIVE_INFINITY,
  }
}
