// What a WorkerPool needs next, decided from what was observed: data in, data out. The same decisions as on a laptop
// (cli/src/local/plan.ts), and what they mean for a Deployment. Carried out by apply.ts.
//
//   blocked? → how many (replicas.ts) → who goes (victims.ts), drained and empty first → what is written → what the status says

import { type Decision, decideReplicas, type Load } from '@millhand/control/decide/replicas'
import { chooseVictims } from '@millhand/control/decide/victims'
import { type Finding, worthTelling } from '@millhand/control/resources/conditions'
import { DEFAULT_REDIS_SECRET, defaultQueueName } from '@millhand/control/resources/task-queue'
import type { WorkerPool, WorkerPoolStatus } from '@millhand/control/resources/worker-pool'
import {
  type DeploymentManifest,
  deploymentOf,
  hashOf,
  type Rendered,
  TEMPLATE_ANNOTATION,
} from '../fleet/deployment.ts'
import { type GuardPlan, planGuards } from '../fleet/guards.ts'
import { type Death, livePods, type WorkerPod } from '../fleet/pods.ts'
import { type Blocked, findingsOf, whyBlocked } from './findings.ts'
import { healthOf } from './health.ts'
import type { PoolMemory } from './memory.ts'
import type { ObservedPool, ObservedWorker } from './observe.ts'
import { statusOf, statusToWrite } from './status.ts'

export interface PoolPlan {
  decision: Decision
  /** Pod UIDs that shall claim nothing for the next while, and that may claim again. */
  drain: string[]
  undrain: string[]
  /** Workers that have no time left for what they hold; their pods are drained first. */
  dismiss: Dismissal[]
  podPatches: PodPatch[]
  /** Absent: what is written is still right. */
  deployment?: DeploymentWrite
  /** Workers that have ended for sure. */
  reap: Reaping[]
  /** What the status says now; `status` is there when that is worth a write. */
  currentStatus: WorkerPoolStatus
  status?: WorkerPoolStatus
  events: Finding[]
  /** For the next time; apply adds what came of the writing. */
  memory: PoolMemory
  checkAgainAfterMs: number
}

/** What is absent stays as it is. */
export interface PodPatch {
  name: string
  /** Gets, or loses, the mark by which its ReplicaSet removes it first. */
  isMarked?: boolean
  isGuarded?: boolean
}

export interface DeploymentWrite {
  rendered: Rendered
  replicas: number
  /** The template cannot be written now (refused, or held back): only the number is. */
  isNumberOnly: boolean
  /** What this was decided from: another state of the Deployment gets a conflict. Absent where it can do no harm. */
  resourceVersion?: string
}

export interface Dismissal {
  /** Its name in this queue. */
  worker: string
  /** In Redis. */
  queue: string
}

export interface Reaping extends Dismissal {
  reason: string
  counting: Death['counting']
}

/** By the monotonic clock what is decided, by the wall clock what people read. */
export interface Clocks {
  nowMs: number
  wallMs: number
}

const TICK_MS = 1_000
const IDLE_TICK_MS = 15_000
const PROBLEM_TICK_MS = 5_000
const DUE_MARGIN_MS = 5
/** Marks in Redis last a minute; said again well before. */
const RENEW_DRAIN_MS = 20_000
const REFUSED_AGAIN_AFTER_MS = 300_000
/**
 * Workers are seen for longer, and their pods not: somebody took a pod's labels, or somebody else says that they are the pool's. A silent watch
 * is asked anew before.
 */
const SHOWN_WITHIN_MS = 180_000
/** So much longer than it was used that time is given back. */
const GIVEN_BACK = 10
/** How long a pod that never registered is given before it counts as one that holds nothing. */
const REGISTERS_WITHIN_MS = 15_000

export function planWorkerPool(observed: ObservedPool, clocks: Clocks): PoolPlan {
  const { nowMs } = clocks
  const { memory, pool } = observed
  const remembered = renderedOf(observed)
  const { rendered } = remembered
  const refusal = memory.refusal?.hash === rendered.hash ? memory.refusal : undefined
  const blocked = whyBlocked(observed, refusal)
  const held = heldByPod(observed)
  const unseen = rememberUnseen(observed, nowMs)
  const isBehind = unseen.areThere && unseen.believedMs < SHOWN_WITHIN_MS
  const load = loadOf(observed, isBehind)
  const current = memory.wanted ?? observed.deployment?.spec.replicas ?? 0
  const decided = decideReplicas({ pool, current, load, history: memory.history, nowMs })
  const decision = blocked && load === 'unknown' ? onHold(decided, pool, blocked) : decided
  const isKnown = load !== 'unknown'
  const leaving = leavingPods(observed).map(({ uid }) => uid)
  const victims = new Set(isKnown ? [...leaving, ...victimsOf(observed, decision, held)] : [])
  const hurried = hurriedWorkers(observed)
  const claimless = new Set([...victims, ...hurried.map(({ podUid }) => podUid)])
  const empty = new Set(emptyVictims(observed, victims, held, nowMs))
  const isBusy = ({ uid }: WorkerPod) => (held.get(uid)?.jobs ?? 0) > 0
  const live = new Set(livePods(observed.pods).map(({ uid }) => uid))
  const guards = isKnown
    ? planGuards({ pods: observed.pods, isBusy, empty, memory: memory.guards, nowMs })
    : undefined
  const facts = { rendered, refusal, decision, empty, isBehind, nowMs }
  const deployment = blocked?.stopsWriting ? undefined : deploymentToWrite(observed, facts)
  const silent = rememberSilent(observed, nowMs)
  const { replicas } = decision
  const health = healthOf(observed, { replicas, silent, ...clocks })
  const findings = findingsOf(observed, {
    decision,
    blocked,
    load,
    health,
    isDisbelieving: unseen.areThere && !isBehind,
  })
  const currentStatus = statusOf(observed, { decision, findings, wallMs: clocks.wallMs })
  const status = statusToWrite(observed, currentStatus, nowMs)
  return {
    decision,
    drain: [...claimless].filter((uid) => !isSurelyDraining(uid, held, memory, nowMs)),
    // Whoever was told to end claims nothing any more, also before its worker has heard of it.
    // An operator that led before may be about to remove those that it drained: first this one writes the Deployment. So with marks.
    undrain:
      isKnown && memory.applied
        ? [...new Set([...memory.draining.keys(), ...draining(held)])].filter(
            (uid) => live.has(uid) && !victims.has(uid),
          )
        : [],
    dismiss: hurried.map(({ name, queue }) => ({ worker: name, queue })),
    podPatches: guards ? patchesOf(observed, empty, guards) : [],
    ...(deployment && { deployment }),
    reap: deathsToReport(observed),
    currentStatus,
    ...(status && { status }),
    events: worthTelling(findings, observed.status?.conditions, clocks.wallMs).filter(isNews),
    memory: {
      ...memory,
      history: decision.history,
      wanted: decision.replicas,
      unseen,
      rendered: remembered,
      silent,
      draining: isKnown ? rememberDraining(memory, victims, held, nowMs) : memory.draining,
      ...(guards && { guards: guards.memory }),
      ...(status && { statusWrittenAtMs: nowMs }),
    },
    checkAgainAfterMs: checkAgainAfterMs(observed, { blocked, load, decision, victims, guards }),
  }
}

/** What the workers of one pod hold, over all queues. */
interface PodHolds {
  jobs: number
  /** In every queue that it registered in. */
  isDraining: boolean
}
type Holds = ReadonlyMap<string, PodHolds>

function heldByPod({ workers }: ObservedPool): Holds {
  const held = new Map<string, PodHolds>()
  if (workers === 'unknown') return held
  for (const { podUid, held: jobs, isDraining } of workers) {
    const known = held.get(podUid) ?? { jobs: 0, isDraining: true }
    held.set(podUid, { jobs: known.jobs + jobs, isDraining: known.isDraining && isDraining })
  }
  return held
}

/** Unknown as soon as one queue is: unknown is not zero. */
function loadOf({ queues, workers, pods }: ObservedPool, isBehind: boolean): Load | 'unknown' {
  const loads = queues.flatMap(({ load }) => load ?? [])
  if (loads.length < queues.length || workers === 'unknown') return 'unknown'
  const live = new Set(livePods(pods).map(({ uid }) => uid))
  const strangers = isBehind ? unseenWorkers(workers, pods) : []
  const working = workers.filter(({ podUid, isDraining }) => live.has(podUid) && !isDraining)
  return { busy: heldBy([...working, ...strangers]), queues: loads }
}

/** They live in pods that the watch has not shown yet: our view of the pods is behind. Or it never will: somebody took their labels. */
function unseenWorkers(workers: readonly ObservedWorker[], pods: readonly WorkerPod[]): ObservedWorker[] {
  const seen = new Set(pods.map(({ uid }) => uid))
  return workers.filter(({ podUid, isAlive, isDraining }) => isAlive && !isDraining && !seen.has(podUid))
}

function rememberUnseen({ workers, pods, memory }: ObservedPool, nowMs: number): PoolMemory['unseen'] {
  if (workers === 'unknown') return memory.unseen
  const { unseen } = memory
  const sinceMs = nowMs - unseen.atMs
  const believedMs = unseen.areThere
    ? Math.min(unseen.believedMs + sinceMs, SHOWN_WITHIN_MS)
    : Math.max(0, unseen.believedMs - sinceMs / GIVEN_BACK)
  return { areThere: unseenWorkers(workers, pods).length > 0, believedMs, atMs: nowMs }
}

/** Pods that are ready and of which no worker is registered any more: that they once were is all that their probe knows. */
function rememberSilent({ workers, pods, memory }: ObservedPool, nowMs: number): PoolMemory['silent'] {
  if (workers === 'unknown') return memory.silent
  const registered = new Set(workers.flatMap(({ podUid, isAlive }) => (isAlive ? [podUid] : [])))
  const silent = livePods(pods).filter(({ uid, isReady }) => isReady && !registered.has(uid))
  return new Map(silent.map(({ uid }) => [uid, memory.silent.get(uid) ?? nowMs]))
}

/** The number stays, and says why it is not known. */
function onHold(decision: Decision, { scaling }: WorkerPool, { reason, message }: Blocked): Decision {
  if (scaling.mode === 'Manual') return decision
  return { ...decision, reason, message: `${decision.replicas}, unchanged: ${message}` }
}

/** Whom the next smaller pool does without. They claim nothing from now on; when they hold nothing any more they go. */
function victimsOf({ pods, memory }: ObservedPool, { replicas }: Decision, held: Holds): string[] {
  const live = livePods(pods)
  const candidates = live.map(({ uid, startedAtMs, isReady }) => ({
    podUid: uid,
    held: held.get(uid)?.jobs ?? 0,
    startedAtMs,
    isReady,
    isDraining: memory.draining.has(uid),
  }))
  return chooseVictims(candidates, live.length - replicas)
}

/** What a victim held while Redis gave it no claims any more, in one and the same answer, is all that it will ever hold. */
function emptyVictims(
  { pods, memory }: ObservedPool,
  victims: ReadonlySet<string>,
  held: Holds,
  nowMs: number,
): WorkerPod[] {
  return livePods(pods).filter(({ uid }) => {
    if (!victims.has(uid)) return false
    const holds = held.get(uid)
    if (holds) return holds.isDraining && holds.jobs === 0
    const since = memory.draining.get(uid)?.sinceMs
    return since !== undefined && nowMs - since > REGISTERS_WITHIN_MS
  })
}

/** Only those that change. */
function patchesOf(
  { pods, memory }: ObservedPool,
  empty: ReadonlySet<WorkerPod>,
  { turned }: GuardPlan,
): PodPatch[] {
  return livePods(pods).flatMap((pod) => {
    const isMarked = empty.has(pod)
    const isRemarked = isMarked !== pod.isMarked && (isMarked || memory.applied !== undefined)
    const isTurned = turned.has(pod)
    if (!isRemarked && !isTurned) return []
    return [
      {
        name: pod.name,
        ...(isRemarked && { isMarked }),
        ...(isTurned && { isGuarded: pod.guard === 'off' }),
      },
    ]
  })
}

/**
 * Marked pods that the Deployment asks for no longer. Their ReplicaSet removes them in a moment, whatever is written now: only when
 * they are seen to go can the number be raised and others be needed again.
 */
function leavingPods({ deployment, pods, memory: { applied } }: ObservedPool): WorkerPod[] {
  const live = livePods(pods)
  if (!deployment || new Set(live.map(({ templateHash }) => templateHash)).size > 1) return []
  const isBehind = applied !== undefined && (deployment.metadata.generation ?? 0) < applied.generation
  const current = deployment.spec.replicas ?? 1
  const asked = isBehind ? Math.min(current, applied.replicas) : current
  return live.length > asked ? live.filter(({ isMarked }) => isMarked) : []
}

interface Facts {
  rendered: Rendered
  refusal: PoolMemory['refusal']
  decision: Decision
  empty: ReadonlySet<WorkerPod>
  /** There are pods that the watch has not shown yet. */
  isBehind: boolean
  nowMs: number
}

function renderedOf(observed: ObservedPool): NonNullable<PoolMemory['rendered']> {
  const { pool, generation, queues, memory } = observed
  const names = queues.map(({ name, weight, queueName, secretName }) => [name, weight, queueName, secretName])
  const from = JSON.stringify([pool.metadata.uid, generation, names])
  return memory.rendered?.from === from ? memory.rendered : { from, rendered: render(observed) }
}

function render({ pool, queues }: ObservedPool): Rendered {
  const { namespace } = pool.metadata
  const manifest = deploymentOf({
    pool,
    queues: queues.map(({ name, weight, queueName }) => ({
      name,
      weight,
      ...(queueName && queueName !== defaultQueueName(namespace, name) && { queueName }),
    })),
    secretName: queues[0]?.secretName ?? DEFAULT_REDIS_SECRET,
  })
  return { manifest, hash: hashOf(manifest) }
}

function deploymentToWrite(observed: ObservedPool, facts: Facts): DeploymentWrite | undefined {
  const { deployment, memory } = observed
  const { rendered, refusal, decision, nowMs } = facts
  const isRefused = refusal !== undefined && nowMs - refusal.atMs < REFUSED_AGAIN_AFTER_MS
  if (!deployment)
    return isRefused ? undefined : { rendered, replicas: decision.replicas, isNumberOnly: false }
  const replicas = nextReplicas(observed, facts)
  const { applied } = memory
  const isNumberOnly = isRefused || isRolloutHeld(observed, rendered.manifest)
  if (isRefused && refusal.replicas === replicas) return undefined
  const isWritten = isNumberOnly
    ? isRefused || applied !== undefined
    : applied?.hash === rendered.hash && applied.generation === deployment.metadata.generation
  const current = deployment.spec.replicas
  if (isWritten && replicas === current) return undefined
  // A view that is behind may take a lower number for a higher one: only above all that we know of ourselves it can do no harm.
  const isSurelyMore = applied !== undefined && replicas > Math.max(current ?? 0, applied.replicas)
  const { resourceVersion } = deployment.metadata
  return { rendered, replicas, isNumberOnly, ...(!isSurelyMore && resourceVersion && { resourceVersion }) }
}

/** A Deployment does not wait for pods that terminate: three rollouts in a row would pile them up. */
function isRolloutHeld({ pods, pool, deployment }: ObservedPool, manifest: DeploymentManifest): boolean {
  const written = deployment?.metadata.annotations?.[TEMPLATE_ANNOTATION]
  const isNew = written !== undefined && written !== manifest.metadata.annotations[TEMPLATE_ANNOTATION]
  const terminating = pods.filter(({ state }) => state === 'terminating').length
  return isNew && terminating > pool.scaling.maxReplicas
}

/** More at once; fewer only by pods that hold nothing and that the ReplicaSet will surely choose. */
function nextReplicas(observed: ObservedPool, { decision, empty, isBehind }: Facts): number {
  const { deployment, pods, workers } = observed
  const current = deployment?.spec.replicas ?? 1
  if (leavingPods(observed).length > 0) return current
  if (decision.replicas >= current) return decision.replicas
  if (workers === 'unknown' || isBehind) return current
  const live = livePods(pods)
  // Pods that do not exist are given up first, and nobody is removed for that.
  if (live.length < current) return Math.max(decision.replicas, live.length)
  const marked = live.filter(({ isMarked }) => isMarked)
  // One that is marked since an earlier decision, and took jobs since, would go with them.
  const areEmpty = marked.every((pod) => empty.has(pod))
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

/** Only workers that are still registered: the rest was put back before, or never held anything. */
function deathsToReport({ pods, deletedPods, workers }: ObservedPool): Reaping[] {
  if (workers === 'unknown') return []
  return [...pods, ...deletedPods].flatMap(({ uid, deaths }) =>
    deaths.flatMap(({ process, reason, counting }) =>
      workers
        .filter((worker) => worker.podUid === uid && (process === undefined || worker.process === process))
        .map(({ name, queue }) => ({ worker: name, queue, reason, counting })),
    ),
  )
}

/**
 * Told to end, they let their jobs go on; nobody tells them that the kubelet gives their pods two seconds, or that nobody counts on them
 * any more. That says nothing of a death: who lives hands back itself. A pod that is merely not seen any more (relabelled, say) stays.
 */
function hurriedWorkers({ pods, deletedPods, workers }: ObservedPool): ObservedWorker[] {
  if (workers === 'unknown') return []
  const forced = new Set([...pods, ...deletedPods].flatMap(({ uid, isForced }) => (isForced ? [uid] : [])))
  return workers.filter(({ podUid, isAlive }) => isAlive && forced.has(podUid))
}

/** Redis shows the mark, and it was renewed a short while ago. */
function isSurelyDraining(uid: string, held: Holds, { draining }: PoolMemory, nowMs: number): boolean {
  const renewedAtMs = draining.get(uid)?.renewedAtMs ?? Number.NEGATIVE_INFINITY
  return held.get(uid)?.isDraining !== false && nowMs - renewedAtMs <= RENEW_DRAIN_MS
}

function rememberDraining(
  memory: PoolMemory,
  victims: ReadonlySet<string>,
  held: Holds,
  nowMs: number,
): PoolMemory['draining'] {
  return new Map(
    [...victims].map((uid) => {
      const before = memory.draining.get(uid)
      if (before && isSurelyDraining(uid, held, memory, nowMs)) return [uid, before]
      return [uid, { sinceMs: before?.sinceMs ?? nowMs, renewedAtMs: nowMs }]
    }),
  )
}

interface Situation {
  blocked: Blocked | undefined
  load: Load | 'unknown'
  decision: Decision
  victims: ReadonlySet<string>
  guards: GuardPlan | undefined
}

/** The tick reads Redis and caches only. A pool whose queues are idle is woken by them, and looked at seldom. */
function checkAgainAfterMs(observed: ObservedPool, situation: Situation): number {
  const { blocked, load, decision, victims, guards } = situation
  if (blocked || load === 'unknown') return PROBLEM_TICK_MS
  // One that was claimed between the look at the workers and the one at the depth is held by nobody, one that ended is not busy.
  const hasWork =
    load.busy > 0 || load.queues.some(({ ready, busy, isStopped }) => busy > 0 || (ready > 0 && !isStopped))
  const isChanging =
    victims.size > 0 || observed.deployment?.spec.replicas !== decision.replicas || isSomeoneNew(observed)
  const isStabilizing = decision.reason === 'ScaleDownStabilized' || decision.reason === 'ScaleUpStabilized'
  // What is due already waits for a slot or for a pause to end, not for us.
  const dueInMs = observed.queues.flatMap(({ nextMs = 0 }) => (nextMs > 0 ? [nextMs + DUE_MARGIN_MS] : []))
  const tickMs = hasWork || isChanging || isStabilizing ? TICK_MS : IDLE_TICK_MS
  return Math.min(tickMs, guards?.againInMs ?? tickMs, ...dueInMs)
}

/** A pod that is ready and not yet registered in Redis. */
function isSomeoneNew({ pods, workers }: ObservedPool): boolean {
  const known = new Set(workers === 'unknown' ? [] : workers.map(({ podUid }) => podUid))
  return livePods(pods).some(({ uid, isReady }) => isReady && !known.has(uid))
}

function draining(held: Holds): string[] {
  return [...held].flatMap(([uid, { isDraining }]) => (isDraining ? [uid] : []))
}

function heldBy(workers: readonly ObservedWorker[]): number {
  return workers.reduce((held, worker) => held + worker.held, 0)
}

function isNews({ type, reason }: Finding): boolean {
  return (
    type === 'Ready' ||
    (type === 'ScalingLimited' && reason === 'MaxReplicas') ||
    (type === 'IsolationFallback' && reason === 'ForkUnavailable') ||
    (type === 'Progressing' && reason === 'ProgressDeadlineExceeded')
  )
}
