// Findings about a server: examined when it is connected and now and then, once for all its queues.
import { examineServer, type ServerFinding } from 'millhand/doctor'
import { type Connection, RedisUnavailable } from 'millhand/queue'
import { Remembered } from '../engine/remembered.ts'

export interface SuitabilityOptions {
  /** A connection for the examination alone: an answer "not here" ends the connection that asked. */
  connect: () => Connection
  /** Monotonic, ms. */
  nowMs: () => number
  /** The wall clock, with which the clock of the server is compared. */
  wallMs: () => number
}

/** An examination costs several calls. */
const EXAMINE_EVERY_MS = 120_000
/** Who corrects a problem waits to see it gone. */
const PROBLEM_AGE_MS = 15_000

export class Suitability {
  readonly #options: SuitabilityOptions
  readonly #findings: Remembered<readonly ServerFinding[]>

  constructor(options: SuitabilityOptions) {
    this.#options = options
    this.#findings = new Remembered({
      read: (before) => this.#examine(before ?? []),
      goodForMs: ([worst], mayBeAnother) => {
        if (mayBeAnother) return 0
        return worst?.severity === 'problem' ? PROBLEM_AGE_MS : EXAMINE_EVERY_MS
      },
      nowMs: options.nowMs,
    })
  }

  /** Worst first; 'unknown' while it cannot be asked. */
  async findings(maxAgeMs?: number): Promise<readonly ServerFinding[] | 'unknown'> {
    try {
      return await this.#findings.get(maxAgeMs)
    } catch (error) {
      if (error instanceof RedisUnavailable) return 'unknown'
      throw error
    }
  }

  /** Forgets the findings: it may be another server by now. */
  forget(): void {
    this.#findings.distrust()
  }

  async #examine(before: readonly ServerFinding[]): Promise<readonly ServerFinding[]> {
    const { connect, wallMs } = this.#options
    const redis = connect()
    try {
      return (await examineServer(redis, { nowMs: wallMs, before })).findings
    } finally {
      redis.close()
    }
  }
}
