// Sends the output of a running job to its followers, in batches. It keeps the last lines of each attempt, so
// that a later follower sees the state of the job. queue/output.ts is the other end.
import { nowMs } from '../child/attempt.ts'
import type { Stream } from '../child/messages.ts'
import type { Log } from '../log.ts'
import { FOLLOWED_FOR_MS, type OutputBatch } from '../queue/output.ts'
import type { Consumer } from './consumer.ts'
import type { ClaimedJob, Observer } from './observers.ts'

const SEND_EVERY_MS = 250
/** The most lines of a batch; further ones are counted and dropped. */
const MOST_LINES = 200
const MAX_LINE = 2_000
const MOST_RECENT = 20
const MOST_FOLLOWED = 100

type Line = OutputBatch['lines'][number]

interface Followed {
  readonly consumer: Consumer
  readonly id: string
  attempt: number
  lines: Line[]
  dropped: number
  /** A follower asks again within this time, or is gone. */
  untilMs: number
  isSending: boolean
}

export class LiveOutput implements Observer {
  readonly #log: Log
  /** The last lines by attempt. */
  readonly #recent = new Map<ClaimedJob, Line[]>()
  /** The followed jobs, by queue and id. */
  readonly #followed = new Map<string, Followed>()

  constructor(log: Log) {
    this.#log = log
  }

  /** Somebody follows this job, which runs here. */
  follow(consumer: Consumer, id: string): void {
    const key = keyOf(consumer, id)
    const untilMs = performance.now() + FOLLOWED_FOR_MS
    const known = this.#followed.get(key)
    if (known) known.untilMs = untilMs
    if (known || this.#followed.size >= MOST_FOLLOWED) return
    const followed: Followed = { consumer, id, attempt: 0, lines: [], dropped: 0, untilMs, isSending: false }
    for (const [job, lines] of this.#recent) {
      if (job.claim.id !== id || job.consumer !== consumer) continue
      followed.attempt = job.claim.attempt
      followed.lines = [...lines]
    }
    this.#followed.set(key, followed)
    if (followed.lines.length > 0) this.#sendSoon(key, followed)
  }

  line(job: ClaimedJob, stream: Stream, text: string): void {
    const line: Line = [stream === 'stdout' ? 'o' : 'e', nowMs(), text.slice(0, MAX_LINE)]
    const recent = this.#recent.get(job) ?? []
    if (recent.length === 0) this.#recent.set(job, recent)
    recent.push(line)
    if (recent.length > MOST_RECENT) recent.shift()
    if (this.#followed.size === 0) return
    const key = keyOf(job.consumer, job.claim.id)
    const followed = this.#followed.get(key)
    if (!followed) return
    followed.attempt = job.claim.attempt
    if (followed.lines.length < MOST_LINES) followed.lines.push(line)
    else followed.dropped += 1
    this.#sendSoon(key, followed)
  }

  /** The last lines leave before the job is settled. */
  ended(job: ClaimedJob): void {
    if (this.#recent.size > 0) this.#recent.delete(job)
    if (this.#followed.size === 0) return
    const key = keyOf(job.consumer, job.claim.id)
    const followed = this.#followed.get(key)
    if (!followed) return
    this.#followed.delete(key)
    followed.attempt = job.claim.attempt
    void this.#send(key, followed, true)
  }

  #sendSoon(key: string, followed: Followed): void {
    if (followed.isSending) return
    followed.isSending = true
    setTimeout(() => {
      followed.isSending = false
      if (this.#followed.get(key) === followed) void this.#send(key, followed, false)
    }, SEND_EVERY_MS)
  }

  async #send(key: string, followed: Followed, isOver: boolean): Promise<void> {
    const { consumer, id, attempt, lines, dropped, untilMs } = followed
    followed.lines = []
    followed.dropped = 0
    const forget = () => {
      if (this.#followed.get(key) === followed) this.#followed.delete(key)
    }
    if (performance.now() > untilMs) return forget()
    try {
      const heard = await consumer.queue.tellOutput(id, { attempt, lines, dropped, isOver })
      if (heard === 0) forget()
    } catch (error) {
      // A follower asks again soon.
      forget()
      this.#log.debug('could not send output', { queue: consumer.queue.name, job: id, error })
    }
  }
}

const keyOf = (consumer: Consumer, id: string): string => `${consumer.queue.name} ${id}`
