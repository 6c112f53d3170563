// How many pods a WorkerPool needs, and why. Pure.
//
//   jobs of its queues, jobs that its workers hold ──▶ load; unknown as soon as one of them is ──▶ replicas.ts ──▶ decision
import type { WorkerPool } from '../resources/worker-pool.ts'
import { type Blocked, livePods, type WorkerPod } from '../world.ts'
import type { PoolMemory } from './memory.ts'
import type { ObservedPool, ObservedWorker } from './observed.ts'
import { type Decision, decideReplicas, type Load } from './replicas.ts'

export interface Need {
  load: Load | 'unknown'
  decision: Decision
  /** For the next time. */
  unseen: PoolMemory['unseen']
  /** Whether workers run in pods that were not shown yet. */
  isBehind: boolean
}

/**
 * After this time the pods of these workers will not be shown any more: a pod lost its labels, or another
 * program uses the UID of the pool. A watch that fell silent is restarted before.
 */
const SHOWN_WITHIN_MS = 180_000
/** Belief is regained so much more slowly than it is used up. */
const GIVEN_BACK = 10

export function needOf(observed: ObservedPool, blocked: Blocked | undefined, nowMs: number): Need {
  const { memory, pool, fleet } = observed
  const unseen = rememberUnseen(observed, nowMs)
  const isBehind = unseen.areThere && unseen.believedMs < SHOWN_WITHIN_MS
  const load = loadOf(observed, isBehind)
  const current = memory.wanted ?? fleet.size ?? 0
  const decided = decideReplicas({ pool, current, load, history: memory.history, nowMs })
  const decision = blocked && load === 'unknown' ? onHold(decided, pool, blocked) : decided
  return { load, decision, unseen, isBehind }
}

/** Unknown as soon as one queue is unknown: unknown is not zero. */
function loadOf({ queues, workers, fleet: { pods } }: ObservedPool, isBehind: boolean): Load | 'unknown' {
  const loads = queues.flatMap(({ load }) => load ?? [])
  if (loads.length < queues.length || workers === 'unknown') return 'unknown'
  const live = new Set(livePods(pods).map(({ uid }) => uid))
  const strangers = isBehind ? unseenWorkers(workers, pods) : []
  const working = workers.filter(({ podUid, isDraining }) => live.has(podUid) && !isDraining)
  return { busy: heldBy([...working, ...strangers]), queues: loads }
}

/** Workers in pods that were not shown: the view of the pods is behind, or a pod lost its labels. */
function unseenWorkers(workers: readonly ObservedWorker[], pods: readonly WorkerPod[]): ObservedWorker[] {
  const seen = new Set(pods.map(({ uid }) => uid))
  return workers.filter(({ podUid, isAlive, isDraining }) => isAlive && !isDraining && !seen.has(podUid))
}

function rememberUnseen({ workers, fleet, memory }: ObservedPool, nowMs: number): PoolMemory['unseen'] {
  if (workers === 'unknown') return memory.unseen
  const { unseen } = memory
  const sinceMs = nowMs - unseen.atMs
  const believedMs = unseen.areThere
    ? Math.min(unseen.believedMs + sinceMs, SHOWN_WITHIN_MS)
    : Math.max(0, unseen.believedMs - sinceMs / GIVEN_BACK)
  return { areThere: unseenWorkers(workers, fleet.pods).length > 0, believedMs, atMs: nowMs }
}

/** The number stays, with the reason why the need is unknown. */
function onHold(decision: Decision, { scaling }: WorkerPool, { reason, message }: Blocked): Decision {
  if (scaling.mode === 'Manual') return decision
  return { ...decision, reason, message: `replicas unchanged at ${decision.replicas}: ${message}` }
}

function heldBy(workers: readonly ObservedWorker[]): number {
  return workers.reduce((held, worker) => held + worker.held, 0)
}
