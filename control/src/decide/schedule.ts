// The status of a Schedule, decided from what was observed. Pure.
import { fireAt, type ScheduleState } from 'millhand/queue'
import { boundedStatus } from '../resources/bounds.ts'
import { type Finding, MAY_PASS } from '../resources/conditions.ts'
import type { Schedule, ScheduleStatus } from '../resources/schedule.ts'
import type { QueueProblem } from './observed.ts'
import { conditionsOf, hasNews, isSame, redisReachable, worthTelling } from './report.ts'

export interface ObservedSchedule {
  schedule: Schedule
  generation: number
  status: ScheduleStatus | undefined
  /** Of its queue, in Redis; absent while the TaskQueue is not known. */
  queueName?: string
  found: { kind: 'open'; state: ScheduleState } | ({ kind: 'problem' } & QueueProblem)
}

export interface SchedulePlan {
  /** Absent when the written status is still true. */
  status?: ScheduleStatus
  /** Conditions that turned, or have lasted: each becomes an Event. */
  events: Finding[]
  checkAgainAfterMs: number
}

/** What is due for longer is late: workers and the operator look within seconds. */
export const LATE_FROM_MS = 60_000
/** A person may pause it at any time. */
const LOOK_EVERY_MS = 15_000
/** Also the most often that a status is written whose schedule is due every second. */
const LOOK_AGAIN_MS = 5_000
/** A job is enqueued a moment after it is due. */
const AFTER_DUE_MS = 500

export function planSchedule(observed: ObservedSchedule, nowMs: number): SchedulePlan {
  const { generation, status, queueName, found } = observed
  const findings = findingsOf(observed, nowMs)
  const next = boundedStatus<ScheduleStatus>('Schedule', {
    observedGeneration: generation,
    ...(queueName !== undefined && { queueName }),
    ...(found.kind === 'open' ? timesOf(found.state) : lastTimes(status)),
    conditions: conditionsOf(findings, status?.conditions, {
      generation,
      now: new Date(nowMs).toISOString(),
    }),
  })
  return {
    ...((hasNews(next, status) || !isSame(next, status)) && { status: next }),
    events: worthTelling(findings, status?.conditions, nowMs).filter(isNews),
    checkAgainAfterMs: found.kind === 'open' ? lookAgainIn(found.state, nowMs) : LOOK_AGAIN_MS,
  }
}

/** How long a job is due that nobody has enqueued; 0 where none is. */
export function lateMs({ name, spec, isPaused, nextAtMs }: ScheduleState, nowMs: number): number {
  if (isPaused || spec.suspend || nextAtMs === undefined) return 0
  return Math.max(0, nowMs - fireAt(name, spec, nextAtMs))
}

function lookAgainIn({ nextAtMs = Number.POSITIVE_INFINITY, last }: ScheduleState, nowMs: number): number {
  if (last && UNENDED.includes(last.state)) return LOOK_AGAIN_MS
  return Math.min(LOOK_EVERY_MS, Math.max(LOOK_AGAIN_MS, nextAtMs + AFTER_DUE_MS - nowMs))
}

const UNENDED: readonly string[] = ['ready', 'delayed', 'held']

function findingsOf({ schedule, found, queueName = '' }: ObservedSchedule, nowMs: number): Finding[] {
  const problems = found.kind === 'problem' ? [found] : []
  return [
    found.kind === 'open' ? ready(schedule, queueName) : notReady(found),
    redisReachable(problems, found.kind === 'open'),
    late(found, nowMs),
    suspended(schedule, found),
    stalled(found),
  ]
}

function ready({ metadata: { name } }: Schedule, queueName: string): Finding {
  const message = `the queue ${queueName} has the schedule ${name}`
  return { type: 'Ready', status: 'True', reason: 'Ready', message }
}

/** Unknown, not False: workers fire it by their own connections. */
function notReady({ reason, message }: QueueProblem): Finding {
  const status = reason === 'RedisUnreachable' ? 'Unknown' : 'False'
  return { type: 'Ready', status, reason, message }
}

function late(found: ObservedSchedule['found'], nowMs: number): Finding {
  const type = 'Late'
  if (found.kind === 'problem')
    return { type, status: 'Unknown', reason: found.reason, message: 'see the condition Ready' }
  if (lateMs(found.state, nowMs) < LATE_FROM_MS)
    return { type, status: 'False', reason: 'OnTime', message: 'nothing is overdue' }
  const since = new Date(found.state.nextAtMs ?? nowMs).toISOString()
  const message = `due since ${since} and not enqueued: the queue is full (limits.maxLength), or Redis refuses writes`
  return { type, status: 'True', reason: 'NotEnqueued', message }
}

function suspended({ spec }: Schedule, found: ObservedSchedule['found']): Finding {
  const type = 'Suspended'
  if (found.kind === 'problem')
    return { type, status: 'Unknown', reason: found.reason, message: 'see the condition Ready' }
  if (spec.suspend)
    return { type, status: 'True', reason: 'Suspended', message: 'spec.suspend is true: nothing is due' }
  if (found.state.isPaused) {
    const message = 'paused by a person: nothing is due until somebody resumes it'
    return { type, status: 'True', reason: 'Paused', message }
  }
  return { type, status: 'False', reason: 'Active', message: 'jobs are enqueued when they are due' }
}

/** As kstatus has it: True where manual action is required. */
function stalled(found: ObservedSchedule['found']): Finding {
  const type = 'Stalled'
  if (found.kind === 'open' || MAY_PASS.includes(found.reason) || found.reason === 'QueueNotReady')
    return { type, status: 'False', reason: 'Progressing', message: 'no action required' }
  const message = 'manual action required: see the condition Ready'
  return { type, status: 'True', reason: found.reason, message }
}

function timesOf({ nextAtMs, last }: ScheduleState): Partial<ScheduleStatus> {
  return {
    ...(nextAtMs !== undefined && { nextDueAt: timeText(nextAtMs) }),
    ...(last && {
      last: {
        dueAt: timeText(last.dueAtMs),
        firedAt: timeText(last.firedAtMs),
        lateSeconds: Math.round(last.lateMs / 1000),
        jobId: last.id,
        ...(last.state !== 'unknown' && { outcome: last.state }),
      },
    }),
  }
}

/** What was seen last is worth more than nothing. */
function lastTimes(status: ScheduleStatus | undefined): Partial<ScheduleStatus> {
  const { nextDueAt, last } = status ?? {}
  return { ...(nextDueAt !== undefined && { nextDueAt }), ...(last && { last }) }
}

/** As the API server keeps a date-time. */
const timeText = (ms: number) => `${new Date(ms).toISOString().slice(0, 19)}Z`

/** Conditions that are worth an Event. */
function isNews({ type, status }: Finding): boolean {
  return type === 'Ready' || ((type === 'Suspended' || type === 'Late') && status === 'True')
}
