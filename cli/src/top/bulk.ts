// Many jobs at once in millhand top: rows are marked, or all that match the filter, and R, C and D mean them. What is done is an
// action of the queue, as of the commands and the dashboard, and a deletion can be undone.
import { parseFilter, type Queue } from 'millhand/queue'
import { whoami } from '../filtered-jobs.ts'
import { counted } from '../units.ts'
import { JOB_DEEDS, type JobDeed, jobDeeds } from './deeds.ts'
import type { Deed, Question, ViewKey } from './view.ts'

/** From so many jobs on their number is typed. */
const MANY = 1_000
const COUNT_WITHIN_MS = 2_000
const UNDO_WITHIN_MS = 60_000
const REASON = 'in millhand top'

interface Options {
  readonly queue: Queue
  readonly label: string
  nowMs(): number
  /** Ids of the rows that are shown. */
  shown(): readonly string[]
  /** Of all the rows on all windows. */
  filter(): string
}

/** Which jobs are meant; the view shows it. */
export class Marks {
  readonly #options: Options
  readonly #ids = new Set<string>()
  #areAll = false
  #deletion: { id: string; done: number; atMs: number } | undefined

  constructor(options: Options) {
    this.#options = options
  }

  has(id: string): boolean {
    return this.#areAll || this.#ids.has(id)
  }

  clear(): void {
    this.#ids.clear()
    this.#areAll = false
  }

  get text(): string {
    if (this.#areAll) return ' · all that match are marked'
    return this.#ids.size > 0 ? ` · ${this.#ids.size} marked` : ''
  }

  get keys(): ViewKey[] {
    const { queue, label, nowMs, shown } = this.#options
    const isAny = this.#areAll || this.#ids.size > 0
    const undone =
      this.#deletion && nowMs() - this.#deletion.atMs < UNDO_WITHIN_MS ? this.#deletion : undefined
    return [
      { key: 'x', label: 'mark the job, or take its mark away', mark: (row) => row && this.#toggle(row.key) },
      { key: 'X', label: 'mark all that are shown', mark: () => this.#mark(shown()) },
      { key: 'A', label: 'mark all that match, on all windows', mark: () => this.#markAll() },
      ...(isAny ? [{ key: 'esc', label: 'take the marks away', mark: () => this.clear() }] : []),
      ...(undone ? [{ key: 'U', label: 'undo the deletion', deed: this.#undo(undone) }] : []),
      ...(isAny ? JOB_DEEDS.map((deed) => this.#keyOf(deed)) : jobDeeds(queue, label)),
    ]
  }

  #toggle(id: string): void {
    this.#areAll = false
    if (!this.#ids.delete(id)) this.#ids.add(id)
  }

  #mark(ids: readonly string[]): void {
    this.#areAll = false
    for (const id of ids) this.#ids.add(id)
  }

  #markAll(): void {
    this.clear()
    this.#areAll = true
  }

  #keyOf(deed: JobDeed): ViewKey {
    return { key: deed.key, label: `${deed.verb} all that are marked`, deed: this.#deed(deed) }
  }

  #deed({ verb, many }: JobDeed): Deed {
    const { queue, label, nowMs, filter } = this.#options
    const asked = this.#areAll
      ? { filter: parseFilter(filter(), nowMs()) }
      : { filter: { terms: [] }, ids: [...this.#ids] }
    let total = 0
    return {
      question: async (): Promise<Question> => {
        if ('ids' in asked) {
          total = asked.ids.length
          return questionOf(`${verb} ${counted(total, 'marked job')} of ${label}?`, total)
        }
        const { count, isExact } = await queue.actions.count(
          { verb, ...asked },
          { withinMs: COUNT_WITHIN_MS },
        )
        if (count === 0) throw new Error(`no job that matches can be ${many}`)
        total = count
        const number = `${isExact ? '' : 'at least '}${counted(count, 'job')}`
        return questionOf(`${verb} ${number} of ${label} that match ${filter() || 'no filter'}?`, count)
      },
      act: async () => {
        const id = await queue.actions.create({ verb, ...asked, who: whoami(), reason: REASON, total })
        this.clear()
        const { done, skipped, failed, state } = await queue.actions.run(id)
        if (verb === 'delete' && done > 0) this.#deletion = { id, done, atMs: nowMs() }
        // Of named jobs only those in a state that fits are the action's business.
        const left = 'ids' in asked ? total - done : skipped + failed
        const others = left > 0 ? `; ${left} ${left === 1 ? 'was' : 'were'} left alone` : ''
        const undo = verb === 'delete' && done > 0 ? '; U undoes it within a minute' : ''
        const end = state === 'done' ? '' : `; the action is ${state}`
        return `${counted(done, 'job')} ${done === 1 ? 'is' : 'are'} ${many}${others}${undo}${end}`
      },
    }
  }

  #undo({ id, done }: { id: string; done: number }): Deed {
    return {
      question: () => `bring ${counted(done, 'deleted job')} back?`,
      act: async () => {
        const restored = await this.#options.queue.actions.undo(id)
        this.#deletion = undefined
        return `${counted(restored, 'job')} ${restored === 1 ? 'is' : 'are'} back`
      },
    }
  }
}

const questionOf = (text: string, count: number): Question =>
  count > MANY ? { text, typed: String(count) } : { text }
