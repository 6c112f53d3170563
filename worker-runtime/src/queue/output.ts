// Live output of a job: who looks subscribes to a channel of the job and tells its worker every few seconds,
// which sends lines so long. Nothing is stored, and nothing is sent for a job at which nobody looks.
import type { Connection } from '../redis/connection.ts'
import { amountOf, oneOf } from './answers.ts'
import { outputChannel } from './keys.ts'
import { JOB_STATES, type JobState } from './reads.ts'
import type { Verbs } from './verbs.ts'

/** A worker sends lines for so long after somebody said last that he looks. */
export const FOLLOWED_FOR_MS = 15_000
const SAY_EVERY_MS = 5_000
/** How soon the next attempt of a job that waits is seen. */
const WAITS_MS = 500
/** They come on another connection than the state of the job. */
const LAST_LINES_MS = 100
/** The most that wait for a slow reader; the oldest are dropped. */
const MOST_LINES = 5_000
const MAX_LINE = 2_000
const MAX_BATCH = 500

export interface OutputLine {
  readonly attempt: number
  readonly stream: 'stdout' | 'stderr'
  readonly line: string
  /** By the clock of the worker. */
  readonly atMs: number
}

/** Lines of one attempt on their way: what a worker sends at once. */
export interface OutputBatch {
  readonly attempt: number
  readonly lines: readonly (readonly [stream: 'o' | 'e', atMs: number, line: string])[]
  /** So many lines were left out before these. */
  readonly dropped: number
  /** The attempt has ended. */
  readonly isOver: boolean
}

export type OutputEvent =
  | ({ readonly kind: 'line' } & OutputLine)
  /** Too many came at once. */
  | { readonly kind: 'dropped'; readonly lines: number }
  /** Of the job, whenever it changes: a job that waits is followed until an attempt begins. */
  | { readonly kind: 'state'; readonly state: JobState }

export interface OutputOptions {
  /** A connection that calls nothing: it subscribes. */
  readonly messages: Connection
  /** Ends the iteration. */
  readonly signal?: AbortSignal
}

/**
 * The last lines of a running job, then each new one; over its next attempts too. Ends when the job has
 * ended, is buried or is not known. Lines may be missing after Redis was away.
 */
async function* output(
  verbs: Verbs,
  id: string,
  { messages, signal }: OutputOptions,
): AsyncGenerator<OutputEvent, void, undefined> {
  const inbox = new Inbox()
  const channel = outputChannel(verbs.name, verbs.redis.database, id)
  const stop = await messages.subscribe(channel, (message) => inbox.put(message))
  signal?.addEventListener('abort', inbox.wake)
  try {
    let known: JobState | undefined
    while (!signal?.aborted) {
      const state = oneOf(await verbs.run('follow', [id]), 'the state of a job', JOB_STATES)
      if (state !== known) yield { kind: 'state', state }
      known = state
      const isOver = state !== 'held' && state !== 'ready' && state !== 'delayed'
      const lookAfterMs = isOver ? LAST_LINES_MS : state === 'held' ? SAY_EVERY_MS : WAITS_MS
      yield* inbox.untilNews(lookAfterMs, signal)
      if (isOver) return
    }
  } finally {
    signal?.removeEventListener('abort', inbox.wake)
    stop()
  }
}

/** For a worker: sends lines to those who look. Answers how many do. */
async function tellOutput(verbs: Verbs, id: string, batch: OutputBatch): Promise<number> {
  return amountOf(await verbs.run('output', [id, JSON.stringify(batch)]), 'who looks at a job')
}

export const showing = { output, tellOutput }

/** What has come and was not read yet. */
class Inbox {
  #events: OutputEvent[] = []
  #dropped = 0
  /** An attempt has ended: the job has another state, or will have. */
  #isNews = false
  #onMore = () => {}

  readonly wake = (): void => this.#onMore()

  put(message: string): void {
    const batch = batchOf(message)
    if (!batch) return
    const { attempt, lines, dropped, isOver } = batch
    if (dropped > 0) this.#events.push({ kind: 'dropped', lines: dropped })
    for (const [stream, atMs, line] of lines)
      this.#events.push({ kind: 'line', attempt, stream: stream === 'o' ? 'stdout' : 'stderr', line, atMs })
    const excess = this.#events.length - MOST_LINES
    if (excess > 0) this.#dropped += this.#events.splice(0, excess).length
    this.#isNews ||= isOver
    this.#onMore()
  }

  /** What comes in this time; less where an attempt ends meanwhile. */
  async *untilNews(withinMs: number, signal: AbortSignal | undefined): AsyncGenerator<OutputEvent> {
    const untilMs = performance.now() + withinMs
    for (;;) {
      yield* this.#take()
      const leftMs = untilMs - performance.now()
      if (leftMs <= 0 || this.#isNews || signal?.aborted) break
      await this.#more(leftMs)
    }
    if (this.#isNews) await this.#more(LAST_LINES_MS)
    this.#isNews = false
    yield* this.#take()
  }

  #take(): OutputEvent[] {
    const lost: OutputEvent[] = this.#dropped > 0 ? [{ kind: 'dropped', lines: this.#dropped }] : []
    const events = [...lost, ...this.#events]
    this.#events = []
    this.#dropped = 0
    return events
  }

  #more(withinMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#onMore(), withinMs)
      this.#onMore = () => {
        clearTimeout(timer)
        this.#onMore = () => {}
        resolve()
      }
    })
  }
}

/** Undefined for what no worker sends: anybody who may publish can write to the channel. */
function batchOf(message: string): OutputBatch | undefined {
  try {
    const found: Partial<Record<keyof OutputBatch, unknown>> = JSON.parse(message)
    const { attempt, lines, dropped, isOver } = found
    if (!Number.isSafeInteger(attempt) || !Number.isSafeInteger(dropped) || !Array.isArray(lines))
      return undefined
    return {
      attempt: Number(attempt),
      lines: lines.slice(0, MAX_BATCH).flatMap((each): OutputBatch['lines'] => lineOf(each)),
      dropped: Math.max(0, Number(dropped)),
      isOver: isOver === true,
    }
  } catch {
    return undefined
  }
}

function lineOf(found: unknown): OutputBatch['lines'] {
  const [stream, atMs, line] = Array.isArray(found) ? found : []
  if ((stream !== 'o' && stream !== 'e') || !Number.isSafeInteger(atMs) || typeof line !== 'string') return []
  return [[stream, Number(atMs), line.slice(0, MAX_LINE)]]
}
