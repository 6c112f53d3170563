// The queue in Redis that another resource means when it names a TaskQueue, or why there is no way to it.
import type { QueueProblem } from '../decide/observed.ts'
import type { SeenQueue } from '../redis/seen-queue.ts'
import type { Servers } from '../redis/servers.ts'
import { NOT_ITS_OWN } from '../resources/conditions.ts'
import { redisSecretOf, type TaskQueueObject } from '../resources/task-queue.ts'
import type { World } from '../world.ts'

export interface Naming {
  namespace: string
  name: string
  /** Where it is named, for a remedy: spec.queues. */
  field: string
}

export interface DeclaredQueue {
  secretName?: string
  queueName?: string
  found: { kind: 'open'; seen: SeenQueue; declared: TaskQueueObject } | ({ kind: 'problem' } & QueueProblem)
}

export async function openDeclared(
  naming: Naming,
  { world, servers }: { world: Pick<World, 'get'>; servers: Servers },
): Promise<DeclaredQueue> {
  const { namespace, name } = naming
  const declared = world.get('TaskQueue', `${namespace}/${name}`)
  if (!declared) return { found: { kind: 'problem', ...notFound(naming) } }
  const secretName = redisSecretOf(declared.spec)
  const queueName = declared.status?.queueName
  const notReady = whyNotReady(name, declared)
  if (notReady || !queueName)
    return { secretName, found: { kind: 'problem', ...(notReady ?? waiting(name)) } }
  const opened = await servers.open(queueName, { namespace, secretName })
  const found = opened.kind === 'problem' ? opened : { ...opened, declared }
  return { secretName, queueName, found }
}

/** What the queue's own reconcile found, unless it is about Redis, which is looked at here. */
function whyNotReady(name: string, declared: TaskQueueObject): QueueProblem | undefined {
  const ready = readyOf(declared)
  if (!ready || !NOT_ITS_OWN.includes(ready.reason)) return undefined
  return { reason: 'QueueNotReady', message: `TaskQueue ${name} is not ready: ${ready.message}` }
}

export const readyOf = ({ status }: TaskQueueObject) =>
  status?.conditions?.find(({ type }) => type === 'Ready')

function waiting(name: string): QueueProblem {
  return { reason: 'QueueNotReady', message: `TaskQueue ${name} was not reconciled yet` }
}

function notFound({ namespace, name, field }: Naming): QueueProblem {
  return {
    reason: 'QueueNotFound',
    message: `TaskQueue ${name} not found in the namespace ${namespace}: create it, or correct ${field}`,
  }
}
