// Sends the progress of running attempts to Redis: the last value of each wins, and one call a queue carries
// all values that came during the call before. A task that awaits its progress is answered when Redis has the
// value or a newer one.
import { CallRefused } from '../child/calls.ts'
import type { Log } from '../log.ts'
import type { Consumer } from './consumer.ts'
import type { ClaimedJob, Observer } from './observers.ts'

const EVERY_MS = 250

interface Value {
  readonly id: string
  readonly token: string
  readonly json: string
  /** The tasks that await it. */
  readonly awaited: PromiseWithResolvers<void>[]
}

/** The progress to report to one queue, by the token of the attempt. */
interface Values {
  waiting: Map<string, Value>
  /** In a call that has no answer yet. */
  readonly underWay: Map<string, Value>
  toldAtMs: number
}

export class Progress implements Observer {
  readonly #values = new Map<Consumer, Values>()
  /** The tokens of attempts whose progress was refused, because their job is no longer held. */
  readonly #lost = new Set<string>()
  readonly #log: Log

  constructor(log: Log) {
    this.#log = log
  }

  note({ consumer, claim: { id, token } }: ClaimedJob, json: string): void {
    const { waiting } = this.#of(consumer)
    this.#wait(consumer, { id, token, json, awaited: waiting.get(token)?.awaited ?? [] })
  }

  /**
   * Resolves when the last noted value of this attempt is in Redis. Rejects when the attempt no longer holds
   * its job.
   */
  async isInRedis({ consumer, claim: { token } }: ClaimedJob): Promise<void> {
    const { waiting, underWay } = this.#of(consumer)
    const value = waiting.get(token) ?? underWay.get(token)
    if (value) {
      const awaited = Promise.withResolvers<void>()
      value.awaited.push(awaited)
      await awaited.promise
    } else if (this.#lost.has(token)) throw notHeld()
  }

  /**
   * The attempt ended: its outcome says more. child/calls.ts has answered a task that awaited its progress.
   */
  ended({ consumer, claim: { token } }: ClaimedJob): void {
    const values = this.#values.get(consumer)
    values?.waiting.delete(token)
    values?.underWay.get(token)?.awaited.splice(0)
    this.#lost.delete(token)
  }

  #of(consumer: Consumer): Values {
    let values = this.#values.get(consumer)
    if (!values) {
      values = { waiting: new Map(), underWay: new Map(), toldAtMs: Number.NEGATIVE_INFINITY }
      this.#values.set(consumer, values)
    }
    return values
  }

  #wait(consumer: Consumer, value: Value): void {
    const { waiting, toldAtMs } = this.#of(consumer)
    if (waiting.size === 0)
      setTimeout(() => void this.#tell(consumer), Math.max(0, toldAtMs + EVERY_MS - performance.now()))
    waiting.set(value.token, value)
  }

  async #tell(consumer: Consumer): Promise<void> {
    const values = this.#of(consumer)
    const all = [...values.waiting.values()]
    if (all.length === 0) return
    values.waiting = new Map()
    for (const value of all) values.underWay.set(value.token, value)
    values.toldAtMs = performance.now()
    try {
      const held = await consumer.report(all)
      for (const [at, value] of all.entries()) this.#told(value, held[at] === true)
    } catch (error) {
      this.#log.debug('could not report progress', { queue: consumer.queue.name, error })
      for (const value of all) this.#again(consumer, value)
    } finally {
      for (const value of all)
        if (values.underWay.get(value.token) === value) values.underWay.delete(value.token)
    }
  }

  #told({ token, awaited }: Value, isHeld: boolean): void {
    if (!isHeld) this.#lost.add(token)
    for (const { resolve, reject } of awaited) isHeld ? resolve() : reject(notHeld())
  }

  /** Redis was away: only awaited values are sent again, unless a newer one is under way. */
  #again(consumer: Consumer, value: Value): void {
    if (value.awaited.length === 0) return
    const newer = this.#of(consumer).waiting.get(value.token)
    if (newer) newer.awaited.push(...value.awaited)
    else this.#wait(consumer, value)
  }
}

export function notHeld(): CallRefused {
  return new CallRefused(
    'NOT_HELD',
    'this attempt no longer holds its job: its worker was taken for dead, or the job was deleted',
  )
}
