// The port between the engine and the world it runs in. There are two worlds: that of the operator, with an
// API server, Deployments and pods, and that of `millhand up`, with files and processes.
import type { IndexOf, ObjectOf } from './resources/object.ts'
import type { EventReason, PodReason, Reason } from './resources/reasons.ts'
import type { Kind } from './resources/schemas.ts'
import type { WorkerPool, WorkerPoolObject } from './resources/worker-pool.ts'

/** Keys are `namespace/name`. `get` and `find` read caches and never wait. */
export interface World {
  get<K extends Kind>(kind: K, key: string): ObjectOf[K] | undefined
  /** Those that an index of the kind (kinds.ts) has under this name. */
  find<K extends Kind>(kind: K, index: IndexOf[K], name: string): Iterable<ObjectOf[K]>
  /** Whether the resource with this UID is not there: asked where it is kept, for caches may be behind. */
  isGone(subject: Subject): Promise<boolean>
  /** The same for a pool until `forgetFleet`. */
  fleet(pool: WorkerPoolObject): Fleet
  forgetFleet(key: string): void
  /**
   * Writes it whole: a field that is left out is deleted. Answers whether it was accepted; throws errors that
   * may pass.
   */
  writeStatus(subject: Subject, status: object): Promise<boolean>
  /** Writes an Event, without waiting for it. */
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
  /**
   * live: counts; terminating: was told to end; ended: nothing of it runs any more, only the object is left.
   */
  state: 'live' | 'terminating' | 'ended'
  isReady: boolean
  /** It has the template that was set last. */
  isCurrent: boolean
  /** Deleted with a grace period of 0: its processes are killed within seconds. */
  isForced: boolean
  trouble?: Trouble
  /** Since when its container runs without a registered worker, by the clock of its node. */
  unregisteredSinceMs?: number
  deaths: readonly Death[]
}

/**
 * Why a pod does not start or stay, with a reason of Kubernetes; ImagePullBackOff stands for every problem of
 * an image.
 */
export interface Trouble {
  reason: PodReason
  message: string
  /** Whether it needs manual action, or happened too often to pass by itself. */
  isLasting: boolean
}

/** A worker process that has ended for certain: a clock or an absence is no evidence. */
export interface Death {
  /** The name that it wrote to its termination log; absent: every worker of this pod is meant. */
  process?: string
  reason: string
  /** Whether it counts against its jobs: not when the pod was ended from outside. */
  counting: 'counted' | 'uncounted'
}

/** The pods that count. */
export function livePods<Pod extends WorkerPod>(pods: readonly Pod[]): Pod[] {
  return pods.filter(({ state }) => state === 'live')
}

/** A problem that keeps a pool from working. */
export interface Blocked {
  reason: Reason
  message: string
  /** Whether setting the fleet is pointless; otherwise running pods are kept up to date. */
  stopsWriting: boolean
}

/** The fleet of a pool, as it was seen. */
export interface FleetView {
  pods: readonly WorkerPod[]
  /**
   * In no count. A forced deletion is reported while processes still run, so only ended ones are surely dead.
   */
  deletedPods: readonly WorkerPod[]
  /** The number that is set; absent while there is no fleet. */
  size?: number
  /** The selector by which a person finds its pods. */
  selector: string
  /**
   * `replacing`: the template is not written yet, or pods of an earlier one run. `resizing`: only the
   * number of pods changes.
   */
  rollout: 'absent' | 'replacing' | 'resizing' | 'complete'
  /** UIDs of pods that go, whatever is decided now. */
  going: ReadonlySet<string>
  /** Whether this process has set it, so that no earlier leader removes pods that it had marked. */
  isOurs: boolean
  /** Why setting it fails and will fail again. */
  blocked?: Blocked
  /** Why setting it failed several times; it may succeed next time. */
  trouble?: Blocked
  /** Why no pods are created. */
  refused?: string
  /** Why a rollout makes no progress. */
  stuck?: string
  unregistered(pod: string): Unregistered
}

/** What a person is told of a worker that is not registered in Redis: the likely reasons, and the remedy. */
export interface Unregistered {
  /** It never was, though its process runs. */
  never: string
  /** It was, and is ready. */
  noMore: string
  remedy: string
}

/** The input of a fleet. */
export interface FleetSpec {
  pool: WorkerPool
  generation: number
  /** With the name in Redis, where the TaskQueue says it. */
  queues: readonly { name: string; weight: number; queueName?: string; secretName?: string }[]
}

/** The wanted state of a fleet. */
export interface FleetWish {
  replicas: number
  /** Neither number nor template is written. */
  isFrozen: boolean
  /** Whether the held jobs are known; if not, no pod goes and none is marked. */
  isKnown: boolean
  /** UIDs of pods that hold nothing, will get nothing, and go first. */
  empty: ReadonlySet<string>
  /** UIDs of pods that hold jobs. */
  busy: ReadonlySet<string>
  /** Whether pods were not shown yet: then the number does not fall. */
  isBehind: boolean
}

export interface FleetDone {
  /** The new number, where it changed. */
  scaled?: { from: number; to: number }
  againInMs?: number
  /** The error, where not all was done; the next time may succeed. */
  failure?: unknown
}

/** The workers of one pool. */
export interface Fleet {
  see(spec: FleetSpec): FleetView
  /** Brings it towards the wish, as far as it can at once. */
  set(wish: FleetWish): Promise<FleetDone>
}
