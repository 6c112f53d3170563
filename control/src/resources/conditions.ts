// Conditions in the form that kubectl wait and other tools know. Pure.
//
// Ready, Progressing, ScalingActive, RedisReachable, RedisSuitable: True is good. ScalingLimited, IsolationFallback,
// Suspended, Stalled: True asks for a look.
import type { Reason } from './reasons.ts'

export type ConditionStatus = 'True' | 'False' | 'Unknown'

export type ConditionType =
  | 'Ready'
  | 'Progressing'
  | 'ScalingActive'
  | 'ScalingLimited'
  | 'RedisReachable'
  | 'RedisSuitable'
  | 'IsolationFallback'
  | 'Suspended'
  | 'Stalled'

/** One aspect of a resource, as it is decided; when it last changed is added when it is written. */
export interface Finding {
  type: ConditionType
  status: ConditionStatus
  reason: Reason
  /** A sentence for a person. */
  message: string
}

export interface Condition extends Finding {
  observedGeneration: number
  lastTransitionTime: string
}

/** Reasons that time may mend. */
export const MAY_PASS: readonly Reason[] = ['RedisUnreachable', 'RedisNotServing', 'ApiServerFails']

/** Reasons of a TaskQueue whose name is another queue's in Redis: what is there is not its own. */
export const NOT_ITS_OWN: readonly Reason[] = ['NameTaken', 'QueueNameNotAllowed']

/** Reasons of a Redis that answers, and cannot be used all the same. */
export const REDIS_ANSWERS: readonly Reason[] = [
  'RedisNotServing',
  'RedisIsCluster',
  'RedisScriptsFail',
  'RedisFull',
  'RedisDataInvalid',
  'NewerLayout',
  'OlderLayout',
]

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

/** Whether something changed that somebody may wait for: not only the words of a message. */
export function hasTurned(findings: readonly Finding[], before: readonly Condition[] = []): boolean {
  if (findings.length !== before.length) return true
  return findings.some(({ type, status, reason }) => {
    const last = before.find((condition) => condition.type === type)
    return last?.status !== status || last.reason !== reason
  })
}

/** At each first apply, cold start and failover: they are no news unless they last. */
const PASSES_SOON: readonly Reason[] = ['QueueNotReady', 'RedisUnreachable']
const LASTS_FROM_MS = 30_000

/**
 * The findings that are worth an Event: new ones, or with another status or reason than before. What usually passes is one when it has
 * lasted for a while, at each look from then on; the same Event is not told twice in ten minutes.
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

/** A pod that starts is nothing to be warned of: what keeps it from starting has a reason of its own. */
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
