// The fields of Kubernetes' own objects that decisions are made from. kube/ reads them.
import type { ObjectMetadata } from '@millhand/control/resources/metadata'

interface StandardCondition {
  type: string
  status: string
  reason?: string
  message?: string
}

export interface Deployment {
  metadata: ObjectMetadata
  spec: { replicas?: number }
  status?: {
    observedGeneration?: number
    replicas?: number
    updatedReplicas?: number
    conditions?: StandardCondition[]
  }
}

export interface Pod {
  metadata: ObjectMetadata
  status?: {
    phase?: string
    reason?: string
    message?: string
    conditions?: StandardCondition[]
    initContainerStatuses?: ContainerStatus[]
    containerStatuses?: ContainerStatus[]
  }
}

export interface ContainerStatus {
  name: string
  ready?: boolean
  /** Its startup probe has succeeded, or it has none and runs. */
  started?: boolean
  restartCount?: number
  state?: ContainerState
  lastState?: ContainerState
}

export interface ContainerState {
  waiting?: { reason?: string; message?: string }
  running?: { startedAt?: string }
  terminated?: {
    exitCode: number
    signal?: number
    reason?: string
    message?: string
    startedAt?: string
    finishedAt?: string
  }
}

/** The part of a Pod that is kept: ten thousand pods must fit into a small operator. */
export function trimPod({ metadata, status }: Pod): Pod {
  const { phase, reason, message, conditions, containerStatuses, initContainerStatuses } = status ?? {}
  return {
    metadata: trimMetadata(metadata),
    status: {
      ...(phase && { phase }),
      ...(reason && { reason }),
      ...(message && { message }),
      ...(conditions && { conditions: conditions.map(trimCondition) }),
      ...(initContainerStatuses && { initContainerStatuses: initContainerStatuses.map(trimContainer) }),
      ...(containerStatuses && { containerStatuses: containerStatuses.map(trimContainer) }),
    },
  }
}

export function trimDeployment({ metadata, spec, status }: Deployment): Deployment {
  const { replicas } = spec
  return {
    metadata: trimMetadata(metadata),
    spec: replicas === undefined ? {} : { replicas },
    ...(status && { status }),
  }
}

/** TaskQueues and WorkerPools are kept without managedFields. */
export function trimMetadata<M extends ObjectMetadata>(metadata: M): M {
  const kept = { ...metadata }
  delete (kept as { managedFields?: unknown }).managedFields
  return kept
}

/** The controller of an object, if it is the one with this UID. */
export function isControlledBy({ ownerReferences = [] }: ObjectMetadata, uid: string | undefined): boolean {
  return uid !== undefined && ownerReferences.some((owner) => owner.controller === true && owner.uid === uid)
}

export function conditionOf(object: { status?: { conditions?: StandardCondition[] } }, type: string) {
  return object.status?.conditions?.find((condition) => condition.type === type)
}

function trimCondition({ type, status, reason, message }: StandardCondition): StandardCondition {
  return { type, status, ...(reason && { reason }), ...(message && { message }) }
}

function trimContainer(container: ContainerStatus): ContainerStatus {
  const { name, ready, started, restartCount, state, lastState } = container
  return {
    name,
    ...(ready !== undefined && { ready }),
    ...(started !== undefined && { started }),
    ...(restartCount !== undefined && { restartCount }),
    ...(state && { state }),
    ...(lastState && { lastState }),
  }
}
