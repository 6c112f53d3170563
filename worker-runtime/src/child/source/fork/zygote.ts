// The worker's side of the zygote: starts it, orders forks of it, tells each child's end, and replaces it
// when it dies. A source of
// births like spawn.ts. Starting → serving → ended; with it end all its children (PR_SET_PDEATHSIG).
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync } from 'node:fs'
import { Socket } from 'node:net'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'
import { getSystemErrorName } from 'node:util'
import { startDeadline } from '../../../deadline.ts'
import { reasonOf } from '../../../errors.ts'
import type { Log } from '../../../log.ts'
import type { Birth, Failure } from '../../child.ts'
import { loadTimedOut, whyNotLoaded } from '../../load-failure.ts'
import { encodeToChild, type FromZygote, type LoadFailure, readerOfZygote } from '../../messages.ts'
import { isOurs } from '../../orphans.ts'
import { describeEnding, type Ending } from '../../outcome.ts'
import { Tail } from '../../output.ts'
import { nodeOptions, RUNS_FROM_SOURCE } from '../spawn.ts'
import { type Native, preloadOf, ZYGOTE_OPTIONS } from './native.ts'

const EXTENSION = RUNS_FROM_SOURCE ? 'ts' : 'js'
const PRELOAD = fileURLToPath(new URL(`./zygote-preload.c${EXTENSION}`, import.meta.url))
const ENTRY = fileURLToPath(new URL(`./zygote-entry.${EXTENSION}`, import.meta.url))
const FORK_DEADLINE_MS = 5_000
const LEAVE_DEADLINE_MS = 1_000
const LAST_WORDS_BYTES = 4 * 1024
const WAIT_FOR_LAST_WORDS_MS = 250
// The first of several names is the usual one: SIGABRT comes before SIGIOT.
const SIGNAL_NAMES = new Map(
  Object.entries(constants.signals)
    .reverse()
    .map(([name, number]) => [number, name]),
)

export interface ZygoteOptions {
  native: Native
  modules: string[]
  env: Record<string, string | undefined>
  /** The settings of its children. */
  once: boolean
  jobsAtOnce: number
  loadTimeoutMs: number
  /** Packages and files whose random values and open files children may share, by the user's setting. */
  forkShares?: readonly string[] | undefined
  maxMemoryBytes?: number | undefined
  log: Log
}

/** Why a process that has loaded the modules cannot be forked. */
export type Unfit = { unfit: string; isFinal?: true }

type Forked = Pick<Birth, 'pid' | 'ended'>

export class Zygote {
  readonly pid: number
  readonly loaded: Promise<{ tasks: string[] } | Failure | Unfit>
  readonly ended: Promise<Ending>
  tasks: string[] = []
  /** The modules with exit listeners. */
  exitListeners: string[] = []
  /** The duration of the last fork. */
  forkMicros = 0
  readonly #node: ChildProcess
  readonly #native: Native
  readonly #control: Socket
  readonly #descriptor: number
  readonly #reader = readerOfZygote()
  readonly #stderr = new Tail(LAST_WORDS_BYTES)
  readonly #orders = new Map<number, (answer: Forked | Failure) => void>()
  readonly #children = new Map<number, (ending: Ending) => void>()
  #lastOrder = 0
  #isOver = false
  #loadFailure: LoadFailure | undefined
  /** The worker ended it because it did not answer: the jobs in its children are not to blame. */
  #wasGivenUp = false
  #tellLoaded: (loaded: { tasks: string[] } | Failure | Unfit) => void = () => {}

  constructor({
    native,
    modules,
    once,
    jobsAtOnce,
    loadTimeoutMs,
    forkShares,
    env,
    maxMemoryBytes,
  }: ZygoteOptions) {
    const pair = native.pair()
    if (typeof pair === 'number') throw new Error(`cannot make a socket: ${nameOfError(pair)}`)
    const [ours, theirs] = pair
    this.#native = native
    this.#descriptor = ours
    try {
      this.#node = spawn(process.execPath, [...ZYGOTE_OPTIONS, ...nodeOptions(maxMemoryBytes), ENTRY], {
        detached: true,
        stdio: ['ignore', 'pipe', 'pipe', theirs],
        // With lazy binding each child would look up symbols again.
        env: { ...env, LD_BIND_NOW: '1', ...preloadOf(env.LD_PRELOAD), ...optionsOf(env) },
      })
      isOurs(this.#node)
    } finally {
      closeSync(theirs)
    }
    this.pid = this.#node.pid ?? 0
    this.loaded = new Promise((resolve) => {
      this.#tellLoaded = resolve
    })
    this.#control = new Socket({ fd: ours, readable: true, writable: true })
    this.#control.on('data', (chunk: Buffer) => this.#receive(chunk))
    this.#control.on('error', () => {})
    this.#node.stdout?.resume()
    this.#node.stderr?.on('data', (chunk: Buffer) => this.#stderr.append(chunk))
    this.ended = this.#end()
    const callOff = startDeadline(loadTimeoutMs, () => this.#tellLoaded(loadTimedOut(loadTimeoutMs)))
    void this.loaded.then(callOff)
    this.#control.write(
      encodeToChild({ kind: 'load', modules, once, jobsAtOnce, ...(forkShares && { forkShares }) }),
    )
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** Forks a child that has loaded the modules. */
  async fork(): Promise<Birth | Failure> {
    if (this.#isOver) return { failure: 'the zygote has ended' }
    this.#lastOrder += 1
    const number = this.#lastOrder
    const ends = this.#native.order(this.#descriptor, number)
    if (typeof ends === 'number') return { failure: `cannot order a fork: ${nameOfError(ends)}` }
    const [channel, stdout, stderr] = ends
    const streams = {
      channel: new Socket({ fd: channel, readable: true, writable: true }),
      stdout: new Socket({ fd: stdout, readable: true, writable: false }),
      stderr: new Socket({ fd: stderr, readable: true, writable: false }),
    }
    const answer = await this.#answer(number)
    if ('failure' in answer) {
      for (const stream of Object.values(streams)) stream.destroy()
      return answer
    }
    return {
      ...answer,
      channel: streams.channel,
      outputs: [
        { stream: 'stdout', readable: streams.stdout },
        { stream: 'stderr', readable: streams.stderr },
      ],
      tasks: this.tasks,
    }
  }

  /** Ends it, with its exit listeners, and all its children with it. */
  async stop(): Promise<void> {
    this.#control.end()
    const deadline = setTimeout(() => this.#node.kill('SIGKILL'), LEAVE_DEADLINE_MS)
    await this.ended
    clearTimeout(deadline)
  }

  #answer(number: number): Promise<Forked | Failure> {
    return new Promise((resolve) => {
      // A stopped (SIGSTOP) or hung zygote is replaced.
      const callOff = startDeadline(FORK_DEADLINE_MS, () => {
        this.#wasGivenUp = true
        this.#node.kill('SIGKILL')
      })
      this.#orders.set(number, (answer) => {
        callOff()
        this.#orders.delete(number)
        resolve(answer)
      })
    })
  }

  #receive(chunk: Buffer): void {
    for (const message of this.#reader.push(chunk)) this.#take(message)
  }

  #take(message: FromZygote | { kind: 'broken'; message: string }): void {
    switch (message.kind) {
      case 'ready':
        this.tasks = message.tasks
        this.exitListeners = message.exitListeners
        this.#tellLoaded({ tasks: message.tasks })
        break
      case 'load-failed':
        this.#loadFailure = message
        break
      case 'unfit':
        this.#tellLoaded({ unfit: message.reason })
        break
      case 'forked':
        this.forkMicros = message.forkMicros
        this.#orders.get(message.order)?.(this.#forked(message))
        break
      case 'ended':
        this.#tellEnded(message)
        break
      case 'broken':
        this.#node.kill('SIGKILL')
        break
    }
  }

  /** The next message may tell the end of this child already. */
  #forked({ pid, errno }: Extract<FromZygote, { kind: 'forked' }>): Forked | Failure {
    if (pid <= 0) return { failure: `the zygote cannot fork: ${nameOfError(-errno)}` }
    const { promise: ended, resolve } = Promise.withResolvers<Ending>()
    this.#children.set(pid, resolve)
    return { pid, ended }
  }

  #tellEnded({ pid, exitCode, signal, usage }: Extract<FromZygote, { kind: 'ended' }>): void {
    const tell = this.#children.get(pid) // undefined for orphans of jobs
    this.#children.delete(pid)
    if (signal === undefined) tell?.({ exitCode: exitCode ?? 0, usage })
    else tell?.({ signal: SIGNAL_NAMES.get(signal) ?? `signal ${signal}`, usage })
  }

  /** The stderr of a process that did not load its modules. Its descendants may hold the pipe for ever. */
  async #lastWords(): Promise<void> {
    const { stderr } = this.#node
    if (!stderr || stderr.closed) return
    const { promise: over, resolve } = Promise.withResolvers<void>()
    const callOff = startDeadline(WAIT_FOR_LAST_WORDS_MS, resolve)
    stderr.once('close', resolve)
    await over
    callOff()
  }

  async #end(): Promise<Ending> {
    const ending = await new Promise<Ending>((resolve) => {
      this.#node.once('exit', (exitCode, signal) =>
        resolve(signal ? { signal } : { exitCode: exitCode ?? 0 }),
      )
      this.#node.once('error', (error) => resolve({ because: reasonOf(error) }))
    })
    await closed(this.#control)
    if (this.tasks.length === 0) await this.#lastWords()
    this.#isOver = true
    const how = `the zygote ${describeEnding(ending)}`
    const failure = whyNotLoaded({
      who: 'the zygote',
      ending,
      stderr: this.#stderr.text(),
      told: this.#loadFailure,
    })
    this.#tellLoaded({ failure, ...(ending.exitCode === undefined && { isAccident: true }) })
    for (const answer of [...this.#orders.values()]) answer({ failure: how })
    for (const [pid, tell] of this.#children) {
      kill(pid)
      tell({ signal: 'SIGKILL', because: how, isOurDoing: this.#wasGivenUp })
    }
    this.#children.clear()
    return ending
  }
}

/** What these load, as tools for tracing do, comes after the zygote has measured itself. */
function optionsOf({ NODE_OPTIONS }: ZygoteOptions['env']): ZygoteOptions['env'] {
  return NODE_OPTIONS ? { NODE_OPTIONS: `--require "${PRELOAD}" ${NODE_OPTIONS}` } : {}
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended already.
  }
}

function closed(stream: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (stream.closed) resolve()
    else stream.once('close', resolve)
  })
}

function nameOfError(errno: number): string {
  return errno < 0 ? getSystemErrorName(errno) : 'unknown error'
}
