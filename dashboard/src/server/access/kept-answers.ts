// Answers that are kept for a while: whose token is it, and may this user do that. Equal questions at one
// time are one question. The number of answers, of questions on their way and of those that wait is bounded.

const MOST_KEPT = 1_024
const MOST_AT_ONCE = 16
const MOST_WAITING = 256

/** Too many questions wait already. */
export class Busy extends Error {
  override name = 'Busy'
}

interface Kept<T> {
  answer: Promise<T>
  /** Infinity while it is asked. */
  untilMs: number
  value?: T
}

export interface KeptFor<T> {
  nowMs: () => number
  /** How long this answer is good. */
  forMs: (answer: T) => number
}

export class KeptAnswers<T> {
  readonly #options: KeptFor<T>
  /** The one that was asked first is first. */
  readonly #kept = new Map<string, Kept<T>>()
  readonly #waiting: (() => void)[] = []
  #asking = 0

  constructor(options: KeptFor<T>) {
    this.#options = options
  }

  /** The answer, if it is known and still good. */
  known(key: string): T | undefined {
    const kept = this.#kept.get(key)
    return kept && this.#options.nowMs() < kept.untilMs ? kept.value : undefined
  }

  /** Fails as `ask` does, and with Busy. A failure is not kept. */
  get(key: string, ask: () => Promise<T>): Promise<T> {
    const found = this.#kept.get(key)
    if (found && this.#options.nowMs() < found.untilMs) return found.answer
    const kept: Kept<T> = { answer: this.#inTurn(ask), untilMs: Number.POSITIVE_INFINITY }
    this.#kept.delete(key)
    this.#kept.set(key, kept)
    const oldest = this.#kept.keys().next().value
    if (this.#kept.size > MOST_KEPT && oldest !== undefined) this.#kept.delete(oldest)
    kept.answer.then(
      (value) => {
        kept.value = value
        kept.untilMs = this.#options.nowMs() + this.#options.forMs(value)
      },
      () => this.#kept.get(key) === kept && this.#kept.delete(key),
    )
    return kept.answer
  }

  async #inTurn(ask: () => Promise<T>): Promise<T> {
    if (this.#asking >= MOST_AT_ONCE) {
      if (this.#waiting.length >= MOST_WAITING) throw new Busy(`${MOST_WAITING} questions wait`)
      await new Promise<void>((turn) => this.#waiting.push(turn))
    } else this.#asking += 1
    try {
      return await ask()
    } finally {
      // The turn is handed on, not freed and taken again.
      const next = this.#waiting.shift()
      if (next) next()
      else this.#asking -= 1
    }
  }
}
