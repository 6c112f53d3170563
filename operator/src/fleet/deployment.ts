// Renders the Deployment of a WorkerPool. Pure: the same pool gives the same bytes, also after an upgrade of
// the operator, because a changed template replaces all pods.
import { createHash } from 'node:crypto'
import { type ServedQueueVariable, workerVariables } from '@millhand/control/decide/worker-environment'
import type { OwnerReference } from '@millhand/control/resources/metadata'
import { API_VERSION } from '@millhand/control/resources/schemas'
import type { Container, EnvironmentVariable, WorkerPool } from '@millhand/control/resources/worker-pool'

export const POOL_LABEL = 'millhand.dev/pool'
export const TEMPLATE_ANNOTATION = 'millhand.dev/template'
/** The leader that wrote it last: the first write of a new leader thus always makes a new version. */
export const LEADER_ANNOTATION = 'millhand.dev/leader'
/** ReplicaSets remove the pods with the lowest first. */
export const DELETION_COST = 'controller.kubernetes.io/pod-deletion-cost'
const MANAGED_BY = { 'app.kubernetes.io/managed-by': 'millhand' }
const HTTP_PORT = 9400
/** A worker that has not registered after this time is restarted, and reads the Secret again. */
const REGISTERS_WITHIN_SECONDS = 600
/** Time for a worker to end after the drain timeout of its jobs. */
const GRACE_AFTER_DRAIN_SECONDS = 10
const MAX_HISTORY = 3
/**
 * Pods of a node that does not answer are given up after this time, in place of Kubernetes' 300 s: workers
 * keep no state there.
 */
const LOST_NODE_SECONDS = 30
const LOST_NODE_TAINTS = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable']

export interface DeploymentManifest {
  metadata: {
    name: string
    namespace: string
    labels: Record<string, string>
    annotations: Record<string, string>
    ownerReferences: OwnerReference[]
  }
  spec: Record<string, unknown>
}

export interface Rendered {
  manifest: DeploymentManifest
  hash: string
}

export interface DeploymentInput {
  pool: WorkerPool
  /** One entry for each of the pool's queues, with the name in Redis where the rule does not give it. */
  queues: readonly ServedQueueVariable[]
  secretName: string
}

/** Without replicas, which are added when it is applied. */
export function deploymentOf(input: DeploymentInput): DeploymentManifest {
  const { pool } = input
  const { name, namespace, uid = '' } = pool.metadata
  const labels = labelsOf(pool)
  const template = podTemplate(input, labels)
  const hash = hashOf(template)
  const annotations = { ...template.metadata.annotations, [TEMPLATE_ANNOTATION]: hash }
  return {
    metadata: {
      name,
      namespace,
      labels,
      annotations: { [TEMPLATE_ANNOTATION]: hash },
      ownerReferences: [
        {
          apiVersion: API_VERSION,
          kind: 'WorkerPool',
          name,
          uid,
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
    },
    spec: {
      selector: { matchLabels: { [POOL_LABEL]: name } },
      strategy: {
        type: 'RollingUpdate',
        rollingUpdate: { maxSurge: pool.rollout.maxSurge, maxUnavailable: pool.rollout.maxUnavailable },
      },
      progressDeadlineSeconds: pool.rollout.progressDeadlineMs / 1000,
      revisionHistoryLimit: MAX_HISTORY,
      // Tells pods with this template from pods with an earlier one.
      template: { ...template, metadata: { ...template.metadata, annotations } },
    },
  }
}

/**
 * The recommended labels. A template may set part-of; the labels by which pods are selected are the
 * operator's.
 */
function labelsOf({ metadata: { name }, template }: WorkerPool): Record<string, string> {
  return {
    'app.kubernetes.io/name': 'millhand-worker',
    'app.kubernetes.io/instance': name,
    'app.kubernetes.io/component': 'worker',
    'app.kubernetes.io/part-of': 'millhand',
    ...template.metadata?.labels,
    ...MANAGED_BY,
    [POOL_LABEL]: name,
  }
}

/** The selector of a pool's pods, as `status.selector` and autoscalers want it. */
export const selectorOf = (poolName: string) => `${POOL_LABEL}=${poolName}`

/** Short enough for an annotation that people read. */
export function hashOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 16)
}

function podTemplate(input: DeploymentInput, labels: Record<string, string>) {
  const { template, drainTimeoutMs } = input.pool
  const { containers, securityContext, tolerations, ...spec } = template.spec
  return {
    metadata: {
      ...(template.metadata?.annotations && { annotations: template.metadata.annotations }),
      labels,
    },
    spec: {
      automountServiceAccountToken: false,
      ...spec,
      securityContext: {
        runAsNonRoot: true,
        seccompProfile: { type: 'RuntimeDefault' },
        ...asObject(securityContext),
      },
      tolerations: withLostNode(asList(tolerations)),
      terminationGracePeriodSeconds: drainTimeoutMs / 1000 + GRACE_AFTER_DRAIN_SECONDS,
      containers: containers.map((container) =>
        container.name === 'worker' ? workerContainer(container, input) : withLimits(container),
      ),
    },
  }
}

/** A toleration of the template for the taint wins, as it does over the default of the API server. */
function withLostNode(given: readonly unknown[]): unknown[] {
  const isTolerated = (taint: string) =>
    given.some((toleration) => {
      const { key, effect } = asObject(toleration)
      return (!key || key === taint) && (!effect || effect === 'NoExecute')
    })
  const left = LOST_NODE_TAINTS.filter((taint) => !isTolerated(taint))
  const timing = { operator: 'Exists', effect: 'NoExecute', tolerationSeconds: LOST_NODE_SECONDS }
  return [...given, ...left.map((key) => ({ key, ...timing }))]
}

function workerContainer(container: Container, input: DeploymentInput): Container {
  const { ports, env = [], ...rest } = container
  const { progressDeadlineMs } = input.pool.rollout
  return withLimits({
    // Fails when Redis answers others and not this worker, and when its event loop hangs: a restart helps
    // then.
    livenessProbe: {
      httpGet: { path: '/livez', port: 'millhand' },
      // An overloaded node makes it answer late, and a restart would end its jobs.
      periodSeconds: 10,
      timeoutSeconds: 10,
      failureThreshold: 9,
    },
    ...rest,
    // A pod is ready when its worker has registered, and a rollout removes no working pod before. A readiness
    // probe could fail later on a busy node, and a ReplicaSet removes unready pods first, whatever they run.
    startupProbe: {
      httpGet: { path: '/readyz', port: 'millhand' },
      periodSeconds: 1,
      timeoutSeconds: 5,
      failureThreshold: Math.max(REGISTERS_WITHIN_SECONDS, progressDeadlineMs / 1000),
    },
    ports: [...asList(ports), { name: 'millhand', containerPort: HTTP_PORT, protocol: 'TCP' }],
    env: [...variablesOf(input), ...env],
  })
}

/** The settings of restricted pod security, unless the template has others. */
function withLimits(container: Container): Container {
  return {
    ...container,
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      ...asObject(container.securityContext),
    },
  }
}

function variablesOf({ pool, queues, secretName }: DeploymentInput): EnvironmentVariable[] {
  const values = {
    ...workerVariables(pool, queues, pool.metadata.uid ?? ''),
    MILLHAND_HTTP_PORT: HTTP_PORT,
  }
  const fields = {
    MILLHAND_POD_NAME: 'metadata.name',
    MILLHAND_POD_UID: 'metadata.uid',
    MILLHAND_NODE_NAME: 'spec.nodeName',
  }
  return [
    fromSecret('MILLHAND_REDIS_URL', { name: secretName, key: 'url' }),
    fromSecret('MILLHAND_REDIS_CA', { name: secretName, key: 'ca.crt', optional: true }),
    fromSecret('MILLHAND_REDIS_CERT', { name: secretName, key: 'tls.crt', optional: true }),
    fromSecret('MILLHAND_REDIS_KEY', { name: secretName, key: 'tls.key', optional: true }),
    ...Object.entries(fields).map(([name, fieldPath]) => ({
      name,
      valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath } },
    })),
    ...Object.entries(values).flatMap(([name, value]) =>
      value === undefined ? [] : [{ name, value: String(value) }],
    ),
  ]
}

function fromSecret(
  name: string,
  secretKeyRef: { name: string; key: string; optional?: true },
): EnvironmentVariable {
  return { name, valueFrom: { secretKeyRef } }
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}

function asList(value: unknown): unknown[] {
  return Array.isArray(value) ? value : []
}
