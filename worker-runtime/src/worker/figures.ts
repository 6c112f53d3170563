// What a worker adds up about the attempts of one queue, until its next heartbeat takes it to the queue's
// history (queue/lua/history.lua says what of it is kept). Pure.
import type { Outcome } from '../child/outcome.ts'
import { bucketOf } from '../queue/log-buckets.ts'

/** Names are a producer's choice: the tasks beyond these are added up as one. */
const MOST_TASKS = 100
const OTHERS = 'other'

interface Attempt {
  readonly task: string
  /** When its job could begin; absent where it is no first attempt. */
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

  /** For each task its name, then names and numbers in one text. They begin anew. */
  take(): string[] {
    const rows = [...this.#tasks].flatMap(([task, figures]) => [task, [...figures].flat().join(' ')])
    this.#tasks.clear()
    return rows
  }

  /** They were taken, and did not arrive. */
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
