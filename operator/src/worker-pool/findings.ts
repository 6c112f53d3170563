// What is right and wrong with a WorkerPool, as conditions. Pure. Every reason here stands in operator/README.md, and a test compares.
import { conditionOf } from '../resources/cluster.ts'
import { type Finding, MAY_PASS, REDIS_ANSWERS } from '../resources/conditions.ts'
import type { PoolMemory } from './memory.ts'
import type { ObservedPool } from './observe.ts'
import { livePods, type WorkerPod } from './pods.ts'
import type { Decision, Load } from './replicas.ts'

/** What keeps a pool from working that a person, or time, must mend. */
export interface Blocked {
  reason: string
  message: string
  /** Nothing would come of writing the Deployment; with the others what runs is kept up to date. */
  stopsWriting: boolean
}

interface Found {
  decision: Decision
  blocked: Blocked | undefined
  load: Load | 'unknown'
  /** Workers say that they are the pool's for longer than a watch may be behind. */
  isDisbelieving: boolean
}

/** What fails once and then not again is no news. */
const TROUBLE_AFTER = 2

export function whyBlocked(
  { queues, isNameTaken, pool, memory: { trouble } }: ObservedPool,
  refusal: PoolMemory['refusal'],
): Blocked | undefined {
  const secrets = [...new Set(queues.flatMap(({ secretName }) => secretName ?? []))]
  const problems = queues.flatMap((queue) => queue.problem ?? [])
  const lasting = problems.find(({ reason }) => !MAY_PASS.includes(reason))
  if (lasting) return { ...lasting, stopsWriting: true }
  if (secrets.length > 1)
    return {
      reason: 'QueuesInDifferentRedis',
      message: `the pool's queues name different Secrets (${secrets.join(', ')}); all queues of a pool must be in one Redis`,
      stopsWriting: true,
    }
  if (isNameTaken)
    return {
      reason: 'NameTaken',
      message: `a Deployment ${pool.metadata.name} that is not this pool's is there already: rename the pool, or delete that Deployment`,
      stopsWriting: false,
    }
  if (refusal)
    return {
      reason: 'InvalidTemplate',
      message: `the API server refuses the Deployment: ${refusal.message}`,
      stopsWriting: false,
    }
  if (problems[0]) return { ...problems[0], stopsWriting: false }
  if (trouble && trouble.times >= TROUBLE_AFTER)
    return {
      reason: trouble.isDenied ? 'NotPermitted' : 'ApiServerFails',
      message: `the API server does not do what the operator asks for the pool: ${trouble.message}`,
      stopsWriting: false,
    }
  return undefined
}

export function findingsOf(observed: ObservedPool, found: Found): Finding[] {
  return [
    ready(observed, found),
    progressing(observed),
    scalingActive(observed, found),
    scalingLimited(found.decision, found.load),
    redisReachable(observed),
    suspended(observed),
    stalled(found.blocked),
  ]
}

function ready(observed: ObservedPool, { decision, blocked }: Found): Finding {
  const finding = (status: Finding['status'], reason: string, message: string): Finding => ({
    type: 'Ready',
    status,
    reason,
    message,
  })
  if (blocked?.reason === 'RedisUnreachable') return finding('Unknown', blocked.reason, blocked.message)
  if (blocked) return finding('False', blocked.reason, blocked.message)
  const live = livePods(observed.pods)
  const readyPods = live.filter(({ isReady }) => isReady).length
  const { replicas } = decision
  const refused = refusedPods(observed)
  if (refused && live.length < replicas) return finding('False', 'PodsRefused', refused)
  if (readyPods >= replicas) return finding('True', 'Ready', enough(readyPods, replicas))
  const trouble = worst(live)
  if (trouble) return finding('False', trouble.reason, trouble.message)
  if (readyPods > 0)
    return finding('True', 'Ready', `${readyPods} of ${replicas} pods are ready, the others start`)
  return finding('False', 'PodsStarting', `none of ${replicas} pods is ready yet`)
}

function enough(readyPods: number, replicas: number): string {
  if (readyPods === replicas)
    return replicas === 0 ? 'no pods are needed now' : `${readyPods} of ${replicas} pods are ready`
  return `${readyPods} pods are ready, ${replicas} needed: the others go when they hold no job`
}

/** Quota, pod security and admission webhooks refuse pods, not Deployments. */
function refusedPods({ deployment }: ObservedPool): string | undefined {
  const failure = deployment && conditionOf(deployment, 'ReplicaFailure')
  return failure?.status === 'True' ? `pods are refused: ${failure.message ?? 'no reason given'}` : undefined
}

function worst(pods: readonly WorkerPod[]) {
  const order = ['ImageNotPulled', 'ContainerNotCreated', 'WorkersCrash', 'PodsNotScheduled']
  return pods
    .flatMap(({ trouble }) => trouble ?? [])
    .sort((a, b) => order.indexOf(a.reason) - order.indexOf(b.reason))[0]
}

function progressing({ deployment }: ObservedPool): Finding {
  const type = 'Progressing'
  if (!deployment)
    return { type, status: 'Unknown', reason: 'NoDeployment', message: 'the Deployment is not there yet' }
  const { status } = deployment
  const progress = conditionOf(deployment, 'Progressing')
  if (progress?.status === 'False')
    return {
      type,
      status: 'False',
      reason: 'RolloutStuck',
      message: `the rollout of the template is stuck, and while it is no pod is removed: ${progress.message ?? 'no reason given'}`,
    }
  const wanted = deployment.spec.replicas ?? 0
  const isCurrent = status?.observedGeneration === deployment.metadata.generation
  if (isCurrent && (status?.updatedReplicas ?? 0) >= wanted && (status?.replicas ?? 0) <= wanted)
    return { type, status: 'True', reason: 'RolloutComplete', message: 'all pods have the current template' }
  return { type, status: 'True', reason: 'RollingOut', message: 'pods are being added, removed or replaced' }
}

function scalingActive({ pool }: ObservedPool, found: Found): Finding {
  const { decision, blocked, load, isDisbelieving } = found
  const type = 'ScalingActive'
  if (pool.scaling.mode === 'Manual')
    return { type, status: 'False', reason: 'Manual', message: 'spec.replicas is the number of pods' }
  if (load === 'unknown')
    return { type, status: 'Unknown', reason: blocked?.reason ?? decision.reason, message: decision.message }
  const uncounted =
    "; jobs of workers in pods that Kubernetes does not show as the pool's are not counted: a pod lost its labels, or others use the pool's UID in Redis"
  const message = `the number of pods follows the jobs${isDisbelieving ? uncounted : ''}`
  return { type, status: 'True', reason: 'Automatic', message }
}

function scalingLimited({ reason, message }: Decision, load: Load | 'unknown'): Finding {
  const type = 'ScalingLimited'
  if (load === 'unknown' && reason !== 'Manual') return { type, status: 'Unknown', reason, message }
  if (reason === 'MaxReplicas') return { type, status: 'True', reason, message }
  return { type, status: 'False', reason: 'WithinBounds', message: 'maxReplicas does not keep pods away' }
}

function redisReachable({ queues }: ObservedPool): Finding {
  const type = 'RedisReachable'
  const problems = queues.flatMap(({ problem }) => problem ?? [])
  const lost = problems.find(({ reason }) => reason === 'RedisUnreachable' || reason === 'RedisRefused')
  if (lost) return { type, status: 'False', ...only(lost) }
  const answers =
    queues.some(({ load }) => load) || problems.some(({ reason }) => REDIS_ANSWERS.includes(reason))
  if (problems[0] && !answers) return { type, status: 'Unknown', ...only(problems[0]) }
  return { type, status: 'True', reason: 'Connected', message: 'Redis answers' }
}

function suspended({ queues }: ObservedPool): Finding {
  const type = 'Suspended'
  const known = queues.flatMap(({ load }) => load ?? [])
  const problem = queues.find(({ load }) => !load)?.problem
  if (problem) return { type, status: 'Unknown', ...only(problem) }
  if (known.length > 0 && known.every(({ isStopped }) => isStopped))
    return {
      type,
      status: 'True',
      reason: 'QueuesSuspended',
      message: 'all queues of the pool are suspended or paused',
    }
  return { type, status: 'False', reason: 'Active', message: 'jobs may be claimed' }
}

/** In the words of kstatus: True is for what does not mend itself. */
function stalled(blocked: Blocked | undefined): Finding {
  const type = 'Stalled'
  if (blocked?.reason === 'RedisNotServing')
    return {
      type,
      status: 'False',
      reason: 'Progressing',
      message: 'nothing of the pool needs a person; whether its Redis does says the TaskQueue',
    }
  const mendsItself = !blocked || MAY_PASS.includes(blocked.reason) || blocked.reason === 'QueueNotReady'
  if (mendsItself) return { type, status: 'False', reason: 'Progressing', message: 'nothing needs a person' }
  return { type, status: 'True', reason: blocked.reason, message: 'this does not mend itself: see Ready' }
}

function only({ reason, message }: { reason: string; message: string }) {
  return { reason, message }
}
