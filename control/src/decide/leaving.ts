// Which pods of a WorkerPool go, which are empty, and which workers are dead. Pure.
//
//   chosen (victims.ts) ──▶ drained: Redis gives it nothing ──▶ empty: it holds nothing, in the same answer ──▶ the fleet removes it
//   deleted by force ──▶ drained and dismissed: it hands back what it holds         ended for sure ──▶ reaped: what it held is put back
import { livePods, type WorkerPod } from '../world.ts'
import type { PoolMemory } from './memory.ts'
import { heldByPod, type ObservedPool, type ObservedWorker, type PodHolds } from './observed.ts'
import { chooseVictims } from './victims.ts'

export interface Leaving {
  /** UIDs of pods that are to go. */
  victims: ReadonlySet<string>
  /** Of these, the ones that hold nothing and never will. */
  empty: ReadonlySet<string>
  /** UIDs of pods that hold jobs. */
  busy: ReadonlySet<string>
  /** UIDs of pods to drain, and of pods that may claim again. */
  drain: string[]
  undrain: string[]
  /** Workers without time to finish their jobs; their pods are drained first. */
  dismiss: Dismissal[]
  /** Workers that have ended for sure. */
  reap: Reaping[]
  /** For the next time. */
  draining: PoolMemory['draining']
}

export interface Dismissal {
  /** Its name in this queue. */
  worker: string
  /** In Redis. */
  queue: string
}

export interface Reaping extends Dismissal {
  /** The name of its pod. */
  pod: string
  reason: string
  counting: 'counted' | 'uncounted'
}

/** Marks in Redis last a minute and are renewed well before. */
const RENEW_DRAIN_MS = 20_000
/** A pod that has not registered after this time counts as one that holds nothing. */
const REGISTERS_WITHIN_MS = 15_000

type Holds = ReadonlyMap<string, PodHolds>

/** A pool of which the victims are known. */
interface Shrinking extends ObservedPool {
  victims: ReadonlySet<string>
  held: Holds
  nowMs: number
}

/** `isKnown`: whether the held jobs are known. If not, no pod goes and none is unmarked. */
export function leavingOf(
  observed: ObservedPool,
  { replicas, isKnown }: { replicas: number; isKnown: boolean },
  nowMs: number,
): Leaving {
  const { fleet, workers } = observed
  const held = heldByPod(workers)
  const victims = new Set(isKnown ? [...fleet.going, ...victimsOf(observed, replicas, held)] : [])
  const shrinking = { ...observed, victims, held, nowMs }
  const hurried = hurriedWorkers(observed)
  const claimless = new Set([...victims, ...hurried.map(({ podUid }) => podUid)])
  return {
    victims,
    empty: emptyVictims(shrinking),
    busy: new Set([...held].flatMap(([uid, { jobs }]) => (jobs > 0 ? [uid] : []))),
    drain: [...claimless].filter((uid) => !isSurelyDraining(uid, shrinking)),
    undrain: isKnown ? neededAgain(shrinking) : [],
    dismiss: hurried.map(({ name, queue }) => ({ worker: name, queue })),
    reap: deathsToReport(observed),
    draining: isKnown ? rememberDraining(shrinking) : observed.memory.draining,
  }
}

/** The pods that a smaller pool does without. They claim nothing more, and go when they hold nothing. */
function victimsOf({ fleet: { pods }, memory }: ObservedPool, replicas: number, held: Holds): string[] {
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

/** A victim that drains and holds nothing, in one and the same answer of Redis, will never hold anything. */
function emptyVictims({ fleet: { pods }, memory, victims, held, nowMs }: Shrinking): ReadonlySet<string> {
  const isEmpty = ({ uid }: WorkerPod) => {
    if (!victims.has(uid)) return false
    const holds = held.get(uid)
    if (holds) return holds.isDraining && holds.jobs === 0
    const since = memory.draining.get(uid)?.sinceMs
    return since !== undefined && nowMs - since > REGISTERS_WITHIN_MS
  }
  return new Set(livePods(pods).flatMap((pod) => (isEmpty(pod) ? [pod.uid] : [])))
}

/**
 * A pod that was told to end stays drained, also before its worker has got the signal. An operator that led
 * before may be about to remove pods that it drained, so this one sets the fleet before it unmarks any.
 */
function neededAgain({ fleet, memory, victims, held }: Shrinking): string[] {
  if (!fleet.isOurs) return []
  const live = new Set(livePods(fleet.pods).map(({ uid }) => uid))
  const draining = [...held].flatMap(([uid, { isDraining }]) => (isDraining ? [uid] : []))
  return [...new Set([...memory.draining.keys(), ...draining])].filter(
    (uid) => live.has(uid) && !victims.has(uid),
  )
}

/** Only workers that are still registered: others were put back before, or never held anything. */
function deathsToReport({ fleet: { pods, deletedPods }, workers }: ObservedPool): Reaping[] {
  if (workers === 'unknown') return []
  return [...pods, ...deletedPods].flatMap(({ name: pod, uid, deaths }) =>
    deaths.flatMap(({ process, reason, counting }) =>
      workers
        .filter((worker) => worker.podUid === uid && (process === undefined || worker.process === process))
        .map(({ name, queue }) => ({ worker: name, queue, pod, reason, counting })),
    ),
  )
}

/**
 * SIGTERM lets their jobs go on; nothing tells them that the kubelet gives their pods two seconds. A
 * dismissal is no evidence of death: a worker that lives hands back by itself. A pod that merely lost its
 * labels stays.
 */
function hurriedWorkers({ fleet: { pods, deletedPods }, workers }: ObservedPool): ObservedWorker[] {
  if (workers === 'unknown') return []
  const forced = new Set([...pods, ...deletedPods].flatMap(({ uid, isForced }) => (isForced ? [uid] : [])))
  return workers.filter(({ podUid, isAlive }) => isAlive && forced.has(podUid))
}

/** Whether Redis shows the mark, and it was renewed recently. */
function isSurelyDraining(uid: string, { memory, held, nowMs }: Shrinking): boolean {
  const renewedAtMs = memory.draining.get(uid)?.renewedAtMs ?? Number.NEGATIVE_INFINITY
  return held.get(uid)?.isDraining !== false && nowMs - renewedAtMs <= RENEW_DRAIN_MS
}

function rememberDraining(shrinking: Shrinking): PoolMemory['draining'] {
  const { memory, victims, nowMs } = shrinking
  return new Map(
    [...victims].map((uid) => {
      const before = memory.draining.get(uid)
      if (before && isSurelyDraining(uid, shrinking)) return [uid, before]
      return [uid, { sinceMs: before?.sinceMs ?? nowMs, renewedAtMs: nowMs }]
    }),
  )
}
