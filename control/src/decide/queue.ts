// The status of a TaskQueue, decided from what was observed. Pure.
import type { ServerFinding } from 'millhand/doctor'
import { LAYOUT } from 'millhand/queue'
import type { RedisProblem } from '../redis/problems.ts'
import type { QueueView } from '../redis/view.ts'
import { boundedStatus } from '../resources/bounds.ts'
import { type Finding, MAY_PASS } from '../resources/conditions.ts'
import type { Reason } from '../resources/reasons.ts'
import {
  parseTaskQueue,
  type TaskQueue,
  type TaskQueueObject,
  type TaskQueueStatus,
} from '../resources/task-queue.ts'
import { conditionsOf, hasNews, isSame, redisReachable, worthTelling } from './report.ts'
import { lastingProblem, REASON_OF, redisSuitable } from './suitable.ts'

export interface ObservedTaskQueue {
  queue: TaskQueue
  generation: number
  status: TaskQueueStatus | undefined
  /** Absent: the spec asks for none. */
  escalation?: Escalation
  redis:
    | (RedisProblem & { server?: readonly ServerFinding[] })
    | { kind: 'taken'; isOwnerThere: boolean }
    | { kind: 'open'; view: QueueView; server: readonly ServerFinding[] | 'unknown' }
}

/** Where jobs go that have run out of memory: the name in Redis; or why they do not. */
export type Escalation =
  | { kind: 'to'; queueName: string }
  | { kind: 'problem'; reason: Reason; message: string }

export interface TaskQueuePlan {
  /** Absent when the written status is still true, or was written a moment ago. */
  status?: TaskQueueStatus
  /** Conditions that turned, or have lasted: each becomes an Event. */
  events: Finding[]
  /** The least number of acknowledged enqueues that Redis lost since the last status. */
  vanished?: number
  checkAgainAfterMs: number
}

type Problem = Extract<ObservedTaskQueue['redis'], { kind: 'problem' }>

interface PlannedFrom extends ObservedTaskQueue {
  /** Lost enqueues that this operator has reported already. */
  toldVanished?: number
}

/** Counts are written at most this often. Fast numbers are metrics. */
const COUNTS_EVERY_MS = 15_000
const RETRY_AFTER_MS = 5_000
const MINUTE_MS = 60_000
/** The end of a rest is in the time of Redis, and each look is late by another time. */
const CLOCKS_DIFFER_MS = 5_000

export function planTaskQueue(observed: PlannedFrom, nowMs: number): TaskQueuePlan {
  const { generation, status } = observed
  const now = new Date(nowMs).toISOString()
  const findings = findingsOf(observed, nowMs)
  const vanished = newlyVanished(observed)
  const next = boundedStatus<TaskQueueStatus>('TaskQueue', {
    observedGeneration: generation,
    queueName: observed.queue.queueName,
    ...counts(observed, nowMs),
    conditions: conditionsOf(findings, status?.conditions, { generation, now }),
  })
  const isDue = nowMs - Date.parse(status?.observedAt ?? '1970-01-01') >= COUNTS_EVERY_MS
  const shallWrite = vanished > 0 || hasNews(next, status) || (isDue && !sameButForTimes(next, status))
  return {
    ...(shallWrite && { status: next }),
    events: worthTelling(findings, status?.conditions, nowMs).filter(isNews),
    ...(vanished > 0 && { vanished }),
    checkAgainAfterMs: observed.redis.kind === 'open' ? COUNTS_EVERY_MS : RETRY_AFTER_MS,
  }
}

/** The status remembers what was reported, also over a restart of the operator. */
function newlyVanished({ redis, status, toldVanished = 0 }: PlannedFrom): number {
  if (redis.kind !== 'open') return 0
  return Math.max(0, redis.view.depth.counts.vanished - Math.max(status?.vanishedEnqueues ?? 0, toldVanished))
}

/** `target`: the TaskQueue that `queue` names. */
export function escalationOf(
  { escalateTo, metadata, redisSecretName }: TaskQueue,
  target: TaskQueueObject | undefined,
): Escalation | undefined {
  if (escalateTo === undefined) return undefined
  const problem = (reason: Reason, message: string): Escalation => {
    return {
      kind: 'problem',
      reason,
      message: `${message}; a job that runs out of memory is tried again in this queue`,
    }
  }
  if (!target)
    return problem(
      'QueueNotFound',
      `there is no TaskQueue ${escalateTo} in the namespace ${metadata.namespace}`,
    )
  const { queueName, redisSecretName: other } = parseTaskQueue(target, metadata.namespace)
  if (other === redisSecretName) return { kind: 'to', queueName }
  return problem(
    'QueuesInDifferentRedis',
    `TaskQueue ${escalateTo} names the Secret ${other}, and this one ${redisSecretName}`,
  )
}

function findingsOf(observed: ObservedTaskQueue, nowMs: number): Finding[] {
  const { queue, redis, escalation } = observed
  return [
    ready(redis, queue.queueName),
    redisReachable(redis.kind === 'problem' ? [redis] : [], redis.kind === 'open'),
    suitable(redis),
    ...(escalation ? [escalating(escalation)] : []),
    suspended(observed, nowMs),
    stalled(redis),
  ]
}

function ready(redis: ObservedTaskQueue['redis'], queueName: string): Finding {
  switch (redis.kind) {
    case 'open':
      return {
        type: 'Ready',
        status: 'True',
        reason: 'Ready',
        message: `the queue is ready; its name in Redis is ${queueName}`,
      }
    case 'taken':
      return {
        type: 'Ready',
        status: 'False',
        reason: 'NameTaken',
        message: taken(queueName, redis.isOwnerThere),
      }
    case 'problem':
      // Unknown, not False: workers and clients have their own connections.
      return {
        type: 'Ready',
        status: redis.reason === 'RedisUnreachable' ? 'Unknown' : 'False',
        reason: redis.reason,
        message: whyNotReady(redis),
      }
  }
}

function whyNotReady({ reason, message, server }: Problem): string {
  const why = reason === 'RedisNotServing' ? lastingProblem(server) : undefined
  return why ? `${message}: ${why.message}` : message
}

function suitable(redis: ObservedTaskQueue['redis']): Finding {
  const server = redis.kind === 'taken' ? undefined : redis.server
  if (server) return redisSuitable(server)
  const reason = redis.kind === 'problem' ? redis.reason : 'NameTaken'
  return {
    type: 'RedisSuitable',
    status: 'Unknown',
    reason,
    message: 'Redis was not checked: see the condition Ready',
  }
}

function escalating(escalation: Escalation): Finding {
  const type = 'EscalationReady'
  if (escalation.kind === 'problem')
    return { type, status: 'False', reason: escalation.reason, message: escalation.message }
  const message = `a job that runs out of memory goes on in the queue ${escalation.queueName}`
  return { type, status: 'True', reason: 'Ready', message }
}

function suspended({ queue, redis, status }: ObservedTaskQueue, nowMs: number): Finding {
  if (redis.kind !== 'open') {
    const message = 'spec not yet applied to Redis: see the condition Ready'
    return {
      type: 'Suspended',
      status: 'Unknown',
      reason: redis.kind === 'taken' ? 'NameTaken' : redis.reason,
      message,
    }
  }
  const { paused: isPaused, restsMs } = redis.view.depth
  if (queue.suspend)
    return {
      type: 'Suspended',
      status: 'True',
      reason: 'Suspended',
      message: 'spec.suspend is true: workers claim no jobs',
    }
  if (isPaused)
    return {
      type: 'Suspended',
      status: 'True',
      reason: 'Paused',
      message: 'paused with millhand pause: workers claim no jobs until millhand resume',
    }
  if (restsMs !== undefined) {
    const last = status?.conditions.find(({ type }) => type === 'Suspended')?.message
    const said = [0, -CLOCKS_DIFFER_MS, CLOCKS_DIFFER_MS].map((ms) => untilAbout(nowMs + restsMs + ms))
    const message = said.find((each) => each === last) ?? said[0] ?? ''
    return { type: 'Suspended', status: 'True', reason: 'Resting', message }
  }
  return { type: 'Suspended', status: 'False', reason: 'Active', message: 'workers may claim jobs' }
}

/** A rest that jobs prolong has another end at each look: the minute is enough. */
function untilAbout(endMs: number): string {
  const until = new Date(Math.ceil(endMs / MINUTE_MS) * MINUTE_MS).toISOString().slice(0, 16)
  return `a task asked for a rest (RetryAfter): workers claim no jobs until about ${until}Z or millhand resume`
}

/** As kstatus has it: True where manual action is required. */
function stalled(redis: ObservedTaskQueue['redis']): Finding {
  const type = 'Stalled'
  const lasts = (reason: Reason, where: string): Finding => {
    return { type, status: 'True', reason, message: `manual action required: see the condition ${where}` }
  }
  if (redis.kind === 'taken') return lasts('NameTaken', 'Ready')
  if (redis.kind === 'problem') {
    if (!MAY_PASS.includes(redis.reason)) return lasts(redis.reason, 'Ready')
    const found = lastingProblem(redis.server)
    if (found) return lasts(REASON_OF[found.check], 'RedisSuitable')
  }
  return { type, status: 'False', reason: 'Progressing', message: 'no action required' }
}

/** The message does not tell the UID of the owner: who names it proves that the queue was theirs. */
function taken(queueName: string, isOwnerThere: boolean): string {
  const belongs = `the name ${queueName} belongs to another owner in this Redis`
  return isOwnerThere
    ? `${belongs}: spec.takeOver names a TaskQueue that exists; delete that one first, or use another name or another Redis`
    : `${belongs}: use another name or another Redis; if that owner is gone for good, set spec.takeOver (docs/operate.md)`
}

function counts({ redis, status }: ObservedTaskQueue, nowMs: number): Partial<TaskQueueStatus> {
  // The last counts, with their time, are worth more than nothing.
  if (redis.kind !== 'open') return pick(status, ['layoutVersion', 'observedAt', 'jobs', 'vanishedEnqueues'])
  const { ready, blocked, delayed, busy, buried, oldestReadyMs, counts } = redis.view.depth
  return {
    layoutVersion: LAYOUT,
    observedAt: new Date(nowMs).toISOString(),
    jobs: { ready, blocked, busy, delayed, buried },
    ...(counts.vanished > 0 && { vanishedEnqueues: counts.vanished }),
    ...(oldestReadyMs !== undefined && { oldestReadyAt: new Date(nowMs - oldestReadyMs).toISOString() }),
  }
}

function sameButForTimes(next: TaskQueueStatus, before: TaskQueueStatus | undefined): boolean {
  if (!before) return false
  const essence = ({ observedAt: _, oldestReadyAt, ...rest }: TaskQueueStatus) => ({
    ...rest,
    hasReady: oldestReadyAt !== undefined,
  })
  return isSame(essence(next), essence(before))
}

/** Conditions that are worth an Event. */
function isNews({ type, status, reason }: Finding): boolean {
  return (
    type === 'Ready' ||
    // A rest passes by itself, and may come every minute.
    (type === 'Suspended' && status === 'True' && reason !== 'Resting') ||
    ((type === 'RedisSuitable' || type === 'EscalationReady') && status === 'False')
  )
}

function pick<T extends object, K extends keyof T>(object: T | undefined, names: K[]): Partial<Pick<T, K>> {
  return Object.fromEntries(
    names.flatMap((name) => (object?.[name] === undefined ? [] : [[name, object[name]]])),
  ) as Partial<Pick<T, K>>
}
