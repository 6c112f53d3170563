// What a reconcile of a WorkerPool remembers for the next one. Lost when the operator restarts, and nothing breaks: no pod is removed
// before a whole window was seen, and an unchanged Deployment is written once more.

import { noHistory, type ScalingHistory } from '@millhand/control/decide/replicas'
import type { Rendered } from '../fleet/deployment.ts'
import { type GuardMemory, noGuardMemory } from '../fleet/guards.ts'

export interface PoolMemory {
  /** The pool's UID: a pool of the same name is another one. */
  uid: string
  history: ScalingHistory
  /** The number decided last. */
  wanted: number | undefined
  /**
   * What was written last, and the generation that the Deployment had then: another one means that somebody changed it. No hash where only
   * the number was written. There at all, what an operator that led before may still be about to write gets a conflict.
   */
  applied: { hash: string | undefined; generation: number; replicas: number } | undefined
  /** What the API server refused to write, so that it is not asked the same again and again: a template, and then also a number alone. */
  refusal: { hash: string; message: string; atMs: number; replicas?: number } | undefined
  isNameTaken: boolean
  /** Pod UID → when its claims were stopped, and when that was last said to Redis. */
  draining: ReadonlyMap<string, { sinceMs: number; renewedAtMs: number }>
  /** How long workers in pods that the watch does not show were believed, over all of them: whoever names a new pod each time gets no more. */
  unseen: { areThere: boolean; believedMs: number; atMs: number }
  /** What the API server did not do, in its words, and how many times in a row. */
  trouble: { message: string; isDenied: boolean; times: number } | undefined
  /** What was rendered last, and from what: a template may be large, and is the same at almost every tick. */
  rendered: { from: string; rendered: Rendered } | undefined
  /** UID of a pod that is ready and of which no worker is registered → since when. */
  silent: ReadonlyMap<string, number>
  guards: GuardMemory
  statusWrittenAtMs: number
  /** The API server refused a status: until then none is written. */
  statusRestsUntilMs: number
}

export function emptyMemory(uid: string): PoolMemory {
  return {
    uid,
    history: noHistory,
    wanted: undefined,
    applied: undefined,
    refusal: undefined,
    isNameTaken: false,
    draining: new Map(),
    unseen: { areThere: false, believedMs: 0, atMs: 0 },
    trouble: undefined,
    rendered: undefined,
    silent: new Map(),
    guards: noGuardMemory,
    statusWrittenAtMs: Number.NEGATIVE_INFINITY,
    statusRestsUntilMs: Number.NEGATIVE_INFINITY,
  }
}
