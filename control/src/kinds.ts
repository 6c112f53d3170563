// The kinds of resources: a row for each. Watching, indexes, controllers and checks of manifests go through
// this table; a new kind is a new row (and its CRD, and its types in resources/).
import {
  type ControllerBounds,
  POOLS_AT_ONCE,
  QUEUES_AT_ONCE,
  type Reconcile,
  SCHEDULES_AT_ONCE,
} from './engine/controller.ts'
import { type ScheduleContext, scheduleReconciler } from './reconcile/schedule.ts'
import { type TaskQueueContext, taskQueueReconciler } from './reconcile/task-queue.ts'
import { type WorkerPoolContext, workerPoolReconciler } from './reconcile/worker-pool.ts'
import { type Change, type IndexOf, isNews, type ObjectOf } from './resources/object.ts'
import type { ScheduleObject } from './resources/schedule.ts'
import type { Kind } from './resources/schemas.ts'
import { hasItsName, redisSecretOf, type TaskQueueObject } from './resources/task-queue.ts'

export type EngineContext = TaskQueueContext & WorkerPoolContext & ScheduleContext

export interface KindRow<K extends Kind> {
  /** Names under which others find it. */
  indexes: Record<IndexOf[K], (object: ObjectOf[K]) => string[]>
  /**
   * Who else is to be looked at when it changes. It is looked at itself when its spec or its annotations
   * changed.
   */
  wakes?: (change: Change<ObjectOf[K]>, keysOf: KeysOf) => Iterable<Woken>
  atOnce: ControllerBounds
  reconciler: (context: EngineContext) => Reconcile
}

export interface Woken {
  kind: Kind
  key: string
}

/** Keys of a kind that an index has under a name. */
export type KeysOf = <K extends Kind>(kind: K, index: IndexOf[K], name: string) => Iterable<string>

export const kinds: { readonly [K in Kind]: KindRow<K> } = {
  TaskQueue: {
    indexes: {
      uid: ({ metadata: { uid } }) => (uid ? [uid] : []),
      place: (queue) => (hasItsName(queue) ? [placeOf(queue)] : []),
    },
    // Pools and Schedules look at the conditions of their queue.
    wakes: (change, keysOf) =>
      isNews(change) || conditionsOf(change.now) !== conditionsOf(change.before)
        ? (['WorkerPool', 'Schedule'] as const).flatMap((kind) =>
            [...keysOf(kind, 'queue', change.key)].map((key) => ({ kind, key })),
          )
        : [],
    atOnce: QUEUES_AT_ONCE,
    reconciler: taskQueueReconciler,
  },
  WorkerPool: {
    indexes: {
      queue: ({ metadata: { namespace }, spec }) => spec.queues.map(({ name }) => `${namespace}/${name}`),
    },
    atOnce: POOLS_AT_ONCE,
    reconciler: workerPoolReconciler,
  },
  Schedule: {
    indexes: { queue: (schedule) => [queueKeyOf(schedule)] },
    // The queue that has it no more deletes it in Redis.
    wakes: ({ before, now }) =>
      before && (!now || queueKeyOf(now) !== queueKeyOf(before) || now.metadata.uid !== before.metadata.uid)
        ? [{ kind: 'TaskQueue', key: queueKeyOf(before) }]
        : [],
    atOnce: SCHEDULES_AT_ONCE,
    reconciler: scheduleReconciler,
  },
}

const queueKeyOf = ({ metadata: { namespace }, spec }: ScheduleObject) => `${namespace}/${spec.queue}`

function placeOf({ metadata, spec, status }: TaskQueueObject): string {
  return `${metadata.namespace}/${redisSecretOf(spec)}/${status?.queueName}`
}

const conditionsOf = (queue: TaskQueueObject | undefined) => JSON.stringify(queue?.status?.conditions)
