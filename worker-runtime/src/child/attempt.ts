// One attempt in one child, judged from outside: sends it, ends it at its timeout, its output limit or the end of
// its grace, and records what it saw. pool.ts and shared-child.ts decide what happens to the child.
// sent → accepted → over (a result, or the child is gone); a stop on the way: abort, an end with SIGTERM if
// alone, SIGKILL after the grace.
import { startDeadline } from '../deadline.ts'
import { type Call, Calls, refuseEnded } from './calls.ts'
import type { AttemptListener, Child } from './child.ts'
import type { FromChild, Stream, Usage } from './messages.ts'
import type { Cause, Outcome, ResultMessage, Seen, StopReason } from './outcome.ts'
import { judge } from './outcome.ts'
import { Lines, Tail } from './output.ts'
import { GRACE_MS } from './stop.ts'

const TAIL_BYTES = 16 * 1024
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024
const PROGRESS_BYTES_PER_MS = 100
const WHY: Record<StopReason, string> = {
  cancelled: 'the job was cancelled',
  'lost-hold': 'the worker no longer holds the job',
  'handed-back': 'the worker gives the job back',
}

/** An attempt, as worker.ts asks for it. */
export interface AttemptSpec {
  queue: string
  jobId: string
  task: string
  attempt: number
  payload: string // JSON text
  timeoutMs: number
  enqueuedAtMs: number
  headers?: Readonly<Record<string, string>> | undefined
}

export interface AttemptHooks {
  /** Called once, and never during `run`. */
  onEnded(outcome: Outcome): void
  onProgress(progress: string /* JSON text */): void
  onOutput(stream: Stream, line: string): void
  /** The answer is JSON text; an error goes to the task. */
  onCall(call: Call): Promise<string>
}

const STARTED_AT_MS = performance.timeOrigin

/** The time of the wall clock, which here never goes back. */
export const nowMs = (): number => Math.round(STARTED_AT_MS + performance.now())

/** It is over at its result, or when its child has ended. */
export type AttemptOptions = { id: number; hooks: AttemptHooks; onOver: (attempt: Attempt) => void }

export class Attempt implements AttemptListener {
  readonly id: number
  readonly spec: AttemptSpec
  isAccepted = false
  isOver = false
  cause: Cause | undefined
  result: ResultMessage | undefined
  readonly #child: Child
  readonly #hooks: AttemptHooks
  readonly #onOver: (attempt: Attempt) => void
  readonly #startedAtMs: number
  #endedAtMs = 0
  #callOffTimeout: () => void
  #callOffGrace: (() => void) | undefined
  #graceEndsAtMs = Number.POSITIVE_INFINITY
  #isAborting = false
  #isDraining = false
  #calls: Calls | undefined
  #tail: Tail | undefined
  #lines: Lines | undefined
  #outputBytes = 0
  #progressBytes = 0

  constructor(child: Child, spec: AttemptSpec, { id, hooks, onOver }: AttemptOptions) {
    this.id = id
    this.spec = spec
    this.#child = child
    this.#hooks = hooks
    this.#onOver = onOver
    this.#startedAtMs = nowMs()
    this.#callOffTimeout = this.#timeOutLater()
    child.attempts.add(this)
    const { queue, jobId, task, attempt, enqueuedAtMs, headers, payload } = spec
    child.send({ kind: 'attempt', id, queue, jobId, task, attempt, enqueuedAtMs, headers, payload })
  }

  /**
   * A task that listens may end in the grace; after it the child is killed. A lost hold has no grace.
   */
  stop(reason: StopReason, graceMs = reason === 'lost-hold' ? 0 : GRACE_MS): void {
    if (!this.isOver) this.#stop({ kind: reason, message: WHY[reason] }, graceMs)
  }

  /** The worker drains. The attempt may go on; a task that listens can hand its job over. */
  drain(): void {
    if (this.isOver || this.#isDraining) return
    this.#isDraining = true
    this.#child.tell({ kind: 'drain', id: this.id })
  }

  kill(cause: Cause): void {
    if (!this.isOver) this.cause ??= cause
    this.#killChild()
  }

  outcome(): Outcome {
    return judge(this.#seen())
  }

  /** The processor time of a child with many jobs is not that of this attempt. */
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
    const allowedBytes = MAX_OUTPUT_BYTES + (nowMs() - this.#startedAtMs) * PROGRESS_BYTES_PER_MS
    if (this.#progressBytes > allowedBytes)
      this.kill({ kind: 'output-limit', message: 'the job reported progress without end' })
    else if (!this.cause) this.#hooks.onProgress(text)
  }

  call(message: Extract<FromChild, { kind: 'call' }>): void {
    this.#calls ??= new Calls(this.#child, (call) => this.#hooks.onCall(call))
    if (this.isOver) refuseEnded(this.#child, message)
    else void this.#calls.take(message)
  }

  output(stream: Stream, chunk: Buffer): void {
    if (this.cause?.kind === 'output-limit') return
    this.#outputBytes += chunk.length
    this.#tail ??= new Tail(TAIL_BYTES)
    this.#lines ??= new Lines((of, line) => this.#hooks.onOutput(of, line))
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
    if (!this.isOver && this.#child.attempts.isAlone)
      this.cause ??= { kind: tooLong ? 'output-limit' : 'broken', message }
  }

  childClosed(): void {
    this.#child.attempts.delete(this)
    this.#lines?.end()
    this.#finish()
  }

  #stop(cause: Cause, graceMs: number): void {
    this.cause ??= cause
    if (graceMs > 0) this.#askToEnd(cause, graceMs)
    else this.#killChild()
  }

  #askToEnd(cause: Cause, graceMs: number): void {
    this.#child.abort(this, cause.message)
    // A second reason to stop may shorten the grace, but not extend it.
    const endsAtMs = nowMs() + graceMs
    if (endsAtMs >= this.#graceEndsAtMs) return
    this.#graceEndsAtMs = endsAtMs
    if (this.#callOffGrace) this.#callOffGrace()
    else this.#child.stopping += 1
    this.#callOffGrace = startDeadline(graceMs, () => this.#graceIsOver())
  }

  #timeOutLater(): () => void {
    return startDeadline(this.spec.timeoutMs, () => this.#timeOut())
  }

  #timeOut(): void {
    // An attempt that waits in a child which another one blocks has not begun. The other one's time ends
    // that.
    if (!this.isAccepted && !this.#child.attempts.isAlone) this.#callOffTimeout = this.#timeOutLater()
    else
      this.#stop(
        { kind: 'timed-out', message: `the job ran longer than its ${this.spec.timeoutMs} ms` },
        GRACE_MS,
      )
  }

  /**
   * A child that does not answer has a blocked event loop. With several attempts in it the culprit is
   * unknown, so this one is not timed out.
   */
  #graceIsOver(): void {
    if (this.cause?.kind === 'timed-out' && !this.#isAborting && this.#child.attempts.areSeveral) {
      this.cause = undefined
      this.#child.isSpent = true
      this.#child.kill('SIGKILL')
    } else this.#killChild()
  }

  #killChild(): void {
    this.#child.isSpent = true
    this.#child.attempts.blame(this)
    this.#child.kill('SIGKILL')
  }

  #finish(): void {
    if (this.isOver) return
    this.isOver = true
    this.#endedAtMs = nowMs()
    this.#callOffTimeout()
    this.#calls?.end()
    if (this.#callOffGrace) this.#child.stopping -= 1
    this.#callOffGrace?.()
    this.#onOver(this)
  }

  #seen(): Seen {
    this.#lines?.end()
    const { ending, wasKilledByKernel } = this.#child
    return {
      accepted: this.isAccepted,
      result: this.result,
      cause: this.cause,
      isDraining: this.#isDraining,
      ending,
      lastWords: ending ? this.#child.lastWords() : '',
      wasKilledByKernel,
      startedAtMs: this.#startedAtMs,
      endedAtMs: this.#endedAtMs,
      usage: this.usage(),
      output: this.#tail?.text(),
      outputBytes: this.#outputBytes,
    }
  }
}
