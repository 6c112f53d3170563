// Chooses the workers that go when a pool becomes smaller. Pure. A victim is drained and stopped only when it
// holds nothing, so a busy one may be chosen: it finishes its jobs and claims nothing new.

export interface Candidate {
  /** The UID of the pod, or of the process where there are no pods. */
  podUid: string
  /** Jobs it holds in all queues. */
  held: number
  startedAtMs: number
  /** A ReplicaSet removes unready pods first, whatever is chosen here. */
  isReady?: boolean
  /** Chosen before, and not yet gone. */
  isDraining: boolean
}

/**
 * Idle workers first, of these unready ones, then those that drain already, so that a choice is kept, then
 * the youngest.
 */
export function chooseVictims(candidates: readonly Candidate[], count: number): string[] {
  return [...candidates]
    .sort(byReadinessToGo)
    .slice(0, Math.max(0, count))
    .map((candidate) => candidate.podUid)
}

function byReadinessToGo(a: Candidate, b: Candidate): number {
  return (
    Number(a.held > 0) - Number(b.held > 0) ||
    Number(a.isReady ?? true) - Number(b.isReady ?? true) ||
    Number(b.isDraining) - Number(a.isDraining) ||
    b.startedAtMs - a.startedAtMs ||
    a.podUid.localeCompare(b.podUid)
  )
}
