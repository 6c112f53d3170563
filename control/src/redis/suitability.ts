// What of a server suits a queue and what does not: examined when it is connected and now and then, once for all its queues.
import { examineServer, type ServerFinding } from 'millhand/doctor'
import { type Connection, RedisUnavailable } from 'millhand/queue'

export interface SuitabilityOptions {
  /** For the examination alone: calls that a server answers with "not here" end the connection that they use. */
  connect: () => Connection
  /** Monotonic, ms. */
  nowMs: () => number
  /** Of the wall clock, which the server's is compared with. */
  wallMs: () => number
}

/** To ask a server about everything is not free. */
const EXAMINE_EVERY_MS = 120_000
/** Whoever mends a problem waits to see it gone. */
const PROBLEM_AGE_MS = 15_000

export class Suitability {
  readonly #options: SuitabilityOptions
  #findings: readonly ServerFinding[] = []
  #examinedAtMs = Number.NEGATIVE_INFINITY
  #examining: Promise<void> | undefined

  constructor(options: SuitabilityOptions) {
    this.#options = options
  }

  /** Worst first; 'unknown' while it cannot be asked. */
  async findings(maxAgeMs = EXAMINE_EVERY_MS): Promise<readonly ServerFinding[] | 'unknown'> {
    const isBad = this.#findings[0]?.severity === 'problem'
    const goodForMs = Math.min(maxAgeMs, isBad ? PROBLEM_AGE_MS : EXAMINE_EVERY_MS)
    if (this.#options.nowMs() - this.#examinedAtMs < goodForMs) return this.#findings
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
    const { connect, nowMs, wallMs } = this.#options
    const startedAtMs = nowMs()
    const redis = connect()
    try {
      const { findings } = await examineServer(redis, { nowMs: wallMs, before: this.#findings })
      this.#findings = findings
      this.#examinedAtMs = startedAtMs
    } finally {
      redis.close()
    }
  }
}
