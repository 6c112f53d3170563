// A TaskQueue inside Millhand: milliseconds and bytes, every default filled in. Made from a manifest that
// schema.ts has checked, and turned into the settings that workers and clients read in Redis.
import type { KeyLimits, QueueSettings, Rate, WhenAtLimit } from 'millhand/queue'
import { type Condition, NOT_ITS_OWN } from './conditions.ts'
import { type Metadata, type MetadataManifest, type ObjectMetadata, parseMetadata } from './metadata.ts'
import { parseBytes } from './quantity.ts'

export interface TaskQueue {
  metadata: Metadata
  /** The name in Redis. */
  queueName: string
  /** The UID of the owner that is gone and whose name this queue takes over. */
  formerOwnerUid?: string
  /** The Secret that says where Redis is; absent in a manifest: `millhand-redis`. */
  redisSecretName: string
  suspend: boolean
  retry: { maxAttempts: number; backoffMs: number; maxBackoffMs: number; maxCrashes: number }
  /** The TaskQueue of its namespace in which a job goes on that has run out of memory. */
  escalateTo?: string
  timeoutMs: number
  /** Absent: jobs wait for ever. */
  expiresInMs?: number
  maxLength: number
  maxPayloadBytes: number
  retention: { completed: Retention; buried: Retention }
  /** Entries of its stream of events; 0: none. */
  maxEvents: number
  /** Absent: no limit. */
  maxBusy?: number
  rate?: Rate
  perKey?: KeyLimits
}

export interface Retention {
  maxAgeMs: number
  maxCount: number
}

/** A TaskQueue as written, after schema.ts has checked it and filled in the defaults. */
export interface TaskQueueManifest {
  metadata: MetadataManifest
  spec: TaskQueueSpec
}

/** A TaskQueue as the API server has it. */
export interface TaskQueueObject extends TaskQueueManifest {
  metadata: ObjectMetadata
  status?: TaskQueueStatus
}

export interface TaskQueueStatus {
  observedGeneration: number
  queueName: string
  layoutVersion?: number
  observedAt?: string
  jobs?: { ready: number; blocked: number; busy: number; delayed: number; buried: number }
  vanishedEnqueues?: number
  oldestReadyAt?: string
  conditions: Condition[]
}

export interface TaskQueueSpec {
  queueName?: string
  takeOver?: { ownerUID: string }
  redis?: { secretRef: { name: string } }
  suspend: boolean
  limits: {
    maxLength: number
    maxPayload: string | number
    maxBusy?: number
    rate?: RateSpec
    perKey?: { maxBusy?: number; rate?: RateSpec; maxLength?: number; whenAtLimit: WhenAtLimit }
  }
  retry: {
    maxAttempts: number
    maxCrashes: number
    backoff: { baseSeconds: number; maxSeconds: number }
    outOfMemory?: { escalateTo: string }
  }
  timeoutSeconds: number
  expiresInSeconds?: number
  retention: { completed: RetentionSpec; buried: RetentionSpec }
  events: { maxCount: number }
}

interface RateSpec {
  jobs: number
  periodSeconds: number
  burst?: number
}

interface RetentionSpec {
  maxAgeSeconds: number
  maxCount: number
}

export function parseTaskQueue({ metadata, spec }: TaskQueueManifest, defaultNamespace: string): TaskQueue {
  const parsed = parseMetadata(metadata, defaultNamespace)
  const { limits, retry, takeOver } = spec
  return {
    metadata: parsed,
    queueName: spec.queueName ?? defaultQueueName(parsed.namespace, parsed.name),
    ...(takeOver && { formerOwnerUid: takeOver.ownerUID }),
    redisSecretName: redisSecretOf(spec),
    suspend: spec.suspend,
    retry: {
      maxAttempts: retry.maxAttempts,
      backoffMs: retry.backoff.baseSeconds * 1000,
      maxBackoffMs: retry.backoff.maxSeconds * 1000,
      maxCrashes: retry.maxCrashes,
    },
    ...(retry.outOfMemory && { escalateTo: retry.outOfMemory.escalateTo }),
    timeoutMs: spec.timeoutSeconds * 1000,
    ...(spec.expiresInSeconds !== undefined && { expiresInMs: spec.expiresInSeconds * 1000 }),
    maxLength: limits.maxLength,
    maxPayloadBytes: parseBytes(limits.maxPayload) ?? 0,
    retention: { completed: retention(spec.retention.completed), buried: retention(spec.retention.buried) },
    maxEvents: spec.events.maxCount,
    ...(limits.maxBusy !== undefined && { maxBusy: limits.maxBusy }),
    ...(limits.rate && { rate: rateOf(limits.rate) }),
    ...(limits.perKey && { perKey: keyLimits(limits.perKey) }),
  }
}

export const DEFAULT_REDIS_SECRET = 'millhand-redis'

export function redisSecretOf({ redis }: TaskQueueSpec): string {
  return redis?.secretRef.name ?? DEFAULT_REDIS_SECRET
}

/** Of two that want one name in Redis, the one that has it; known when its status was written. */
export function hasItsName({ status }: TaskQueueObject): boolean {
  const ready = status?.conditions.find(({ type }) => type === 'Ready')
  return status?.queueName !== undefined && !(ready && NOT_ITS_OWN.includes(ready.reason))
}

/**
 * The one rule that names a queue in Redis; `millhand/queue` has it for clients and workers, and a test
 * compares the two.
 */
export function defaultQueueName(namespace: string, name: string): string {
  return `${namespace}.${name}`
}

/** What the resource says, in the form in which it is written to Redis. */
export function queueSettings(queue: TaskQueue, ownerUid: string, owner?: string): QueueSettings {
  const { completed, buried } = queue.retention
  return {
    ownerUid,
    ...(owner !== undefined && { owner }),
    ...queue.retry,
    timeoutMs: queue.timeoutMs,
    ...(queue.expiresInMs !== undefined && { expiresInMs: queue.expiresInMs }),
    maxLength: queue.maxLength,
    maxPayloadBytes: queue.maxPayloadBytes,
    completedMaxAgeMs: completed.maxAgeMs,
    completedMaxCount: completed.maxCount,
    buriedMaxAgeMs: buried.maxAgeMs,
    buriedMaxCount: buried.maxCount,
    eventsMaxCount: queue.maxEvents,
    suspended: queue.suspend,
    ...(queue.maxBusy !== undefined && { maxBusy: queue.maxBusy }),
    ...(queue.rate && { rate: queue.rate }),
    ...(queue.perKey && { perKey: queue.perKey }),
  }
}

function rateOf({ jobs, periodSeconds, burst }: RateSpec): Rate {
  return { jobs, periodMs: periodSeconds * 1000, ...(burst !== undefined && { burst }) }
}

function keyLimits({ rate, ...others }: NonNullable<TaskQueueSpec['limits']['perKey']>): KeyLimits {
  return { ...others, ...(rate && { rate: rateOf(rate) }) }
}

function retention({ maxAgeSeconds, maxCount }: RetentionSpec): Retention {
  return { maxAgeMs: maxAgeSeconds * 1000, maxCount }
}
