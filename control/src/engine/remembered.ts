// A cached value: read again when it is too old, and once for all callers that ask meanwhile.

export interface RememberedOptions<T> {
  /** `before`: the last value. It stays when the read fails, and the caller gets the error. */
  read: (before: T | undefined) => Promise<T>
  /** The age after which it is read again; `isDistrusted`: a caller found that it may be wrong. */
  goodForMs: (value: T, isDistrusted: boolean) => number
  /** Monotonic, ms. */
  nowMs: () => number
}

export class Remembered<T> {
  readonly #options: RememberedOptions<T>
  #known: { value: T; readAtMs: number } | undefined
  #isDistrusted = false
  #reading: Promise<T> | undefined

  constructor(options: RememberedOptions<T>) {
    this.#options = options
  }

  async get(maxAgeMs = Number.POSITIVE_INFINITY): Promise<T> {
    const { goodForMs, nowMs } = this.#options
    if (this.#known) {
      const { value, readAtMs } = this.#known
      if (nowMs() - readAtMs < Math.min(maxAgeMs, goodForMs(value, this.#isDistrusted))) return value
    }
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  distrust(): void {
    this.#isDistrusted = true
  }

  async #read(): Promise<T> {
    const { read, nowMs } = this.#options
    const readAtMs = nowMs()
    const value = await read(this.#known?.value)
    this.#known = { value, readAtMs }
    this.#isDistrusted = false
    return value
  }
}
