// What the engine is given of the world in which it runs, and what it asks of it. There are two: the operator's, with an API server,
// Deployments and pods, and that of `millhand up`, with files and processes.
import type { ObjectOf } from './resources/object.ts'
import type { EventReason, PodReason, Reason } from './resources/reasons.ts'
import type { Kind } from './resources/schemas.ts'
import type { WorkerPool, WorkerPoolObject } from './resources/worker-pool.ts'

/** Keys are `namespace/name`. What is asked for is there already: nobody waits for it. */
export interface World {
  get<K extends Kind>(kind: K, key: string): ObjectOf[K] | undefined
  /** Those that an index of the kind (kinds.ts) has under this name. */
  find<K extends Kind>(kind: K, index: string, name: string): Iterable<ObjectOf[K]>
  /** The same for a pool until `forgetFleet`. */
  fleet(pool: WorkerPoolObject): Fleet
  forgetFleet(key: string): void
  /** Whole: a field that is left out is deleted. Answers whether it was taken; throws what may pass. */
  writeStatus(subject: Subject, status: object): Promise<boolean>
  /** For people; never waited for. */
  tell(subject: Subject, news: News): void
}

export interface Subject {
  kind: Kind
  namespace: string
  name: string
  uid: string
}

export interface News {
  type: 'Normal' | 'Warning'
  reason: EventReason
  message: string
}

/** One worker of a pool: a pod, or a process that stands for one. */
export interface WorkerPod {
  name: string
  uid: string
  startedAtMs: number
  /** live: counts; terminating: was told to end; ended: nothing of it runs any more, only the object is left. */
  state: 'live' | 'terminating' | 'ended'
  isReady: boolean
  /** It has the template that was set last. */
  isCurrent: boolean
  /** Deleted with no grace at all: its processes are ended in a moment, if they have not ended. */
  isForced: boolean
  trouble?: Trouble
  /** Its worker's container runs, since this time by the clock of its node, and the worker has not registered. */
  unregisteredSinceMs?: number
  deaths: readonly Death[]
}

/** Why it does not start or stay, in the words of Kubernetes; ImagePullBackOff stands for all that can be wrong with an image. */
export interface Trouble {
  reason: PodReason
  message: string
  /** A person has to mend it, or it happened so often that it looks so. */
  isLasting: boolean
}

/** A worker process that has ended, for sure: never a clock or an absence. */
export interface Death {
  /** The name that it wrote to its termination log; absent: every worker of this pod is meant. */
  process?: string
  reason: string
  /** Whether it counts against the jobs that it held: not when somebody ended the pod. */
  counting: 'counted' | 'uncounted'
}

/** Those that count as the pool's. */
export function livePods<Pod extends WorkerPod>(pods: readonly Pod[]): Pod[] {
  return pods.filter(({ state }) => state === 'live')
}

/** What keeps a pool from working that a person, or time, must mend. */
export interface Blocked {
  reason: Reason
  message: string
  /** Nothing would come of setting the fleet; with the others what runs is kept up to date. */
  stopsWriting: boolean
}

/** What runs a pool's workers, as it was seen. */
export interface FleetView {
  pods: readonly WorkerPod[]
  /** They are in no count; a forced deletion is reported while processes still run, so only what had ended is dead for sure. */
  deletedPods: readonly WorkerPod[]
  /** How many pods it is set to have; absent while there is no fleet. */
  size?: number
  /** By which a person finds its pods. */
  selector: string
  rollout: 'absent' | 'running' | 'complete'
  /** UIDs of pods that end whatever is decided now. */
  going: ReadonlySet<string>
  /** It was set by this process: no earlier leader removes pods that it had marked. */
  isOurs: boolean
  /** Setting it fails, and will fail again. */
  blocked?: Blocked
  /** Setting it failed several times, and may not fail the next time. */
  trouble?: Blocked
  /** Why no pods are created. */
  refused?: string
  /** Why a rollout makes no progress. */
  stuck?: string
}

/** What the workers of a pool are made from. */
export interface FleetSpec {
  pool: WorkerPool
  generation: number
  /** With the name in Redis, where the TaskQueue says it. */
  queues: readonly { name: string; weight: number; queueName?: string; secretName?: string }[]
}

/** What a fleet should become. */
export interface FleetWish {
  replicas: number
  /** Neither number nor template is written. */
  isFrozen: boolean
  /** What the workers hold is known; otherwise no pod goes, and none is marked. */
  isKnown: boolean
  /** UIDs of pods that hold nothing, will get nothing, and go first. */
  empty: ReadonlySet<string>
  /** UIDs of pods that hold jobs. */
  busy: ReadonlySet<string>
  /** There are pods that were not shown yet: the number does not fall. */
  isBehind: boolean
}

export interface FleetDone {
  /** The number that was set, where it was another one before. */
  scaled?: { from: number; to: number }
  againInMs?: number
  /** Not all was done, and may be the next time. */
  failure?: unknown
}

/** The workers of one pool. */
export interface Fleet {
  see(spec: FleetSpec): FleetView
  /** Brings it towards the wish, as far as it can at once. */
  set(wish: FleetWish): Promise<FleetDone>
}
