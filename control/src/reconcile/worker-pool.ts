// One reconcile of a WorkerPool: observe → plan → apply. Carried out in an order that is safe to break off
// anywhere: claims are stopped before a pod is marked or the number lowered, the dead are named whenever they
// are seen, the status comes last.

import { type Log, RedisUnavailable } from 'millhand/queue'
import { emptyMemory, type PoolMemory } from '../decide/memory.ts'
import type { ObservedPool } from '../decide/observed.ts'
import { type PoolPlan, planWorkerPool } from '../decide/pool.ts'
import { newsType } from '../decide/report.ts'
import type { Reconcile } from '../engine/controller.ts'
import type { Servers } from '../redis/servers.ts'
import type { WorkerPool } from '../resources/worker-pool.ts'
import type { FleetDone, Subject, World } from '../world.ts'
import { observeWorkerPool, type PoolView } from './observe-pool.ts'

export interface ApplyContext {
  world: Pick<World, 'writeStatus' | 'tell'>
  log: Log
  /** Monotonic: what decisions look at. */
  nowMs: () => number
  /** For metrics: the number was written. */
  onDecision: (pool: WorkerPool, reason: string) => void
  onPutBack?: (pool: WorkerPool, putBack: PutBack) => void
}

/** Jobs of a dead worker. */
export interface PutBack {
  pod: string
  jobs: number
  reason: string
}

export interface WorkerPoolContext extends ApplyContext {
  world: World
  servers: Servers
  /** Of the wall clock: it stands in the status. */
  wallMs: () => number
  /** For metrics. */
  onPlanned: (observed: ObservedPool, plan: PoolPlan) => void
  onGone: (namespace: string, name: string) => void
}

/** A dead operator leaves no pod idle for longer. */
const DRAIN_FOR_MS = 60_000
/** What is left is seen again the next time. */
const PUT_BACK_WITHIN_MS = 5_000
const REFUSED_STATUS_REST_MS = 60_000
const UNTOLD_AGAIN_MS = 1_000

export function workerPoolReconciler(context: WorkerPoolContext): Reconcile {
  const { world, nowMs, wallMs } = context
  const memories = new Map<string, PoolMemory>()
  return async (key) => {
    const object = world.get('WorkerPool', key)
    if (!object || object.metadata.deletionTimestamp) {
      memories.delete(key)
      world.forgetFleet(key)
      const [namespace = '', name = ''] = key.split('/')
      context.onGone(namespace, name)
      return {}
    }
    const memory = memoryOf(memories.get(key), object.metadata.uid ?? '')
    const view = await observeWorkerPool(object, { ...context, memory })
    const plan = planWorkerPool(view.observed, { nowMs: nowMs(), wallMs: wallMs() })
    context.onPlanned(view.observed, plan)
    const { memory: next, againInMs = Infinity, failure } = await applyPlan(plan, view, context)
    memories.set(key, next)
    if (failure !== undefined) throw failure
    return { againInMs: Math.min(againInMs, plan.checkAgainAfterMs) }
  }
}

function memoryOf(known: PoolMemory | undefined, uid: string): PoolMemory {
  return known?.uid === uid ? known : emptyMemory(uid)
}

/** What to remember, and when to look again at the latest where not all was done. */
export interface Applied {
  memory: PoolMemory
  againInMs?: number
  /** Not all was done, and may be the next time: what was done is remembered all the same. */
  failure?: unknown
}

/**
 * Where Redis goes away in the middle, or a part is refused, nothing is removed and the status is written all
 * the same.
 */
export async function applyPlan(plan: PoolPlan, view: PoolView, context: ApplyContext): Promise<Applied> {
  const { observed, fleet } = view
  const isRedisThere = await speakToRedis(plan, view, context)
  // Who was told nothing is remembered as before.
  const memory = isRedisThere ? plan.memory : { ...plan.memory, draining: observed.memory.draining }
  const set = isRedisThere ? await fleet.set(plan.wish) : { againInMs: UNTOLD_AGAIN_MS }
  if (set.scaled) sayScaled(set.scaled, { pool: observed.pool, decision: plan.decision }, context)
  const { failure = set.failure, ...written } = await writeStatus(plan, observed, context)
  for (const finding of plan.events) {
    const { reason, message } = finding
    context.world.tell(subjectOf(observed.pool), { type: newsType(finding), reason, message })
  }
  return {
    memory: { ...memory, ...written },
    ...(set.againInMs !== undefined && { againInMs: set.againInMs }),
    ...(failure !== undefined && { failure }),
  }
}

async function writeStatus(
  { status }: PoolPlan,
  { pool, memory }: ObservedPool,
  { world, nowMs }: ApplyContext,
): Promise<Partial<PoolMemory> & { failure?: unknown }> {
  if (!status) return {}
  try {
    const isTaken = await world.writeStatus(subjectOf(pool), status)
    return isTaken ? {} : { statusRestsUntilMs: nowMs() + REFUSED_STATUS_REST_MS }
  } catch (failure) {
    return { failure, statusWrittenAtMs: memory.statusWrittenAtMs }
  }
}

async function speakToRedis(
  { drain, undrain, dismiss, reap }: PoolPlan,
  view: PoolView,
  context: ApplyContext,
): Promise<boolean> {
  const { observed, seen } = view
  const { log } = context
  const { namespace, name } = observed.pool.metadata
  try {
    if (drain.length > 0) await Promise.all(seen.map((each) => each.toWrite.drain(drain, DRAIN_FOR_MS)))
    if (undrain.length > 0) await Promise.all(seen.map((each) => each.toWrite.undrain(undrain)))
    for (const { worker, queue } of dismiss)
      if (await seen.find((each) => each.name === queue)?.toWrite.dismiss(worker))
        log.info('dismissed a worker of a pod that was deleted by force', { namespace, pool: name, worker })
    await putBack(reap, view, context)
    return true
  } catch (error) {
    if (!(error instanceof RedisUnavailable)) throw error
    log.warn('could not write to Redis', { namespace, pool: name, error })
    return false
  }
}

/** These workers are dead for sure, so nobody needs to wait for their heartbeats to run out. */
async function putBack(
  reap: PoolPlan['reap'],
  { observed: { pool }, seen }: PoolView,
  { log, onPutBack }: ApplyContext,
): Promise<void> {
  const { namespace, name } = pool.metadata
  const untilMs = performance.now() + PUT_BACK_WITHIN_MS
  for (const { worker, queue, pod, reason, counting } of reap) {
    if (performance.now() > untilMs) return
    const there = seen.find((each) => each.name === queue)
    const jobs = (await there?.toWrite.reap({ worker, evidence: 'sure', reason, counting })) ?? 0
    if (jobs === 0) continue
    log.info('put back jobs of a dead worker', { namespace, pool: name, pod, worker, jobs, reason })
    onPutBack?.(pool, { pod, jobs, reason })
  }
}

function sayScaled(
  { from, to }: NonNullable<FleetDone['scaled']>,
  { pool, decision: { reason, message } }: { pool: WorkerPool; decision: PoolPlan['decision'] },
  { world, log, onDecision }: ApplyContext,
): void {
  const { namespace, name } = pool.metadata
  onDecision(pool, reason)
  log.info('scaled', { namespace, pool: name, from, to, reason, because: message })
  if (from === to) return
  world.tell(subjectOf(pool), {
    type: 'Normal',
    reason: to > from ? 'ScaledUp' : 'ScaledDown',
    message: `from ${from} to ${to} pods: ${message}`,
  })
}

function subjectOf({ metadata: { namespace, name, uid = '' } }: WorkerPool): Subject {
  return { kind: 'WorkerPool', namespace, name, uid }
}
