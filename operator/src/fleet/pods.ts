// Reads a Pod: whether it counts, whether it is healthy, and, when its process has ended, which worker it was
// and why. Pure.
import { cutText } from '@millhand/control/resources/bounds'
import type { PodReason } from '@millhand/control/resources/reasons'
import type { Death, Trouble, WorkerPod } from '@millhand/control/world'
import { type ContainerState, type ContainerStatus, conditionOf, type Pod } from './cluster.ts'
import { DELETION_COST, TEMPLATE_ANNOTATION } from './deployment.ts'

/** A pod, with the facts that only its Deployment and autoscalers of nodes need. */
export interface FleetPod extends WorkerPod {
  /** The pod's template as its ReplicaSet names it; one value over all pods when nothing is rolled out. */
  templateHash: string
  /** Marked to be the first that its ReplicaSet removes. */
  isMarked: boolean
  /** Whether it is guarded from autoscalers of nodes; foreign: by another manager or the template. */
  guard: 'on' | 'off' | 'foreign'
}

const OOM_KILLED = 'OOMKilled'
/** The exit code that SIGKILL leaves. */
const KILLED = 137
const MAX_MESSAGE = 300
/** A container that ran for longer did not crash at its start. */
const CRASHES_WITHIN_MS = 300_000
/** So many restarts, after some 30 s, are no passing state. */
const RESTARTS_OF_A_LOOP = 3

/** Lower than any that a person would choose. */
export const LOWEST_COST = '-2147483648'

/** Marks a guard as the operator's own. */
const GUARDED = 'millhand.dev/guarded'
const ASKS = {
  'cluster-autoscaler.kubernetes.io/safe-to-evict': 'false',
  'karpenter.sh/do-not-disrupt': 'true',
}
/** The annotations of a guarded pod. */
export const GUARD: Readonly<Record<string, string>> = { ...ASKS, [GUARDED]: 'true' }

/** `template`: the one that was written last, as the operator names it; absent where none was. */
export function readPod(pod: Pod, template: string | undefined): FleetPod {
  const { metadata, status } = pod
  const hasEnded = status?.phase === 'Failed' || status?.phase === 'Succeeded'
  const trouble = troubleOf(pod)
  const unregisteredSinceMs = unregisteredSince(pod)
  return {
    name: metadata.name,
    uid: metadata.uid ?? '',
    startedAtMs: Date.parse(metadata.creationTimestamp ?? '') || 0,
    state: hasEnded ? 'ended' : metadata.deletionTimestamp ? 'terminating' : 'live',
    isReady: conditionOf(pod, 'Ready')?.status === 'True',
    isCurrent: template === undefined || metadata.annotations?.[TEMPLATE_ANNOTATION] === template,
    templateHash: metadata.labels?.['pod-template-hash'] ?? '',
    isMarked: metadata.annotations?.[DELETION_COST] === LOWEST_COST,
    guard: guardOf(pod),
    isForced: metadata.deletionGracePeriodSeconds === 0,
    ...(trouble && { trouble }),
    ...(unregisteredSinceMs !== undefined && { unregisteredSinceMs }),
    deaths: deathsOf(pod, hasEnded),
  }
}

function guardOf({ metadata: { annotations = {} } }: Pod): FleetPod['guard'] {
  if (GUARDED in annotations) return 'on'
  return Object.keys(ASKS).some((name) => name in annotations) ? 'foreign' : 'off'
}

function deathsOf(pod: Pod, hasEnded: boolean): Death[] {
  const worker = workerOf(pod)
  const ended = [worker?.lastState?.terminated, worker?.state?.terminated].filter(
    (state) => state !== undefined,
  )
  const deaths = ended.flatMap((state) => deathOf(pod, state))
  const reason = whyEnded(pod)
  // The kubelet ended the pod without a report of its containers. Where another component calls a pod failed
  // (its node is lost), processes may still run there: the heartbeat decides.
  const isKubelets = BY_KUBELET.includes(pod.status?.reason ?? '')
  if (hasEnded && deaths.length === 0 && isKubelets && reason)
    return [{ reason, counting: hasUsedTooMuch(pod) ? 'counted' : 'uncounted' }]
  return deaths
}

type Terminated = NonNullable<ContainerState['terminated']>

function deathOf(pod: Pod, ended: Terminated): Death[] {
  const process = ended.message?.trim()
  if (!process || !/^\w{1,64}$/.test(process)) return []
  const because = whyEnded(pod)
  const how = howEnded(ended)
  const wasTold = because !== undefined || pod.metadata.deletionTimestamp !== undefined
  const isOwnDoing = how === OOM_KILLED || hasUsedTooMuch(pod)
  const counting = wasTold && !isOwnDoing ? 'uncounted' : 'counted'
  return [{ process, reason: because ? `${because} (${how})` : `the container ended: ${how}`, counting }]
}

/**
 * After an OOM kill of a child, containerd reports OOMKilled at the end of the container, however it ends.
 */
function howEnded({ reason, exitCode, signal }: Terminated): string {
  if (reason === OOM_KILLED && exitCode === KILLED) return OOM_KILLED
  return signal ? `signal ${signal}` : howExited(exitCode)
}

/**
 * Evicted for its own use of the disk. An eviction for the sake of the node is a disruption in Kubernetes'
 * terms. The jobs caused it, as they cause OOMKilled, also while the pod was being removed.
 */
function hasUsedTooMuch(pod: Pod): boolean {
  return pod.status?.reason === 'Evicted' && disruptionOf(pod) === undefined
}

/** 128 + n is how a shell and the kubelet tell of signal n. */
function howExited(exitCode: number): string {
  return exitCode > 128 && exitCode < 160 ? `signal ${exitCode - 128}` : `exit code ${exitCode}`
}

function whyEnded(pod: Pod): string | undefined {
  const { phase, reason, message = '' } = pod.status ?? {}
  if (phase === 'Failed' && reason) {
    const said = cutText(message.trim(), MAX_MESSAGE)
    return `the pod failed: ${reason}${said && `: ${said}`}`
  }
  const disruption = disruptionOf(pod)
  return disruption && `the pod was disrupted: ${disruption.reason ?? 'DisruptionTarget'}`
}

function disruptionOf(pod: Pod): { reason?: string } | undefined {
  const condition = conditionOf(pod, 'DisruptionTarget')
  return condition?.status === 'True' ? condition : undefined
}

const BY_KUBELET = ['Evicted', 'NodeShutdown', 'Terminated', 'Preempting', 'DeadlineExceeded']

/** ErrImagePull is retried at once, and may pass. */
const NO_IMAGE = [
  'ErrImagePull',
  'ImagePullBackOff',
  'InvalidImageName',
  'ErrImageNeverPull',
  'ImageInspectError',
]

function troubleOf(pod: Pod): Trouble | undefined {
  const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])]
  for (const container of statuses) {
    const { reason = '', message = '' } = container.state?.waiting ?? {}
    const isLasting = reason !== 'ErrImagePull'
    if (NO_IMAGE.includes(reason))
      return trouble('ImagePullBackOff', pod, container, { what: reason, message, isLasting })
    if (isNotCreated(reason))
      return trouble(reason, pod, container, { what: reason, message, isLasting: true })
    if (reason === 'CrashLoopBackOff' || hasJustCrashed(container))
      return trouble('CrashLoopBackOff', pod, container, {
        what: 'crash looping',
        message: lastWords(pod, container),
        isLasting: (container.restartCount ?? 0) >= RESTARTS_OF_A_LOOP,
      })
  }
  const scheduled = conditionOf(pod, 'PodScheduled')
  if (scheduled?.status !== 'False') return undefined
  return {
    reason: 'Unschedulable',
    message: `pod ${pod.metadata.name} cannot be scheduled: ${scheduled.message ?? 'no reason given'}`,
    // An autoscaler may be about to add a node.
    isLasting: false,
  }
}

const isNotCreated = (reason: string) =>
  reason === 'CreateContainerConfigError' ||
  reason === 'CreateContainerError' ||
  reason === 'RunContainerError'

/**
 * True also while the container runs for a moment between two crashes. Exit code 0 counts: a worker only ends
 * on a signal.
 */
function hasJustCrashed({ ready, started, state, lastState, restartCount = 0 }: ContainerStatus): boolean {
  // An init container that has done its work is ready.
  if (restartCount === 0 || ready || (started && state?.running)) return false
  const ended = state?.terminated ?? lastState?.terminated
  if (!ended) return false
  const ranMs = Date.parse(ended.finishedAt ?? '') - Date.parse(ended.startedAt ?? '')
  return !(ranMs > CRASHES_WITHIN_MS)
}

/** A container that was restarted because it did not register has had its time already. */
function unregisteredSince(pod: Pod): number | undefined {
  const worker = workerOf(pod)
  const running = worker?.state?.running
  if (!running || worker.started !== false) return undefined
  const since = worker.restartCount ? pod.metadata.creationTimestamp : running.startedAt
  return Date.parse(since ?? '') || 0
}

/** Exit code 78 of a worker means invalid configuration; its log has the error. */
function lastWords(
  { metadata: { name, namespace } }: Pod,
  { name: container, state, lastState }: ContainerStatus,
): string {
  const ended = state?.terminated ?? lastState?.terminated
  const logs = `kubectl --namespace ${namespace} logs ${name} --container ${container} --previous`
  if (!ended) return `see ${logs}`
  const hint = ended.exitCode === 78 ? ' (invalid settings or task files)' : ''
  return `${howEnded(ended)}${hint}; see ${logs}`
}

function trouble(
  reason: PodReason,
  pod: Pod,
  { name }: ContainerStatus,
  { what, message, isLasting }: { what: string; message: string; isLasting: boolean },
): Trouble {
  const said = message ? `: ${cutText(message, MAX_MESSAGE)}` : ''
  return { reason, message: `container ${name} of pod ${pod.metadata.name}: ${what}${said}`, isLasting }
}

function workerOf({ status }: Pod): ContainerStatus | undefined {
  return status?.containerStatuses?.find(({ name }) => name === 'worker')
}
