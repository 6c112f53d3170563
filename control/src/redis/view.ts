// What was last seen of a queue in Redis, and what it means for a pool that serves it.
import type { Depth, Queue, WorkerEntry } from 'millhand/queue'
import { type Measured, measure, rateOf } from '../decide/rates.ts'
import type { QueueLoad } from '../decide/replicas.ts'

export interface QueueView {
  depth: Depth
  workers: readonly WorkerEntry[]
  /** Jobs of the depth that are held, and were not yet when the workers were read. */
  claimedBetween: number
  measured: Measured
  atMs: number
}

/** Two round trips. */
export async function lookAt(queue: Queue, before: QueueView | undefined, nowMs: number): Promise<QueueView> {
  // The other way round a job that is claimed in between would be in both, and start a worker for nothing.
  const workers = await queue.workers()
  const depth = await queue.depth()
  const { enqueued, completed, retried, buried, cancelled, expired } = depth.counts
  const counters = { enqueued, ended: completed + retried + buried + cancelled + expired, busy: depth.busy }
  const held = workers.reduce((sum, worker) => sum + worker.held, 0)
  // A counter that another program changed must not keep workers for ever.
  const most = before ? depth.counts.claimed - before.depth.counts.claimed : 0
  const claimedBetween = Math.max(0, Math.min(depth.busy - held, most))
  return { depth, workers, claimedBetween, measured: measure(before?.measured, counters, nowMs), atMs: nowMs }
}

/**
 * `share`: the part of the ready jobs that is this pool's to run. No worker is seen to hold what was claimed in
 * between: these jobs count as ready for this look.
 */
export function loadOfQueue({ depth, claimedBetween, measured }: QueueView, share: number): QueueLoad {
  const { blocked, maxBusy, startsPerSecond, suspended, paused, restsMs } = depth
  const rate = rateOf(measured)
  return {
    ready: depth.ready + claimedBetween,
    ...(blocked > 0 && { blocked }),
    busy: depth.busy - claimedBetween,
    ...(maxBusy !== undefined && { maxBusy }),
    ...(startsPerSecond !== undefined && { startsPerSecond }),
    isStopped: suspended || paused || restsMs !== undefined,
    ...(restsMs !== undefined && !suspended && !paused && { isResting: true }),
    share,
    ...(rate && { rate }),
  }
}
