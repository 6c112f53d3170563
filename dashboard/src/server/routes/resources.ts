// The TaskQueue, the WorkerPool and the queue in Redis that the path of a call names.
import type { TaskQueueObject } from '@millhand/control/resources/task-queue'
import type { WorkerPoolObject } from '@millhand/control/resources/worker-pool'
import type { Queue } from 'millhand/queue'
import { Refused } from '../refused.ts'
import type { Call } from '../route.ts'

export function taskQueueOf({ parts, path }: Call): TaskQueueObject {
  const key = `${path.namespace}/${path.name}`
  const found = parts.plant.get('TaskQueue', key)
  if (found) return found
  throw new Refused(404, 'QUEUE_NOT_FOUND', `there is no TaskQueue ${key}: GET queues lists them`)
}

export function workerPoolOf({ parts, path }: Call): WorkerPoolObject {
  const key = `${path.namespace}/${path.name}`
  const found = parts.plant.get('WorkerPool', key)
  if (found) return found
  throw new Refused(404, 'POOL_NOT_FOUND', `there is no WorkerPool ${key}: GET pools lists them`)
}

/** Throws Refused where it cannot be reached. */
export function queueOf(call: Call): Promise<Queue> {
  return call.parts.looks.queue(taskQueueOf(call))
}

export const jobNotFound = ({ path }: Call) =>
  new Refused(
    404,
    'JOB_NOT_FOUND',
    `job ${path.id} is not known in ${path.namespace}/${path.name}: it was never enqueued, was deleted, or its result has expired`,
  )
