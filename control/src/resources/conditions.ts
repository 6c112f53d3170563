// Conditions in the form that kubectl wait and other tools know. Pure.
//
// Ready, Progressing, ScalingActive, RedisReachable, RedisSuitable, EscalationReady: True is good. ScalingLimited,
// IsolationFallback, Late, Suspended, Stalled: True asks for a look. Reconciling: True passes by itself.
import type { Reason } from './reasons.ts'

export type ConditionStatus = 'True' | 'False' | 'Unknown'

export type ConditionType =
  | 'Ready'
  | 'Progressing'
  | 'Reconciling'
  | 'ScalingActive'
  | 'ScalingLimited'
  | 'RedisReachable'
  | 'RedisSuitable'
  | 'EscalationReady'
  | 'IsolationFallback'
  | 'Late'
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

/** Reasons that may pass by themselves. */
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
