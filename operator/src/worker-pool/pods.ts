// What a Pod says of a worker: whether it counts, whether it is well, and, when its process has ended, which worker it was and why. Pure.
import { type ContainerState, type ContainerStatus, conditionOf, type Pod } from '../resources/cluster.ts'
import { DELETION_COST } from './deployment.ts'

export interface WorkerPod {
  name: string
  uid: string
  startedAtMs: number
  /** live: counts; terminating: was told to end; ended: nothing of it runs any more, only the object is left. */
  state: 'live' | 'terminating' | 'ended'
  isReady: boolean
  /** The pod's template; one value over all pods when nothing is rolled out. */
  templateHash: string
  /** Marked to be the first that its ReplicaSet removes. */
  isMarked: boolean
  /** Whether autoscalers of nodes are asked to leave it alone; foreign: by somebody else, or by the pool's template. */
  guard: 'on' | 'off' | 'foreign'
  trouble?: Trouble
  deaths: Death[]
}

/** Why it does not start or stay. */
export interface Trouble {
  reason: 'ImageNotPulled' | 'ContainerNotCreated' | 'WorkersCrash' | 'PodsNotScheduled'
  message: string
}

/** A worker process that has ended: evidence of the kubelet, never a clock or an absence. */
export interface Death {
  /** The name that it wrote to its termination log; absent: every worker of this pod is meant. */
  process?: string
  reason: string
  /** Whether it counts against the jobs that it held: not when somebody ended the pod. */
  counting: 'counted' | 'uncounted'
}

/** Lower than any that a person would choose. */
export const LOWEST_COST = '-2147483648'

/** By which a guard is known to be the operator's own. */
const GUARDED = 'millhand.dev/guarded'
const ASKS = {
  'cluster-autoscaler.kubernetes.io/safe-to-evict': 'false',
  'karpenter.sh/do-not-disrupt': 'true',
}
/** The annotations of a guarded pod. */
export const GUARD: Readonly<Record<string, string>> = { ...ASKS, [GUARDED]: 'true' }

/** Those that count as the pool's. */
export function livePods(pods: readonly WorkerPod[]): WorkerPod[] {
  return pods.filter(({ state }) => state === 'live')
}

export function readPod(pod: Pod): WorkerPod {
  const { metadata, status } = pod
  const hasEnded = status?.phase === 'Failed' || status?.phase === 'Succeeded'
  const trouble = troubleOf(pod)
  return {
    name: metadata.name,
    uid: metadata.uid ?? '',
    startedAtMs: Date.parse(metadata.creationTimestamp ?? '') || 0,
    state: hasEnded ? 'ended' : metadata.deletionTimestamp ? 'terminating' : 'live',
    isReady: conditionOf(pod, 'Ready')?.status === 'True',
    templateHash: metadata.labels?.['pod-template-hash'] ?? '',
    isMarked: metadata.annotations?.[DELETION_COST] === LOWEST_COST,
    guard: guardOf(pod),
    ...(trouble && { trouble }),
    deaths: deathsOf(pod, hasEnded),
  }
}

function guardOf({ metadata: { annotations = {} } }: Pod): WorkerPod['guard'] {
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
  // The kubelet ended the pod and its containers were never reported. Where anybody else calls a pod failed (its node is gone),
  // processes may still run on the far side: the heartbeat decides.
  const isKubelets = BY_KUBELET.includes(pod.status?.reason ?? '')
  if (hasEnded && deaths.length === 0 && isKubelets && reason) return [{ reason, counting: 'uncounted' }]
  return deaths
}

function deathOf(pod: Pod, ended: NonNullable<ContainerState['terminated']>): Death[] {
  const process = ended.message?.trim()
  if (!process || !/^\w{1,64}$/.test(process)) return []
  const because = whyEnded(pod)
  const how =
    ended.reason === 'OOMKilled'
      ? 'OOMKilled'
      : ended.signal
        ? `signal ${ended.signal}`
        : howExited(ended.exitCode)
  const wasTold = because !== undefined || pod.metadata.deletionTimestamp !== undefined
  // Memory is the jobs' own doing, also while the pod was being removed.
  const counting = wasTold && ended.reason !== 'OOMKilled' ? 'uncounted' : 'counted'
  return [{ process, reason: because ? `${because} (${how})` : `the container ended: ${how}`, counting }]
}

/** 128 + n is how a shell and the kubelet tell of signal n. */
function howExited(exitCode: number): string {
  return exitCode > 128 && exitCode < 160 ? `signal ${exitCode - 128}` : `exit code ${exitCode}`
}

function whyEnded(pod: Pod): string | undefined {
  const disruption = conditionOf(pod, 'DisruptionTarget')
  if (disruption?.status === 'True')
    return `the pod was disrupted: ${disruption.reason ?? 'DisruptionTarget'}`
  if (pod.status?.phase === 'Failed' && pod.status.reason) return `the pod failed: ${pod.status.reason}`
  return undefined
}

const BY_KUBELET = ['Evicted', 'NodeShutdown', 'Terminated', 'Preempting', 'DeadlineExceeded']

const NO_IMAGE = [
  'ErrImagePull',
  'ImagePullBackOff',
  'InvalidImageName',
  'ErrImageNeverPull',
  'ImageInspectError',
]
const NOT_CREATED = ['CreateContainerConfigError', 'CreateContainerError', 'RunContainerError']

function troubleOf(pod: Pod): Trouble | undefined {
  const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])]
  for (const container of statuses) {
    const { reason = '', message = '' } = container.state?.waiting ?? {}
    if (NO_IMAGE.includes(reason)) return trouble('ImageNotPulled', pod, container, reason, message)
    if (NOT_CREATED.includes(reason)) return trouble('ContainerNotCreated', pod, container, reason, message)
    if (reason === 'CrashLoopBackOff' || hasJustCrashed(container))
      return trouble('WorkersCrash', pod, container, 'it ends again and again', lastWords(container))
  }
  const scheduled = conditionOf(pod, 'PodScheduled')
  if (scheduled?.status !== 'False') return undefined
  return {
    reason: 'PodsNotScheduled',
    message: `pod ${pod.metadata.name} finds no node: ${scheduled.message ?? 'no reason given'}`,
  }
}

function hasJustCrashed({ state, restartCount = 0 }: ContainerStatus): boolean {
  return restartCount > 0 && state?.terminated !== undefined && state.terminated.exitCode !== 0
}

/** Exit code 78 is the worker's word for a bad configuration, and its log says which. */
function lastWords({ state, lastState }: ContainerStatus): string {
  const ended = state?.terminated ?? lastState?.terminated
  if (!ended) return ''
  const hint = ended.exitCode === 78 ? ': the worker found its settings or its task files wrong' : ''
  return `${ended.reason === 'OOMKilled' ? 'OOMKilled' : howExited(ended.exitCode)}${hint}; kubectl logs tells more`
}

function trouble(
  reason: Trouble['reason'],
  pod: Pod,
  { name }: ContainerStatus,
  what: string,
  message: string,
): Trouble {
  const said = message ? `: ${message.slice(0, 300)}` : ''
  return { reason, message: `container ${name} of pod ${pod.metadata.name}: ${what}${said}` }
}

function workerOf({ status }: Pod): ContainerStatus | undefined {
  return status?.containerStatuses?.find(({ name }) => name === 'worker')
}
