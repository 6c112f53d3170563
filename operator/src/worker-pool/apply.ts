// Carries out a plan, in an order that is safe to break off anywhere: claims are stopped before a pod is marked, marks are written before
// the number is lowered, the dead are named whenever they are seen, the status comes last.
import type { Log } from 'millhand/queue'
import { type Kube, kinds } from '../kube/client.ts'
import { isConflict, isNotFound, isRefused } from '../kube/errors.ts'
import type { EventSubject, Events } from '../kube/events.ts'
import type { SeenQueue } from '../redis/servers.ts'
import { type Deployment, isControlledBy } from '../resources/cluster.ts'
import { DELETION_COST } from './deployment.ts'
import type { PoolMemory } from './memory.ts'
import type { ObservedPool } from './observe.ts'
import type { PoolPlan } from './plan.ts'
import { LOWEST_COST } from './pods.ts'

export interface ApplyContext {
  kube: Kube
  events: Events
  log: Log
  nowMs: () => number
  onDecision: (pool: ObservedPool['pool'], reason: string) => void
}

/** A dead operator leaves no pod idle for longer. */
const DRAIN_FOR_MS = 60_000

/** Answers what to remember. Throws when Redis or the API server went away in the middle; the next reconcile begins anew. */
export async function applyPlan(
  plan: PoolPlan,
  { observed, seen }: { observed: ObservedPool; seen: readonly SeenQueue[] },
  context: ApplyContext,
): Promise<PoolMemory> {
  await stopClaims(plan, seen)
  await putBack(plan, observed, seen, context.log)
  await markPods(plan, observed, context.kube)
  const memory = { ...plan.memory, ...(await writeDeployment(plan, observed, context)) }
  if (plan.status) {
    const { name, namespace } = observed.pool.metadata
    const object = { metadata: { name, namespace }, status: plan.status }
    await context.kube.apply(kinds.workerPool, object, { status: true, force: true })
  }
  for (const { status, reason, message } of plan.events)
    context.events.tell(subjectOf(observed), {
      type: status === 'True' ? 'Normal' : 'Warning',
      reason,
      message,
    })
  return memory
}

async function stopClaims({ drain, undrain }: PoolPlan, seen: readonly SeenQueue[]): Promise<void> {
  if (drain.length > 0) await Promise.all(seen.map(({ queue }) => queue.drain(drain, DRAIN_FOR_MS)))
  if (undrain.length > 0) await Promise.all(seen.map(({ queue }) => queue.undrain(undrain)))
}

/** These processes are dead for sure, so nobody needs to wait for their heartbeats to run out. */
async function putBack(
  { reap }: PoolPlan,
  { pool }: ObservedPool,
  seen: readonly SeenQueue[],
  log: Log,
): Promise<void> {
  for (const { process, reason, counting } of reap) {
    if (process === undefined) continue
    const counts = await Promise.all(seen.map(({ queue }) => queue.reapProcess(process, reason, counting)))
    const jobs = counts.reduce((sum, count) => sum + count, 0)
    const { namespace, name } = pool.metadata
    if (jobs > 0)
      log.info('put back what a dead worker held', { namespace, pool: name, process, jobs, reason })
  }
}

async function markPods({ mark, unmark }: PoolPlan, { pool }: ObservedPool, kube: Kube): Promise<void> {
  const write = async (name: string, cost: string | null) => {
    const patch = { metadata: { annotations: { [DELETION_COST]: cost } } }
    await kube.mergePatch(kinds.pod, pool.metadata.namespace, name, patch).catch((error) => {
      if (!isNotFound(error)) throw error
    })
  }
  await Promise.all([
    ...mark.map((name) => write(name, LOWEST_COST)),
    ...unmark.map((name) => write(name, null)),
  ])
}

async function writeDeployment(
  { deployment: written, decision }: PoolPlan,
  observed: ObservedPool,
  context: ApplyContext,
): Promise<Partial<PoolMemory>> {
  if (!written) return {}
  const { manifest, replicas, hash, resourceVersion } = written
  const { kube, log, nowMs } = context
  const before = observed.deployment
  const { namespace, name } = manifest.metadata
  if (!before && (await isSomebodyElses(kube, observed))) return { isNameTaken: true }
  const object = {
    ...manifest,
    metadata: { ...manifest.metadata, ...(resourceVersion && { resourceVersion }) },
    spec: { ...manifest.spec, replicas },
  }
  try {
    // Where there is none yet, nothing is taken over from anybody.
    const now = await kube.apply<Deployment>(kinds.deployment, object, { force: before !== undefined })
    if (before?.spec.replicas !== replicas) sayScaled(observed, replicas, decision, context)
    const applied = { hash, generation: now.metadata.generation ?? 0 }
    return { applied, refusal: undefined, isNameTaken: false }
  } catch (error) {
    // The view was stale: the cache will say so and the next reconcile decides anew.
    if (isConflict(error) && before) return {}
    if (isConflict(error)) return { isNameTaken: true }
    if (!isRefused(error)) throw error
    log.warn('the API server refuses a Deployment', { namespace, pool: name, error })
    return { refusal: { hash, message: error.message, atMs: nowMs() } }
  }
}

/** The cache holds only Deployments with Millhand's label, and one of the same name may have been there before the pool. */
async function isSomebodyElses(kube: Kube, { pool }: ObservedPool): Promise<boolean> {
  const { namespace, name, uid } = pool.metadata
  const found = await kube.findOne<Deployment>(kinds.deployment, namespace, name)
  return found !== undefined && !isControlledBy(found.metadata, uid)
}

function sayScaled(
  observed: ObservedPool,
  replicas: number,
  { reason, message }: PoolPlan['decision'],
  { events, log, onDecision }: ApplyContext,
): void {
  const { namespace, name } = observed.pool.metadata
  const from = observed.deployment?.spec.replicas ?? 0
  onDecision(observed.pool, reason)
  log.info('scaled', { namespace, pool: name, from, to: replicas, reason, because: message })
  if (from === replicas) return
  const word = replicas > from ? 'ScaledUp' : 'ScaledDown'
  events.tell(subjectOf(observed), {
    type: 'Normal',
    reason: word,
    message: `from ${from} to ${replicas} pods: ${message}`,
  })
}

function subjectOf({ pool }: ObservedPool): EventSubject {
  const { namespace, name, uid = '' } = pool.metadata
  return { kind: kinds.workerPool, namespace, name, uid }
}
