// The writes to a pool's Deployment and pods that bring the fleet to the wish. Pure; kube-fleet.ts carries
// them out.
//
//   more: at once            fewer: empty pods are marked ──the watch shows the marks, all others are well──▶ the number is lowered by them
import { type FleetWish, livePods } from '@millhand/control/world'
import type { Rendered } from './deployment.ts'
import { type GuardPlan, planGuards } from './guards.ts'
import type { FleetPod } from './pods.ts'
import { type FleetSeen, isTemplateNew, leavingPods, refusalOf } from './view.ts'

export interface FleetPlan {
  podPatches: PodPatch[]
  /** Absent when the written Deployment is still right. */
  deployment?: DeploymentWrite
  /** Absent while the held jobs are unknown. */
  guards?: GuardPlan
}

/** Absent fields stay as they are. */
export interface PodPatch {
  name: string
  /** Sets or removes the mark by which its ReplicaSet removes it first. */
  isMarked?: boolean
  isGuarded?: boolean
}

export interface DeploymentWrite {
  rendered: Rendered
  replicas: number
  /** Only the number is written: the template was refused or is held back. */
  isNumberOnly: boolean
  /** The version that this was decided from; another one gets a conflict. Absent where it can do no harm. */
  resourceVersion?: string
}

const REFUSED_AGAIN_AFTER_MS = 300_000

export function planFleet(seen: FleetSeen, wish: FleetWish, nowMs: number): FleetPlan {
  const { pods, memory } = seen
  const empty = new Set(livePods(pods).filter(({ uid }) => wish.empty.has(uid)))
  const isBusy = ({ uid }: FleetPod) => wish.busy.has(uid)
  const guards = wish.isKnown ? planGuards({ pods, isBusy, empty, memory: memory.guards, nowMs }) : undefined
  const deployment = wish.isFrozen ? undefined : deploymentToWrite(seen, wish, nowMs)
  return {
    podPatches: guards ? patchesOf(seen, empty, guards) : [],
    ...(deployment && { deployment }),
    ...(guards && { guards }),
  }
}

/** Only those that change. */
function patchesOf(
  { pods, memory }: FleetSeen,
  empty: ReadonlySet<FleetPod>,
  { turned }: GuardPlan,
): PodPatch[] {
  return livePods(pods).flatMap((pod) => {
    const isMarked = empty.has(pod)
    // An earlier leader may be about to remove the pods that it marked: this one writes the Deployment before
    // it unmarks.
    const isRemarked = isMarked !== pod.isMarked && (isMarked || memory.applied !== undefined)
    const isTurned = turned.has(pod)
    if (!isRemarked && !isTurned) return []
    return [
      {
        name: pod.name,
        ...(isRemarked && { isMarked }),
        ...(isTurned && { isGuarded: pod.guard === 'off' }),
      },
    ]
  })
}

function deploymentToWrite(seen: FleetSeen, wish: FleetWish, nowMs: number): DeploymentWrite | undefined {
  const { deployment, memory, rendered } = seen
  const refusal = refusalOf(seen)
  const isRefused = refusal !== undefined && nowMs - refusal.atMs < REFUSED_AGAIN_AFTER_MS
  if (!deployment) return isRefused ? undefined : { rendered, replicas: wish.replicas, isNumberOnly: false }
  const replicas = nextReplicas(seen, wish)
  const { applied } = memory
  const isNumberOnly = isRefused || isRolloutHeld(seen)
  if (isRefused && refusal.replicas === replicas) return undefined
  const isWritten = isNumberOnly
    ? isRefused || applied !== undefined
    : applied?.hash === rendered.hash && applied.generation === deployment.metadata.generation
  const current = deployment.spec.replicas
  if (isWritten && replicas === current) return undefined
  // A stale view may take a lower number for a higher one: a number above all known ones does no harm.
  const isSurelyMore = applied !== undefined && replicas > Math.max(current ?? 0, applied.replicas)
  const { resourceVersion } = deployment.metadata
  return { rendered, replicas, isNumberOnly, ...(!isSurelyMore && resourceVersion && { resourceVersion }) }
}

/** A Deployment does not wait for terminating pods: several rollouts in a row would pile them up. */
function isRolloutHeld(seen: FleetSeen): boolean {
  const { pods, pool } = seen
  const terminating = pods.filter(({ state }) => state === 'terminating').length
  return isTemplateNew(seen) && terminating > pool.scaling.maxReplicas
}

/** Raises at once; lowers only by pods that hold nothing and that the ReplicaSet will surely choose. */
function nextReplicas(seen: FleetSeen, { replicas, empty, isKnown, isBehind }: FleetWish): number {
  const current = seen.deployment?.spec.replicas ?? 1
  if (leavingPods(seen).length > 0) return current
  if (replicas >= current) return replicas
  if (!isKnown || isBehind) return current
  const live = livePods(seen.pods)
  // Pods that do not exist are given up first, which removes none.
  if (live.length < current) return Math.max(replicas, live.length)
  const marked = live.filter(({ isMarked }) => isMarked)
  // A pod with an older mark that took jobs since would go with them.
  const areEmpty = marked.every(({ uid }) => empty.has(uid))
  return areEmpty && canLower(seen) ? Math.max(replicas, current - marked.length) : current
}

/**
 * Whether the ReplicaSet will remove exactly the marked pods. It ranks pods that are unready, restarted or
 * new before any mark, so all unmarked pods must be ready.
 */
export function canLower({ deployment, pods }: Pick<FleetSeen, 'deployment' | 'pods'>): boolean {
  if (!deployment) return false
  const live = livePods(pods)
  return (
    deployment.status?.observedGeneration === deployment.metadata.generation &&
    live.length === deployment.spec.replicas &&
    new Set(live.map(({ templateHash }) => templateHash)).size <= 1 &&
    live.every(({ isReady, isMarked }) => isReady || isMarked)
  )
}
