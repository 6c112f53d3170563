// The events of queues for those who watch: one reader for each queue, however many watch it, and none where
// nobody does. The last events stay in memory, so that a viewer that comes back goes on where it was.
import { type Log, type Queue, type QueueEvent, QueueRefused, reasonOf } from 'millhand/queue'
import { frameOf, type Viewer } from './viewers.ts'

interface Kept {
  event: QueueEvent
  frame: Buffer
}

interface Feed {
  viewers: Set<Viewer>
  kept: Kept[]
  stop: AbortController
}

const MOST_KEPT = 500

export class Feeds {
  readonly #log: Log
  readonly #feeds = new Map<string, Feed>()

  constructor(log: Log) {
    this.#log = log
  }

  /** `lastEventId`: '' for what happens from now on. */
  join(queue: Queue, viewer: Viewer, lastEventId: string): void {
    const feed = this.#feeds.get(queue.name) ?? this.#begin(queue, lastEventId)
    feed.viewers.add(viewer)
    viewer.begin()
    if (lastEventId !== '')
      for (const { event, frame } of feed.kept)
        if (isLater(event.id, lastEventId)) void viewer.sendEvent(frame)
    void viewer.closed.then(() => this.#leave(queue.name, feed, viewer))
  }

  close(): void {
    for (const { stop } of this.#feeds.values()) stop.abort()
    this.#feeds.clear()
  }

  #begin(queue: Queue, lastEventId: string): Feed {
    const feed: Feed = { viewers: new Set(), kept: [], stop: new AbortController() }
    this.#feeds.set(queue.name, feed)
    void this.#read(queue, feed, lastEventId)
    return feed
  }

  async #read(queue: Queue, feed: Feed, lastEventId: string): Promise<void> {
    const { signal } = feed.stop
    try {
      const after = lastEventId === '' ? {} : { after: lastEventId }
      for await (const event of queue.events({ ...after, signal })) {
        const frame = frameOf('change', event, event.id)
        feed.kept.push({ event, frame })
        if (feed.kept.length > MOST_KEPT) feed.kept.shift()
        for (const viewer of feed.viewers) void viewer.sendEvent(frame)
      }
    } catch (error) {
      const isForeseen = error instanceof QueueRefused
      if (!isForeseen)
        this.#log.warn('cannot read the events of a queue', { queue: queue.name, error: reasonOf(error) })
      this.#feeds.delete(queue.name)
      const code = isForeseen ? error.code : 'EVENTS_FAIL'
      for (const viewer of feed.viewers) viewer.end(code, reasonOf(error))
    }
  }

  #leave(key: string, feed: Feed, viewer: Viewer): void {
    feed.viewers.delete(viewer)
    if (feed.viewers.size > 0) return
    feed.stop.abort()
    if (this.#feeds.get(key) === feed) this.#feeds.delete(key)
  }
}

/** Ids are `<ms>-<number>`. */
function isLater(id: string, other: string): boolean {
  const [ms = 0, number = 0] = id.split('-').map(Number)
  const [otherMs = 0, otherNumber = 0] = other.split('-').map(Number)
  return ms === otherMs ? number > otherNumber : ms > otherMs
}
