// How many workers a pool should have now, with a reason and a sentence. Pure: the operator asks for
// Deployments, `millhand up` for processes. Both keep the returned history for the next call.
//
//   need (from the jobs) → min and max → stabilization windows → policies → never below what is busy
import type { Reason } from '../resources/reasons.ts'
import type { ScalingRules, WorkerPool } from '../resources/worker-pool.ts'

export interface Situation {
  pool: Pick<WorkerPool, 'slots' | 'scaling'>
  /** The number decided last; after a restart, the number there is. */
  current: number
  /** Unknown when Redis cannot be read: unknown is not zero. */
  load: Load | 'unknown'
  history: ScalingHistory
  nowMs: number
}

export interface Load {
  /** Jobs held by the pool's workers that live and do not drain. */
  busy: number
  queues: QueueLoad[]
}

export interface QueueLoad {
  /** Jobs that could run now: in a lane, or delayed and due. */
  ready: number
  /** The part of them that a limit of their key holds back; absent: none. */
  blocked?: number
  /** The most that may start in a second; absent: no limit. */
  startsPerSecond?: number
  /** Jobs held by workers of all pools. */
  busy: number
  /** Absent: no limit. */
  maxBusy?: number
  /** Suspended by the resource, paused by a person, or resting (RetryAfter): nothing is claimed. */
  isStopped: boolean
  /** Neither suspended nor paused: it goes on by itself. */
  isResting?: true
  /** This pool's share of the ready jobs, 0 to 1: its slots among those of all pools that serve the queue. */
  share: number
  /** Measured; absent until there is data. */
  rate?: Rate
}

export interface Rate {
  jobsPerSecond: number
  meanDurationMs: number
}

/** The history for windows and policies. Begin with `noHistory`. */
export interface ScalingHistory {
  /** What was wanted, from that time until the next one. */
  wishes: readonly { atMs: number; replicas: number }[]
  changes: readonly { atMs: number; by: number }[]
}

export const noHistory: ScalingHistory = { wishes: [], changes: [] }

export interface Decision {
  replicas: number
  /** Where the need is not known, what keeps it from being known. */
  reason: Reason
  /** For a person. */
  message: string
  history: ScalingHistory
}

export function decideReplicas(situation: Situation): Decision {
  const { pool, current, load, nowMs } = situation
  const { scaling } = pool
  if (scaling.mode === 'Manual') return byHand(situation)
  if (load === 'unknown') return hold(situation)

  const need = neededReplicas(pool, load)
  // NaN is unknown too: in JSON it would be null, and a Deployment without replicas has one pod.
  if (!Number.isFinite(need.replicas) || !Number.isFinite(load.busy)) return hold(situation)
  const wanted = clamp(need.replicas, scaling.minReplicas, scaling.maxReplicas)
  const history = remember(situation, wanted)
  const stable = stabilized({ ...situation, history })
  const allowed = withinPolicies({ ...situation, history }, stable)
  const busyReplicas = Math.ceil(load.busy / pool.slots)
  const replicas = clamp(Math.max(allowed, busyReplicas), scaling.minReplicas, scaling.maxReplicas)

  const why = explain({ need, wanted, stable, replicas, pool, load })
  return { replicas, ...why, history: withChange(history, replicas - current, nowMs) }
}

/** The part of a queue's ready jobs that one pool should provide for. */
export function shareOf(slots: number, slotsOfAllPools: number): number {
  return slotsOfAllPools > 0 ? slots / slotsOfAllPools : 1
}

interface Need {
  replicas: number
  /** The pool's jobs that run or could be claimed now. */
  jobs: number
  reason: 'Concurrency' | 'Latency'
}

// Room for bursts above the measured rate.
const HEADROOM = 1.2

function neededReplicas({ slots, scaling }: Situation['pool'], { busy, queues }: Load): Need {
  const claimable = sum(queues.map(claimableJobs))
  const jobs = busy + claimable
  const concurrency: Need = { replicas: ceil(jobs / slots), jobs, reason: 'Concurrency' }
  if (scaling.target.type === 'Concurrency') return concurrency

  const slotsForLatency = needForLatency(queues, scaling.target.maxWaitMs)
  if (slotsForLatency === undefined) return concurrency
  const replicas = ceil(Math.max(busy, Math.min(jobs, slotsForLatency)) / slots)
  return { replicas, jobs, reason: 'Latency' }
}

/** By Little's law: slots for the arriving jobs, and slots that run the waiting jobs within the target. */
function needForLatency(queues: QueueLoad[], maxWaitMs: number): number | undefined {
  const slots = queues.map((queue) => {
    const { rate, share } = queue
    if (!rate) return claimableJobs(queue) > 0 ? undefined : 0
    const arriving = queue.isStopped
      ? 0
      : (rate.jobsPerSecond * rate.meanDurationMs * HEADROOM * share) / 1000
    return arriving + (claimableJobs(queue) * rate.meanDurationMs) / maxWaitMs
  })
  return slots.every((count) => count !== undefined) ? sum(slots) : undefined
}

function claimableJobs(queue: QueueLoad): number {
  const { ready, blocked = 0, busy, maxBusy, isStopped, share } = queue
  if (isStopped) return 0
  const most = Math.min(maxBusy ?? Number.POSITIVE_INFINITY, runAtOnce(queue))
  return Math.min(Math.max(0, ready - blocked), Math.max(0, most - busy)) * share
}

/**
 * By Little's law: a rate keeps no more jobs running than start while one runs; one, while none was measured.
 */
function runAtOnce({ startsPerSecond, rate }: QueueLoad): number {
  if (startsPerSecond === undefined) return Number.POSITIVE_INFINITY
  return Math.max(1, Math.ceil((startsPerSecond * (rate?.meanDurationMs ?? 1_000)) / 1_000))
}

/** With Manual a person, `kubectl scale` or an autoscaler decides, at once and without Redis. */
function byHand(situation: Situation): Decision {
  const { current, nowMs } = situation
  const replicas = situation.pool.scaling.manualReplicas
  const history = withChange(remember(situation, replicas), replicas - current, nowMs)
  return {
    replicas,
    reason: 'Manual',
    message: `${counted(replicas, 'replica')}: set by spec.replicas`,
    history,
  }
}

/**
 * The current number counts as wanted, so that no pod is removed before Redis was readable for a whole
 * window.
 */
function hold(situation: Situation): Decision {
  const { current } = situation
  const message = `replicas unchanged at ${current}: Redis cannot be read, so the need is unknown`
  return { replicas: current, reason: 'RedisUnreachable', message, history: remember(situation, current) }
}

function stabilized({ pool: { scaling }, current, history: { wishes }, nowMs }: Situation): number {
  const wishedIn = (windowMs: number) =>
    wishes
      .filter((_, index) => (wishes[index + 1]?.atMs ?? Number.POSITIVE_INFINITY) > nowMs - windowMs)
      .map((wish) => wish.replicas)
  const atLeast = Math.min(...wishedIn(scaling.scaleUp.stabilizationWindowMs))
  const atMost = Math.max(...wishedIn(scaling.scaleDown.stabilizationWindowMs))
  return clamp(current, atLeast, atMost)
}

function withinPolicies(
  { pool: { scaling }, current, history: { changes }, nowMs }: Situation,
  wanted: number,
): number {
  const atStartOf = (periodMs: number) =>
    current - sum(changes.filter((change) => change.atMs > nowMs - periodMs).map((change) => change.by))
  if (wanted > current) {
    // A percentage of nothing would keep an empty pool empty for ever.
    const limits = limitsOf(scaling.scaleUp, current, ({ type, value, periodMs }) => {
      const start = atStartOf(periodMs)
      return type === 'Pods' ? start + value : Math.max(start + 1, ceil(start * (1 + value / 100)))
    })
    const limit = scaling.scaleUp.selectPolicy === 'Min' ? Math.min(...limits) : Math.max(...limits)
    return limits.length === 0 ? wanted : Math.min(wanted, Math.max(current, limit))
  }
  const limits = limitsOf(scaling.scaleDown, current, ({ type, value, periodMs }) => {
    const start = atStartOf(periodMs)
    return type === 'Pods' ? start - value : Math.floor(start * (1 - value / 100))
  })
  const limit = scaling.scaleDown.selectPolicy === 'Min' ? Math.max(...limits) : Math.min(...limits)
  return limits.length === 0 ? wanted : Math.max(wanted, Math.min(current, limit))
}

function limitsOf(
  { selectPolicy, policies }: ScalingRules,
  current: number,
  limitOf: (policy: ScalingRules['policies'][number]) => number,
): number[] {
  return selectPolicy === 'Disabled' ? [current] : policies.map(limitOf)
}

interface Outcome {
  need: Need
  wanted: number
  stable: number
  replicas: number
  pool: Situation['pool']
  load: Load
}

function explain(outcome: Outcome): Pick<Decision, 'reason' | 'message'> {
  const { need, wanted, stable, replicas, pool, load } = outcome
  const { minReplicas, maxReplicas, scaleUp, scaleDown } = pool.scaling
  const jobs = describeJobs(outcome)
  const count = counted(replicas, 'replica')
  const onTheWay = (why: string) => `${count}, ${wanted} needed; ${why}: ${jobs}`
  if (replicas !== stable && stable > replicas)
    return { reason: 'ScaleUpLimited', message: onTheWay('limited by the scaleUp policies') }
  if (replicas !== stable && replicas > wanted)
    return { reason: 'ScaleDownLimited', message: onTheWay('limited by the scaleDown policies') }
  if (replicas > wanted) {
    const message = onTheWay(`scale-down stabilization (${seconds(scaleDown)}) in progress`)
    return { reason: 'ScaleDownStabilized', message }
  }
  if (replicas < wanted) {
    const message = onTheWay(`scale-up stabilization (${seconds(scaleUp)}) in progress`)
    return { reason: 'ScaleUpStabilized', message }
  }
  if (need.replicas > maxReplicas)
    return { reason: 'MaxReplicas', message: `${count} (maxReplicas), ${need.replicas} needed: ${jobs}` }
  if (need.replicas < minReplicas)
    return { reason: 'MinReplicas', message: `${count} (minReplicas), ${need.replicas} needed: ${jobs}` }
  if (need.jobs === 0)
    return { reason: isAllStopped(load) ? 'Suspended' : 'Idle', message: `${count}: ${jobs}` }
  return { reason: need.reason, message: `${count}: ${jobs}` }
}

function describeJobs({ need, pool, load }: Outcome): string {
  if (need.jobs > 0) {
    const jobs = counted(Math.ceil(need.jobs), 'job')
    return `${jobs} ready or running, ${counted(pool.slots, 'slot')} per replica`
  }
  const waiting = sum(load.queues.map((queue) => queue.ready))
  if (waiting === 0) return 'no jobs ready or running'
  if (isAllStopped(load))
    return `${counted(waiting, 'job')} ready, but all queues are suspended, paused or resting`
  return `${counted(waiting, 'job')} ready, but none can be claimed (queue suspended, paused, resting or at its limits)`
}

function isAllStopped({ queues }: Load): boolean {
  return queues.length > 0 && queues.every((queue) => queue.isStopped)
}

const LONGEST_PERIOD_MS = 1_800_000

function remember({ history, current, pool, nowMs }: Situation, replicas: number): ScalingHistory {
  const { scaleUp, scaleDown } = pool.scaling
  const windowMs = Math.max(scaleUp.stabilizationWindowMs, scaleDown.stabilizationWindowMs)
  // The first look takes the present number for the wanted one, as an HPA does.
  const before = history.wishes.length > 0 ? history.wishes : [{ atMs: nowMs, replicas: current }]
  const wishes = before.at(-1)?.replicas === replicas ? before : [...before, { atMs: nowMs, replicas }]
  return {
    wishes: wishes.filter((_, index) => (wishes[index + 1]?.atMs ?? nowMs) >= nowMs - windowMs),
    changes: history.changes.filter((change) => change.atMs > nowMs - LONGEST_PERIOD_MS),
  }
}

function withChange(history: ScalingHistory, by: number, atMs: number): ScalingHistory {
  return by === 0 ? history : { ...history, changes: [...history.changes, { atMs, by }] }
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most)
}

/** Shares and rates are fractions: 3.0000000001 workers are three. */
function ceil(value: number): number {
  return Math.ceil(value - 1e-9)
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

function seconds({ stabilizationWindowMs }: ScalingRules): string {
  return counted(stabilizationWindowMs / 1000, 'second')
}
