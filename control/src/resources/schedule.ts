// A Schedule inside Millhand: as the queue keeps it, in milliseconds. Made from a manifest that schema.ts has
// checked.
import type { Priority, ScheduleSpec } from 'millhand/queue'
import type { Condition } from './conditions.ts'
import { type Metadata, type MetadataManifest, type ObjectMetadata, parseMetadata } from './metadata.ts'

export interface Schedule {
  /** Its name is that of the schedule in Redis. */
  metadata: Metadata
  /** The name of a TaskQueue of the same namespace. */
  queue: string
  spec: ScheduleSpec
}

/** A Schedule as written, after schema.ts has checked it and filled in the defaults. */
export interface ScheduleManifest {
  metadata: MetadataManifest
  spec: ScheduleManifestSpec
}

/** A Schedule as the API server has it. */
export interface ScheduleObject extends ScheduleManifest {
  metadata: ObjectMetadata
  status?: ScheduleStatus
}

export interface ScheduleManifestSpec {
  queue: string
  /** Either this or everySeconds: a rule of the CRD. */
  cron?: string
  everySeconds?: number
  timeZone?: string
  task: string
  input?: unknown
  job?: { key?: string; tags?: string[]; priority?: Priority; maxAttempts?: number; timeoutSeconds?: number }
  suspend: boolean
  overlap: 'Allow' | 'Forbid' | 'Replace'
  missed: { maxRuns: number; withinSeconds: number }
  jitterSeconds: number
}

export interface ScheduleStatus {
  observedGeneration: number
  queueName?: string
  nextDueAt?: string
  last?: { dueAt: string; firedAt: string; lateSeconds: number; jobId: string; outcome?: string }
  conditions: Condition[]
}

export function parseSchedule({ metadata, spec }: ScheduleManifest, defaultNamespace: string): Schedule {
  const { queue, everySeconds, job, suspend, overlap, missed, jitterSeconds, ...same } = spec
  return {
    metadata: parseMetadata(metadata, defaultNamespace),
    queue,
    spec: {
      ...same,
      ...(everySeconds !== undefined && { everyMs: everySeconds * 1000 }),
      ...(job && { options: optionsOf(job) }),
      suspend,
      overlap,
      missed: { maxRuns: missed.maxRuns, withinMs: missed.withinSeconds * 1000 },
      jitterMs: jitterSeconds * 1000,
    },
  }
}

function optionsOf({
  timeoutSeconds,
  ...same
}: NonNullable<ScheduleManifestSpec['job']>): NonNullable<ScheduleSpec['options']> {
  return { ...same, ...(timeoutSeconds !== undefined && { timeoutMs: timeoutSeconds * 1000 }) }
}
