// The next step of a WorkerPool, decided from what was observed: data in, data out. reconcile/worker-pool.ts
// carries it out.
//
//   blocked? (findings.ts) → how many (need.ts) → who goes, drained and empty first (leaving.ts) → what the status says (status.ts)

import type { Finding } from '../resources/conditions.ts'
import type { WorkerPoolStatus } from '../resources/worker-pool.ts'
import { type Blocked, type FleetWish, livePods } from '../world.ts'
import { findingsOf, whyBlocked } from './findings.ts'
import { healthOf } from './health.ts'
import { type Leaving, leavingOf } from './leaving.ts'
import type { PoolMemory } from './memory.ts'
import { type Need, needOf } from './need.ts'
import type { ObservedPool } from './observed.ts'
import type { Decision } from './replicas.ts'
import { worthTelling } from './report.ts'
import { statusOf, statusToWrite } from './status.ts'

export interface PoolPlan extends Pick<Leaving, 'drain' | 'undrain' | 'dismiss' | 'reap'> {
  decision: Decision
  wish: FleetWish
  /** The present status; `status` is set when it is worth a write. */
  currentStatus: WorkerPoolStatus
  status?: WorkerPoolStatus
  events: Finding[]
  /** For the next reconcile; apply adds the outcome of its writes. */
  memory: PoolMemory
  checkAgainAfterMs: number
}

/** The monotonic clock for decisions, the wall clock for times that people read. */
export interface Clocks {
  nowMs: number
  wallMs: number
}

const TICK_MS = 1_000
const IDLE_TICK_MS = 15_000
const PROBLEM_TICK_MS = 5_000
const DUE_MARGIN_MS = 5

export function planWorkerPool(observed: ObservedPool, clocks: Clocks): PoolPlan {
  const { nowMs } = clocks
  const blocked = whyBlocked(observed)
  const need = needOf(observed, blocked, nowMs)
  const { decision, isBehind } = need
  const isKnown = need.load !== 'unknown'
  const leaving = leavingOf(observed, { replicas: decision.replicas, isKnown }, nowMs)
  const { victims, empty, busy, draining, ...told } = leaving
  const silent = rememberSilent(observed, nowMs)
  const report = reportOf(observed, { blocked, need, silent }, clocks)
  const isFrozen = blocked?.stopsWriting === true
  return {
    decision,
    ...told,
    wish: { replicas: decision.replicas, isFrozen, isKnown, empty, busy, isBehind },
    ...report,
    memory: {
      ...observed.memory,
      history: decision.history,
      wanted: decision.replicas,
      unseen: need.unseen,
      silent,
      draining,
      ...(report.status && { statusWrittenAtMs: nowMs }),
    },
    checkAgainAfterMs: checkAgainAfterMs(observed, { blocked, need, victims }),
  }
}

type Report = Pick<PoolPlan, 'currentStatus' | 'status' | 'events'>

function reportOf(
  observed: ObservedPool,
  { blocked, need, silent }: Omit<Situation, 'victims'> & { silent: PoolMemory['silent'] },
  clocks: Clocks,
): Report {
  const { decision } = need
  const health = healthOf(observed, { replicas: decision.replicas, silent, ...clocks })
  const findings = findingsOf(observed, { blocked, health, ...need })
  const currentStatus = statusOf(observed, { decision, findings, wallMs: clocks.wallMs })
  const status = statusToWrite(observed, currentStatus, clocks.nowMs)
  return {
    currentStatus,
    ...(status && { status }),
    events: worthTelling(findings, observed.status?.conditions, clocks.wallMs).filter(isNews),
  }
}

/** Ready pods without a registered worker: their startup probe only knows that it registered once. */
function rememberSilent({ workers, fleet, memory }: ObservedPool, nowMs: number): PoolMemory['silent'] {
  if (workers === 'unknown') return memory.silent
  const registered = new Set(workers.flatMap(({ podUid, isAlive }) => (isAlive ? [podUid] : [])))
  const silent = livePods(fleet.pods).filter(({ uid, isReady }) => isReady && !registered.has(uid))
  return new Map(silent.map(({ uid }) => [uid, memory.silent.get(uid) ?? nowMs]))
}

interface Situation {
  blocked: Blocked | undefined
  need: Need
  victims: ReadonlySet<string>
}

/** A tick reads Redis and caches only. Idle queues wake their pool, so its ticks are rare. */
function checkAgainAfterMs(observed: ObservedPool, { blocked, need, victims }: Situation): number {
  const { load, decision } = need
  if (blocked || load === 'unknown') return PROBLEM_TICK_MS
  // Workers and depth are read one after the other: a job that was claimed in between is held by no worker
  // yet.
  const hasWork =
    load.busy > 0 || load.queues.some(({ ready, busy, isStopped }) => busy > 0 || (ready > 0 && !isStopped))
  const isChanging = victims.size > 0 || observed.fleet.size !== decision.replicas || isSomeoneNew(observed)
  const isStabilizing = decision.reason === 'ScaleDownStabilized' || decision.reason === 'ScaleUpStabilized'
  // Jobs that are due already wait for a slot, not for a tick.
  const dueInMs = observed.queues.flatMap(({ nextMs = 0 }) => (nextMs > 0 ? [nextMs + DUE_MARGIN_MS] : []))
  return Math.min(hasWork || isChanging || isStabilizing ? TICK_MS : IDLE_TICK_MS, ...dueInMs)
}

/** A pod that is ready and not yet registered in Redis. */
function isSomeoneNew({ fleet, workers }: ObservedPool): boolean {
  const known = new Set(workers === 'unknown' ? [] : workers.map(({ podUid }) => podUid))
  return livePods(fleet.pods).some(({ uid, isReady }) => isReady && !known.has(uid))
}

function isNews({ type, reason }: Finding): boolean {
  return (
    type === 'Ready' ||
    (type === 'ScalingLimited' && reason === 'MaxReplicas') ||
    (type === 'IsolationFallback' && reason === 'ForkUnavailable') ||
    (type === 'Progressing' && reason === 'ProgressDeadlineExceeded')
  )
}
