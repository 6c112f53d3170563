// A WorkerPool inside Millhand: milliseconds and bytes, every default filled in. Made from a manifest that schema.ts has checked.
// The operator plans Deployments from it, local/ plans processes.
import type { Condition } from './conditions.ts'
import { type Metadata, type MetadataManifest, parseMetadata } from './metadata.ts'
import { parseBytes } from './quantity.ts'
import { type Rule, when } from './rules.ts'
import type { Path } from './schema.ts'

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

export interface Isolation {
  mode: 'Fork' | 'Spawn' | 'Reuse'
  jobsPerChild?: number
  jobsAtOncePerChild?: number
  maxMemoryBytes?: number
}

export interface Scaling {
  mode: 'Automatic' | 'Manual'
  /** spec.replicas: the number with Manual. */
  manualReplicas: number
  minReplicas: number
  maxReplicas: number
  target: { type: 'Concurrency' } | { type: 'Latency'; latencyMs: number }
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
  metadata: WorkerPoolManifest['metadata'] & {
    generation?: number
    resourceVersion?: string
    deletionTimestamp?: string
  }
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
  isolationInUse?: string
  lastScaleTime?: string
  decision: { reason: string; message: string }
  conditions: Condition[]
}

export interface WorkerPoolSpec {
  queues: { name: string; weight?: number }[]
  slots: number
  isolation: {
    mode: Isolation['mode']
    jobsPerChild?: number
    jobsAtOncePerChild?: number
    maxMemory?: string | number
  }
  replicas: number
  scaling: {
    mode: Scaling['mode']
    minReplicas: number
    maxReplicas: number
    target: { type: 'Concurrency' | 'Latency'; latencySeconds?: number }
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

const ISOLATION = ['spec', 'isolation']
const SCALING = ['spec', 'scaling']
const ROLLOUT = ['spec', 'rollout']
const POD_METADATA = ['spec', 'template', 'metadata']
const POD = ['spec', 'template', 'spec']

export const WORKER_POOL_RULES: readonly Rule<WorkerPoolSpec>[] = [
  {
    at: ['spec'],
    message:
      'the pool scales automatically; set spec.scaling.mode to Manual before or together with spec.replicas',
    broken: (spec, old) =>
      when(
        old !== undefined &&
          spec.replicas !== old.replicas &&
          spec.scaling.mode !== 'Manual' &&
          old.scaling.mode !== 'Manual',
        ['spec', 'replicas'],
      ),
  },
  {
    at: ISOLATION,
    message: 'jobsPerChild needs mode Reuse',
    broken: ({ isolation }) =>
      when(isolation.jobsPerChild !== undefined && isolation.mode !== 'Reuse', [
        ...ISOLATION,
        'jobsPerChild',
      ]),
  },
  {
    at: ISOLATION,
    message: 'jobsAtOncePerChild needs mode Reuse',
    broken: ({ isolation }) =>
      when(isolation.jobsAtOncePerChild !== undefined && isolation.mode !== 'Reuse', [
        ...ISOLATION,
        'jobsAtOncePerChild',
      ]),
  },
  {
    at: SCALING,
    message: 'minReplicas must not be more than maxReplicas',
    broken: ({ scaling }) => when(scaling.minReplicas > scaling.maxReplicas, [...SCALING, 'minReplicas']),
  },
  {
    at: [...SCALING, 'target'],
    message: 'latencySeconds is needed with type Latency, and only there',
    broken: ({ scaling: { target } }) =>
      when((target.type === 'Latency') !== (target.latencySeconds !== undefined), [...SCALING, 'target']),
  },
  {
    at: ROLLOUT,
    message: 'maxSurge and maxUnavailable cannot both be 0, or no pod could ever be replaced',
    broken: ({ rollout }) => when(isNone(rollout.maxSurge) && isNone(rollout.maxUnavailable), ROLLOUT),
  },
  {
    at: POD_METADATA,
    message: 'labels under millhand.dev/ are set by the operator',
    broken: ({ template }) => reservedKeys(template, 'labels'),
  },
  {
    at: POD_METADATA,
    message: 'annotations under millhand.dev/ are set by the operator',
    broken: ({ template }) => reservedKeys(template, 'annotations'),
  },
  {
    at: POD,
    message: 'one container must be called worker',
    broken: ({ template }) =>
      when(template.spec.containers.filter(isWorker).length !== 1, [...POD, 'containers']),
  },
  {
    at: POD,
    message: 'set spec.drain.timeoutSeconds; the operator derives terminationGracePeriodSeconds from it',
    broken: ({ template }) =>
      when(template.spec.terminationGracePeriodSeconds !== undefined, [
        ...POD,
        'terminationGracePeriodSeconds',
      ]),
  },
  {
    at: POD,
    message: 'environment variables that begin with MILLHAND_ are set by the operator',
    broken: ({ template }) => template.spec.containers.flatMap(reservedVariables),
  },
  {
    at: POD,
    message:
      'the operator sets the startupProbe of the container worker, which ends when the worker has registered with its queues; use readinessProbe or livenessProbe, which begin then',
    broken: ({ template }) =>
      template.spec.containers.flatMap((container, index) =>
        when(isWorker(container) && container.startupProbe !== undefined, [
          ...POD,
          'containers',
          index,
          'startupProbe',
        ]),
      ),
  },
]

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

function parseIsolation({ maxMemory, ...rest }: WorkerPoolSpec['isolation']): Isolation {
  const maxMemoryBytes = maxMemory === undefined ? undefined : parseBytes(maxMemory)
  return { ...rest, ...(maxMemoryBytes !== undefined && { maxMemoryBytes }) }
}

function parseScaling({ scaling, replicas }: WorkerPoolSpec): Scaling {
  const { mode, minReplicas, maxReplicas, target, behavior } = scaling
  return {
    mode,
    manualReplicas: replicas,
    minReplicas,
    maxReplicas,
    target:
      target.latencySeconds === undefined
        ? { type: 'Concurrency' }
        : { type: 'Latency', latencyMs: target.latencySeconds * 1000 },
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

function isNone(pods: number | string): boolean {
  return pods === 0 || pods === '0%'
}

function reservedKeys({ metadata }: PodTemplate, field: 'labels' | 'annotations'): Path[] {
  return Object.keys(metadata?.[field] ?? {}).flatMap((key) =>
    when(key.startsWith('millhand.dev/'), [...POD_METADATA, field, key]),
  )
}

function reservedVariables({ env = [] }: Container, container: number): Path[] {
  return env.flatMap(({ name }, variable) =>
    when(name.startsWith('MILLHAND_'), [...POD, 'containers', container, 'env', variable, 'name']),
  )
}

function isWorker({ name }: Container): boolean {
  return name === 'worker'
}
