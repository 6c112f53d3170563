// Everything that a WorkerPool's reconcile decides from, read once: the resource, its queues, its Deployment and pods (from the caches),
// what Redis says of the queues and their workers.

import { type QueueLoad, shareOf } from '@millhand/control/decide/replicas'
import { problemOf } from '@millhand/control/redis/problems'
import type { SeenQueue } from '@millhand/control/redis/seen-queue'
import type { Servers } from '@millhand/control/redis/servers'
import { loadOfQueue, type QueueView } from '@millhand/control/redis/view'
import { type Condition, NOT_ITS_OWN } from '@millhand/control/resources/conditions'
import type { Reason } from '@millhand/control/resources/reasons'
import { redisSecretOf, type TaskQueueManifest } from '@millhand/control/resources/task-queue'
import {
  ISOLATION_MODES,
  type IsolationMode,
  parseWorkerPool,
  type WorkerPool,
  type WorkerPoolObject,
  type WorkerPoolStatus,
} from '@millhand/control/resources/worker-pool'
import { type Deployment, isControlledBy, type Pod } from '../fleet/cluster.ts'
import { readPod, type WorkerPod } from '../fleet/pods.ts'
import type { PoolMemory } from './memory.ts'

/** A TaskQueue as far as a pool looks at it. */
export interface ServedQueue extends TaskQueueManifest {
  status?: { queueName?: string; conditions?: Condition[] }
}

/** What keeps the pool from serving a queue. */
interface Problem {
  reason: Reason
  message: string
}

export interface ObservedQueue {
  name: string
  weight: number
  /** In Redis; absent where the TaskQueue is not known. */
  queueName?: string
  secretName?: string
  problem?: Problem
  /** Absent while Redis cannot be read. */
  load?: QueueLoad
  /** ms until its next delayed job is due. */
  nextMs?: number
}

/** A worker process in one queue, as it registered. */
export interface ObservedWorker {
  name: string
  /** In Redis. */
  queue: string
  process: string
  podUid: string
  held: number
  /** Its heartbeat has not run out. */
  isAlive: boolean
  /** Redis gives it nothing to claim. */
  isDraining: boolean
  /** Absent where Redis says what is no mode. */
  isolation?: IsolationMode
  /** Why the worker does not use the mode that it was told. */
  fallback?: string
}

export interface ObservedPool {
  pool: WorkerPool
  generation: number
  status: WorkerPoolStatus | undefined
  queues: ObservedQueue[]
  deployment: Deployment | undefined
  /** A Deployment of the pool's name that is somebody else's. */
  isNameTaken: boolean
  pods: WorkerPod[]
  /** They are in no count; a forced deletion is reported while processes still run, so only what had ended is dead for sure. */
  deletedPods: WorkerPod[]
  /** Of this pool, in all its queues; 'unknown' while a Redis cannot be read. */
  workers: ObservedWorker[] | 'unknown'
  memory: PoolMemory
}

export interface Caches {
  pool: (key: string) => WorkerPoolObject | undefined
  poolsServing: (namespace: string, queue: string) => Iterable<WorkerPoolObject>
  queue: (key: string) => ServedQueue | undefined
  deployment: (key: string) => Deployment | undefined
  /** Those with the pool's label. */
  pods: (namespace: string, pool: string) => Iterable<Pod>
  /** Of these, the ones that were deleted of late: nobody else tells how their processes ended. */
  deletedPods: (namespace: string, pool: string) => Iterable<Pod>
}

export interface PoolView {
  observed: ObservedPool
  /** For apply: the queues that can be spoken to. */
  seen: SeenQueue[]
}

export async function observeWorkerPool(
  object: WorkerPoolObject,
  { caches, servers, memory }: { caches: Caches; servers: Servers; memory: PoolMemory },
): Promise<PoolView> {
  const pool = parseWorkerPool(object, 'default')
  const { namespace, name } = pool.metadata
  const looks = await Promise.all(pool.queues.map((queue) => lookAtQueue(queue, pool, caches, servers)))
  const views = looks.flatMap(({ seen, view }) => (seen && view ? [{ queue: seen.name, view }] : []))
  const seen = looks.flatMap((look) => look.seen ?? [])
  const deployment = caches.deployment(`${namespace}/${name}`)
  const observed: ObservedPool = {
    pool,
    generation: object.metadata.generation ?? 0,
    status: object.status,
    queues: looks.map(({ queue }) => queue),
    deployment: deployment && isControlledBy(deployment.metadata, pool.metadata.uid) ? deployment : undefined,
    isNameTaken: memory.isNameTaken,
    pods: podsOf(caches.pods(namespace, name), name),
    deletedPods: podsOf(caches.deletedPods(namespace, name), name),
    workers: views.length === pool.queues.length ? workersOf(views, pool.metadata.uid) : 'unknown',
    memory,
  }
  return { observed, seen }
}

interface Look {
  queue: ObservedQueue
  seen?: SeenQueue
  view?: QueueView
}

async function lookAtQueue(
  { name, weight }: WorkerPool['queues'][number],
  pool: WorkerPool,
  caches: Caches,
  servers: Servers,
): Promise<Look> {
  const { namespace } = pool.metadata
  const declared = caches.queue(`${namespace}/${name}`)
  if (!declared) return { queue: { name, weight, problem: notFound(name, namespace) } }
  const secretName = redisSecretOf(declared.spec)
  const queueName = declared.status?.queueName
  const notReady = whyNotReady(name, declared)
  if (notReady || !queueName)
    return { queue: { name, weight, secretName, problem: notReady ?? waiting(name) } }
  const known = { name, weight, secretName, queueName }
  const place = { namespace, secretName }
  const opened = await servers.open(queueName, place)
  if (opened.kind === 'problem') return { queue: { ...known, problem: opened } }
  const { seen } = opened
  try {
    const view = await seen.look()
    const load = loadOfQueue(view, shareOf(pool.slots, slotsServing(caches, namespace, name)))
    const nextMs =
      view.depth.nextMs === undefined ? undefined : servers.msUntil(view.atMs + view.depth.nextMs)
    const problem = whyNotServed(declared)
    const queue = { ...known, load, ...(problem && { problem }), ...(nextMs !== undefined && { nextMs }) }
    return { queue, seen, view }
  } catch (error) {
    const problem = problemOf(error, place)
    if (!problem) throw error
    if (problem.reason === 'RedisRefused') servers.forgetSecret(place)
    return { queue: { ...known, problem }, seen }
  }
}

/** What the queue's own reconcile found, unless it is about Redis, which is looked at here. */
function whyNotReady(name: string, declared: ServedQueue): Problem | undefined {
  const ready = readyOf(declared)
  if (!ready || !NOT_ITS_OWN.includes(ready.reason)) return undefined
  return { reason: 'QueueNotReady', message: `the TaskQueue ${name} is not ready: ${ready.message}` }
}

/** What can be read may refuse all that is written, and only the queue's own reconcile writes when there is nothing to do. */
function whyNotServed(declared: ServedQueue): Problem | undefined {
  const ready = readyOf(declared)
  return ready?.reason === 'RedisNotServing' ? { reason: ready.reason, message: ready.message } : undefined
}

const readyOf = ({ status }: ServedQueue) => status?.conditions?.find(({ type }) => type === 'Ready')

function waiting(name: string): Problem {
  return { reason: 'QueueNotReady', message: `the TaskQueue ${name} was not yet looked at` }
}

function notFound(name: string, namespace: string): Problem {
  return {
    reason: 'QueueNotFound',
    message: `there is no TaskQueue ${name} in the namespace ${namespace}: create it, or mend spec.queues`,
  }
}

function slotsServing(caches: Caches, namespace: string, queue: string): number {
  let slots = 0
  for (const { spec } of caches.poolsServing(namespace, queue)) slots += spec.slots
  return slots
}

function workersOf(
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

/** Others may write to the Redis too: the status takes over modes that there are, and of a note what a sentence is made of. */
function isolationOf(isolation: string, note = ''): Pick<ObservedWorker, 'isolation' | 'fallback'> {
  const mode = ISOLATION_MODES.find((known) => known === isolation)
  const fallback = note.replace(/[^\w .,:;'()/+-]/g, '').slice(0, MAX_NOTE)
  return { ...(mode && { isolation: mode }), ...(fallback && { fallback }) }
}
const MAX_NOTE = 120

function podsOf(pods: Iterable<Pod>, deployment: string): WorkerPod[] {
  return [...pods].filter((pod) => isOfDeployment(pod, deployment)).map(readPod)
}

/** Of a ReplicaSet that its Deployment made: named for its template, which the pods are labelled with. Not one of somebody's own. */
function isOfDeployment({ metadata }: Pod, name: string): boolean {
  const owner = metadata.ownerReferences?.find(({ controller }) => controller === true)
  const template = metadata.labels?.['pod-template-hash']
  return owner?.kind === 'ReplicaSet' && template !== undefined && owner.name === `${name}-${template}`
}
