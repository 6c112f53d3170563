// Everything that a WorkerPool's reconcile decides from, read once: the resource, its queues, its fleet, what
// Redis says of the queues and their workers.
import type { PoolMemory } from '../decide/memory.ts'
import type { ObservedPool, ObservedQueue, ObservedWorker, QueueProblem } from '../decide/observed.ts'
import { shareOf } from '../decide/replicas.ts'
import type { SeenQueue } from '../redis/seen-queue.ts'
import type { Servers } from '../redis/servers.ts'
import { loadOfQueue, type QueueView } from '../redis/view.ts'
import type { TaskQueueObject } from '../resources/task-queue.ts'
import {
  ISOLATION_MODES,
  parseWorkerPool,
  type WorkerPool,
  type WorkerPoolObject,
} from '../resources/worker-pool.ts'
import type { Fleet, World } from '../world.ts'
import { openDeclared, readyOf } from './declared-queue.ts'

export interface PoolView {
  observed: ObservedPool
  /** For apply: the queues that can be spoken to, and what runs the workers. */
  seen: SeenQueue[]
  fleet: Pick<Fleet, 'set'>
}

type Watched = Pick<World, 'get' | 'find' | 'fleet'>

export async function observeWorkerPool(
  object: WorkerPoolObject,
  { world, servers, memory }: { world: Watched; servers: Servers; memory: PoolMemory },
): Promise<PoolView> {
  const pool = parseWorkerPool(object, 'default')
  const generation = object.metadata.generation ?? 0
  const looks = await Promise.all(pool.queues.map((queue) => lookAtQueue(queue, pool, { world, servers })))
  const views = looks.flatMap(({ seen, view }) => (seen && view ? [{ queue: seen.name, view }] : []))
  const queues = looks.map(({ queue }) => queue)
  const fleet = world.fleet(object)
  const observed: ObservedPool = {
    pool,
    generation,
    status: object.status,
    queues,
    fleet: fleet.see({ pool, generation, queues }),
    workers: views.length === pool.queues.length ? workersOf(views, pool.metadata.uid) : 'unknown',
    memory,
  }
  return { observed, seen: looks.flatMap((look) => look.seen ?? []), fleet }
}

interface Look {
  queue: ObservedQueue
  seen?: SeenQueue
  view?: QueueView
}

async function lookAtQueue(
  { name, weight }: WorkerPool['queues'][number],
  pool: WorkerPool,
  reach: { world: Watched; servers: Servers },
): Promise<Look> {
  const { world, servers } = reach
  const { namespace } = pool.metadata
  const { found, ...place } = await openDeclared({ namespace, name, field: 'spec.queues' }, reach)
  const known = { name, weight, ...place }
  if (found.kind === 'problem') return { queue: { ...known, problem: found } }
  const { seen, declared } = found
  try {
    const view = await seen.look()
    const load = loadOfQueue(view, shareOf(pool.slots, slotsServing(world, namespace, name)))
    const nextMs = view.depth.restsMs ?? view.depth.nextMs
    const problem = whyNotServed(declared)
    const queue = {
      ...{ ...known, load },
      ...(problem && { problem }),
      ...(nextMs !== undefined && { nextMs: servers.msUntil(view.atMs + nextMs) }),
    }
    return { queue, seen, view }
  } catch (error) {
    const problem = seen.problemOf(error)
    if (!problem) throw error
    if (problem.reason === 'RedisRefused') servers.distrust(seen.place)
    return { queue: { ...known, problem }, seen }
  }
}

/**
 * What can be read may refuse all that is written, and only the queue's own reconcile writes when there is
 * nothing to do.
 */
function whyNotServed(declared: TaskQueueObject): QueueProblem | undefined {
  const ready = readyOf(declared)
  return ready?.reason === 'RedisNotServing' ? { reason: ready.reason, message: ready.message } : undefined
}

function slotsServing(world: Watched, namespace: string, queue: string): number {
  let slots = 0
  for (const { spec } of world.find('WorkerPool', 'queue', `${namespace}/${queue}`)) slots += spec.slots
  return slots
}

export function workersOf(
  views: readonly { queue: string; view: QueueView }[],
  poolUid: string | undefined,
): ObservedWorker[] {
  return views.flatMap(({ queue, view }) =>
    view.workers
      .filter((worker) => worker.poolUid === poolUid)
      .map(({ name, process, podUid, held, alive, draining, isolation, isolationNote }) => ({
        name,
        queue,
        process,
        podUid,
        held,
        isAlive: alive,
        isDraining: draining,
        ...isolationOf(isolation, isolationNote),
      })),
  )
}

/**
 * Others may write to the Redis too: the status takes over modes that there are, and of a note what a
 * sentence is made of.
 */
function isolationOf(isolation: string, note = ''): Pick<ObservedWorker, 'isolation' | 'fallback'> {
  const mode = ISOLATION_MODES.find((known) => known === isolation)
  const fallback = note.replace(/[^\w .,:;'()/+-]/g, '').slice(0, MAX_NOTE)
  return { ...(mode && { isolation: mode }), ...(fallback && { fallback }) }
}
const MAX_NOTE = 120
