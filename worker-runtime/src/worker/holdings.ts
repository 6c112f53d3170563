// The jobs that a worker holds in one queue, as plain data: claimed jobs, running attempts, and ended attempts
// that are not settled yet. Pure: consumer.ts passes the answers of Redis and acts on its answers.
//
//   claimed ──started──→ running ──ended──→ to be settled ──settled──→ forgotten
//
// A job is held under a token. Anything with another token (a late end, an old claim) belongs to a hold that is
// over, and is dropped.
import type { Settlement } from '../queue/hold.ts'
import { TurnoverMap } from '../turnover.ts'
import { handedBack } from './settlement.ts'

export interface Hold {
  readonly id: string
  /** The proof of ownership that the claim gave. */
  readonly token: string
  /** Its number, where it is known: after a lost answer Redis tells only the token of a claim. */
  readonly attempt?: number
}

interface Held<Running> {
  readonly token: string
  readonly attempt: number | undefined
  running: Running | undefined
}

export class Holdings<Running> {
  readonly #held = new TurnoverMap<string, Held<Running>>()
  #ended: Settlement[] = []
  #given = 0
  #adoptedUpTo = 0

  get size(): number {
    return this.#held.size
  }

  get hasEnded(): boolean {
    return this.#ended.length > 0
  }

  claimed({ id, token, attempt }: Hold): void {
    this.#held.set(id, { token, attempt, running: undefined })
  }

  /**
   * How many jobs enqueues have given to this worker since it registered or resynced, by the messages that
   * came.
   */
  get given(): number {
    return this.#given
  }

  /**
   * An enqueue gave this job to the worker. Answers false where a resync was faster than the message: then
   * `adopt` has found the job in Redis and hands it back.
   */
  givenBy(hold: Hold): boolean {
    if (Number(hold.token) <= this.#adoptedUpTo) return false
    this.#given += 1
    this.claimed(hold)
    return true
  }

  /** Answers false where the hold is over: then the attempt must stop. */
  started(hold: Hold, running: Running): boolean {
    const held = this.#heldAs(hold)
    if (held) held.running = running
    return held !== undefined
  }

  /** Answers false where the hold is over: then there is nothing to settle. */
  ended(settlement: Settlement): boolean {
    if (!this.#heldAs(settlement)) return false
    this.#ended.push(settlement)
    return true
  }

  /** The attempts to settle in one call. Their jobs stay held until `settled` or `unsettled` is called. */
  takeEnded(): Settlement[] {
    const taken = this.#ended
    this.#ended = []
    return taken
  }

  /** Redis has settled them. */
  settled(settlements: readonly Settlement[]): void {
    for (const settlement of settlements) if (this.#heldAs(settlement)) this.#held.delete(settlement.id)
  }

  /** The answer was lost: they are settled again, before attempts that ended later. */
  unsettled(settlements: readonly Settlement[]): void {
    this.#ended = [...settlements, ...this.#ended]
  }

  /**
   * Adopts the held jobs of Redis. A job that runs here but is not held there belongs to another worker: it
   * is forgotten, and its attempt is returned, to be stopped. A job that is held there but unknown here was
   * claimed by a call whose answer was lost: it is handed back.
   */
  adopt(inRedis: readonly Hold[]): Running[] {
    const tokens = new Map(inRedis.map(({ id, token }) => [id, token]))
    this.#given = 0
    for (const { token } of inRedis) this.#adoptedUpTo = Math.max(this.#adoptedUpTo, Number(token))
    const lost: Running[] = []
    for (const [id, { token, running }] of this.#held.entries()) {
      if (tokens.get(id) === token) continue
      if (running !== undefined) lost.push(running)
      this.#held.delete(id)
    }
    this.#ended = this.#ended.filter(({ id, token }) => tokens.get(id) === token)
    for (const stranger of inRedis) {
      if (this.#held.get(stranger.id)) continue
      this.claimed(stranger)
      this.#ended.push(handedBack(stranger, 'answer-lost'))
    }
    return lost
  }

  /** Drops all holds. Answers the running attempts, to be stopped. */
  drop(): Running[] {
    const running = this.running()
    this.#held.clear()
    this.#ended = []
    this.#given = 0
    return running
  }

  running(): Running[] {
    return this.#held.values().flatMap(({ running }) => (running === undefined ? [] : [running]))
  }

  runningOf(id: string): Running | undefined {
    return this.#held.get(id)?.running
  }

  attemptOf(hold: Hold): number | undefined {
    return this.#heldAs(hold)?.attempt
  }

  /** The running attempts with their tokens. */
  tokens(): { token: string; running: Running }[] {
    return this.#held
      .values()
      .flatMap(({ token, running }) => (running === undefined ? [] : [{ token, running }]))
  }

  #heldAs({ id, token }: Hold): Held<Running> | undefined {
    const held = this.#held.get(id)
    return held?.token === token ? held : undefined
  }
}
