// One attempt in one child, judged from outside: sends it, ends it when its time, its output or the worker's patience is over, and
// keeps what was seen of it. fresh.ts and reuse.ts decide what that means for the child.
// sent → accepted → over (a result, or the child is gone); a stop on the way: abort, an end with SIGTERM if alone, SIGKILL after the grace.
import { startDeadline } from '../deadline.ts'
import type { Child, Occupant } from './child.ts'
import type {
  AttemptHooks,
  AttemptToRun,
  Cause,
  Clock,
  Outcome,
  ResultMessage,
  Seen,
  StopReason,
} from './outcome.ts'
import { judge } from './outcome.ts'
import { Lines, Tail } from './output.ts'
import type { Stream, Usage } from './protocol.ts'
import { GRACE_MS } from './stop.ts'

const TAIL_BYTES = 16 * 1024
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024
const PROGRESS_BYTES_PER_MS = 100
const WHY: Record<StopReason, string> = {
  cancelled: 'the job was cancelled',
  'lost-hold': 'the worker no longer holds the job',
  'handed-back': 'the worker gives the job back',
}

export class Run implements Occupant {
  readonly id: number
  readonly attempt: AttemptToRun
  /** Resolves when the attempt is over: there is a result, or the child is gone. */
  readonly over: Promise<void>
  isAccepted = false
  isOver = false
  cause: Cause | undefined
  result: ResultMessage | undefined
  readonly #child: Child
  readonly #hooks: AttemptHooks
  readonly #clock: Clock
  readonly #startedAtMs: number
  #endedAtMs = 0
  #callOffTimeout: () => void
  #callOffGrace: (() => void) | undefined
  #graceEndsAtMs = Number.POSITIVE_INFINITY
  #isAborting = false
  #tail: Tail | undefined
  #lines: Lines | undefined
  #outputBytes = 0
  #progressBytes = 0
  #tellOver: () => void = () => {}

  constructor(child: Child, attempt: AttemptToRun, { id, hooks, clock }: RunOptions) {
    this.id = id
    this.attempt = attempt
    this.#child = child
    this.#hooks = hooks
    this.#clock = clock
    this.#startedAtMs = clock.nowMs()
    this.over = new Promise((resolve) => {
      this.#tellOver = resolve
    })
    this.#callOffTimeout = this.#timeOutLater()
    child.runs.set(id, this)
    const { jobId, queue, task, enqueuedAtMs, payload } = attempt
    child.send({ kind: 'run', run: id, jobId, queue, task, attempt: attempt.attempt, enqueuedAtMs, payload })
  }

  get isStopping(): boolean {
    return this.#callOffGrace !== undefined
  }

  /** The job may end by itself in the grace, if it listens; then its child is killed. A hold that is lost allows no grace. */
  stop(reason: StopReason, graceMs = reason === 'lost-hold' ? 0 : GRACE_MS): void {
    if (!this.isOver) this.#stop({ kind: reason, message: WHY[reason] }, graceMs)
  }

  kill(cause: Cause): void {
    if (!this.isOver) this.cause ??= cause
    this.#killChild()
  }

  outcome(): Outcome {
    return judge(this.#seen())
  }

  /** The processor time of a child that serves many jobs is not that of this one. */
  usage(): Usage {
    const { sample, once } = this.#child
    return once || sample.maxRssBytes === undefined ? sample : { maxRssBytes: sample.maxRssBytes }
  }

  accepted(): void {
    this.isAccepted = true
  }

  aborting(): void {
    this.#isAborting = true
  }

  progress(text: string): void {
    this.#progressBytes += text.length
    const allowedBytes = MAX_OUTPUT_BYTES + (this.#clock.nowMs() - this.#startedAtMs) * PROGRESS_BYTES_PER_MS
    if (this.#progressBytes > allowedBytes)
      this.kill({ kind: 'output-limit', message: 'the job reported progress without end' })
    else if (!this.cause) this.#hooks.onProgress(text)
  }

  output(stream: Stream, chunk: Buffer): void {
    if (this.cause?.kind === 'output-limit') return
    this.#outputBytes += chunk.length
    this.#tail ??= new Tail(TAIL_BYTES)
    this.#lines ??= new Lines(this.#hooks.onOutput)
    this.#tail.append(chunk)
    this.#lines.append(stream, chunk)
    if (this.#outputBytes > MAX_OUTPUT_BYTES)
      this.kill({
        kind: 'output-limit',
        message: `the job wrote more than ${MAX_OUTPUT_BYTES} bytes of output`,
      })
  }

  ended(result: ResultMessage): void {
    if (this.isOver) return
    this.result = result
    if (result.kind === 'failed' && result.spoilsChild) this.#child.isSpent = true
    this.#finish()
  }

  broken(message: string, tooLong: boolean): void {
    // Of several attempts nobody knows which one broke it; each is tried again alone (reuse.ts).
    if (this.#child.runs.size === 1) this.cause ??= { kind: tooLong ? 'output-limit' : 'broken', message }
  }

  childClosed(): void {
    this.#child.runs.delete(this.id)
    this.#finish()
  }

  #stop(cause: Cause, graceMs: number): void {
    this.cause ??= cause
    if (graceMs > 0) this.#askToEnd(cause, graceMs)
    else this.#killChild()
  }

  #askToEnd(cause: Cause, graceMs: number): void {
    this.#child.abort(this, cause.message)
    if (this.#child.runs.size === 1) this.#child.end()
    // A second reason to stop may shorten the grace, never prolong it.
    const endsAtMs = this.#clock.nowMs() + graceMs
    if (endsAtMs >= this.#graceEndsAtMs) return
    this.#graceEndsAtMs = endsAtMs
    this.#callOffGrace?.()
    this.#callOffGrace = startDeadline(graceMs, () => this.#graceIsOver())
  }

  #timeOutLater(): () => void {
    return startDeadline(this.attempt.timeoutMs, () => this.#timeOut())
  }

  #timeOut(): void {
    // An attempt that waits in a child which another one blocks has not begun. The other one's time ends that.
    if (!this.isAccepted && this.#child.runs.size > 1) this.#callOffTimeout = this.#timeOutLater()
    else
      this.#stop(
        { kind: 'timed-out', message: `the job ran longer than its ${this.attempt.timeoutMs} ms` },
        GRACE_MS,
      )
  }

  /**
   * A child that does not even answer has a blocked event loop. With several attempts in it nobody can tell whose fault that is, so
   * time is no longer held against this one: each is tried again alone (reuse.ts).
   */
  #graceIsOver(): void {
    const accepted = [...this.#child.runs.values()].filter((run) => run.isAccepted)
    if (this.cause?.kind === 'timed-out' && !this.#isAborting && accepted.length > 1) {
      this.cause = undefined
      this.#child.isSpent = true
      this.#child.kill('SIGKILL')
    } else this.#killChild()
  }

  #killChild(): void {
    this.#child.isSpent = true
    this.#child.culprit ??= this
    this.#child.kill('SIGKILL')
  }

  #finish(): void {
    if (this.isOver) return
    this.isOver = true
    this.#endedAtMs = this.#clock.nowMs()
    this.#callOffTimeout()
    this.#callOffGrace?.()
    this.#callOffGrace = undefined
    this.#tellOver()
  }

  #seen(): Seen {
    this.#lines?.end()
    const { ending, wasKilledByKernel } = this.#child
    return {
      accepted: this.isAccepted,
      ...(this.result ? { result: this.result } : {}),
      ...(this.cause ? { cause: this.cause } : {}),
      ...(ending ? { ending } : {}),
      lastWords: ending ? this.#child.lastWords() : '',
      wasKilledByKernel,
      startedAtMs: this.#startedAtMs,
      endedAtMs: this.#endedAtMs,
      usage: this.usage(),
      ...(this.#tail ? { output: this.#tail.text(), outputBytes: this.#outputBytes } : {}),
    }
  }
}

export interface RunOptions {
  id: number
  hooks: AttemptHooks
  clock: Clock
}
