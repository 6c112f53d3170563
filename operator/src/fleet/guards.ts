// Which pods the autoscalers of nodes are asked to leave alone: those at work for a while, so that no node is taken away under a long job,
// and none is kept for an idle worker. Pure; write.ts asks.
//
//   off ── busy for 30 s ──▶ on ── idle for 60 s, or empty and about to go ──▶ off        foreign: somebody else's, never touched
import { livePods } from '@millhand/control/world'
import type { FleetPod } from './pods.ts'

export interface GuardMemory {
  /** Pod UID → what it does, and since when as far as was seen. */
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
  /** They hold nothing, get nothing, and go next. */
  empty: ReadonlySet<FleetPod>
  memory: GuardMemory
  nowMs: number
}

const BUSY_FOR_MS = 30_000
const IDLE_FOR_MS = 60_000
/** Of a thousand pods that become busy at once some wait a while: nothing about a guard is urgent. */
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
  // Our own pace does not keep them; a policy that refuses to turn guards would refuse it again.
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
