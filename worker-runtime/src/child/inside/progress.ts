// job.progress of one attempt. It throttles: of quick values it sends the last one. Only progress that a task
// awaits costs an answer from Redis.
import { MAX_PROGRESS_BYTES } from '../messages.ts'
import { encodeValue } from './values.ts'

const EVERY_MS = 50

export interface Ways {
  send(json: string): unknown
  /** Resolves when the sent value is in Redis. */
  isInRedis(): Promise<unknown>
}

export class Progress {
  readonly #ways: Ways
  #sentAtMs = Number.NEGATIVE_INFINITY
  #waiting: string | undefined
  #timer: NodeJS.Timeout | undefined
  /** The promise of the waiting value, and the answer for the value that was sent last. */
  #sent: PromiseWithResolvers<void> | undefined
  #asked: Promise<unknown> | undefined

  constructor(ways: Ways) {
    this.#ways = ways
  }

  /** The promise resolves when this value, or a newer one, is in Redis. */
  report(value: unknown): Promise<void> {
    const json = encodeValue(value, 'the progress')
    const bytes = Buffer.byteLength(json)
    if (bytes > MAX_PROGRESS_BYTES)
      throw new RangeError(`progress of ${bytes} bytes is too large: the limit is ${MAX_PROGRESS_BYTES}`)
    this.#waiting = json
    const waitMs = this.#sentAtMs + EVERY_MS - performance.now()
    if (waitMs <= 0) this.flush()
    else this.#timer ??= setTimeout(() => this.flush(), waitMs)
    return whenAwaited(() => this.#isInRedis())
  }

  /** Sends the waiting value. */
  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#waiting === undefined) return
    this.#ways.send(this.#waiting)
    this.#waiting = undefined
    this.#sentAtMs = performance.now()
    this.#asked = undefined
    this.#sent?.resolve()
    this.#sent = undefined
  }

  async #isInRedis(): Promise<void> {
    if (this.#waiting !== undefined) {
      this.#sent ??= Promise.withResolvers<void>()
      await this.#sent.promise
    }
    this.#asked ??= this.#ways.isInRedis()
    await this.#asked
  }
}

/** A lazy promise: it starts when somebody awaits it. */
function whenAwaited(begin: () => Promise<void>): Promise<void> {
  let begun: Promise<void> | undefined
  const promise = () => {
    begun ??= begin()
    return begun
  }
  return {
    // biome-ignore lint/suspicious/noThenProperty: `await` is how it is known that somebody waits
    then: (onDone, onFailed) => promise().then(onDone, onFailed),
    catch: (onFailed) => promise().catch(onFailed),
    finally: (onOver) => promise().finally(onOver),
    [Symbol.toStringTag]: 'Promise',
  }
}
