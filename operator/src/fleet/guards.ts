// The pods that autoscalers of nodes should leave alone: those that have been busy for a while. So no node is
// removed under a long job, and none is kept for an idle worker. Pure; write.ts asks.
//
//   off ── busy for 30 s ──▶ on ── idle for 60 s, or empty and about to go ──▶ off        foreign: somebody else's, never touched
import { livePods } from '@millhand/control/world'
import type { FleetPod } from './pods.ts'

export interface GuardMemory {
  /** Pod UID → whether it is busy, and since when. */
  activities: ReadonlyMap<string, Activity>
  /** No guard is turned before. */
  restsUntilMs: number
}

interface Activity {
  isBusy: boolean
  sinceMs: number
}

export interface GuardPlan {
  /** Their guard goes from off to on, or from on to off. */
  turned: ReadonlySet<FleetPod>
  /** Until the next one is due, or it can be seen that these were turned; Infinity when none will be. */
  againInMs: number
  memory: GuardMemory
}

interface Seen {
  pods: readonly FleetPod[]
  isBusy: (pod: FleetPod) => boolean
  /** Pods that hold nothing, get nothing, and go next. */
  empty: ReadonlySet<FleetPod>
  memory: GuardMemory
  nowMs: number
}

const BUSY_FOR_MS = 30_000
const IDLE_FOR_MS = 60_000
/** Guards written at once; the others wait, since no guard is urgent. */
const AT_ONCE = 20
const REST_MS = 1_000

export const noGuardMemory: GuardMemory = { activities: new Map(), restsUntilMs: Number.NEGATIVE_INFINITY }

export function planGuards({ pods, isBusy, empty, memory, nowMs }: Seen): GuardPlan {
  const activities = new Map<string, Activity>()
  const coming: { pod: FleetPod; inMs: number }[] = []
  for (const pod of livePods(pods)) {
    const before = memory.activities.get(pod.uid)
    const now = { isBusy: isBusy(pod), sinceMs: nowMs }
    const activity = before?.isBusy === now.isBusy ? before : now
    activities.set(pod.uid, activity)
    if (pod.guard === (activity.isBusy ? 'off' : 'on'))
      coming.push({ pod, inMs: turnsAtMs(activity) - nowMs })
  }
  const isResting = nowMs < memory.restsUntilMs
  const due = isResting ? [] : coming.filter(({ inMs }) => inMs <= 0).slice(0, AT_ONCE)
  // After a refusal by a policy no guard is turned for a while; the pace alone does not count as one.
  const isRefused = memory.restsUntilMs - nowMs > REST_MS
  const leaving = isRefused ? [] : [...empty].filter(({ guard }) => guard === 'on')
  const restsUntilMs = due.length > 0 ? nowMs + REST_MS : memory.restsUntilMs
  return {
    turned: new Set([...due.map(({ pod }) => pod), ...leaving]),
    againInMs: Math.min(...coming.map(({ inMs }) => Math.max(inMs, restsUntilMs - nowMs))),
    memory: { activities, restsUntilMs },
  }
}

function turnsAtMs({ isBusy, sinceMs }: Activity): number {
  return sinceMs + (isBusy ? BUSY_FOR_MS : IDLE_FOR_MS)
}
