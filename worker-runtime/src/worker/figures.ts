// The figures of the attempts of one queue, added up until the next heartbeat sends them to the history of
// the queue (queue/lua/history.lua says what it keeps). Pure.
import type { Outcome } from '../child/outcome.ts'
import { bucketOf } from '../queue/log-buckets.ts'

/** Producers choose task names, so the tasks beyond this number are added up as one. */
const MOST_TASKS = 100
const OTHERS = 'other'

interface Attempt {
  readonly task: string
  /** When its job could start; only for first attempts. */
  readonly readyAtMs?: number | undefined
  readonly outcome: Outcome
}

export class Figures {
  readonly #tasks = new Map<string, Map<string, number>>()

  /** An attempt has ended. */
  ended({ task, readyAtMs, outcome: { kind, facts } }: Attempt): void {
    this.#add(task, kind === 'succeeded' ? 'completed' : kind, 1)
    if (kind === 'could-not-start') return
    this.#time(task, 'run', facts.durationMs)
    if (readyAtMs !== undefined) this.#time(task, 'wait', facts.startedAtMs - readyAtMs)
  }

  /** For each task its name, then names and numbers in one text. All figures start again at 0. */
  take(): string[] {
    const rows = [...this.#tasks].flatMap(([task, figures]) => [task, [...figures].flat().join(' ')])
    this.#tasks.clear()
    return rows
  }

  /** Adds taken figures again that did not reach Redis. */
  giveBack(rows: readonly string[]): void {
    for (let i = 0; i < rows.length; i += 2)
      for (const [, name = '', n] of (rows[i + 1] ?? '').matchAll(/(\S+) (\d+)/g))
        this.#add(rows[i] ?? '', name, Number(n))
  }

  #time(task: string, what: 'run' | 'wait', ms: number): void {
    const time = Math.max(0, Math.round(ms))
    this.#add(task, `${what}:${bucketOf(time)}`, 1)
    this.#add(task, `${what}Ms`, time)
  }

  #add(name: string, figure: string, by: number): void {
    const task = this.#tasks.has(name) || this.#tasks.size < MOST_TASKS ? name : OTHERS
    const figures = this.#tasks.get(task) ?? new Map<string, number>()
    this.#tasks.set(task, figures)
    figures.set(figure, (figures.get(figure) ?? 0) + by)
  }
}
