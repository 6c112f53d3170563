// The keys that wait for a reconcile. A key is there once however often it was added, is never given out
// while it runs, and may be scheduled for later. controller.ts takes from it.
//
//   add ──▶ waiting ──next──▶ running ──done──▶ gone        added while running: from done straight to waiting
//   addAfter, addLimited ──▶ later ──time──▶ add            a key may be later and, besides, waiting or running
//
// Keys are `namespace/name`. Namespaces take turns, and each has a bound on what runs at once, so that one
// with hundreds of keys and slow servers delays nobody else. A key is given out at most ten times a second.
import { type BackOff, waitAfterFailuresMs } from './backoff.ts'

export interface WorkQueueOptions {
  /** Delays between the retries of a key. */
  backOff?: BackOff
  /** Keys of one namespace that may run at once; default: no bound. */
  perNamespace?: number
  /** The least time between two turns of a key; default: 100 ms. */
  keyEveryMs?: number
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
  readonly #perNamespace: number
  readonly #keyEveryMs: number
  /**
   * Keys by namespace, in the order of their turns; of each namespace in the order of arrival, with its time.
   */
  readonly #waiting = new Map<string, Map<string, number>>()
  #waitingCount = 0
  readonly #running = new Set<string>()
  /** Keys of each namespace that run. */
  readonly #runningIn = new Map<string, number>()
  /** When a key was given out, until it may be given out again; oldest first. */
  readonly #takenAtMs = new Map<string, number>()
  readonly #addedWhileRunning = new Set<string>()
  readonly #later = new Map<string, { dueAtMs: number; timer: NodeJS.Timeout }>()
  readonly #failures = new Map<string, number>()
  readonly #takers: ((key: string | undefined) => void)[] = []
  #isClosed = false

  constructor(options: WorkQueueOptions = {}) {
    const { backOff = BACK_OFF, perNamespace = Infinity, keyEveryMs = 100, nowMs, observer } = options
    this.#backOff = backOff
    this.#perNamespace = perNamespace
    this.#keyEveryMs = keyEveryMs
    this.#random = options.random ?? Math.random
    this.#nowMs = nowMs ?? (() => performance.now())
    this.#observer = observer
  }

  /** How many keys wait to be taken now. */
  get size(): number {
    return this.#waitingCount
  }

  add(key: string): void {
    if (this.#isClosed) return
    if (this.#running.has(key)) {
      this.#addedWhileRunning.add(key)
      return
    }
    const namespace = namespaceOf(key)
    const waiting = this.#waiting.get(namespace) ?? new Map<string, number>()
    if (waiting.has(key)) return
    const restsMs = this.#restsMs(key)
    if (restsMs > 0) {
      this.addAfter(key, restsMs)
      return
    }
    waiting.set(key, this.#nowMs())
    this.#waiting.set(namespace, waiting)
    this.#waitingCount += 1
    this.#observer?.onAdded({ depth: this.size })
    this.#giveOut()
  }

  /** The earliest of several times for a key wins. */
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

  /** After a failure: the delay grows with the failures of the key. */
  addLimited(key: string): void {
    const failures = this.failuresOf(key) + 1
    this.#failures.set(key, failures)
    this.#observer?.onRetried()
    this.addAfter(key, waitAfterFailuresMs(this.#backOff, failures, this.#random))
  }

  /** Forgets the failures of a key; it stays where it is. */
  forget(key: string): void {
    this.#failures.delete(key)
  }

  failuresOf(key: string): number {
    return this.#failures.get(key) ?? 0
  }

  /** The next key, when there is one; undefined when the queue is closed. `done` ends its turn. */
  next(): Promise<string | undefined> {
    if (this.#isClosed) return Promise.resolve(undefined)
    return new Promise((resolve) => {
      this.#takers.push(resolve)
      this.#giveOut()
    })
  }

  done(key: string): void {
    if (!this.#running.delete(key)) return
    const namespace = namespaceOf(key)
    const left = (this.#runningIn.get(namespace) ?? 1) - 1
    if (left === 0) this.#runningIn.delete(namespace)
    else this.#runningIn.set(namespace, left)
    if (this.#addedWhileRunning.delete(key)) this.add(key)
    this.#giveOut()
  }

  /** Drops what waits: the next leader reconciles everything anyway. */
  close(): void {
    this.#isClosed = true
    for (const { timer } of this.#later.values()) clearTimeout(timer)
    this.#later.clear()
    this.#waiting.clear()
    this.#waitingCount = 0
    for (const take of this.#takers.splice(0)) take(undefined)
  }

  #giveOut(): void {
    while (this.#takers.length > 0) {
      const key = this.#take()
      if (key === undefined) return
      this.#takers.shift()?.(key)
    }
  }

  #take(): string | undefined {
    for (const [namespace, keys] of this.#waiting) {
      const running = this.#runningIn.get(namespace) ?? 0
      const [first] = keys
      if (running >= this.#perNamespace || !first) continue
      const [key, addedAtMs] = first
      keys.delete(key)
      this.#waitingCount -= 1
      this.#waiting.delete(namespace)
      if (keys.size > 0) this.#waiting.set(namespace, keys)
      this.#running.add(key)
      this.#runningIn.set(namespace, running + 1)
      this.#remember(key)
      this.#observer?.onTaken({ depth: this.size, waitedMs: this.#nowMs() - addedAtMs })
      return key
    }
    return undefined
  }

  #restsMs(key: string): number {
    const takenAtMs = this.#takenAtMs.get(key)
    return takenAtMs === undefined ? 0 : takenAtMs + this.#keyEveryMs - this.#nowMs()
  }

  #remember(key: string): void {
    const now = this.#nowMs()
    for (const [old, atMs] of this.#takenAtMs) {
      if (now - atMs < this.#keyEveryMs) break
      this.#takenAtMs.delete(old)
    }
    this.#takenAtMs.delete(key)
    this.#takenAtMs.set(key, now)
  }
}

function namespaceOf(key: string): string {
  return key.slice(0, Math.max(0, key.indexOf('/')))
}
