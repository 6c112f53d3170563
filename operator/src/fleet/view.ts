// The fleet of a pool as its Deployment and pods show it, and what is remembered of writing it. Pure.
import { type Blocked, type FleetSpec, type FleetView, livePods } from '@millhand/control/world'
import { conditionOf, type Deployment } from './cluster.ts'
import { type Rendered, selectorOf } from './deployment.ts'
import { type GuardMemory, noGuardMemory } from './guards.ts'
import type { FleetPod } from './pods.ts'

export interface FleetSeen extends FleetSpec {
  deployment: Deployment | undefined
  pods: readonly FleetPod[]
  deletedPods: readonly FleetPod[]
  /** As the Deployment should be. */
  rendered: Rendered
  memory: FleetMemory
}

/** Lost when the operator restarts: an unchanged Deployment is written once more. */
export interface FleetMemory {
  /**
   * What was written last, and the generation that the Deployment had then: another one means that somebody changed it. No hash where only
   * the number was written. There at all, what an operator that led before may still be about to write gets a conflict.
   */
  applied: { hash: string | undefined; generation: number; replicas: number } | undefined
  /** What the API server refused to write, so that it is not asked the same again and again: a template, and then also a number alone. */
  refusal: { hash: string; message: string; atMs: number; replicas?: number } | undefined
  /** A Deployment of the pool's name is somebody else's. */
  isNameTaken: boolean
  /** What the API server did not do, in its words, and how many times in a row. */
  trouble: { message: string; isDenied: boolean; times: number } | undefined
  guards: GuardMemory
}

export const noFleetMemory: FleetMemory = {
  applied: undefined,
  refusal: undefined,
  isNameTaken: false,
  trouble: undefined,
  guards: noGuardMemory,
}

/** What fails once and then not again is no news. */
const TROUBLE_AFTER = 2

export function viewOf(seen: FleetSeen): FleetView {
  const { pool, deployment, pods, deletedPods, memory } = seen
  const size = deployment?.spec.replicas
  const blocked = whyBlocked(seen)
  const trouble = troubleOf(memory)
  const refused = whyRefused(deployment)
  const stuck = whyStuck(deployment)
  return {
    pods,
    deletedPods,
    ...(size !== undefined && { size }),
    selector: selectorOf(pool.metadata.name),
    rollout: rolloutOf(deployment),
    going: new Set(leavingPods(seen).map(({ uid }) => uid)),
    isOurs: memory.applied !== undefined,
    ...(blocked && { blocked }),
    ...(trouble && { trouble }),
    ...(refused !== undefined && { refused }),
    ...(stuck !== undefined && { stuck }),
  }
}

/** Of this template, and not of an earlier one. */
export function refusalOf({ memory: { refusal }, rendered }: FleetSeen): FleetMemory['refusal'] {
  return refusal?.hash === rendered.hash ? refusal : undefined
}

/**
 * Marked pods that the Deployment asks for no longer. Their ReplicaSet removes them in a moment, whatever is written now: only when
 * they are seen to go can the number be raised and others be needed again.
 */
export function leavingPods({ deployment, pods, memory: { applied } }: FleetSeen): FleetPod[] {
  const live = livePods(pods)
  if (!deployment || new Set(live.map(({ templateHash }) => templateHash)).size > 1) return []
  const isBehind = applied !== undefined && (deployment.metadata.generation ?? 0) < applied.generation
  const current = deployment.spec.replicas ?? 1
  const asked = isBehind ? Math.min(current, applied.replicas) : current
  return live.length > asked ? live.filter(({ isMarked }) => isMarked) : []
}

function whyBlocked(seen: FleetSeen): Blocked | undefined {
  const { pool, memory } = seen
  if (memory.isNameTaken)
    return {
      reason: 'NameTaken',
      message: `Deployment ${pool.metadata.name} exists and is not owned by this pool: rename the pool, or delete the Deployment`,
      stopsWriting: false,
    }
  const refusal = refusalOf(seen)
  if (!refusal) return undefined
  return {
    reason: 'InvalidTemplate',
    message: `the API server refuses the Deployment: ${refusal.message}`,
    stopsWriting: false,
  }
}

function troubleOf({ trouble }: FleetMemory): Blocked | undefined {
  if (!trouble || trouble.times < TROUBLE_AFTER) return undefined
  return {
    reason: trouble.isDenied ? 'NotPermitted' : 'ApiServerFails',
    message: `${trouble.isDenied ? 'the operator lacks a right' : 'a request to the API server failed'}: ${trouble.message}`,
    stopsWriting: false,
  }
}

/** Quota, pod security and admission webhooks refuse pods, not Deployments. */
function whyRefused(deployment: Deployment | undefined): string | undefined {
  const failure = deployment && conditionOf(deployment, 'ReplicaFailure')
  return failure?.status === 'True'
    ? `pod creation failed: ${failure.message ?? 'no reason given'}`
    : undefined
}

/** Kubernetes measures a rollout. */
function whyStuck(deployment: Deployment | undefined): string | undefined {
  const progress = deployment && conditionOf(deployment, 'Progressing')
  return progress?.status === 'False' ? (progress.message ?? 'no reason given') : undefined
}

function rolloutOf(deployment: Deployment | undefined): FleetView['rollout'] {
  if (!deployment) return 'absent'
  const { metadata, spec, status } = deployment
  const wanted = spec.replicas ?? 0
  const isCurrent = status?.observedGeneration === metadata.generation
  const isComplete =
    isCurrent && (status?.updatedReplicas ?? 0) >= wanted && (status?.replicas ?? 0) <= wanted
  return isComplete ? 'complete' : 'running'
}
