// The port between the server of the dashboard and the world that it shows: the resources as they are
// watched, and the queues in Redis. The operator and `millhand up` have both as control/ gives them.
import type { Place } from '@millhand/control/redis/problems'
import type { Opened } from '@millhand/control/redis/servers'
import type { IndexOf, ObjectOf } from '@millhand/control/resources/object'
import type { Reason } from '@millhand/control/resources/reasons'
import type { Kind } from '@millhand/control/resources/schemas'
import { hasItsName, parseTaskQueue, type TaskQueueObject } from '@millhand/control/resources/task-queue'
import type { OutputEvent, Queue } from 'millhand/queue'

export interface Plant {
  readonly kind: 'kubernetes' | 'up'
  /** Keys are `namespace/name`. Reads come from caches and never wait. */
  get<K extends Kind>(kind: K, key: string): ObjectOf[K] | undefined
  list<K extends Kind>(kind: K): Iterable<ObjectOf[K]>
  /** Those that an index of the kind (kinds.ts of control/) has under this name. */
  find<K extends Kind>(kind: K, index: IndexOf[K], name: string): Iterable<ObjectOf[K]>
  /** Opens the queue with this name in Redis. */
  open(queueName: string, place: Place): Promise<Opened>
}

export interface Unreached {
  kind: 'problem'
  reason: Reason
  message: string
}

export interface Open {
  kind: 'open'
  /** Throws RedisUnavailable while its server is known to be away; so does `output`. */
  queue: () => Queue
  /** The live output of a job. */
  output: (id: string, signal: AbortSignal) => AsyncGenerator<OutputEvent>
  problemOf: (error: unknown) => Unreached | undefined
}

export type Reached = Open | Unreached

export async function reach(plant: Plant, object: TaskQueueObject): Promise<Reached> {
  const { queueName, redisSecretName, metadata } = parseTaskQueue(object, '')
  // Before its controller has looked, the name in Redis may be that of another namespace's queue.
  if (!hasItsName(object) || object.status?.queueName !== queueName) return whyNot(object)
  const opened = await plant.open(queueName, { namespace: metadata.namespace, secretName: redisSecretName })
  if (opened.kind === 'problem') return opened
  const { seen } = opened
  return {
    kind: 'open',
    queue: () => seen.forPeople,
    output: (id, signal) => seen.output(id, signal),
    problemOf: (error) => seen.problemOf(error),
  }
}

function whyNot({ metadata, status }: TaskQueueObject): Unreached {
  const ready = status?.conditions.find(({ type, status }) => type === 'Ready' && status !== 'True')
  const message = `the TaskQueue ${metadata.name} is not configured yet: its conditions say why`
  return { kind: 'problem', reason: ready?.reason ?? 'QueueNotReady', message: ready?.message ?? message }
}
