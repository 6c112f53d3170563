// A WorkerPool inside Millhand: milliseconds and bytes, every default filled in. Made from a manifest that
// schema.ts has checked. The operator plans Deployments from it, local/ plans processes.

import type { Condition } from './conditions.ts'
import { type Metadata, type MetadataManifest, type ObjectMetadata, parseMetadata } from './metadata.ts'
import { parseBytes } from './quantity.ts'
import type { Reason } from './reasons.ts'

export interface WorkerPool {
  metadata: Metadata
  queues: { name: string; weight: number }[]
  slots: number
  isolation: Isolation
  scaling: Scaling
  drainTimeoutMs: number
  rollout: { maxSurge: number | string; maxUnavailable: number | string; progressDeadlineMs: number }
  /** As written: the operator passes it on. */
  template: PodTemplate
}

export const ISOLATION_MODES = ['Fork', 'Spawn', 'Reuse'] as const
export type IsolationMode = (typeof ISOLATION_MODES)[number]

export interface Isolation {
  mode: IsolationMode
  jobsPerChild?: number
  jobsAtOnce?: number
  maxMemoryBytes?: number
}

export interface Scaling {
  mode: 'Automatic' | 'Manual'
  /** spec.replicas: the number with Manual. */
  manualReplicas: number
  minReplicas: number
  maxReplicas: number
  target: { type: 'Concurrency' } | { type: 'Latency'; maxWaitMs: number }
  scaleUp: ScalingRules
  scaleDown: ScalingRules
}

export interface ScalingRules {
  stabilizationWindowMs: number
  selectPolicy: 'Max' | 'Min' | 'Disabled'
  policies: ScalingPolicy[]
}

export interface ScalingPolicy {
  type: 'Pods' | 'Percent'
  value: number
  periodMs: number
}

export interface PodTemplate {
  metadata?: { labels?: Record<string, string>; annotations?: Record<string, string> }
  spec: { containers: Container[]; [field: string]: unknown }
}

export interface Container {
  name: string
  image?: string
  command?: string[]
  args?: string[]
  env?: EnvironmentVariable[]
  [field: string]: unknown
}

export interface EnvironmentVariable {
  name: string
  value?: string
  valueFrom?: Record<string, unknown>
}

/** A WorkerPool as written, after schema.ts has checked it and filled in the defaults. */
export interface WorkerPoolManifest {
  metadata: MetadataManifest
  spec: WorkerPoolSpec
}

/** A WorkerPool as the API server has it. */
export interface WorkerPoolObject extends WorkerPoolManifest {
  metadata: ObjectMetadata
  status?: WorkerPoolStatus
}

export interface WorkerPoolStatus {
  observedGeneration: number
  replicas: number
  readyReplicas: number
  updatedReplicas: number
  desiredReplicas: number
  terminatingReplicas: number
  drainingReplicas: number
  busySlots: number
  slots: number
  selector: string
  isolationInUse?: IsolationMode[]
  lastScaleTime?: string
  decision: { reason: Reason; message: string }
  conditions: Condition[]
}

export interface WorkerPoolSpec {
  queues: { name: string; weight?: number }[]
  slots: number
  isolation: {
    mode: Isolation['mode']
    reuse?: { jobsPerChild?: number; jobsAtOnce?: number }
    maxMemory?: string | number
  }
  replicas: number
  scaling: {
    mode: Scaling['mode']
    minReplicas: number
    maxReplicas: number
    target: { type: 'Concurrency' | 'Latency'; latency?: { maxWaitSeconds: number } }
    behavior: { scaleUp: ScalingRulesSpec; scaleDown: ScalingRulesSpec }
  }
  drain: { timeoutSeconds: number }
  rollout: { maxSurge: number | string; maxUnavailable: number | string; progressDeadlineSeconds: number }
  template: PodTemplate
}

interface ScalingRulesSpec {
  stabilizationWindowSeconds: number
  selectPolicy: ScalingRules['selectPolicy']
  policies?: { type: ScalingPolicy['type']; value: number; periodSeconds: number }[]
}

export function parseWorkerPool(
  { metadata, spec }: WorkerPoolManifest,
  defaultNamespace: string,
): WorkerPool {
  return {
    metadata: parseMetadata(metadata, defaultNamespace),
    // Not a default of the CRD: one inside a list item makes every client-side apply a change.
    queues: spec.queues.map(({ name, weight = 1 }) => ({ name, weight })),
    slots: spec.slots,
    isolation: parseIsolation(spec.isolation),
    scaling: parseScaling(spec),
    drainTimeoutMs: spec.drain.timeoutSeconds * 1000,
    rollout: {
      maxSurge: spec.rollout.maxSurge,
      maxUnavailable: spec.rollout.maxUnavailable,
      progressDeadlineMs: spec.rollout.progressDeadlineSeconds * 1000,
    },
    template: spec.template,
  }
}

/** The container that runs Millhand; the rules ask for exactly one. */
export function workerContainer(pool: WorkerPool): Container {
  return pool.template.spec.containers.find(isWorker) ?? { name: 'worker' }
}

function parseIsolation({ mode, reuse, maxMemory }: WorkerPoolSpec['isolation']): Isolation {
  const maxMemoryBytes = maxMemory === undefined ? undefined : parseBytes(maxMemory)
  return { mode, ...reuse, ...(maxMemoryBytes !== undefined && { maxMemoryBytes }) }
}

function parseScaling({ scaling, replicas }: WorkerPoolSpec): Scaling {
  const { mode, minReplicas, maxReplicas, target, behavior } = scaling
  return {
    mode,
    manualReplicas: replicas,
    minReplicas,
    maxReplicas,
    target:
      target.latency === undefined
        ? { type: 'Concurrency' }
        : { type: 'Latency', maxWaitMs: target.latency.maxWaitSeconds * 1000 },
    scaleUp: parseScalingRules(behavior.scaleUp),
    scaleDown: parseScalingRules(behavior.scaleDown),
  }
}

function parseScalingRules({
  stabilizationWindowSeconds,
  selectPolicy,
  policies = [],
}: ScalingRulesSpec): ScalingRules {
  return {
    stabilizationWindowMs: stabilizationWindowSeconds * 1000,
    selectPolicy,
    policies: policies.map(({ type, value, periodSeconds }) => ({
      type,
      value,
      periodMs: periodSeconds * 1000,
    })),
  }
}

function isWorker({ name }: Container): boolean {
  return name === 'worker'
}
