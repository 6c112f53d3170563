// The last hour of all queues together, for the small charts of the overview. At most 200 queues are asked in ten
// seconds, however many look, those that were asked longest ago first; and none while nobody looks.
import type { TaskQueueObject } from '@millhand/control/resources/task-queue'
import type { HistorySeries } from 'millhand/queue'
import { type History, MOST_ROWS, type RecentHistory } from '../api.ts'
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
/** While it is not looked at. */
const FORGOTTEN_AFTER_MS = 60_000

interface Kept {
  askedAtMs: number
  wantedAtMs: number
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
  async together(queues: readonly TaskQueueObject[], endMs: number): Promise<RecentHistory> {
    const fromMs = STEP_MS * Math.floor((endMs - HOUR_MS) / STEP_MS)
    const now = this.#options.nowMs()
    this.#forgetOld(now)
    for (const queue of this.#due(queues, now)) this.#ask(queue, fromMs, now)
    const kept = queues.flatMap((queue) => this.#kept.get(keyOf(queue)) ?? [])
    for (const each of kept) each.wantedAtMs = now
    const each = await Promise.all(kept.map(({ history }) => history))
    const known = each.filter((history) => history !== undefined)
    return { ...addedUp(known, fromMs), queues: known.length }
  }

  /** Those that are not fresh, the oldest first, as far as the bound of these ten seconds allows. */
  #due(queues: readonly TaskQueueObject[], now: number): TaskQueueObject[] {
    const askedAtMs = (queue: TaskQueueObject) => this.#kept.get(keyOf(queue))?.askedAtMs ?? 0
    const isFresh = (atMs: number) => now - atMs < FRESH_MS
    const asked = [...this.#kept.values()].filter(({ askedAtMs }) => isFresh(askedAtMs)).length
    return queues
      .filter((queue) => !this.#kept.has(keyOf(queue)) || !isFresh(askedAtMs(queue)))
      .sort((a, b) => askedAtMs(a) - askedAtMs(b))
      .slice(0, Math.max(0, MOST_ROWS - asked))
  }

  #ask(object: TaskQueueObject, fromMs: number, now: number): void {
    const history = this.#options.looks
      .queue(object)
      .then((queue) => queue.history({ series: SERIES, fromMs, stepMs: STEP_MS }))
      .catch(() => undefined)
    this.#kept.set(keyOf(object), { askedAtMs: now, wantedAtMs: now, history })
  }

  #forgetOld(now: number): void {
    for (const [key, { wantedAtMs }] of this.#kept)
      if (now - wantedAtMs >= FORGOTTEN_AFTER_MS) this.#kept.delete(key)
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
