// One reconcile of a TaskQueue: observe → plan → apply. main.ts gives it to a controller.

import { planTaskQueue } from '@millhand/control/decide/queue'
import type { Outcome } from '@millhand/control/engine/controller'
import { problemOf, type QueuePlace } from '@millhand/control/redis/problems'
import type { Servers } from '@millhand/control/redis/servers'
import { isSame } from '@millhand/control/resources/conditions'
import { parseTaskQueue, type TaskQueueObject } from '@millhand/control/resources/task-queue'
import type { Log } from 'millhand/queue'
import type { Kube } from '../kube/client.ts'
import type { Events } from '../kube/events.ts'
import { applyTaskQueue } from './apply.ts'
import { observeTaskQueue } from './observe.ts'

export interface TaskQueueContext {
  find: (key: string) => TaskQueueObject | undefined
  /** Whether a TaskQueue with this UID is there. */
  isThere: (uid: string) => boolean
  servers: Servers
  kube: Kube
  events: Events
  log: Log
  onStatusRefused: (kind: string) => void
  /** Of the wall clock: it stands in the status. */
  wallMs: () => number
}

export function taskQueueReconciler(context: TaskQueueContext): (key: string) => Promise<Outcome> {
  /** What a queue was when it was last there: its name goes back when it is deleted. */
  const owned = new Map<string, TaskQueueObject>()
  /** How many lost enqueues were told of a queue: an older CRD, left in place, keeps no such field of the status. */
  const told = new Map<string, number>()
  return async (key) => {
    const object = context.find(key)
    const before = owned.get(key)
    if (before && before.metadata.uid !== object?.metadata.uid) await release(before, context)
    if (before?.metadata.uid !== object?.metadata.uid) told.delete(key)
    if (object) owned.set(key, object)
    else owned.delete(key)
    if (before) leave(before, object, { owned: owned.values(), servers: context.servers })
    if (!object) return {}
    const observed = await observeTaskQueue(object, context.servers, context.isThere)
    const plan = planTaskQueue({ ...observed, toldVanished: told.get(key) ?? 0 }, context.wallMs())
    if (plan.vanished)
      context.log.error('Redis lost enqueues that it had acknowledged', {
        queue: observed.queue.queueName,
        atLeast: plan.vanished,
      })
    const { redis } = observed
    if (redis.kind === 'problem' && redis.cause && plan.events.some(({ type }) => type === 'Ready'))
      context.log.error('scripts fail in Redis', { queue: observed.queue.queueName, error: redis.cause })
    await applyTaskQueue(plan, object, context)
    if (observed.redis.kind === 'open') told.set(key, observed.redis.view.depth.counts.vanished)
    return { againInMs: plan.checkAgainAfterMs }
  }
}

/** The jobs stay. Where Redis is away the name stays taken, and the next owner is told what to do. */
async function release(object: TaskQueueObject, { servers, log }: TaskQueueContext): Promise<void> {
  const { name, uid = '' } = object.metadata
  const { queueName, ...place } = placeOf(object)
  const { namespace } = place
  try {
    const opened = await servers.open(queueName, place)
    if (opened.kind === 'problem') return
    await opened.seen.toWrite.release(uid)
    log.info('released the name of a deleted queue', { namespace, name, queue: queueName })
  } catch (error) {
    if (!problemOf(error, place)) throw error
    log.warn('could not release the name of a deleted queue', { namespace, name, queue: queueName, error })
  }
}

/** Where a queue was and is not any more, unless another one that wants the same name is there still. */
function leave(
  before: TaskQueueObject,
  now: TaskQueueObject | undefined,
  { owned, servers }: { owned: Iterable<TaskQueueObject>; servers: Servers },
): void {
  const { queueName, ...place } = placeOf(before)
  if (now && isSame(placeOf(now), placeOf(before))) return
  const isNeeded = [...owned].some((other) => isSame(placeOf(other), placeOf(before)))
  if (!isNeeded) servers.forget(queueName, place)
}

function placeOf(object: TaskQueueObject): QueuePlace {
  const { metadata, queueName, redisSecretName: secretName } = parseTaskQueue(object, 'default')
  return { namespace: metadata.namespace, secretName, queueName }
}
