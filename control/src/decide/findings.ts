// The conditions of a WorkerPool. Pure.

import { type Finding, MAY_PASS } from '../resources/conditions.ts'
import type { Reason } from '../resources/reasons.ts'
import type { Blocked } from '../world.ts'
import type { Health } from './health.ts'
import type { Need } from './need.ts'
import type { ObservedPool, QueueProblem } from './observed.ts'
import type { Decision, Load } from './replicas.ts'
import { redisReachable } from './report.ts'

interface Found extends Need {
  blocked: Blocked | undefined
  health: Health
}

export function whyBlocked(observed: ObservedPool): Blocked | undefined {
  const { queues, fleet } = observed
  const secrets = [...new Set(queues.flatMap(({ secretName }) => secretName ?? []))]
  const problems = problemsOf(observed)
  const lasting = problems.find(({ reason }) => !MAY_PASS.includes(reason))
  if (lasting) return { ...lasting, stopsWriting: true }
  if (secrets.length > 1)
    return {
      reason: 'QueuesInDifferentRedis',
      message: `the queues use different Secrets (${secrets.join(', ')}): all queues of a pool must be in one Redis`,
      stopsWriting: true,
    }
  if (fleet.blocked) return fleet.blocked
  if (problems[0]) return { ...problems[0], stopsWriting: false }
  return fleet.trouble
}

export function findingsOf(observed: ObservedPool, found: Found): Finding[] {
  return [
    ready(found),
    progressing(observed, found.health),
    reconciling(observed, stalled(found)),
    scalingActive(observed, found),
    scalingLimited(found.decision, found.load),
    redisReachable(
      problemsOf(observed),
      observed.queues.some(({ load }) => load),
    ),
    isolationFallback(observed),
    suspended(observed),
    stalled(found),
  ]
}

/**
 * Ready is about the present spec: pods of an earlier template that work do not make a broken template ready.
 */
function ready({ decision, blocked, health }: Found): Finding {
  const finding = (status: Finding['status'], reason: Reason, message: string): Finding => ({
    type: 'Ready',
    status,
    reason,
    message,
  })
  if (blocked?.reason === 'RedisUnreachable') return finding('Unknown', blocked.reason, blocked.message)
  if (blocked) return finding('False', blocked.reason, blocked.message)
  const { replicas } = decision
  const { working, trouble } = health
  const broken = whatIsBroken(decision, health)
  if (broken) return finding('False', broken.reason, withOthers(broken.message, health))
  if (working >= replicas) return finding('True', 'Ready', enough(working, replicas))
  if (trouble) return finding('False', trouble.reason, withOthers(trouble.message, health))
  if (working > 0)
    return finding('True', 'Ready', `${working} of ${replicas} pods are ready, the others are starting`)
  return finding('False', 'PodsStarting', `0 of ${replicas} pods are ready`)
}

/** The failure that keeps the pool, or its new template, from working at all. */
function whatIsBroken(
  { replicas }: Decision,
  { refused, stuck, trouble, workingCurrent }: Health,
): { reason: Reason; message: string; isLasting: boolean } | undefined {
  if (replicas === 0) return undefined
  if (refused) return { reason: 'FailedCreate', message: refused, isLasting: true }
  if (trouble && workingCurrent === 0)
    return { ...trouble, isLasting: trouble.isLasting || stuck !== undefined }
  if (stuck) return { reason: 'ProgressDeadlineExceeded', message: stuck, isLasting: true }
  return undefined
}

function withOthers(message: string, { working }: Health): string {
  return working > 0 ? `${message} (${working} other ${working === 1 ? 'pod works' : 'pods work'})` : message
}

function enough(working: number, replicas: number): string {
  if (working === replicas)
    return replicas === 0 ? 'no pods needed' : `${working} of ${replicas} pods are ready`
  return `${working} pods are ready, ${replicas} needed: the others are removed when they are idle`
}

function progressing({ fleet: { rollout } }: ObservedPool, { stuck, trouble }: Health): Finding {
  const type = 'Progressing'
  if (rollout === 'absent')
    return { type, status: 'Unknown', reason: 'NoDeployment', message: 'Deployment not created yet' }
  if (stuck) {
    const why = trouble ? `${stuck}: ${trouble.message}` : stuck
    return {
      type,
      status: 'False',
      reason: 'ProgressDeadlineExceeded',
      message: `rollout stuck, and no pod is removed until it completes: ${why}`,
    }
  }
  if (rollout === 'complete')
    return { type, status: 'True', reason: 'RolloutComplete', message: 'all pods have the current template' }
  return { type, status: 'True', reason: 'RollingOut', message: 'pods are being added, removed or replaced' }
}

/**
 * In the words of kstatus: True until the pods are those of the present spec. What waits for a person is
 * Stalled instead.
 */
function reconciling({ fleet: { rollout } }: ObservedPool, isStalled: Finding): Finding {
  const type = 'Reconciling'
  const isUnderWay = rollout === 'absent' || rollout === 'replacing'
  if (!isUnderWay)
    return { type, status: 'False', reason: 'RolloutComplete', message: 'all pods have the current template' }
  if (isStalled.status === 'True')
    return {
      type,
      status: 'False',
      reason: isStalled.reason,
      message: 'rollout stuck: see the condition Stalled',
    }
  if (rollout === 'absent')
    return { type, status: 'True', reason: 'NoDeployment', message: 'Deployment not created yet' }
  return {
    type,
    status: 'True',
    reason: 'RollingOut',
    message: 'pods of an earlier template are being replaced',
  }
}

function scalingActive({ pool }: ObservedPool, found: Found): Finding {
  const { decision, blocked, load, unseen, isBehind } = found
  const type = 'ScalingActive'
  if (pool.scaling.mode === 'Manual')
    return {
      type,
      status: 'False',
      reason: 'Manual',
      message: 'scaling.mode is Manual: spec.replicas sets the number of pods',
    }
  if (load === 'unknown')
    return { type, status: 'Unknown', reason: blocked?.reason ?? decision.reason, message: decision.message }
  const uncounted =
    '; jobs of workers whose pods Kubernetes does not list for this pool are not counted: a pod lost its labels, or another program uses the UID of the pool in Redis'
  const message = `the number of pods follows the jobs${unseen.areThere && !isBehind ? uncounted : ''}`
  return { type, status: 'True', reason: 'Automatic', message }
}

function scalingLimited({ reason, message }: Decision, load: Load | 'unknown'): Finding {
  const type = 'ScalingLimited'
  if (load === 'unknown' && reason !== 'Manual') return { type, status: 'Unknown', reason, message }
  if (reason === 'MaxReplicas') return { type, status: 'True', reason, message }
  return {
    type,
    status: 'False',
    reason: 'WithinBounds',
    message: 'the number of pods needed is within maxReplicas',
  }
}

function problemsOf({ queues }: ObservedPool): QueueProblem[] {
  return queues.flatMap(({ problem }) => problem ?? [])
}

/** Without workers, and while Redis cannot be read, the last condition stays. */
function isolationFallback({ workers, pool, status }: ObservedPool): Finding {
  const type = 'IsolationFallback'
  if (workers === 'unknown' || workers.length === 0) {
    const last = status?.conditions.find((condition) => condition.type === type)
    if (last) return { type, status: last.status, ...only(last) }
    return { type, status: 'Unknown', reason: 'NoWorkers', message: 'no worker has registered yet' }
  }
  const fallen = workers.filter(({ fallback }) => fallback)
  const { mode } = pool.isolation
  if (fallen.length === 0)
    return {
      type,
      status: 'False',
      reason: 'AsConfigured',
      message: `the workers use ${mode}, as spec.isolation.mode says`,
    }
  const causes = [...new Set(fallen.map(({ fallback }) => fallback))].slice(0, MOST_CAUSES)
  const pods = new Set(fallen.map(({ podUid }) => podUid)).size
  const message = `${pods} ${pods === 1 ? 'pod uses' : 'pods use'} Spawn, because Fork does not work there: ${causes.join('; ')}`
  return { type, status: 'True', reason: 'ForkUnavailable', message }
}
const MOST_CAUSES = 3

function suspended({ queues }: ObservedPool): Finding {
  const type = 'Suspended'
  const known = queues.flatMap(({ load }) => load ?? [])
  const problem = queues.find(({ load }) => !load)?.problem
  if (problem) return { type, status: 'Unknown', ...only(problem) }
  const isStopped = known.length > 0 && known.every((load) => load.isStopped)
  if (isStopped && known.some(({ isResting }) => isResting)) {
    const message = 'queues of the pool rest (RetryAfter), and the others are suspended or paused, if any'
    return { type, status: 'True', reason: 'QueuesResting', message }
  }
  if (isStopped) {
    const message = 'all queues of the pool are suspended or paused'
    return { type, status: 'True', reason: 'QueuesSuspended', message }
  }
  return { type, status: 'False', reason: 'Active', message: 'workers may claim jobs' }
}

/** As kstatus has it: True where manual action is required. kstatus then calls the pool failed. */
function stalled({ blocked, decision, health }: Found): Finding {
  const type = 'Stalled'
  const lasts = (reason: Reason): Finding => ({
    type,
    status: 'True',
    reason,
    message: 'manual action required: see the condition Ready',
  })
  if (blocked?.reason === 'RedisNotServing')
    return {
      type,
      status: 'False',
      reason: 'Progressing',
      message: 'no action required on the pool: see the condition RedisSuitable of its TaskQueue',
    }
  const mayPass = blocked && (MAY_PASS.includes(blocked.reason) || blocked.reason === 'QueueNotReady')
  if (blocked && !mayPass) return lasts(blocked.reason)
  const broken = blocked ? undefined : whatIsBroken(decision, health)
  if (broken?.isLasting)
    return lasts(health.stuck && !health.refused ? 'ProgressDeadlineExceeded' : broken.reason)
  return { type, status: 'False', reason: 'Progressing', message: 'no action required' }
}

function only({ reason, message }: { reason: Reason; message: string }) {
  return { reason, message }
}
