// What of a server suits a queue and what does not: examined when it is connected and now and then, once for all its queues.
import { type Connection, examineServer, RedisUnavailable, type ServerFinding } from 'millhand/queue'

export interface SuitabilityOptions {
  redis: Connection
  /** Monotonic, ms. */
  nowMs: () => number
  /** Of the wall clock, which the server's is compared with. */
  wallMs: () => number
}

/** To ask a server about everything is not free. */
const EXAMINE_EVERY_MS = 120_000

export class Suitability {
  readonly #options: SuitabilityOptions
  #findings: readonly ServerFinding[] = []
  #examinedAtMs = Number.NEGATIVE_INFINITY
  #examining: Promise<void> | undefined

  constructor(options: SuitabilityOptions) {
    this.#options = options
  }

  /** Worst first; 'unknown' while it cannot be asked. */
  async findings(): Promise<readonly ServerFinding[] | 'unknown'> {
    if (this.#options.nowMs() - this.#examinedAtMs < EXAMINE_EVERY_MS) return this.#findings
    this.#examining ??= this.#examine().finally(() => {
      this.#examining = undefined
    })
    try {
      await this.#examining
      return this.#findings
    } catch (error) {
      if (error instanceof RedisUnavailable) return 'unknown'
      throw error
    }
  }

  /** It may be another server by now. */
  forget(): void {
    this.#examinedAtMs = Number.NEGATIVE_INFINITY
  }

  async #examine(): Promise<void> {
    const { redis, nowMs, wallMs } = this.#options
    const startedAtMs = nowMs()
    const { findings } = await examineServer(redis, { nowMs: wallMs, before: this.#findings })
    this.#findings = findings
    this.#examinedAtMs = startedAtMs
  }
}
