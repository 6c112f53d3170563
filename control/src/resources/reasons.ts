// Every reason of a condition, of a decision and of an Event. Tools branch on a reason and people search for
// it, so it keeps its name over releases, and a word of Kubernetes wins. docs/conditions.md has a row for
// each; a test compares.

/** Why a queue's Redis cannot be used. */
export const REDIS_REASONS = [
  'QueueNameNotAllowed',
  'SecretNotAllowed',
  'RedisSecretMissing',
  'RedisSecretInvalid',
  'RedisAddressDenied',
  'RedisRefused',
  'RedisFull',
  'RedisUnreachable',
  'RedisNotServing',
  'RedisIsCluster',
  'RedisScriptsFail',
  'RedisProtocolError',
  'RedisDataInvalid',
  'NewerLayout',
  'OlderLayout',
] as const
export type RedisReason = (typeof REDIS_REASONS)[number]

/** Problems of a Redis that need manual action. */
export const SERVER_REASONS = [
  'VersionTooOld',
  'ReadOnlyReplica',
  'ClusterIncomplete',
  'ServerAway',
  'EvictionPolicy',
  'MemoryNearlyFull',
  'MemoryFragmented',
  'NotPersistent',
  'ReplicasNotInStep',
  'ConnectionsNearlyFull',
  'ClocksDiffer',
  'InfoRefused',
] as const
export type ServerReason = (typeof SERVER_REASONS)[number]

/** Why a pod does not start or stay. A cause comes before what follows from it. */
export const POD_REASONS = [
  'ImagePullBackOff',
  'CreateContainerConfigError',
  'CreateContainerError',
  'RunContainerError',
  'CrashLoopBackOff',
  'WorkersNotRegistered',
  'Unschedulable',
] as const
export type PodReason = (typeof POD_REASONS)[number]

/** Why a pool has the number of pods that it has. */
export const DECISION_REASONS = [
  'Concurrency',
  'Latency',
  'Idle',
  'Suspended',
  'MinReplicas',
  'MaxReplicas',
  'ScaleUpStabilized',
  'ScaleDownStabilized',
  'ScaleUpLimited',
  'ScaleDownLimited',
  'Manual',
] as const

const OTHER_REASONS = [
  'Ready',
  'Connected',
  'Suitable',
  'Active',
  'Paused',
  'Resting',
  'Progressing',
  'NameTaken',
  'QueueNotFound',
  'QueueNotReady',
  'QueuesInDifferentRedis',
  'QueuesSuspended',
  'QueuesResting',
  'InvalidTemplate',
  'NotPermitted',
  'ApiServerFails',
  'FailedCreate',
  'PodsStarting',
  'NoDeployment',
  'RollingOut',
  'RolloutComplete',
  'ProgressDeadlineExceeded',
  'Automatic',
  'WithinBounds',
  'AsConfigured',
  'ForkUnavailable',
  'NoWorkers',
  'InvalidSchedule',
  'OnTime',
  'NotEnqueued',
] as const

export const REASONS = [
  ...REDIS_REASONS,
  ...SERVER_REASONS,
  ...POD_REASONS,
  ...DECISION_REASONS,
  ...OTHER_REASONS,
] as const
/** Of a condition or a decision. */
export type Reason = (typeof REASONS)[number]

/** Of Events that no condition stands behind. */
export const EVENT_REASONS = ['ScaledUp', 'ScaledDown', 'EnqueuesLost'] as const
export type EventReason = Reason | (typeof EVENT_REASONS)[number]
