// Carries out a plan, in an order that is safe to break off anywhere: claims are stopped before a pod is marked, marks are written before
// the number is lowered, the dead are named whenever they are seen, the status comes last.

import type { SeenQueue } from '@millhand/control/redis/seen-queue'
import { newsType } from '@millhand/control/resources/conditions'
import { type Log, RedisUnavailable } from 'millhand/queue'
import { type Deployment, isControlledBy } from '../fleet/cluster.ts'
import { DELETION_COST, LEADER_ANNOTATION } from '../fleet/deployment.ts'
import { GUARD, LOWEST_COST } from '../fleet/pods.ts'
import { type Kube, kinds } from '../kube/client.ts'
import {
  isConflict,
  isDenied,
  isEnding,
  isNotFound,
  isRefused,
  KubeError,
  textFromKube,
  unlessGone,
} from '../kube/errors.ts'
import type { EventSubject, Events } from '../kube/events.ts'
import { writeStatus } from '../kube/status.ts'
import type { PoolMemory } from './memory.ts'
import type { ObservedPool, PoolView } from './observe.ts'
import type { DeploymentWrite, PodPatch, PoolPlan, Reaping } from './plan.ts'

export interface ApplyContext {
  kube: Kube
  events: Events
  log: Log
  /** The name by which this operator leads. */
  leader: string
  /** Monotonic: what decisions look at. */
  nowMs: () => number
  onDecision: (pool: ObservedPool['pool'], reason: string) => void
  onStatusRefused: (kind: string) => void
}

/** A dead operator leaves no pod idle for longer. */
const DRAIN_FOR_MS = 60_000
/** What is left is seen again the next time. */
const PUT_BACK_WITHIN_MS = 5_000
const REFUSED_GUARDS_REST_MS = 300_000
const REFUSED_STATUS_REST_MS = 60_000

/** The caches catch up meanwhile. */
const STALE_AGAIN_MS = 250
const UNTOLD_AGAIN_MS = 1_000

/** What to remember, and when to look again at the latest where not all was done. */
export interface Applied {
  memory: PoolMemory
  againInMs?: number
  /** Not all was done, and may be the next time: what was done is remembered all the same. */
  failure?: unknown
}

/** Where Redis goes away in the middle, or the API server refuses a part, nothing is removed and the status is written all the same. */
export async function applyPlan(
  plan: PoolPlan,
  { observed, seen }: PoolView,
  context: ApplyContext,
): Promise<Applied> {
  const isRedisThere = await speakToRedis(plan, observed, seen, context.log)
  // Who was told nothing is remembered as before.
  const memory = isRedisThere ? plan.memory : { ...plan.memory, draining: observed.memory.draining }
  const attempts = new Attempts()
  const patched = (isRedisThere && (await attempts.of(patchPods(plan, observed, context)))) || {}
  const written = (isRedisThere && (await attempts.of(writeDeployment(plan, observed, context)))) || {}
  const told = await tellStatus(plan, observed, context)
  for (const finding of plan.events) {
    const { reason, message } = finding
    context.events.tell(subjectOf(observed), { type: newsType(finding), reason, message })
  }
  const againInMs = written === STALE ? STALE_AGAIN_MS : isRedisThere ? undefined : UNTOLD_AGAIN_MS
  const { failure = attempts.failure, ...toldMemory } = told
  const trouble = attempts.troubleAfter(memory.trouble)
  return {
    memory: { ...memory, ...patched, ...written, ...toldMemory, trouble },
    ...(againInMs && { againInMs }),
    ...(failure !== undefined && { failure }),
  }
}

/** What the API server does not do keeps nothing else from being done and told. Faults of ours go on up. */
class Attempts {
  failure: KubeError | undefined

  async of<T>(attempt: Promise<T>): Promise<T | undefined> {
    try {
      return await attempt
    } catch (error) {
      if (!(error instanceof KubeError)) throw error
      this.failure ??= error
      return undefined
    }
  }

  troubleAfter(before: PoolMemory['trouble']): PoolMemory['trouble'] {
    if (!this.failure) return undefined
    const { failure } = this
    return { message: textFromKube(failure), isDenied: isDenied(failure), times: (before?.times ?? 0) + 1 }
  }
}

async function tellStatus(
  { status }: PoolPlan,
  { pool, memory }: ObservedPool,
  context: ApplyContext,
): Promise<Partial<PoolMemory> & { failure?: unknown }> {
  if (!status) return {}
  const { name, namespace } = pool.metadata
  try {
    const isTaken = await writeStatus(kinds.workerPool, { metadata: { name, namespace }, status }, context)
    return isTaken ? {} : { statusRestsUntilMs: context.nowMs() + REFUSED_STATUS_REST_MS }
  } catch (failure) {
    return { failure, statusWrittenAtMs: memory.statusWrittenAtMs }
  }
}

async function speakToRedis(
  plan: PoolPlan,
  observed: ObservedPool,
  seen: readonly SeenQueue[],
  log: Log,
): Promise<boolean> {
  const { drain, undrain, dismiss } = plan
  const { namespace, name } = observed.pool.metadata
  try {
    if (drain.length > 0) await Promise.all(seen.map((each) => each.toWrite.drain(drain, DRAIN_FOR_MS)))
    if (undrain.length > 0) await Promise.all(seen.map((each) => each.toWrite.undrain(undrain)))
    for (const { worker, queue } of dismiss)
      if (await seen.find((each) => each.name === queue)?.toWrite.dismiss(worker))
        log.info('told a worker of a pod deleted by force to end', { namespace, pool: name, worker })
    await putBack(plan.reap, observed, seen, log)
    return true
  } catch (error) {
    if (!(error instanceof RedisUnavailable)) throw error
    log.warn('Redis did not take what a reconcile told it', { namespace, pool: name, error })
    return false
  }
}

/** These workers are dead for sure, so nobody needs to wait for their heartbeats to run out. */
async function putBack(
  reap: readonly Reaping[],
  { pool }: ObservedPool,
  seen: readonly SeenQueue[],
  log: Log,
) {
  const { namespace, name } = pool.metadata
  const untilMs = performance.now() + PUT_BACK_WITHIN_MS
  for (const { worker, queue, reason, counting } of reap) {
    if (performance.now() > untilMs) return
    const there = seen.find((each) => each.name === queue)
    const jobs = (await there?.toWrite.reap(worker, 'sure', reason, counting)) ?? 0
    if (jobs > 0)
      log.info('put back what a dead worker held', { namespace, pool: name, worker, jobs, reason })
  }
}

/** A guard that somebody's policy refuses keeps nothing else from being done. */
async function patchPods(
  { podPatches, memory }: PoolPlan,
  { pool }: ObservedPool,
  { kube, log, nowMs }: ApplyContext,
): Promise<Partial<PoolMemory>> {
  const { namespace, name } = pool.metadata
  const refusals: Error[] = []
  const send = (patch: PodPatch) =>
    kube
      .mergePatch(kinds.pod, namespace, patch.name, { metadata: { annotations: annotationsOf(patch) } })
      .catch(unlessGone)
  const write = async ({ isGuarded, ...mark }: PodPatch) => {
    if (isGuarded === undefined) return send(mark)
    try {
      await send({ ...mark, isGuarded })
    } catch (error) {
      if (!isRefused(error)) throw error
      refusals.push(error)
      if (mark.isMarked !== undefined) await send(mark)
    }
  }
  await Promise.all(podPatches.map(write))
  if (refusals.length === 0) return {}
  log.warn('the API server refuses to guard pods', { namespace, pool: name, error: refusals[0] })
  return { guards: { ...memory.guards, restsUntilMs: nowMs() + REFUSED_GUARDS_REST_MS } }
}

function annotationsOf({ isMarked, isGuarded }: PodPatch): Record<string, string | null> {
  const guard = Object.entries(GUARD).map(([name, value]) => [name, isGuarded ? value : null])
  return {
    ...(isMarked !== undefined && { [DELETION_COST]: isMarked ? LOWEST_COST : null }),
    ...(isGuarded !== undefined && Object.fromEntries(guard)),
  }
}

async function writeDeployment(
  { deployment: written, decision }: PoolPlan,
  observed: ObservedPool,
  context: ApplyContext,
): Promise<Partial<PoolMemory>> {
  if (!written) return {}
  const { rendered, replicas, isNumberOnly } = written
  const { kube, log, nowMs } = context
  const { namespace, name } = rendered.manifest.metadata
  if (!observed.deployment && (await isSomebodyElses(kube, observed))) return { isNameTaken: true }
  try {
    const { generation = 0 } = (await write(written, observed, context)).metadata
    if (observed.deployment?.spec.replicas !== replicas) sayScaled(observed, replicas, decision, context)
    if (isNumberOnly) return { applied: { hash: undefined, generation, replicas } }
    return { applied: { hash: rendered.hash, generation, replicas }, refusal: undefined, isNameTaken: false }
  } catch (error) {
    // The pool goes with its namespace, or somebody deleted the Deployment just now.
    if (isEnding(error) || isNotFound(error)) return {}
    if (isConflict(error)) return observed.deployment ? STALE : { isNameTaken: true }
    if (!isRefused(error)) throw error
    log.warn('the API server refuses a Deployment', { namespace, pool: name, error })
    const refusal = { hash: rendered.hash, message: error.message, atMs: nowMs() }
    if (!isNumberOnly) return { refusal }
    // The template is due again when it was before.
    const { atMs } = observed.memory.refusal ?? refusal
    return { refusal: { ...refusal, atMs, replicas } }
  }
}

/** The view was behind: the cache will say so, and the next reconcile decides anew. */
const STALE: Partial<PoolMemory> = {}

function write(
  { rendered: { manifest }, replicas, isNumberOnly, resourceVersion }: DeploymentWrite,
  { deployment, memory }: ObservedPool,
  { kube, leader }: ApplyContext,
): Promise<Deployment> {
  const { name, namespace } = manifest.metadata
  const version = resourceVersion ? { resourceVersion } : {}
  // Once is enough for its purpose, and each new name would be a change that another operator answers.
  const before = memory.applied && deployment?.metadata.annotations?.[LEADER_ANNOTATION]
  const by = { [LEADER_ANNOTATION]: before ?? leader }
  if (isNumberOnly) {
    const metadata = { ...version, annotations: by }
    return kube.mergePatch(kinds.deployment, namespace, name, { metadata, spec: { replicas } })
  }
  const object = {
    ...manifest,
    metadata: { ...manifest.metadata, ...version, annotations: { ...manifest.metadata.annotations, ...by } },
    spec: { ...manifest.spec, replicas },
  }
  // Where there is none yet, nothing is taken over from anybody.
  return kube.apply(kinds.deployment, object, { force: deployment !== undefined })
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
