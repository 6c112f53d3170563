// The environment of a worker of a pool, the same in a pod and on a laptop. Pure. Its name and its Redis come
// on top.
import type { WorkerPool } from '../resources/worker-pool.ts'

export interface ServedQueueVariable {
  name: string
  weight: number
  /** In Redis, where the rule does not give it. */
  queueName?: string
}

export function workerVariables(
  pool: WorkerPool,
  queues: readonly ServedQueueVariable[],
  poolUid: string,
): Record<string, string | number | undefined> {
  const { mode, jobsPerChild, jobsAtOnce, maxMemoryBytes } = pool.isolation
  return {
    MILLHAND_NAMESPACE: pool.metadata.namespace,
    MILLHAND_POOL_UID: poolUid,
    MILLHAND_QUEUES: JSON.stringify(queues),
    MILLHAND_SLOTS: pool.slots,
    MILLHAND_ISOLATION: mode,
    MILLHAND_JOBS_PER_CHILD: jobsPerChild,
    MILLHAND_JOBS_AT_ONCE_PER_CHILD: jobsAtOnce,
    MILLHAND_MAX_MEMORY_BYTES: maxMemoryBytes,
    MILLHAND_DRAIN_TIMEOUT_SECONDS: Math.ceil(pool.drainTimeoutMs / 1000),
  }
}
