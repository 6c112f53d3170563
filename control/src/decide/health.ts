// The health of a pool's pods: which ones work, what the others lack, and whether that may pass by itself.
// Pure. findings.ts makes conditions of it.
import { POD_REASONS } from '../resources/reasons.ts'
import { livePods, type Trouble, type WorkerPod } from '../world.ts'
import type { ObservedPool } from './observed.ts'

export interface Health {
  live: number
  /** Pods that are ready and, as far as Redis can be read, registered there. */
  working: number
  /** Of these, the ones with the template that is rolled out. */
  workingCurrent: number
  /** The worst trouble of pods with that template. */
  trouble?: Trouble
  /** Why the API server creates no pods. */
  refused?: string
  /** No pod has become ready for longer than the pool allows. */
  stuck?: string
}

export interface HealthInput {
  /** How many pods there should be. */
  replicas: number
  /** Pod UID → since when it is ready and no worker of it is registered, by the monotonic clock. */
  silent: ReadonlyMap<string, number>
  nowMs: number
  /** The wall clock, for times of the API server and the nodes. */
  wallMs: number
}

/** Starting and registering takes a few seconds; a longer time is reported. */
const REGISTERS_WITHIN_MS = 30_000

export function healthOf(observed: ObservedPool, input: HealthInput): Health {
  const { fleet } = observed
  const live = livePods(fleet.pods)
  const current = live.filter(({ isCurrent }) => isCurrent)
  const works = ({ uid, isReady }: WorkerPod) => isReady && !isSilent(uid, input)
  const workingCurrent = current.filter(works).length
  const trouble = current
    .flatMap((pod) => troubleOf(pod, observed, input) ?? [])
    .sort((a, b) => POD_REASONS.indexOf(a.reason) - POD_REASONS.indexOf(b.reason))[0]
  const refused = current.length < input.replicas ? fleet.refused : undefined
  const stuck = whyStuck(observed, workingCurrent === 0 ? current : [], input)
  return {
    live: live.length,
    working: live.filter(works).length,
    workingCurrent,
    ...(trouble && { trouble }),
    ...(refused && { refused }),
    ...(stuck && { stuck }),
  }
}

const isSilent = (uid: string, { silent, nowMs }: HealthInput) =>
  nowMs - (silent.get(uid) ?? nowMs) > REGISTERS_WITHIN_MS

function troubleOf(pod: WorkerPod, { fleet }: ObservedPool, input: HealthInput): Trouble | undefined {
  if (pod.trouble) return pod.trouble
  const { never, noMore, remedy } = fleet.unregistered(pod.name)
  const seconds = REGISTERS_WITHIN_MS / 1_000
  const told = (what: string, why: string): Trouble => ({
    reason: 'WorkersNotRegistered',
    message: `${what}: ${why}. ${remedy}`,
    isLasting: false,
  })
  if (pod.isReady)
    return isSilent(pod.uid, input)
      ? told(`the worker of pod ${pod.name} has not been registered in Redis for ${seconds} s`, noMore)
      : undefined
  const { unregisteredSinceMs = input.wallMs } = pod
  if (input.wallMs - unregisteredSinceMs <= REGISTERS_WITHIN_MS) return undefined
  return told(`pod ${pod.name} runs and its worker did not register within ${seconds} s`, never)
}

/**
 * Kubernetes measures rollouts. The rollout of a pool without pods is complete at once; pods that scaling
 * adds are measured here.
 */
function whyStuck(
  { fleet, pool }: ObservedPool,
  waiting: readonly WorkerPod[],
  { replicas, wallMs }: HealthInput,
): string | undefined {
  if (fleet.stuck !== undefined) return fleet.stuck
  const { progressDeadlineMs } = pool.rollout
  const oldestMs = Math.min(...waiting.map(({ startedAtMs }) => startedAtMs))
  if (replicas === 0 || waiting.length === 0 || wallMs - oldestMs <= progressDeadlineMs) return undefined
  return `no pod became ready within ${progressDeadlineMs / 1000} s`
}
