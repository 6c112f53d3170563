// What the pages ask of a snapshot: a queue by its name, sums, what a queue is up to.
import type { JobRow, QueueNow, Snapshot } from '../../src/api.ts'
import { to } from './router.ts'
import { duration } from './time.ts'

export const keyOf = ({ namespace, name }: { namespace: string; name: string }): string =>
  `${namespace}/${name}`

export function queueOf(seen: Snapshot | undefined, key: string): QueueNow | undefined {
  return seen?.queues.find((queue) => keyOf(queue) === key)
}

/** The two parts of `namespace/name`. */
export function partsOf(key: string): [namespace: string, name: string] {
  const at = key.indexOf('/')
  return at < 0 ? ['', key] : [key.slice(0, at), key.slice(at + 1)]
}

/** The namespace only where there are several. */
export function shortName(queue: { namespace: string; name: string }, seen: Snapshot | undefined): string {
  const isOnly = seen?.queues.every(({ namespace }) => namespace === queue.namespace) ?? true
  return isOnly ? queue.name : keyOf(queue)
}

/** A job in a list, with its queue: ids are one job's in their queue only. */
export type ListedJob = JobRow & { queueKey: string; mark: string }

export const listed = (job: JobRow, queueKey: string): ListedJob => ({
  ...job,
  queueKey,
  mark: `${queueKey} ${job.id}`,
})

export const jobsOf = (queue: { namespace: string; name: string }, filter?: string): string =>
  to(['jobs'], { queue: keyOf(queue), f: filter })

export const jobHref = (namespace: string, queue: string, id: string): string =>
  to(['job', namespace, queue, id])

export const errorHref = (queue: string, group: string): string => to(['errors', ...partsOf(queue), group])

export type QueueMood = { word: string; tone: string; means: string }

/** In one word. */
export function moodOf({ numbers, unread }: QueueNow): QueueMood {
  if (unread) return { word: 'unreadable', tone: 'buried', means: unread.message }
  if (!numbers) return { word: 'not seen yet', tone: 'cancelled', means: 'Nobody has read it yet.' }
  if (numbers.isPaused)
    return { word: 'paused', tone: 'blocked', means: 'A person has paused it: no job starts.' }
  if (numbers.isSuspended)
    return { word: 'suspended', tone: 'blocked', means: 'Its TaskQueue suspends it: no job starts.' }
  if (numbers.restsMs !== undefined) {
    const left = duration(numbers.restsMs)
    return { word: 'resting', tone: 'blocked', means: `A task asked for a rest: no job starts for ${left}.` }
  }
  if (numbers.workers === 0 && numbers.ready > 0)
    return { word: 'no workers', tone: 'buried', means: 'Jobs wait and no worker serves it.' }
  if (numbers.busy > 0) return { word: 'working', tone: 'held', means: 'Workers run its jobs.' }
  if (numbers.ready > 0 && numbers.blocked >= numbers.ready)
    return { word: 'blocked', tone: 'blocked', means: 'The limits of their keys hold all its jobs back.' }
  if (numbers.ready > 0) return { word: 'waiting', tone: 'retrying', means: 'Jobs wait for a free slot.' }
  return { word: 'idle', tone: 'ready', means: 'There is nothing to run now.' }
}
