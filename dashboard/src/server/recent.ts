// The last hour of all queues together, for the small charts of the overview. Each queue is asked once in ten
// seconds, however many look, and never while nobody does.
import type { TaskQueueObject } from '@millhand/control/resources/task-queue'
import type { HistorySeries } from 'millhand/queue'
import { type History, MOST_ROWS } from '../api.ts'
import { keyOf, type Looks } from './looks.ts'

export interface RecentOptions {
  looks: Looks
  /** Monotonic, ms. */
  nowMs: () => number
}

const AMOUNTS: readonly string[] = ['completed', 'failed']
/** What can be added up over queues, and the age of the oldest of all. */
const SERIES = [
  'completed',
  'failed',
  'ready',
  'busy',
  'buried',
  'oldestMs',
] as const satisfies HistorySeries[]
const HOUR_MS = 3_600_000
const STEP_MS = 60_000
const FRESH_MS = 10_000

interface Kept {
  askedAtMs: number
  /** Undefined where the queue cannot be read. */
  history: Promise<History | undefined>
}

export class Recent {
  readonly #options: RecentOptions
  readonly #kept = new Map<string, Kept>()

  constructor(options: RecentOptions) {
    this.#options = options
  }

  /** `endMs`: by the clock of the server; queues may be in several Redis. */
  async together(queues: readonly TaskQueueObject[], endMs: number): Promise<History> {
    const fromMs = STEP_MS * Math.floor((endMs - HOUR_MS) / STEP_MS)
    this.#forgetOld()
    const each = await Promise.all(queues.slice(0, MOST_ROWS).map((queue) => this.#historyOf(queue, fromMs)))
    return addedUp(
      each.filter((history) => history !== undefined),
      fromMs,
    )
  }

  #historyOf(object: TaskQueueObject, fromMs: number): Promise<History | undefined> {
    const key = keyOf(object)
    const known = this.#kept.get(key)
    if (known) return known.history
    const { looks, nowMs } = this.#options
    const history = looks
      .queue(object)
      .then((queue) => queue.history({ series: SERIES, fromMs, stepMs: STEP_MS }))
      .catch(() => undefined)
    this.#kept.set(key, { askedAtMs: nowMs(), history })
    return history
  }

  #forgetOld(): void {
    const now = this.#options.nowMs()
    for (const [key, { askedAtMs }] of this.#kept) if (now - askedAtMs >= FRESH_MS) this.#kept.delete(key)
  }
}

/**
 * Pure. A step of which no queue knows anything is null, and so is an amount of the last step, which is not
 * over.
 */
export function addedUp(histories: readonly History[], fromMs: number): History {
  const times = Array.from({ length: HOUR_MS / STEP_MS + 1 }, (_, n) => fromMs + n * STEP_MS)
  const columns = SERIES.map((series) => {
    const known = histories.map((history) => valuesOf(history, series))
    const add = series === 'oldestMs' ? Math.max : (a: number, b: number) => a + b
    const isOver = (n: number) => n < times.length - 1 || !AMOUNTS.includes(series)
    const values = times.map((at, n) =>
      isOver(n) ? known.map((of) => of.get(at) ?? null).reduce((sum, n) => both(sum, n, add), null) : null,
    )
    return { series, values, total: values.reduce((sum, n) => both(sum, n, add), null) }
  })
  return { stepMs: STEP_MS, times, columns }
}

const both = (a: number | null, b: number | null, add: (a: number, b: number) => number): number | null =>
  a === null ? b : b === null ? a : add(a, b)

function valuesOf({ times, columns }: History, series: string): Map<number, number | null> {
  const values = columns.find((column) => column.series === series)?.values ?? []
  return new Map(times.map((at, n) => [at, values[n] ?? null]))
}
