// An observed pool for tables of decisions: everything well, with what a row says changed.
import { checkAgainstSchema } from '../../../control/src/resources/schema.ts'
import {
  parseWorkerPool,
  type WorkerPool,
  type WorkerPoolManifest,
} from '../../../control/src/resources/worker-pool.ts'
import type { WorkerPod } from '../../../operator/src/fleet/pods.ts'
import { emptyMemory, type PoolMemory } from '../../../operator/src/worker-pool/memory.ts'
import type {
  ObservedPool,
  ObservedQueue,
  ObservedWorker,
} from '../../../operator/src/worker-pool/observe.ts'
import { schemas } from '../../control/resources/crds.ts'

export const NOW = Date.parse('2026-01-01T12:00:00Z')

export const poolOf = (spec: object = {}): WorkerPool => parseWorkerPool(declaredPool(spec), 'default')

/** As the API server has it, defaults filled in. */
export function declaredPool(spec: object = {}): WorkerPoolManifest {
  const template = { spec: { containers: [{ name: 'worker', image: 'example/mail:1' }] } }
  const manifest = {
    apiVersion: 'millhand.dev/v1beta1',
    kind: 'WorkerPool',
    metadata: { name: 'mail', namespace: 'shop', uid: 'pool-uid' },
    spec: { queues: [{ name: 'mail' }], template, ...spec },
  }
  const { value, problems } = checkAgainstSchema(manifest, schemas.WorkerPool)
  if (problems.length > 0) throw new Error(problems.map(({ message }) => message).join('\n'))
  return value as WorkerPoolManifest
}

export const queueOf = (load: Partial<NonNullable<ObservedQueue['load']>> = {}): ObservedQueue => ({
  name: 'mail',
  weight: 1,
  queueName: 'shop.mail',
  secretName: 'millhand-redis',
  load: { ready: 0, busy: 0, isStopped: false, share: 1, ...load },
})

export const podOf = (uid: string, pod: Partial<WorkerPod> = {}): WorkerPod => ({
  name: `mail-${uid}`,
  uid,
  startedAtMs: NOW - 600_000,
  state: 'live',
  isReady: true,
  templateHash: 'a',
  isMarked: false,
  guard: 'off',
  isForced: false,
  deaths: [],
  ...pod,
})

export const workerOf = (podUid: string, held = 0, worker: Partial<ObservedWorker> = {}): ObservedWorker => ({
  name: `process-${podUid}:1`,
  queue: 'shop.mail',
  process: `process-${podUid}`,
  isAlive: true,
  podUid,
  held,
  isDraining: false,
  isolation: 'Fork',
  ...worker,
})

export const deploymentWith = (
  replicas: number,
  more: object = {},
): NonNullable<ObservedPool['deployment']> => ({
  metadata: { name: 'mail', namespace: 'shop', uid: 'deployment-uid', generation: 4, resourceVersion: '77' },
  spec: { replicas },
  status: { observedGeneration: 4, replicas, updatedReplicas: replicas },
  ...more,
})

export const memoryOf = (memory: Partial<PoolMemory> = {}): PoolMemory => ({
  ...emptyMemory('pool-uid'),
  ...memory,
})

/** `uids` drain since a while. */
export const draining = (...uids: string[]): PoolMemory['draining'] =>
  new Map(uids.map((uid) => [uid, { sinceMs: NOW - 5_000, renewedAtMs: NOW - 5_000 }]))

export function observed(changes: Partial<ObservedPool> = {}): ObservedPool {
  return {
    pool: poolOf({ scaling: { behavior: { scaleDown: { stabilizationWindowSeconds: 0 } } } }),
    generation: 1,
    status: undefined,
    queues: [queueOf()],
    deployment: undefined,
    isNameTaken: false,
    pods: [],
    deletedPods: [],
    workers: [],
    memory: memoryOf(),
    ...changes,
  }
}
