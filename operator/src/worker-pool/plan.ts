// What a WorkerPool needs next, decided from what was observed: data in, data out. The same decisions as on a laptop
// (local/plan.ts), and what they mean for a Deployment. Carried out by apply.ts.
//
//   blocked? → how many (replicas.ts) → who goes (victims.ts), drained and empty first → what is written → what the status says

import type { Finding } from '../resources/conditions.ts'
import { turned } from '../resources/conditions.ts'
import { type DeploymentManifest, deploymentOf, hashOf, TEMPLATE_ANNOTATION } from './deployment.ts'
import { type Blocked, findingsOf, whyBlocked } from './findings.ts'
import type { PoolMemory } from './memory.ts'
import type { ObservedPool, ObservedWorker, WorkerPoolStatus } from './observe.ts'
import type { Death, WorkerPod } from './pods.ts'
import { type Decision, decideReplicas, type Load } from './replicas.ts'
import { statusOf, statusToWrite } from './status.ts'
import { chooseVictims } from './victims.ts'

export interface PoolPlan {
  decision: Decision
  /** Pod UIDs that shall claim nothing for the next while, and that may claim again. */
  drain: string[]
  undrain: string[]
  /** Names of pods that get, or lose, the mark by which their ReplicaSet removes them first. */
  mark: string[]
  unmark: string[]
  /** Absent: what is written is still right. */
  deployment?: { manifest: DeploymentManifest; replicas: number; hash: string; resourceVersion?: string }
  /** Processes that have ended and still hold jobs. */
  reap: Death[]
  status?: WorkerPoolStatus
  events: Finding[]
  /** For the next time; apply adds what came of the writing. */
  memory: PoolMemory
  checkAgainAfterMs: number
}

const TICK_MS = 1_000
const IDLE_TICK_MS = 15_000
const PROBLEM_TICK_MS = 5_000
const DUE_MARGIN_MS = 5
/** Marks in Redis last a minute; said again well before. */
const RENEW_DRAIN_MS = 20_000
const REFUSED_AGAIN_AFTER_MS = 300_000

export function planWorkerPool(observed: ObservedPool, nowMs: number): PoolPlan {
  const { memory, pool } = observed
  const blocked = whyBlocked(observed)
  const load = loadOf(observed)
  const decision = decideReplicas({
    pool,
    current: memory.wanted ?? observed.deployment?.spec.replicas ?? 0,
    load,
    history: memory.history,
    nowMs,
  })
  const victims = load === 'unknown' && pool.scaling.mode === 'Automatic' ? [] : victimsOf(observed, decision)
  const empty = emptyVictims(observed, victims)
  const deployment = blocked?.stopsWriting
    ? undefined
    : deploymentToWrite(observed, { decision, empty, nowMs })
  const findings = findingsOf(observed, { decision, blocked, load })
  const status = statusToWrite(observed, statusOf(observed, { decision, findings, nowMs }), nowMs)
  const marked = observed.pods.filter(({ isMarked, state }) => isMarked && state === 'live')
  return {
    decision,
    drain: victims.filter((uid) => nowMs - (memory.draining.get(uid)?.renewedAtMs ?? 0) > RENEW_DRAIN_MS),
    undrain: [...memory.draining.keys(), ...drainingUids(observed)].filter((uid) => !victims.includes(uid)),
    mark: empty.filter(({ isMarked }) => !isMarked).map(({ name }) => name),
    unmark: marked.filter((pod) => !empty.includes(pod)).map(({ name }) => name),
    ...(deployment && { deployment }),
    reap: deathsToReport(observed),
    ...(status && { status }),
    events: turned(findings, observed.status?.conditions).filter(isNews),
    memory: rememberedOf(observed, { decision, victims, nowMs, wroteStatus: status !== undefined }),
    checkAgainAfterMs: checkAgainAfterMs(observed, { blocked, load, decision, victims }),
  }
}

/** Unknown as soon as one queue is: unknown is not zero. */
export function loadOf({ queues, workers, pods }: ObservedPool): Load | 'unknown' {
  const loads = queues.flatMap(({ load }) => load ?? [])
  if (loads.length < queues.length || workers === 'unknown') return 'unknown'
  const live = new Set(livePods(pods).map(({ uid }) => uid))
  const working = workers.filter(({ podUid, isDraining }) => live.has(podUid) && !isDraining)
  return { busy: heldBy(working), queues: loads }
}

/** Whom the next smaller pool does without. They claim nothing from now on; when they hold nothing any more they go. */
function victimsOf({ pods, workers, memory }: ObservedPool, { replicas }: Decision): string[] {
  const live = livePods(pods)
  const candidates = live.map(({ uid, startedAtMs, isReady }) => ({
    podUid: uid,
    held: workers === 'unknown' ? 0 : heldBy(workers.filter(({ podUid }) => podUid === uid)),
    startedAtMs,
    isReady,
    isDraining: memory.draining.has(uid),
  }))
  return chooseVictims(candidates, live.length - replicas)
}

/** A victim drained before we looked, so what it held then is all that it will ever hold. */
function emptyVictims({ pods, workers, memory }: ObservedPool, victims: readonly string[]): WorkerPod[] {
  if (workers === 'unknown') return []
  return livePods(pods).filter(({ uid }) => {
    const holds = heldBy(workers.filter(({ podUid }) => podUid === uid))
    return victims.includes(uid) && memory.draining.has(uid) && holds === 0
  })
}

interface Writing {
  decision: Decision
  empty: readonly WorkerPod[]
  nowMs: number
}

function deploymentToWrite(
  observed: ObservedPool,
  { decision, empty, nowMs }: Writing,
): PoolPlan['deployment'] {
  const { pool, queues, deployment, memory } = observed
  const manifest = deploymentOf({
    pool,
    queues: queues.map(({ name, weight, queueName }) => ({
      name,
      weight,
      ...(queueName !== `${pool.metadata.namespace}.${name}` && queueName && { queueName }),
    })),
    secretName: queues[0]?.secretName ?? 'millhand-redis',
  })
  const hash = hashOf(manifest)
  if (memory.refusal?.hash === hash && nowMs - memory.refusal.atMs < REFUSED_AGAIN_AFTER_MS) return undefined
  if (!deployment) return { manifest, replicas: decision.replicas, hash }
  if (isRolloutHeld(observed, manifest)) return undefined
  const replicas = nextReplicas(observed, decision, empty)
  const current = deployment.spec.replicas
  const isWritten =
    memory.applied?.hash === hash && memory.applied.generation === deployment.metadata.generation
  if (isWritten && replicas === current) return undefined
  const { resourceVersion } = deployment.metadata
  // A lower number is right only for what was seen: a stale view gets a conflict.
  const isLower = replicas < (current ?? 1)
  return { manifest, replicas, hash, ...(isLower && resourceVersion && { resourceVersion }) }
}

/** A Deployment does not wait for pods that terminate: three rollouts in a row would pile them up. */
export function isRolloutHeld(
  { pods, pool, deployment }: ObservedPool,
  manifest: DeploymentManifest,
): boolean {
  const written = deployment?.metadata.annotations?.[TEMPLATE_ANNOTATION]
  const isNew = written !== undefined && written !== manifest.metadata.annotations[TEMPLATE_ANNOTATION]
  const terminating = pods.filter(({ state }) => state === 'terminating').length
  return isNew && terminating > pool.scaling.maxReplicas
}

/** More at once; fewer only by pods that hold nothing and that the ReplicaSet will surely choose. */
export function nextReplicas(
  observed: ObservedPool,
  decision: Decision,
  empty: readonly WorkerPod[],
): number {
  const current = observed.deployment?.spec.replicas ?? 1
  if (decision.replicas >= current) return decision.replicas
  const live = livePods(observed.pods).length
  // Pods that do not exist are given up first, and nobody is removed for that.
  if (live < current) return Math.max(decision.replicas, live)
  const marked = livePods(observed.pods).filter(({ isMarked }) => isMarked)
  // One that is marked since an earlier decision, and took jobs since, would go with them.
  const areEmpty = marked.every((pod) => empty.includes(pod))
  return areEmpty && canLower(observed) ? Math.max(decision.replicas, current - marked.length) : current
}

/**
 * Whether the ReplicaSet will remove exactly the marked pods. It ranks pods that are not ready, that restarted or are new before
 * any mark, so all that is not marked must be well.
 */
export function canLower({ deployment, pods, workers }: ObservedPool): boolean {
  if (!deployment || workers === 'unknown') return false
  const live = livePods(pods)
  return (
    deployment.status?.observedGeneration === deployment.metadata.generation &&
    live.length === deployment.spec.replicas &&
    new Set(live.map(({ templateHash }) => templateHash)).size <= 1 &&
    live.every(({ isReady, isMarked }) => isReady || isMarked)
  )
}

/** Only processes that are still registered with something: the rest was put back before, or never held anything. */
function deathsToReport({ pods, deletedPods, workers }: ObservedPool): Death[] {
  if (workers === 'unknown') return []
  return [...pods, ...deletedPods].flatMap(({ uid, deaths }) =>
    deaths.flatMap(({ process, ...death }) =>
      workers
        .filter((worker) => worker.podUid === uid && (process === undefined || worker.process === process))
        .map((worker) => ({ ...death, process: worker.process })),
    ),
  )
}

interface Remembering {
  decision: Decision
  victims: readonly string[]
  nowMs: number
  wroteStatus: boolean
}

function rememberedOf(
  { memory }: ObservedPool,
  { decision, victims, nowMs, wroteStatus }: Remembering,
): PoolMemory {
  const draining = victims.map((uid) => {
    const before = memory.draining.get(uid)
    const isFresh = before && nowMs - before.renewedAtMs <= RENEW_DRAIN_MS
    return [uid, isFresh ? before : { sinceMs: before?.sinceMs ?? nowMs, renewedAtMs: nowMs }] as const
  })
  return {
    ...memory,
    history: decision.history,
    wanted: decision.replicas,
    draining: new Map(draining),
    ...(wroteStatus && { statusWrittenAtMs: nowMs }),
  }
}

interface Situation {
  blocked: Blocked | undefined
  load: Load | 'unknown'
  decision: Decision
  victims: readonly string[]
}

/** The tick reads Redis and caches only. An idle pool is woken by its queue, and looked at seldom. */
function checkAgainAfterMs(observed: ObservedPool, { blocked, load, decision, victims }: Situation): number {
  if (blocked || load === 'unknown') return PROBLEM_TICK_MS
  const hasWork = load.busy > 0 || load.queues.some(({ ready, isStopped }) => ready > 0 && !isStopped)
  const isChanging =
    victims.length > 0 || observed.deployment?.spec.replicas !== decision.replicas || isSomeoneNew(observed)
  const isStabilizing = decision.reason === 'ScaleDownStabilized' || decision.reason === 'ScaleUpStabilized'
  const dueInMs = observed.queues.flatMap(({ nextMs }) =>
    nextMs === undefined ? [] : [nextMs + DUE_MARGIN_MS],
  )
  return Math.min(hasWork || isChanging || isStabilizing ? TICK_MS : IDLE_TICK_MS, ...dueInMs)
}

/** A pod that is ready and not yet registered in Redis. */
function isSomeoneNew({ pods, workers }: ObservedPool): boolean {
  const known = new Set(workers === 'unknown' ? [] : workers.map(({ podUid }) => podUid))
  return livePods(pods).some(({ uid, isReady }) => isReady && !known.has(uid))
}

export function livePods(pods: readonly WorkerPod[]): WorkerPod[] {
  return pods.filter(({ state }) => state === 'live')
}

function drainingUids({ workers, pods }: ObservedPool): string[] {
  if (workers === 'unknown') return []
  const live = new Set(livePods(pods).map(({ uid }) => uid))
  return [
    ...new Set(workers.filter((worker) => worker.isDraining && live.has(worker.podUid)).map((w) => w.podUid)),
  ]
}

export function heldBy(workers: readonly ObservedWorker[]): number {
  return workers.reduce((held, worker) => held + worker.held, 0)
}

function isNews({ type, reason }: Finding): boolean {
  return (
    type === 'Ready' || (type === 'ScalingLimited' && reason === 'MaxReplicas') || reason === 'RolloutStuck'
  )
}
