// What was last seen of a queue in Redis, and what it means for a pool that serves it.
import type { Depth, Queue, WorkerEntry } from 'millhand/queue'
import { type Measured, measure, rateOf } from '../decide/rates.ts'
import type { QueueLoad } from '../decide/replicas.ts'

export interface QueueView {
  depth: Depth
  workers: readonly WorkerEntry[]
  measured: Measured
  atMs: number
}

/** Two round trips. */
export async function lookAt(queue: Queue, before: QueueView | undefined, nowMs: number): Promise<QueueView> {
  // In this order a job that is claimed in between is in neither, for one look; the other way round it would
  // be in both, and start a worker for nothing.
  const workers = await queue.workers()
  const depth = await queue.depth()
  const { enqueued, completed, retried, buried, cancelled, expired } = depth.counts
  const counters = { enqueued, ended: completed + retried + buried + cancelled + expired, busy: depth.busy }
  return { depth, workers, measured: measure(before?.measured, counters, nowMs), atMs: nowMs }
}

/** `share`: the part of the ready jobs that is this pool's to run. */
export function loadOfQueue({ depth, measured }: QueueView, share: number): QueueLoad {
  const { ready, blocked, busy, maxBusy, startsPerSecond, suspended, paused, restsMs } = depth
  const rate = rateOf(measured)
  return {
    ready,
    ...(blocked > 0 && { blocked }),
    busy,
    ...(maxBusy !== undefined && { maxBusy }),
    ...(startsPerSecond !== undefined && { startsPerSecond }),
    isStopped: suspended || paused || restsMs !== undefined,
    share,
    ...(rate && { rate }),
  }
}
