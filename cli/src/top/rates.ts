// How fast counters of queues grow, over the last looks (pure).

interface Sample {
  readonly atMs: number
  readonly enqueued: number
  readonly completed: number
}

/** Long enough to be steady, short enough to follow what happens. */
const OVER_MS = 10_000

export class Rates {
  readonly #samples = new Map<string, readonly Sample[]>()

  /** undefined at the first look, and where counters went back: Redis did, or the queue is another one. */
  of(
    queue: string,
    { enqueued, completed }: { enqueued: number; completed: number },
    atMs: number,
  ): { enqueuedPerSecond: number | undefined; completedPerSecond: number | undefined } {
    const last = { atMs, enqueued, completed }
    const before = this.#samples.get(queue) ?? []
    // The newest one that is old enough stays, to have a whole span.
    const kept = before.filter((_, at) => (before[at + 1]?.atMs ?? atMs) > atMs - OVER_MS)
    const [first] = kept
    const isBack = first !== undefined && (first.enqueued > enqueued || first.completed > completed)
    this.#samples.set(queue, isBack ? [last] : [...kept, last])
    const seconds = first && !isBack ? (atMs - first.atMs) / 1_000 : 0
    const rate = (now: number, then = 0) => (seconds > 0 ? (now - then) / seconds : undefined)
    return {
      enqueuedPerSecond: rate(enqueued, first?.enqueued),
      completedPerSecond: rate(completed, first?.completed),
    }
  }
}

export function rateText(perSecond: number | undefined): string {
  if (perSecond === undefined) return '-'
  return perSecond > 0 && perSecond < 10 ? perSecond.toFixed(1) : String(Math.round(perSecond))
}
