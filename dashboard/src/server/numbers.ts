// What Redis and the conditions say, in the shapes of the API. Pure.
import type { Condition as ResourceCondition } from '@millhand/control/resources/conditions'
import type { TaskQueueObject } from '@millhand/control/resources/task-queue'
import { parseTaskQueue } from '@millhand/control/resources/task-queue'
import { parseWorkerPool, type WorkerPoolObject } from '@millhand/control/resources/worker-pool'
import type { Depth, WorkerEntry } from 'millhand/queue'
import type { Condition, PoolNow, Queue, QueueNow, QueueNumbers, Sums, Worker } from '../api.ts'

/** The counters at one moment; the oldest of the last seconds first. */
export interface Sample {
  /** Monotonic. */
  atMs: number
  enqueued: number
  completed: number
  buried: number
}

export interface Crew {
  workers: number
  draining: number
  slots: number
}

const RATE_FROM_MS = 10_000
const LEAST_RATE_MS = 900
/** One of very many queues is looked at so seldom. */
const LONGEST_GAP_MS = 60_000

export function sampleOf({ counts: { enqueued, completed, buried } }: Depth, atMs: number): Sample {
  return { atMs, enqueued, completed, buried }
}

/** Those that a rate is measured from; none of a queue whose counters went back. */
export function samplesWith(before: readonly Sample[], now: Sample): Sample[] {
  const last = before.at(-1)
  const isBack = last && (now.enqueued < last.enqueued || now.completed < last.completed)
  if (!last || isBack || now.atMs - last.atMs > LONGEST_GAP_MS) return [now]
  const recent = before.filter(({ atMs }) => now.atMs - atMs <= RATE_FROM_MS)
  return [...(recent.length > 0 ? recent : [last]), now]
}

export function crewOf(workers: readonly WorkerEntry[]): Crew {
  const alive = workers.filter(({ alive }) => alive)
  const taking = alive.filter(({ draining }) => !draining)
  return {
    workers: alive.length,
    draining: alive.length - taking.length,
    slots: taking.reduce((sum, { slots }) => sum + slots, 0),
  }
}

export function numbersOf(depth: Depth, samples: readonly Sample[], crew: Crew): QueueNumbers {
  const { counts, oldestReadyMs, nextMs, maxBusy, restsMs } = depth
  const perSecond = rateOf(samples)
  return {
    ready: depth.ready,
    blocked: depth.blocked,
    due: depth.due,
    delayed: depth.delayed,
    busy: depth.busy,
    buried: depth.buried,
    ...(oldestReadyMs !== undefined && { oldestReadyMs }),
    ...(nextMs !== undefined && { nextMs }),
    isPaused: depth.paused,
    isSuspended: depth.suspended,
    ...(restsMs !== undefined && { restsMs }),
    ...(maxBusy !== undefined && { maxBusy }),
    enqueued: counts.enqueued,
    completed: counts.completed,
    retried: counts.retried,
    failed: counts.buried,
    cancelled: counts.cancelled,
    expired: counts.expired,
    vanished: counts.vanished,
    ...(perSecond && { perSecond }),
    ...crew,
  }
}

/** Of those that were read. */
export function sumsOf(queues: readonly QueueNow[]): Sums {
  const read = queues.flatMap(({ numbers, atMs }) =>
    numbers && atMs !== undefined ? { ...numbers, atMs } : [],
  )
  const sum = (of: (each: QueueNumbers) => number) => read.reduce((total, each) => total + of(each), 0)
  const ages = read.flatMap(({ oldestReadyMs }) => oldestReadyMs ?? [])
  const rates = read.flatMap(({ perSecond }) => perSecond ?? [])
  const rate = (of: (each: (typeof rates)[number]) => number) =>
    Math.round(10 * rates.reduce((total, each) => total + of(each), 0)) / 10
  return {
    queues: read.length,
    ...(read.length > 0 && { atMs: read.reduce((least, { atMs }) => Math.min(least, atMs), Infinity) }),
    ready: sum((each) => each.ready),
    blocked: sum((each) => each.blocked),
    delayed: sum((each) => each.delayed),
    busy: sum((each) => each.busy),
    buried: sum((each) => each.buried),
    ...(ages.length > 0 && { oldestReadyMs: ages.reduce((most, age) => Math.max(most, age), 0) }),
    ...(rates.length > 0 && {
      perSecond: {
        enqueued: rate((each) => each.enqueued),
        completed: rate((each) => each.completed),
        failed: rate((each) => each.failed),
      },
    }),
    workers: sum((each) => each.workers),
    slots: sum((each) => each.slots),
  }
}

function rateOf(samples: readonly Sample[]): QueueNumbers['perSecond'] {
  const [first] = samples
  const last = samples.at(-1)
  if (!first || !last || last.atMs - first.atMs < LEAST_RATE_MS) return undefined
  const perSecond = (amount: number) => Math.round((amount * 10_000) / (last.atMs - first.atMs)) / 10
  return {
    enqueued: perSecond(last.enqueued - first.enqueued),
    completed: perSecond(last.completed - first.completed),
    failed: perSecond(last.buried - first.buried),
  }
}

export function conditionsOf(conditions: readonly ResourceCondition[] = []): Condition[] {
  return conditions.map(({ type, status, reason, message, lastTransitionTime }) => {
    const sinceMs = Date.parse(lastTransitionTime)
    return { type, status, reason, message, ...(Number.isFinite(sinceMs) && { sinceMs }) }
  })
}

export function poolOf(object: WorkerPoolObject): PoolNow {
  const { metadata, queues, slots, isolation, scaling } = parseWorkerPool(object, '')
  return {
    namespace: metadata.namespace,
    name: metadata.name,
    queues,
    slots,
    isolation: isolation.mode,
    scaling: {
      mode: scaling.mode,
      minReplicas: scaling.minReplicas,
      maxReplicas: scaling.maxReplicas,
      target: scaling.target.type,
    },
    ...(object.status && { status: statusOf(object.status) }),
    conditions: conditionsOf(object.status?.conditions),
  }
}

function statusOf(status: NonNullable<WorkerPoolObject['status']>): NonNullable<PoolNow['status']> {
  const { decision, lastScaleTime } = status
  const lastScaledAtMs = Date.parse(lastScaleTime ?? '')
  return {
    replicas: status.replicas,
    readyReplicas: status.readyReplicas,
    desiredReplicas: status.desiredReplicas,
    updatedReplicas: status.updatedReplicas,
    terminatingReplicas: status.terminatingReplicas,
    drainingReplicas: status.drainingReplicas,
    busySlots: status.busySlots,
    slots: status.slots,
    reason: decision.reason,
    message: decision.message,
    ...(Number.isFinite(lastScaledAtMs) && { lastScaledAtMs }),
  }
}

export function settingsOf(object: TaskQueueObject): Queue['settings'] {
  const { retry, retention, ...queue } = parseTaskQueue(object, '')
  return {
    maxAttempts: retry.maxAttempts,
    backoffMs: retry.backoffMs,
    maxBackoffMs: retry.maxBackoffMs,
    maxCrashes: retry.maxCrashes,
    timeoutMs: queue.timeoutMs,
    maxLength: queue.maxLength,
    maxPayloadBytes: queue.maxPayloadBytes,
    ...(queue.maxBusy !== undefined && { maxBusy: queue.maxBusy }),
    completedMaxAgeMs: retention.completed.maxAgeMs,
    completedMaxCount: retention.completed.maxCount,
    buriedMaxAgeMs: retention.buried.maxAgeMs,
    buriedMaxCount: retention.buried.maxCount,
    isSuspended: queue.suspend,
  }
}

export function workerOf(entry: WorkerEntry, pool: string | undefined): Worker {
  return {
    name: entry.name,
    pod: entry.pod,
    podUid: entry.podUid,
    node: entry.node,
    ...(pool !== undefined && { pool }),
    version: entry.version,
    isolation: entry.isolation,
    ...(entry.isolationNote !== undefined && { isolationNote: entry.isolationNote }),
    slots: entry.slots,
    busy: entry.held,
    startedAtMs: entry.startedAtMs,
    isAlive: entry.alive,
    isDraining: entry.draining,
  }
}
