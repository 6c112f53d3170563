// The status of a WorkerPool, and when it is worth a write. Pure.

import { boundedStatus } from '../resources/bounds.ts'
import type { Finding } from '../resources/conditions.ts'
import { ISOLATION_MODES, type WorkerPoolStatus } from '../resources/worker-pool.ts'
import { livePods } from '../world.ts'
import type { ObservedPool } from './observed.ts'
import type { Decision } from './replicas.ts'
import { conditionsOf, hasNews, isSame } from './report.ts'

interface Saying {
  decision: Decision
  findings: readonly Finding[]
  wallMs: number
}

/** Messages and counts change with every job and are written at most this often. News is written at once. */
const WORDS_EVERY_MS = 15_000

export function statusOf(observed: ObservedPool, { decision, findings, wallMs }: Saying): WorkerPoolStatus {
  const { pool, generation, fleet, workers, memory, status: before } = observed
  const now = new Date(wallMs).toISOString()
  const live = livePods(fleet.pods)
  const isKnown = workers !== 'unknown'
  const readyReplicas = live.filter(({ isReady }) => isReady).length
  const liveUids = new Set(live.map(({ uid }) => uid))
  const hasScaled = before !== undefined && before.desiredReplicas !== decision.replicas
  const lastScaleTime = hasScaled ? now : before?.lastScaleTime
  const modes = ISOLATION_MODES.filter(
    (mode) => isKnown && workers.some(({ isolation }) => isolation === mode),
  )
  const isolationInUse = modes.length > 0 ? modes : before?.isolationInUse
  return boundedStatus('WorkerPool', {
    observedGeneration: generation,
    replicas: live.length,
    readyReplicas,
    updatedReplicas: live.filter(({ isCurrent }) => isCurrent).length,
    desiredReplicas: decision.replicas,
    terminatingReplicas: fleet.pods.filter(({ state }) => state === 'terminating').length,
    drainingReplicas: live.filter(({ uid }) => memory.draining.has(uid)).length,
    busySlots: isKnown
      ? workers.reduce((busy, { held, podUid }) => busy + (liveUids.has(podUid) ? held : 0), 0)
      : (before?.busySlots ?? 0),
    slots: readyReplicas * pool.slots,
    selector: fleet.selector,
    ...(isolationInUse && { isolationInUse }),
    ...(lastScaleTime && { lastScaleTime }),
    decision: { reason: decision.reason, message: decision.message },
    conditions: conditionsOf(findings, before?.conditions, { generation, now }),
  })
}

/** Undefined when the written status is still true, or was written a moment ago and only messages changed. */
export function statusToWrite(
  { status: before, memory }: ObservedPool,
  status: WorkerPoolStatus,
  nowMs: number,
): WorkerPoolStatus | undefined {
  if (nowMs < memory.statusRestsUntilMs) return undefined
  if (!before || hasNews(status, before)) return status
  if (FAST.some((name) => status[name] !== before[name])) return status
  if (nowMs - memory.statusWrittenAtMs < WORDS_EVERY_MS) return undefined
  return isSame(status, before) ? undefined : status
}

const FAST = [
  'replicas',
  'readyReplicas',
  'desiredReplicas',
  'terminatingReplicas',
  'drainingReplicas',
] as const
