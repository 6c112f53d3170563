// What a reconcile of a WorkerPool remembers for the next one. Lost when the operator restarts, and nothing breaks: no pod is removed
// before a whole window was seen.
import { noHistory, type ScalingHistory } from './replicas.ts'

export interface PoolMemory {
  /** The pool's UID: a pool of the same name is another one. */
  uid: string
  history: ScalingHistory
  /** The number decided last. */
  wanted: number | undefined
  /** Pod UID → when its claims were stopped, and when that was last said to Redis. */
  draining: ReadonlyMap<string, { sinceMs: number; renewedAtMs: number }>
  /** How long workers in pods that were not shown were believed, over all of them: whoever names a new pod each time gets no more. */
  unseen: { areThere: boolean; believedMs: number; atMs: number }
  /** UID of a pod that is ready and of which no worker is registered → since when. */
  silent: ReadonlyMap<string, number>
  statusWrittenAtMs: number
  /** The API server refused a status: until then none is written. */
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
