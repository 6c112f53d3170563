// The calls of handles (job-handle.ts, flow-run.ts), which are all safe to repeat.
import { startDeadline } from '../deadline.ts'
import type { Queue } from '../queue/queue.ts'
import { mayPass } from './result.ts'

/** Repeats the call until the deadline, on a new connection where this one is dead. */
export async function askUntilDeadline<T>(
  ask: () => Promise<T>,
  { redis }: Queue,
  { deadlineMs, isClosed }: { deadlineMs: number; isClosed: () => boolean },
): Promise<T> {
  let isOver = false
  let stop: (() => void) | undefined
  try {
    for (;;) {
      const beganAtMs = performance.now()
      try {
        return await ask()
      } catch (error) {
        if (isOver || isClosed() || !mayPass(error)) throw error
        const spentMs = Math.min(performance.now() - beganAtMs, redis.deadlineMs)
        stop ??= startDeadline(deadlineMs - spentMs, () => {
          isOver = true
        })
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }
  } finally {
    stop?.()
  }
}
