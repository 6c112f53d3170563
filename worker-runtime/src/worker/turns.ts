// The turns of a worker's queues: which queue has the next exchange with Redis, and how many free slots it asks
// for (pure; the time is an argument). Each queue has at most one exchange under way, so that a Redis that hangs
// delays only its own queues.
//
//   idle ──something to settle, or perhaps to claim──→ under way: its slots are reserved ──answer──→ idle
//                                                        └─no answer for long: its slots are free for other queues─┘

/** How long work in one queue may go unnoticed while another one keeps the worker busy. */
const LOOK_EVERYWHERE_EVERY_MS = 500
/** The half-life of what a queue was served. */
const HALF_LIFE_MS = 10_000

export class Turn {
  readonly weight: number
  #mayHaveWork = false
  #owesClaim = false
  #isUnderWay = false
  #reserved = 0
  #served = 0
  #servedAtMs: number
  #lastBeganAtMs: number

  constructor({ weight, nowMs }: { weight: number; nowMs: number }) {
    this.weight = weight
    this.#servedAtMs = nowMs
    this.#lastBeganAtMs = nowMs
  }

  /**
   * This worker popped the wake marker and has not claimed since. Only a claim, even for 0 jobs, puts the
   * marker back for other workers.
   */
  get owesClaim(): boolean {
    return this.#owesClaim
  }

  get isUnderWay(): boolean {
    return this.#isUnderWay
  }

  /** Slots that the exchange under way asks for. */
  get reserved(): number {
    return this.#reserved
  }

  /**
   * The recently claimed jobs divided by the weight: the least served queue comes first. It decays with time,
   * at the same rate for all queues. If it decayed by exchanges, a queue with more exchanges would starve the
   * others.
   */
  servedAt(nowMs: number): number {
    return this.#served * 2 ** ((this.#servedAtMs - nowMs) / HALF_LIFE_MS)
  }

  /** There may be jobs to claim. */
  work(): void {
    this.#mayHaveWork = true
  }

  /** This worker popped its wake marker. */
  woken(): void {
    this.#mayHaveWork = true
    this.#owesClaim = true
  }

  begin(wanted: number, nowMs: number): void {
    this.#isUnderWay = true
    this.#owesClaim = false
    if (wanted > 0) this.#mayHaveWork = false
    this.#reserved = wanted
    this.#lastBeganAtMs = nowMs
  }

  /**
   * Its Redis is slow: other queues may use the slots. Jobs that still come are handed back if there is no
   * room.
   */
  lapse(): void {
    this.#reserved = 0
  }

  /**
   * A queue that gave all the jobs that it was asked for may have more. `work` and `woken` also count when
   * they came during the exchange.
   */
  end({ wanted, claimed, nowMs }: { wanted: number; claimed: number; nowMs: number }): void {
    this.#isUnderWay = false
    this.#reserved = 0
    this.#served = this.servedAt(nowMs) + claimed / this.weight
    this.#servedAtMs = nowMs
    if (wanted > 0 && claimed === wanted) this.#mayHaveWork = true
  }

  /** A busy worker of several queues does not block on the markers: it polls them at this interval. */
  isWorthALook(nowMs: number, hasOthers: boolean): boolean {
    return this.#mayHaveWork || (hasOthers && this.#lastBeganAtMs < nowMs - LOOK_EVERYWHERE_EVERY_MS)
  }
}

export interface Waiting {
  readonly turn: Turn
  /** It can exchange now. */
  readonly isSure: boolean
  /** Some attempts have ended and are not settled yet. */
  readonly hasEnded: boolean
}

/**
 * The queues whose exchange begins now, with the slots that each asks for: by weight, the least served one
 * first.
 */
export function nextTurns<Queue extends Waiting>(
  queues: readonly Queue[],
  { free, nowMs }: { free: number; nowMs: number },
): { queue: Queue; wanted: number }[] {
  const hasOthers = queues.length > 1
  const looks = (queue: Queue) => free > 0 && queue.turn.isWorthALook(nowMs, hasOthers)
  const next = queues
    .filter(({ turn, isSure }) => isSure && !turn.isUnderWay)
    .filter((queue) => queue.hasEnded || queue.turn.owesClaim || looks(queue))
    .sort((a, b) => a.turn.servedAt(nowMs) - b.turn.servedAt(nowMs))
  let left = free
  let weights = next.reduce((sum, { turn }) => sum + turn.weight, 0)
  const turns = next.map((queue) => {
    const wanted = Math.ceil((left * queue.turn.weight) / weights)
    left -= wanted
    weights -= queue.turn.weight
    return { queue, wanted }
  })
  // Without a slot a queue with nothing to settle has nothing to do.
  return turns.filter(({ queue, wanted }) => wanted > 0 || queue.hasEnded || queue.turn.owesClaim)
}
