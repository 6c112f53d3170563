// How many wrong tokens an address has sent in this minute. Bounded: the oldest address is forgotten.

const MOST_FAILURES = 20
const WINDOW_MS = 60_000
const MOST_ADDRESSES = 1_000

export class Failures {
  readonly #nowMs: () => number
  readonly #byAddress = new Map<string, { count: number; sinceMs: number }>()

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** Seconds until the address may try again; undefined when it may now. */
  secondsToWait(address: string): number | undefined {
    const found = this.#byAddress.get(address)
    const leftMs = found ? found.sinceMs + WINDOW_MS - this.#nowMs() : 0
    if (leftMs <= 0) this.#byAddress.delete(address)
    return found && leftMs > 0 && found.count >= MOST_FAILURES ? Math.ceil(leftMs / 1_000) : undefined
  }

  add(address: string): void {
    const found = this.#byAddress.get(address)
    if (found && this.#nowMs() < found.sinceMs + WINDOW_MS) {
      found.count += 1
      return
    }
    this.#byAddress.delete(address)
    this.#byAddress.set(address, { count: 1, sinceMs: this.#nowMs() })
    const oldest = this.#byAddress.keys().next().value
    if (this.#byAddress.size > MOST_ADDRESSES && oldest !== undefined) this.#byAddress.delete(oldest)
  }
}
