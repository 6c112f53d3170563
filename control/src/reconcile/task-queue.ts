// One reconcile of a TaskQueue: observe → plan → apply. What it declares is written to the queue's config in
// Redis, and its status says how that went. When it is deleted its name goes back; the jobs stay. Schedules that
// nobody declares any more are deleted (orphans.ts).

import type { Log } from 'millhand/queue'
import {
  type Escalation,
  escalationOf,
  type ObservedTaskQueue,
  planTaskQueue,
  type TaskQueuePlan,
} from '../decide/queue.ts'
import { isSame, newsType } from '../decide/report.ts'
import type { Reconcile } from '../engine/controller.ts'
import { notServing, type QueuePlace, type RedisProblem } from '../redis/problems.ts'
import type { SeenQueue } from '../redis/seen-queue.ts'
import type { Servers } from '../redis/servers.ts'
import {
  parseTaskQueue,
  queueSettings,
  type TaskQueue,
  type TaskQueueObject,
} from '../resources/task-queue.ts'
import type { Subject, World } from '../world.ts'
import { deleteDeclared, deleteOrphans } from './orphans.ts'

export interface TaskQueueContext {
  world: Pick<World, 'get' | 'find' | 'isGone' | 'writeStatus' | 'tell'>
  servers: Servers
  /** Who declared it, for a person who is refused the queue elsewhere and asks `millhand doctor` whose it is. */
  ownerName: (queue: TaskQueue) => string
  log: Log
  /** Of the wall clock: it stands in the status. */
  wallMs: () => number
}

interface Declaring extends Pick<TaskQueueContext, 'servers' | 'ownerName'> {
  escalation?: Escalation | undefined
}

const MAX_OWNER_NAME = 200
/** What was found before something went wrong says nothing of it. */
const TROUBLED_AGE_MS = 5_000

export function taskQueueReconciler(context: TaskQueueContext): Reconcile {
  const { world } = context
  /** What a queue was when it was last there: its name goes back when it is deleted. */
  const owned = new Map<string, TaskQueueObject>()
  /**
   * How many lost enqueues were told of a queue: an older CRD, left in place, keeps no such field of the
   * status.
   */
  const told = new Map<string, number>()
  const isThere = (uid: string) => [...world.find('TaskQueue', 'uid', uid)].length > 0
  return async (key) => {
    const object = world.get('TaskQueue', key)
    const before = owned.get(key)
    if (before && before.metadata.uid !== object?.metadata.uid) await release(before, context)
    if (before?.metadata.uid !== object?.metadata.uid) told.delete(key)
    if (object) owned.set(key, object)
    else owned.delete(key)
    if (before) leave(before, object, { owned: owned.values(), servers: context.servers })
    if (!object) return {}
    const escalation = escalationIn(world, object)
    const observed = await observeTaskQueue(object, { ...context, escalation }, isThere)
    const plan = planTaskQueue({ ...observed, toldVanished: told.get(key) ?? 0 }, context.wallMs())
    logWhatIsWrong(plan, observed, context.log)
    await applyTaskQueue(plan, object, world)
    if (observed.redis.kind === 'open') {
      told.set(key, observed.redis.view.depth.counts.vanished)
      await deleteOrphans(object, observed.queue.queueName, context)
    }
    return { againInMs: plan.checkAgainAfterMs }
  }
}

function escalationIn(world: Pick<World, 'get'>, object: TaskQueueObject): Escalation | undefined {
  const queue = parseTaskQueue(object, 'default')
  return escalationOf(queue, world.get('TaskQueue', `${queue.metadata.namespace}/${queue.escalateTo}`))
}

function logWhatIsWrong(
  { vanished, events }: TaskQueuePlan,
  { queue, redis }: ObservedTaskQueue,
  log: Log,
): void {
  const { queueName } = queue
  if (vanished)
    log.error('Redis lost enqueues that it had acknowledged', { queue: queueName, atLeast: vanished })
  if (redis.kind === 'problem' && redis.cause && events.some(({ type }) => type === 'Ready'))
    log.error('scripts fail in Redis', { queue: queueName, error: redis.cause })
}

async function applyTaskQueue(
  plan: TaskQueuePlan,
  { metadata: { name, namespace = 'default', uid = '' } }: TaskQueueObject,
  world: TaskQueueContext['world'],
): Promise<void> {
  const subject: Subject = { kind: 'TaskQueue', namespace, name, uid }
  if (plan.status) await world.writeStatus(subject, plan.status)
  if (plan.vanished)
    world.tell(subject, { type: 'Warning', reason: 'EnqueuesLost', message: lossText(plan.vanished) })
  for (const finding of plan.events) {
    const { reason, message } = finding
    world.tell(subject, { type: newsType(finding), reason, message })
  }
}

function lossText(atLeast: number): string {
  return (
    `Redis lost at least ${atLeast} enqueues that it had acknowledged: a replica that lagged took over, ` +
    'or a restart lost the last writes. Jobs that ended in that time may run again. With durability replicated or fsync an enqueue fails instead'
  )
}

/**
 * Says to Redis what the resource declares, and looks at the queue. Writing the same again changes nothing.
 */
export async function observeTaskQueue(
  object: TaskQueueObject,
  context: Declaring,
  isThere: (uid: string) => boolean,
): Promise<ObservedTaskQueue> {
  const queue = parseTaskQueue(object, 'default')
  const generation = object.metadata.generation ?? 0
  const redis = await declare(object, queue, context, isThere)
  const { escalation } = context
  return { queue, generation, status: object.status, redis, ...(escalation && { escalation }) }
}

async function declare(
  { metadata }: TaskQueueObject,
  queue: TaskQueue,
  { servers, ownerName, escalation }: Declaring,
  /** Whether a TaskQueue with this UID is there: nobody else takes what is its. */
  isThere: (uid: string) => boolean,
): Promise<ObservedTaskQueue['redis']> {
  const place = { namespace: queue.metadata.namespace, secretName: queue.redisSecretName }
  const opened = await servers.open(queue.queueName, place)
  if (opened.kind === 'problem') return opened
  const { seen } = opened
  try {
    const { formerOwnerUid: former } = queue
    const isOwnerThere = former !== undefined && isThere(former)
    if (former && !isOwnerThere) await seen.toWrite.release(former)
    const uid = metadata.uid ?? ''
    const answer = await seen.toWrite.configure({
      ...queueSettings(queue, uid, ownerName(queue).slice(0, MAX_OWNER_NAME)),
      ...(escalation?.kind === 'to' && { escalateTo: escalation.queueName }),
    })
    if (answer === 'name-taken') return { kind: 'taken', isOwnerThere }
    const view = await seen.look()
    void seen.sample(view)
    return { kind: 'open', view, server: await seen.examineServer() }
  } catch (error) {
    const found = seen.problemOf(error)
    if (!found) throw error
    if (found.reason === 'RedisRefused') servers.distrust(place)
    return examined(found, seen)
  }
}

/** Who answers what is asked of servers is there, also where the call's own answer was lost. */
async function examined(found: RedisProblem, seen: SeenQueue): Promise<ObservedTaskQueue['redis']> {
  const server = seen.isKnownAway ? 'unknown' : await seen.examineServer(TROUBLED_AGE_MS)
  if (server === 'unknown') return found
  const isThere = server.every(({ check }) => check !== 'Connection')
  const isWrong = found.reason === 'RedisUnreachable' && isThere
  return { ...(isWrong ? notServing(seen.words) : found), server }
}

/** The jobs stay, and the schedules of programs. Where Redis is away the name stays taken, and the next owner is told what to do. */
async function release(object: TaskQueueObject, { servers, log }: TaskQueueContext): Promise<void> {
  const { name, uid = '' } = object.metadata
  const { queueName, ...place } = placeOf(object)
  const { namespace } = place
  const opened = await servers.open(queueName, place)
  if (opened.kind === 'problem') return
  try {
    const isFree = (await opened.seen.toWrite.release(uid)) === ''
    if (isFree) await deleteDeclared(opened.seen.toWrite)
    log.info('released the name of a deleted queue', { namespace, name, queue: queueName })
  } catch (error) {
    if (!opened.seen.problemOf(error)) throw error
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
