// What rests that tasks ask for (RetryAfter) cost the API server: one may begin, end or be prolonged every second.
import { planTaskQueue } from '../../../control/src/decide/queue.ts'
import type { TaskQueueStatus } from '../../../control/src/resources/task-queue.ts'
import type { WorkerPoolStatus } from '../../../control/src/resources/worker-pool.ts'
import { noJobs } from '../../no-jobs.ts'
import { memoryOf, NOW, observed, planWorkerPool, queueOf } from '../../operator/worker-pool/observed.ts'
import { queue } from './mail-queue.ts'

const TEN_MINUTES_S = 600
const LOOK_EVERY_S = 2
/** For how long the queue rests still, at this second of the hour; and how many writes that may cost in ten minutes. */
const RESTS: [string, number, (second: number) => number | undefined][] = [
  ['that is prolonged every second', 11, () => 90_000],
  ['that stands still, seen a little late', 1, (second) => 7_200_000 - second * 1_000 + (second % 7) * 20],
  ['that begins every 20 seconds', 40, (second) => (second % 20 < 10 ? 10_000 : undefined)],
  ['that begins every four seconds', 40, (second) => (second % 4 === 0 ? 2_000 : undefined)],
]

describe.each(RESTS)('a rest %s', (_what, most, restsAt) => {
  test(`is written into the status of a TaskQueue at most ${most} times in ten minutes, and no Event`, () => {
    let status: TaskQueueStatus | undefined
    let writes = 0
    for (let second = -20; second < TEN_MINUTES_S; second += LOOK_EVERY_S) {
      const restsMs = second < 0 ? undefined : restsAt(second)
      const depth = { ...noJobs, ...(restsMs !== undefined && { restsMs }) }
      const view = { depth, workers: [], claimedBetween: 0, measured: {} as never, atMs: 0 }
      const seen = { queue, generation: 1, status, redis: { kind: 'open', view, server: 'unknown' } as const }
      const planned = planTaskQueue(seen, NOW + second * 1_000)
      if (second >= 0) expect(planned.events).toEqual([])
      if (second >= 0 && planned.status) writes += 1
      status = planned.status ?? status
    }
    expect(writes).toBeGreaterThan(0)
    expect(writes).toBeLessThanOrEqual(most)
  })

  test('is written into the status of a WorkerPool at most 40 times in ten minutes', () => {
    let status: WorkerPoolStatus | undefined
    let memory = memoryOf()
    let writes = 0
    for (let second = -20; second < TEN_MINUTES_S; second += LOOK_EVERY_S) {
      const isResting = second >= 0 && restsAt(second) !== undefined
      const queues = [queueOf(isResting ? { isStopped: true, isResting } : {})]
      const nowMs = NOW + second * 1_000
      const planned = planWorkerPool(observed({ queues, status, memory }), { nowMs, wallMs: nowMs })
      if (second >= 0 && planned.status) writes += 1
      memory = { ...planned.memory, ...(planned.status && { statusWrittenAtMs: nowMs }) }
      status = planned.status ?? status
    }
    expect(writes).toBeGreaterThan(0)
    expect(writes).toBeLessThanOrEqual(40)
  })
})
