// Schedules in Redis whose resource is gone: deleted while no operator ran or while Redis was away, or moved to
// another queue. The reconcile of their queue deletes them, so that no finalizer holds up a deletion.
import type { Log } from 'millhand/queue'
import type { Servers } from '../redis/servers.ts'
import { redisSecretOf, type TaskQueueObject } from '../resources/task-queue.ts'
import type { World } from '../world.ts'

interface OrphansContext {
  world: Pick<World, 'find'>
  servers: Servers
  log: Log
}

/** Of a queue that this TaskQueue owns: all schedules with an owner are declared beside it, or were. */
export async function deleteOrphans(
  { metadata: { namespace = 'default', name }, spec }: TaskQueueObject,
  queueName: string,
  { world, servers, log }: OrphansContext,
): Promise<void> {
  const opened = await servers.open(queueName, { namespace, secretName: redisSecretOf(spec) })
  if (opened.kind === 'problem') return
  const { seen } = opened
  try {
    const { schedules } = seen.toWrite
    const owners = await schedules.owners()
    if (owners.size === 0) return
    for (const { metadata } of world.find('Schedule', 'queue', `${namespace}/${name}`))
      if (owners.get(metadata.name) === metadata.uid) owners.delete(metadata.name)
    for (const [schedule, ownerUid] of owners) {
      if ((await schedules.delete(schedule, ownerUid)) !== 'deleted') continue
      log.info('deleted a schedule whose resource is gone', { namespace, queue: queueName, schedule })
    }
  } catch (error) {
    // The next reconcile finds them again.
    if (!seen.problemOf(error)) throw error
  }
}
