// What a resource is by its kind, and what counts as a change of one. Pure.
import type { ScheduleObject } from './schedule.ts'
import type { Kind } from './schemas.ts'
import type { TaskQueueObject } from './task-queue.ts'
import type { WorkerPoolObject } from './worker-pool.ts'

/** As the API server has it. */
export interface ObjectOf {
  TaskQueue: TaskQueueObject
  WorkerPool: WorkerPoolObject
  Schedule: ScheduleObject
}

/** The names of its indexes: kinds.ts says what they hold. */
export interface IndexOf {
  TaskQueue: 'uid' | 'place'
  WorkerPool: 'queue'
  Schedule: 'queue'
}

/**
 * Keys are `namespace/name`. `before` and `now` are one object when nothing changed, and it is only to be
 * looked at again.
 */
export interface Change<T> {
  key: string
  now?: T
  before?: T
}

/** New, gone, another spec, other annotations, or only to be looked at again; not merely another status. */
export function isNews({ now, before }: Change<ObjectOf[Kind]>): boolean {
  if (!now || !before || now === before) return true
  return (
    now.metadata.uid !== before.metadata.uid ||
    now.metadata.generation !== before.metadata.generation ||
    now.metadata.deletionTimestamp !== before.metadata.deletionTimestamp ||
    JSON.stringify(now.metadata.annotations) !== JSON.stringify(before.metadata.annotations)
  )
}
