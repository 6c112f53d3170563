// Carries out a plan: the status by server-side apply, what turned as Events. Always whole: a field that is left out is deleted.

import type { TaskQueuePlan } from '@millhand/control/decide/queue'
import { newsType } from '@millhand/control/resources/conditions'
import type { TaskQueueObject } from '@millhand/control/resources/task-queue'
import { kinds } from '../kube/client.ts'
import type { Events } from '../kube/events.ts'
import { type StatusContext, writeStatus } from '../kube/status.ts'

export async function applyTaskQueue(
  plan: TaskQueuePlan,
  { metadata: { name, namespace = 'default', uid = '' } }: TaskQueueObject,
  context: StatusContext & { events: Events },
): Promise<void> {
  if (plan.status)
    await writeStatus(kinds.taskQueue, { metadata: { name, namespace }, status: plan.status }, context)
  const { events } = context
  const subject = { kind: kinds.taskQueue, namespace, name, uid }
  if (plan.vanished)
    events.tell(subject, { type: 'Warning', reason: 'EnqueuesLost', message: lossText(plan.vanished) })
  for (const finding of plan.events)
    events.tell(subject, {
      type: newsType(finding),
      reason: finding.reason,
      message: finding.message,
    })
}

function lossText(atLeast: number): string {
  return (
    `Redis went back to an earlier state and lost at least ${atLeast} enqueues that it had acknowledged: a replica that lagged took over, ` +
    'or a restart lost the last writes. Jobs that ended in that time may run again. Who enqueues with durability replicated or fsync is told instead'
  )
}
