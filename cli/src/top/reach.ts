// What the views of millhand top read from: the queues, and how they are called. Redis keeps no list of
// queues, so it is scanned, and seldom.
import { type Queue, RedisUnavailable } from 'millhand/queue'
import { partsOf, queuesThere } from '../queues-there.ts'
import type { Server } from '../server.ts'

export interface Reach {
  readonly server: Server
  nowMs(): number
  queues(): Promise<readonly Queue[]>
  /** Those that were found before. */
  known(): readonly Queue[]
  /** Its name; of another namespace with that. */
  label(queue: Queue): string
  /** By its label; throws an error with a message for a person. */
  queue(label: string): Queue
  /** The next look finds new queues. */
  lookAgain(): void
}

const LIST_EVERY_MS = 30_000
/** Listing takes at most a twentieth of the time. */
const REST_FACTOR = 20

export function reachOf(server: Server, names: readonly string[], nowMs: () => number): Reach {
  let found: readonly Queue[] = []
  let nextAtMs = 0
  const label = (queue: Queue) => {
    const { namespace, name } = partsOf(queue.name)
    return namespace === server.namespace ? name : queue.name
  }
  return {
    server,
    nowMs,
    async queues() {
      const startMs = performance.now()
      if (startMs < nextAtMs) return found
      found = await queuesThere(server, names)
      const tookMs = performance.now() - startMs
      nextAtMs = performance.now() + Math.max(LIST_EVERY_MS, REST_FACTOR * tookMs)
      return found
    },
    known: () => found,
    label,
    queue: (text) =>
      found.find((queue) => label(queue) === text || queue.name === text) ?? server.queue(text),
    lookAgain() {
      nextAtMs = 0
    },
  }
}

export interface Read<T> {
  readonly queue: Queue
  readonly value?: T
  /** Why this queue cannot be read; the others can. */
  readonly problem?: string
}

/** One queue with unreadable data hides no other one. Rejects with RedisUnavailable. */
export function readEach<T>(
  queues: readonly Queue[],
  read: (queue: Queue) => Promise<T>,
): Promise<Read<T>[]> {
  return Promise.all(
    queues.map((queue) =>
      read(queue).then(
        (value): Read<T> => ({ queue, value }),
        (error: unknown): Read<T> => {
          if (error instanceof RedisUnavailable) throw error
          return { queue, problem: error instanceof Error ? error.message : String(error) }
        },
      ),
    ),
  )
}
