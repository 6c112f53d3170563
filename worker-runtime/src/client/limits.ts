// Limits of the keys of a queue, as a program gives them while jobs run.
import type { Queue } from '../queue/queue.ts'
import type { KeyLimits } from '../queue/settings.ts'

export type { KeyLimits, Rate, WhenAtLimit } from '../queue/settings.ts'

/** Limits that win over those of the TaskQueue while jobs run. */
export interface QueueLimits {
  /** At once, also for jobs that wait. Throws TypeError for an invalid key or limit. */
  set(key: string | undefined, limits: KeyLimits): Promise<void>
  /** The limits of the TaskQueue are valid again. Answers whether there were others. */
  remove(key: string | undefined): Promise<boolean>
  /** What was given; that of the whole queue has no key. */
  list(): Promise<{ key?: string; limits: KeyLimits }[]>
}

export const limitsOf = (queue: Queue): QueueLimits => ({
  set: (key, limits) => queue.setLimits(key, limits),
  remove: (key) => queue.removeLimits(key),
  list: () => queue.listLimits(),
})
