// One child as the worker sees it, from spawn.ts or zygote.ts: its channel, its attempts, its end.
// starting → ready → ended; `closed` resolves when the process and its group are gone and its last message
// has been read.
import { writeSync } from 'node:fs'
import type { Duplex, Readable } from 'node:stream'
import { startDeadline } from '../deadline.ts'
import { refuseEnded } from './calls.ts'
import { descendantsOf, killAll } from './descendants.ts'
import { whyNotLoaded } from './load-failure.ts'
import {
  encodeToChild,
  type FromChild,
  type LoadFailure,
  readerInWorker,
  type Stream,
  type ToChild,
  type Usage,
} from './messages.ts'
import { type Neighbour, Neighbours } from './neighbours.ts'
import type { Cause, Ending, ResultMessage } from './outcome.ts'
import { type Stray, Strays, Tail } from './output.ts'

/**
 * A new process from a source of children: it leads its own group, and has a message channel and its output.
 */
export interface Birth {
  pid: number
  channel: Duplex
  outputs: { stream: Stream; readable: Readable }[]
  ended: Promise<Ending>
  /** The tasks, where the modules were loaded before the fork. */
  tasks?: string[]
}

/** An accident is not the fault of the modules: another start may succeed. */
export type Failure = { failure: string; isAccident?: true }
export const STOPPING: Failure = { failure: 'the worker is stopping' }
export type Loaded = { tasks: string[] } | Failure

/** Receives the child's messages about one of its attempts (attempt.ts). */
export interface AttemptListener extends Neighbour {
  readonly spec: { readonly queue: string; readonly jobId: string }
  accepted(): void
  aborting(): void
  progress(text: string): void
  output(stream: Stream, chunk: Buffer): void
  call(message: Extract<FromChild, { kind: 'call' }>): void
  ended(result: ResultMessage): void
  /** The child broke the protocol while this attempt was in it. */
  broken(message: string, tooLong: boolean): void
  /** Ends the child at once because of this attempt. */
  kill(cause: Cause): void
  childClosed(): void
}

const LAST_WORDS_BYTES = 4 * 1024
const WAIT_FOR_LAST_BYTES_MS = 250

export class Child {
  readonly pid: number
  /** Serves one attempt and ends. */
  readonly once: boolean
  readonly loaded: Promise<Loaded>
  /** The facts of its self-test. */
  readonly probed: Promise<Record<string, unknown>>
  readonly closed: Promise<Ending>
  /** The resources that keep it alive after its only job. */
  readonly lingers: Promise<string[]>
  /** Known once it has loaded. */
  tasks: string[] = []
  readonly attempts = new Neighbours<AttemptListener>()
  /** It gets no new attempt. */
  isSpent = false
  /** Its attempts that were told to end; one of them may end the child. */
  stopping = 0
  sample: Usage = {}
  ending: Ending | undefined
  wasKilledByKernel = false
  readonly #channel: Duplex
  readonly #outputs: Birth['outputs']
  readonly #stderr = new Tail(LAST_WORDS_BYTES)
  readonly #reader = readerInWorker()
  readonly #strays: Strays
  readonly #onEnded: (child: Child) => void
  #isGone = false
  #loadFailure: LoadFailure | undefined
  #tellLoaded: (loaded: Loaded) => void = () => {}
  #tellProbed: (facts: Record<string, unknown>) => void = () => {}
  #tellLingers: (resources: string[]) => void = () => {}
  #outbox: ToChild[] = []

  constructor(birth: Birth, { modules, once, jobsAtOnce, onEnded, onStray = () => {} }: ChildOptions) {
    this.pid = birth.pid
    this.once = once
    this.#channel = birth.channel
    this.#outputs = birth.outputs
    this.#onEnded = onEnded
    this.#strays = new Strays(onStray)
    this.loaded = new Promise((resolve) => {
      this.#tellLoaded = resolve
    })
    this.probed = new Promise((resolve) => {
      this.#tellProbed = resolve
    })
    this.lingers = new Promise((resolve) => {
      this.#tellLingers = resolve
    })
    this.#channel.on('data', (chunk: Buffer) => this.#receive(chunk))
    this.#channel.on('error', () => {}) // the end of the process tells what happened
    for (const { stream, readable } of this.#outputs) {
      readable.on('data', (chunk: Buffer) => this.#read(stream, chunk))
      readable.on('error', () => {})
    }
    this.closed = birth.ended.then((ending) => this.#close(ending))
    if (birth.tasks) this.#hasLoaded(birth.tasks)
    else this.send({ kind: 'load', modules, once, jobsAtOnce })
  }

  /** Messages of one turn of the event loop leave in one write. */
  send(message: ToChild): void {
    if (this.#outbox.length === 0) process.nextTick(() => this.#flush())
    this.#outbox.push(message)
  }

  /**
   * To a child that may just have ended, with its result unread: Node would drop that with a write that
   * fails, so this one goes past Node. Where something is queued before it, or the socket is full, the child
   * lives.
   */
  tell(message: ToChild): void {
    const { _handle: handle } = this.#channel as { _handle?: { fd?: number } }
    const { fd = -1 } = handle ?? {}
    const isFree = fd >= 0 && this.#outbox.length === 0 && this.#channel.writableLength === 0
    if (!isFree || !writesAtOnce(fd, encodeToChild(message))) this.send(message)
  }

  /**
   * Ends the child too if the attempt is alone in it. Both leave at once and in one write: the child reads
   * the reason before the signal, and it cannot end between two writes. The second one would fail then, and
   * Node would drop the result that is not read yet.
   */
  abort({ id }: AttemptListener, reason: string): void {
    this.send({ kind: 'abort', id, reason })
    if (this.attempts.isAlone) this.end()
    else this.#flush()
  }

  /** Tells the child to end, and sends SIGTERM to its processes. */
  end(): void {
    this.isSpent = true
    this.send({ kind: 'end' })
    this.#flush()
    this.kill('SIGTERM')
  }

  /** Signals the process group. SIGKILL also ends processes that left the group. */
  kill(signal: NodeJS.Signals): void {
    if (this.#isGone) return
    const detached = signal === 'SIGKILL' ? descendantsOf(this.pid) : []
    signalGroup(this.pid, signal)
    killAll(detached)
  }

  lastWords(): string {
    return this.#stderr.text()
  }

  #flush(): void {
    if (this.#outbox.length === 0) return
    const bytes = encodeToChild(...this.#outbox)
    this.#outbox = []
    if (this.#channel.writable) this.#channel.write(bytes)
  }

  #receive(chunk: Buffer): void {
    for (const message of this.#reader.push(chunk)) {
      if (message.kind !== 'broken') this.#take(message)
      else this.#breakOff(message.message, message.tooLong)
    }
  }

  #take(message: FromChild): void {
    switch (message.kind) {
      case 'ready':
        if (!this.#loadFailure) this.#hasLoaded(message.tasks)
        break
      case 'probed':
        this.#tellProbed(message.facts)
        break
      case 'load-failed':
        this.#loadFailure = message
        break
      case 'accepted':
        for (const id of message.ids) this.attempts.get(id)?.accepted()
        break
      case 'lingers':
        this.#tellLingers(message.resources)
        break
      case 'spoiled':
        this.isSpent = true
        break
      default: {
        const attempt = this.attempts.get(message.id)
        if (attempt) this.#takeFor(attempt, message)
        else if (message.kind === 'output') this.#strays.appendOf(message.id, message.stream, message.output)
        else if (message.kind === 'call') refuseEnded(this, message)
      }
    }
  }

  #hasLoaded(tasks: string[]): void {
    this.tasks = tasks
    this.#tellLoaded({ tasks })
  }

  #takeFor(attempt: AttemptListener, message: Extract<FromChild, { id: number }>): void {
    switch (message.kind) {
      case 'progress':
        attempt.progress(message.progress)
        break
      case 'output':
        attempt.output(message.stream, message.output)
        break
      case 'call':
        attempt.call(message)
        break
      case 'aborting':
        attempt.aborting()
        break
      case 'exiting':
        this.isSpent = true
        this.attempts.blame(attempt)
        break
      default:
        // The only attempt of a child keeps it until the end: output may come after the result.
        if (!this.once) {
          this.attempts.delete(attempt)
          this.#strays.hasEnded(attempt.id, attempt.spec)
        }
        attempt.ended(message)
    }
  }

  #breakOff(message: string, tooLong: boolean): void {
    this.isSpent = true
    for (const attempt of this.attempts.all()) attempt.broken(message, tooLong)
    this.#tellLoaded({ failure: message })
    this.kill('SIGKILL')
  }

  /**
   * Output from the pipes belongs to the attempt if the child is used once. In a shared child its owner is
   * unknown: it is a stray line.
   */
  #read(stream: Stream, chunk: Buffer): void {
    if (stream === 'stderr') this.#stderr.append(chunk)
    if (this.once) for (const attempt of this.attempts.all()) attempt.output(stream, chunk)
    else this.#strays.append(stream, chunk)
  }

  async #close(ending: Ending): Promise<Ending> {
    this.isSpent = true
    this.#isGone = true
    signalGroup(this.pid, 'SIGKILL') // processes that the job left behind
    this.ending = ending
    this.#onEnded(this)
    await this.#lastBytes()
    this.#tellLoaded({
      failure: whyNotLoaded({ who: 'the child', ending, stderr: this.lastWords(), told: this.#loadFailure }),
      ...(ending.signal !== undefined && { isAccident: true }),
    })
    this.#strays.end()
    this.attempts.childEnded()
    for (const attempt of this.attempts.all()) attempt.childClosed()
    return ending
  }

  /**
   * Reads all data that was sent before the end first. The wait is bounded: a process in another session may
   * hold a pipe.
   */
  async #lastBytes(): Promise<void> {
    const streams = [this.#channel, ...this.#outputs.map(({ readable }) => readable)]
    const { promise: over, resolve } = Promise.withResolvers<void>()
    const callOff = startDeadline(WAIT_FOR_LAST_BYTES_MS, resolve)
    await Promise.race([Promise.all(streams.map(isClosed)), over])
    callOff()
    for (const stream of streams) stream.destroy()
  }
}

export interface ChildOptions {
  modules: string[]
  once: boolean
  jobsAtOnce: number
  /** Called when the process is gone; its last messages may still be unread. */
  onEnded: (child: Child) => void
  /** A line of output that belongs to no attempt's record. */
  onStray?: (line: Stray) => void
}

function signalGroup(leader: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-leader, signal)
  } catch {
    // The group is empty.
  }
}

function isClosed(stream: Readable | Duplex): Promise<void> {
  return new Promise((resolve) => {
    if (stream.closed) resolve()
    else stream.once('close', resolve)
  })
}

/** False where the socket is full. Does nothing where the child has ended. */
function writesAtOnce(fd: number, bytes: Buffer): boolean {
  try {
    writeSync(fd, bytes)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'EAGAIN'
  }
}
