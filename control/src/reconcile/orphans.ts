// Schedules in Redis whose resource is gone: deleted while no operator ran or while Redis was away, or moved to
// another queue. The reconcile of their queue deletes them, so that no finalizer holds up a deletion.
import type { Log, Queue } from 'millhand/queue'
import type { Servers } from '../redis/servers.ts'
import { redisSecretOf, type TaskQueueObject } from '../resources/task-queue.ts'
import type { Subject, World } from '../world.ts'

interface OrphansContext {
  world: Pick<World, 'get' | 'find' | 'isGone'>
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
      if (!(await isOrphan({ kind: 'Schedule', namespace, name: schedule, uid: ownerUid }, world))) continue
      if ((await schedules.delete(schedule, ownerUid)) !== 'deleted') continue
      log.info('deleted a schedule whose resource is gone', { namespace, queue: queueName, schedule })
    }
  } catch (error) {
    // The next reconcile finds them again.
    if (!seen.problemOf(error)) throw error
  }
}

/** It names another queue now, or is gone: one that is newer than what was watched is neither. */
async function isOrphan(schedule: Subject, world: OrphansContext['world']): Promise<boolean> {
  const known = world.get('Schedule', `${schedule.namespace}/${schedule.name}`)
  return known?.metadata.uid === schedule.uid || world.isGone(schedule)
}

/** The TaskQueue is gone: so are the schedules that resources declare in it. */
export async function deleteDeclared({ schedules }: Pick<Queue, 'schedules'>): Promise<void> {
  for (const [schedule, ownerUid] of await schedules.owners()) await schedules.delete(schedule, ownerUid)
}
