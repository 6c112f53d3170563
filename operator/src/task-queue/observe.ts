// Everything that a TaskQueue's reconcile decides from, read once: the resource, the way to Redis, what Redis says.
import type { ObservedTaskQueue } from '@millhand/control/decide/queue'
import { notServing, problemOf, type RedisProblem } from '@millhand/control/redis/problems'
import type { SeenQueue } from '@millhand/control/redis/seen-queue'
import type { Servers } from '@millhand/control/redis/servers'
import {
  parseTaskQueue,
  queueSettings,
  type TaskQueue,
  type TaskQueueObject,
} from '@millhand/control/resources/task-queue'

/** Says to Redis what the resource declares, and looks at the queue. Writing the same again changes nothing. */
export async function observeTaskQueue(
  object: TaskQueueObject,
  servers: Servers,
  isThere: (uid: string) => boolean,
): Promise<ObservedTaskQueue> {
  const queue = parseTaskQueue(object, 'default')
  const generation = object.metadata.generation ?? 0
  const redis = await declare(object, queue, servers, isThere)
  return { queue, generation, status: object.status, redis }
}

/** What was found before something went wrong says nothing of it. */
const TROUBLED_AGE_MS = 5_000

async function declare(
  { metadata }: TaskQueueObject,
  queue: TaskQueue,
  servers: Servers,
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
    const answer = await seen.toWrite.configure(queueSettings(queue, uid, ownerName(queue)))
    if (answer === 'name-taken') return { kind: 'taken', isOwnerThere }
    return { kind: 'open', view: await seen.look(), server: await seen.examineServer() }
  } catch (error) {
    const found = problemOf(error, place)
    if (!found) throw error
    if (found.reason === 'RedisRefused') servers.forgetSecret(place)
    return examined(found, seen)
  }
}

/** For a person who is refused the queue elsewhere and asks `millhand doctor` whose it is. */
function ownerName({ metadata: { namespace, name } }: TaskQueue): string {
  return `TaskQueue ${namespace}/${name} of a cluster`.slice(0, 200)
}

/** Who answers what is asked of servers is there, also where the call's own answer was lost. */
async function examined(found: RedisProblem, seen: SeenQueue): Promise<ObservedTaskQueue['redis']> {
  const server = seen.isKnownAway ? 'unknown' : await seen.examineServer(TROUBLED_AGE_MS)
  if (server === 'unknown') return found
  const isThere = server.every(({ check }) => check !== 'Connection')
  const isWrong = found.reason === 'RedisUnreachable' && isThere
  return { ...(isWrong ? notServing(seen.place.secretName) : found), server }
}
