// The keys that wait to be reconciled: each once however often it was added, never given out while it is being worked on, and some
// only later. controller.ts takes from it.
//
//   add ──▶ waiting ──next──▶ running ──done──▶ gone        added while running: from done straight to waiting
//   addAfter, addLimited ──▶ later ──time──▶ add            a key may be later and, besides, waiting or running
import { type BackOff, waitAfterFailuresMs } from './backoff.ts'

export interface WorkQueueOptions {
  /** Between the tries of one key. */
  backOff?: BackOff
  random?: () => number
  nowMs?: () => number
  observer?: WorkQueueObserver
}

/** `depth`: how many keys are waiting. */
export interface WorkQueueObserver {
  onAdded(seen: { depth: number }): void
  onTaken(seen: { depth: number; waitedMs: number }): void
  onRetried(): void
}

const BACK_OFF: BackOff = { firstMs: 500, longestMs: 60_000 }
const LONGEST_TIMER_MS = 2 ** 31 - 1

export class WorkQueue {
  readonly #backOff: BackOff
  readonly #random: () => number
  readonly #nowMs: () => number
  readonly #observer: WorkQueueObserver | undefined
  /** In the order of arrival, with the time of it. */
  readonly #waiting = new Map<string, number>()
  readonly #running = new Set<string>()
  readonly #addedWhileRunning = new Set<string>()
  readonly #later = new Map<string, { dueAtMs: number; timer: NodeJS.Timeout }>()
  readonly #failures = new Map<string, number>()
  readonly #takers: ((key: string | undefined) => void)[] = []
  #isClosed = false

  constructor({ backOff = BACK_OFF, random = Math.random, nowMs, observer }: WorkQueueOptions = {}) {
    this.#backOff = backOff
    this.#random = random
    this.#nowMs = nowMs ?? (() => performance.now())
    this.#observer = observer
  }

  /** How many keys wait to be taken now. */
  get size(): number {
    return this.#waiting.size
  }

  add(key: string): void {
    if (this.#isClosed) return
    if (this.#running.has(key)) {
      this.#addedWhileRunning.add(key)
      return
    }
    if (this.#waiting.has(key)) return
    this.#waiting.set(key, this.#nowMs())
    this.#observer?.onAdded({ depth: this.size })
    this.#takers.shift()?.(this.#take())
  }

  /** Of several times for one key the earliest wins. */
  addAfter(key: string, ms: number): void {
    if (this.#isClosed) return
    if (ms <= 0) {
      this.add(key)
      return
    }
    const waitMs = Math.min(ms, LONGEST_TIMER_MS)
    const dueAtMs = this.#nowMs() + waitMs
    const known = this.#later.get(key)
    if (known && known.dueAtMs <= dueAtMs) return
    clearTimeout(known?.timer)
    const timer = setTimeout(() => {
      this.#later.delete(key)
      this.add(key)
    }, waitMs)
    this.#later.set(key, { dueAtMs, timer })
  }

  /** After a failure: waits the longer the oftener this key failed since it was forgotten. */
  addLimited(key: string): void {
    const failures = this.failuresOf(key) + 1
    this.#failures.set(key, failures)
    this.#observer?.onRetried()
    this.addAfter(key, waitAfterFailuresMs(this.#backOff, failures, this.#random))
  }

  /** Its failures count no more; it stays where it is. */
  forget(key: string): void {
    this.#failures.delete(key)
  }

  failuresOf(key: string): number {
    return this.#failures.get(key) ?? 0
  }

  /** The next key, as soon as there is one; undefined when the queue is closed. To be ended by `done`. */
  next(): Promise<string | undefined> {
    if (this.#isClosed) return Promise.resolve(undefined)
    if (this.#waiting.size > 0) return Promise.resolve(this.#take())
    return new Promise((resolve) => this.#takers.push(resolve))
  }

  done(key: string): void {
    this.#running.delete(key)
    if (this.#addedWhileRunning.delete(key)) this.add(key)
  }

  /** What waits is dropped: whoever comes next reconciles everything anyway. */
  close(): void {
    this.#isClosed = true
    for (const { timer } of this.#later.values()) clearTimeout(timer)
    this.#later.clear()
    this.#waiting.clear()
    for (const take of this.#takers.splice(0)) take(undefined)
  }

  #take(): string | undefined {
    for (const [key, addedAtMs] of this.#waiting) {
      this.#waiting.delete(key)
      this.#running.add(key)
      this.#observer?.onTaken({ depth: this.size, waitedMs: this.#nowMs() - addedAtMs })
      return key
    }
    return undefined
  }
}
