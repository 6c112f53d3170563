// Common to the reports of all kinds: conditions with their times, when a status is worth a write, which
// findings become Events, and the condition RedisReachable. Pure.
import type { Condition, Finding } from '../resources/conditions.ts'
import { REDIS_ANSWERS } from '../resources/conditions.ts'
import type { Reason } from '../resources/reasons.ts'

/** The conditions to write: a transition time changes only with the status. */
export function conditionsOf(
  findings: readonly Finding[],
  before: readonly Condition[] = [],
  { generation, now }: { generation: number; now: string },
): Condition[] {
  return findings.map((finding) => {
    const last = before.find(({ type }) => type === finding.type)
    const lastTransitionTime = last?.status === finding.status ? last.lastTransitionTime : now
    return { ...finding, observedGeneration: generation, lastTransitionTime }
  })
}

/** Rests pass by themselves, and one may begin every second: a status says so when it is written next. */
const RESTS: readonly Reason[] = ['Resting', 'QueuesResting']
const turned = ({ status, reason }: Finding) =>
  RESTS.includes(reason) ? 'False Active' : `${status} ${reason}`

/** Whether a status or reason changed, and not only a message. */
export function hasTurned(findings: readonly Finding[], before: readonly Condition[] = []): boolean {
  if (findings.length !== before.length) return true
  return findings.some((finding) => {
    const last = before.find(({ type }) => type === finding.type)
    return !last || turned(last) !== turned(finding)
  })
}

/** Reasons that come at each first apply, cold start and failover: they become Events only when they last. */
const PASSES_SOON: readonly Reason[] = ['QueueNotReady', 'RedisUnreachable']
const LASTS_FROM_MS = 30_000

/**
 * The findings that are worth an Event: those that are new or have another status or reason. A reason that
 * usually passes becomes one when it has lasted, at each look from then on; the same Event is not written
 * twice in ten minutes.
 */
export function worthTelling(
  findings: readonly Finding[],
  before: readonly Condition[] = [],
  wallMs: number,
): Finding[] {
  return findings.filter(({ type, status, reason }) => {
    const last = before.find((condition) => condition.type === type)
    const isTurned = last?.status !== status || last.reason !== reason
    if (!PASSES_SOON.includes(reason)) return isTurned
    return !isTurned && wallMs - Date.parse(last.lastTransitionTime) >= LASTS_FROM_MS
  })
}

/** Starting pods are no Warning: what keeps a pod from starting has a reason of its own. */
export function newsType({ status, reason }: Finding): 'Normal' | 'Warning' {
  return status === 'True' || reason === 'PodsStarting' ? 'Normal' : 'Warning'
}

/** The API server keeps fields in an order of its own. */
export function isSame(a: unknown, b: unknown): boolean {
  return inOrder(a) === inOrder(b)
}

function inOrder(value: unknown): string | undefined {
  return JSON.stringify(value, (_name, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([one], [other]) => (one < other ? -1 : 1)))
      : part,
  )
}

export interface Reported {
  observedGeneration: number
  conditions: Condition[]
}

/** What others may wait for is written at once: conditions that turned, and the observed generation. */
export function hasNews(now: Reported, before: Reported | undefined): boolean {
  return before?.observedGeneration !== now.observedGeneration || hasTurned(now.conditions, before.conditions)
}

/** `isRead`: whether anything could be read from Redis. */
export function redisReachable(
  problems: readonly { reason: Reason; message: string }[],
  isRead: boolean,
): Finding {
  const type = 'RedisReachable'
  const lost = problems.find(({ reason }) => reason === 'RedisUnreachable' || reason === 'RedisRefused')
  if (lost) return { type, status: 'False', reason: lost.reason, message: lost.message }
  const [first] = problems
  if (first && !isRead && !problems.some(({ reason }) => REDIS_ANSWERS.includes(reason)))
    return { type, status: 'Unknown', reason: first.reason, message: first.message }
  return { type, status: 'True', reason: 'Connected', message: 'Redis answers' }
}
