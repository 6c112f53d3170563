// The memory from one reconcile of a WorkerPool to the next. A restart of the operator loses it without harm:
// no pod is removed before a whole window was seen.
import { noHistory, type ScalingHistory } from './replicas.ts'

export interface PoolMemory {
  /** The pool's UID: a pool of the same name is another one. */
  uid: string
  history: ScalingHistory
  /** The number decided last. */
  wanted: number | undefined
  /** Pod UID → when its claims were stopped, and when that was last said to Redis. */
  draining: ReadonlyMap<string, { sinceMs: number; renewedAtMs: number }>
  /**
   * How long workers in pods that are not shown were believed, over all of them: new names of pods give no
   * new time.
   */
  unseen: { areThere: boolean; believedMs: number; atMs: number }
  /** UID of a pod that is ready and of which no worker is registered → since when. */
  silent: ReadonlyMap<string, number>
  statusWrittenAtMs: number
  /** After a refused status none is written until then. */
  statusRestsUntilMs: number
}

export function emptyMemory(uid: string): PoolMemory {
  return {
    uid,
    history: noHistory,
    wanted: undefined,
    draining: new Map(),
    unseen: { areThere: false, believedMs: 0, atMs: 0 },
    silent: new Map(),
    statusWrittenAtMs: Number.NEGATIVE_INFINITY,
    statusRestsUntilMs: Number.NEGATIVE_INFINITY,
  }
}
