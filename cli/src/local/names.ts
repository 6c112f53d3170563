// Each queue in Redis has one owner. Before it starts anything, `up` checks that its queues are free; at its
// end it releases them. In between the controllers of control/ own them.
import { setTimeout as after } from 'node:timers/promises'
import type { Servers } from '@millhand/control/redis/servers'
import type { TaskQueue } from '@millhand/control/resources/task-queue'
import { connectRedis, type Owner, openQueue, ownerText, type RedisAccess } from 'millhand/queue'
import type { OnEvent } from './events.ts'

/** Another owner has declared a queue of these manifests in the same Redis. */
export class QueueTaken extends Error {
  override name = 'QueueTaken'
}

export interface Claiming {
  redis: RedisAccess
  /** Take over queues that another owner has declared. */
  takeOver: boolean
  ownerUidOf: (queue: TaskQueue) => string
  onEvent: OnEvent
}

const RELEASE_WITHIN_MS = 2_000

/** Throws QueueTaken, QueueRefused where a queue has another layout, or RedisUnavailable. */
export async function claimNames(queues: readonly TaskQueue[], claiming: Claiming): Promise<void> {
  const { redis, takeOver, ownerUidOf, onEvent } = claiming
  const connection = connectRedis(redis, { name: 'millhand-up-start' })
  try {
    await connection.ready()
    for (const declared of queues) {
      const queue = openQueue(connection, declared.queueName)
      // A queue of another layout is refused here, before each worker refuses it.
      await queue.depth()
      const owner = await queue.owner()
      if (!owner || [ownerUidOf(declared), declared.formerOwnerUid].includes(owner.uid)) continue
      if (!takeOver) throw taken(queue.name, owner)
      await queue.release(owner.uid)
      onEvent({ kind: 'warning', message: `took ${queue.name} over from ${ownerText(owner)}` })
    }
  } finally {
    connection.close()
  }
}

/** Releases the queues of this owner. Queues of other owners stay theirs. */
export async function releaseNames(
  queues: readonly TaskQueue[],
  servers: Servers,
  ownerUidOf: (queue: TaskQueue) => string,
): Promise<void> {
  const released = queues.map(async (queue) => {
    const { metadata, redisSecretName: secretName, queueName } = queue
    const opened = await servers.open(queueName, { namespace: metadata.namespace, secretName })
    if (opened.kind === 'open') await opened.seen.toWrite.release(ownerUidOf(queue))
  })
  await Promise.race([Promise.allSettled(released), after(RELEASE_WITHIN_MS, undefined, { ref: false })])
}

function taken(queue: string, owner: Owner): QueueTaken {
  return new QueueTaken(
    `the queue ${queue} belongs to another owner in this Redis: ${ownerText(owner)}. Use another --namespace or another Redis; or, when that owner is gone for good, add --take-over`,
  )
}
