// The fleet of a pool as its Deployment and pods show it, and the memory of its writes. Pure.
import {
  type Blocked,
  type FleetSpec,
  type FleetView,
  livePods,
  type Unregistered,
} from '@millhand/control/world'
import { conditionOf, type Deployment } from './cluster.ts'
import { type Rendered, selectorOf, TEMPLATE_ANNOTATION } from './deployment.ts'
import { type GuardMemory, noGuardMemory } from './guards.ts'
import type { FleetPod } from './pods.ts'

export interface FleetSeen extends FleetSpec {
  deployment: Deployment | undefined
  pods: readonly FleetPod[]
  deletedPods: readonly FleetPod[]
  /** The wanted Deployment. */
  rendered: Rendered
  memory: FleetMemory
}

/** A restart of the operator loses it: an unchanged Deployment is then written once more. */
export interface FleetMemory {
  /**
   * The last write, and the generation of the Deployment after it: another generation means a change by
   * someone else. No hash where only the number was written. Once it is set, late writes of an earlier leader
   * get a conflict.
   */
  applied: { hash: string | undefined; generation: number; replicas: number } | undefined
  /** A refused template, or number, so that the same write is not repeated at once. */
  refusal: { hash: string; message: string; atMs: number; replicas?: number } | undefined
  /** A Deployment of the pool's name belongs to another owner. */
  isNameTaken: boolean
  /** The failed request in the words of the API server, and how often it failed in a row. */
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

/** A single failure is not reported. */
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
    rollout: rolloutOf(seen),
    going: new Set(leavingPods(seen).map(({ uid }) => uid)),
    isOurs: memory.applied !== undefined,
    ...(blocked && { blocked }),
    ...(trouble && { trouble }),
    ...(refused !== undefined && { refused }),
    ...(stuck !== undefined && { stuck }),
    unregistered: (pod) => unregisteredOf(seen, pod),
  }
}

/** The refusal of this template; one of an earlier template does not count. */
export function refusalOf({ memory: { refusal }, rendered }: FleetSeen): FleetMemory['refusal'] {
  return refusal?.hash === rendered.hash ? refusal : undefined
}

/** The Deployment has another template than the wanted one. */
export function isTemplateNew({ deployment, rendered }: FleetSeen): boolean {
  const written = deployment?.metadata.annotations?.[TEMPLATE_ANNOTATION]
  return written !== undefined && written !== rendered.manifest.metadata.annotations[TEMPLATE_ANNOTATION]
}

/**
 * Marked pods above the number of the Deployment. Their ReplicaSet removes them in a moment, whatever is
 * written now: the number is raised only when they are seen to go.
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

function unregisteredOf({ pool: { metadata }, queues }: FleetSpec, pod: string): Unregistered {
  const secret = queues[0]?.secretName ?? 'millhand-redis'
  const kubectl = `kubectl --namespace ${metadata.namespace}`
  return {
    never: `it cannot reach the Redis of the Secret ${secret} (NetworkPolicy, host, port), Redis refuses its password, or the image does not run millhand-worker`,
    noMore: `the pod lost its connection to Redis, or the Secret ${secret} names another Redis now`,
    remedy: `See ${kubectl} logs ${pod} --container worker; after a change of the Secret: ${kubectl} rollout restart deployment/${metadata.name}`,
  }
}

/** Kubernetes measures a rollout. */
function whyStuck(deployment: Deployment | undefined): string | undefined {
  const progress = deployment && conditionOf(deployment, 'Progressing')
  return progress?.status === 'False' ? (progress.message ?? 'no reason given') : undefined
}

function rolloutOf(seen: FleetSeen): FleetView['rollout'] {
  const { deployment, pods } = seen
  if (!deployment) return 'absent'
  const { metadata, spec, status } = deployment
  if (isTemplateNew(seen) || livePods(pods).some((pod) => !pod.isCurrent)) return 'replacing'
  const wanted = spec.replicas ?? 0
  const isCurrent = status?.observedGeneration === metadata.generation
  const isComplete =
    isCurrent && (status?.updatedReplicas ?? 0) >= wanted && (status?.replicas ?? 0) <= wanted
  return isComplete ? 'complete' : 'resizing'
}
