// The attempts in one child, and which one caused its end. An attempt that is alone in its child is always
// the culprit. Several share a child only with Reuse and several jobs at once. Where the culprit is unknown,
// each is tried again alone (shared-child.ts).
import { TurnoverMap } from '../turnover.ts'

export interface Neighbour {
  readonly id: number
  /** It has begun. */
  readonly isAccepted: boolean
}

export class Neighbours<Attempt extends Neighbour> {
  readonly #attempts = new TurnoverMap<number, Attempt>()
  #culprit: Attempt | undefined
  #diedUnder = 0

  get size(): number {
    return this.#attempts.size
  }

  get isAlone(): boolean {
    return this.#attempts.size === 1
  }

  /** More than one has begun. */
  get areSeveral(): boolean {
    return this.#begun().length > 1
  }

  /** The child ended, but not only because of one attempt. */
  get wasEndedByOthers(): boolean {
    return this.#culprit !== undefined || this.#diedUnder > 0
  }

  add(attempt: Attempt): void {
    this.#attempts.set(attempt.id, attempt)
  }

  get(id: number): Attempt | undefined {
    return this.#attempts.get(id)
  }

  delete(attempt: Attempt): void {
    this.#attempts.delete(attempt.id)
  }

  all(): Attempt[] {
    return this.#attempts.values()
  }

  /** This attempt ends the child; the first culprit counts. */
  blame(attempt: Attempt): void {
    this.#culprit ??= attempt
  }

  childEnded(): void {
    this.#diedUnder = this.#begun().length
  }

  /** What happens to an attempt without a result when the child is gone. */
  fateOf(attempt: Attempt): 'ended' | 'elsewhere' | 'suspect' {
    if (!attempt.isAccepted) return 'elsewhere'
    if (this.#culprit) return this.#culprit === attempt ? 'ended' : 'elsewhere'
    return this.#diedUnder > 1 ? 'suspect' : 'ended'
  }

  #begun(): Attempt[] {
    return this.all().filter(({ isAccepted }) => isAccepted)
  }
}
