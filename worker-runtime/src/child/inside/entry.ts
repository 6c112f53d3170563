// What every child does, spawned (spawn-entry.ts) or forked (zygote-entry.ts): it loads the user's task
// modules, or comes with them loaded, then runs the attempts that the worker sends over descriptor 3 and
// sends back how they went. Everything it says is written synchronously, so that nothing is lost when a task
// ends the process and a child that says too much waits for its worker. It never outlives the worker: when
// the channel closes it ends its process group and all below it.
import { AsyncLocalStorage } from 'node:async_hooks'
import { closeSync, openSync, writeSync } from 'node:fs'
import { Socket } from 'node:net'
import { pathToFileURL } from 'node:url'
import { inspect } from 'node:util'
import { registered, within } from '../../around.ts'
import { copyError } from '../../errors.ts'
import { isHandOver } from '../../hand-over.ts'
import { restIn } from '../../retry-after.ts'
import { definedTasks, isTerminal } from '../../task.ts'
import { TurnoverMap } from '../../turnover.ts'
import { descendantsOf, killAll } from '../descendants.ts'
import {
  encodeFromChild,
  type FromChild,
  MAX_OUTPUT_FRAME_BYTES,
  MAX_RESULT_BYTES,
  readerInChild,
  type Said,
  type Stream,
  type ToChild,
  type Usage,
} from '../messages.ts'
import { PROBE_EXIT_CODE, probe } from '../source/fork/probe.ts'
import { letLoopRunDry } from './after-job.ts'
import { Calls } from './calls.ts'
import { jobOf, type Order, type Performed, type Ways } from './job.ts'
import { LateSignal } from './late-signal.ts'
import { exitOf, failureOf, isPlaceOnStderr, withWholeStacks } from './loading.ts'
import { isRehearsal, REHEARSAL, rehearsalOrder } from './rehearsal.ts'
import { hasListenerForEnd, ignoreSignalsOfOthers, tellListenersOfEnd } from './signals.ts'
import { peakRssBytes, usageOfProcess } from './usage.ts'
import { encodeResult, parsePayload } from './values.ts'
import { takeDescriptors, takeStreams } from './writes.ts'

export const CHANNEL = 3
const EXIT_CODE_SIGTERM = 128 + 15

export interface Mode {
  once: boolean
  jobsAtOnce: number
  /** The process started for its job, so its usage is that of the job. */
  isForked: boolean
}

type LoadOrder = Extract<ToChild, { kind: 'load' }>

interface Attempt extends Performed {
  readonly startedWith: NodeJS.CpuUsage | undefined
}

const running = new TurnoverMap<number, Attempt>()
const current = new AsyncLocalStorage<Attempt>()
const reader = readerInChild()
const calls = new Calls(sendNow)
const ways: Ways = { calls, isRunning, send: sendNow, sendOutput }
const outbox: Said[] = []
const pause = new Int32Array(new SharedArrayBuffer(4))
let mode: Mode | undefined
let isTerminating = false
let hasHadJob = false
let loading: string | undefined
let channel: Socket | undefined
let mouth = CHANNEL

/** Called before any code of the user, so that each of its errors is reported. */
export function sayHowItEnds(): void {
  ignoreSignalsOfOthers()
  process.on('exit', sayWhoExits)
  process.on('uncaughtException', uncaught)
  process.on('unhandledRejection', uncaught)
}

export function listenToWorker(): void {
  listenTo(CHANNEL).on('close', endWithWorker)
}

/** Messages for this process come from this descriptor from now on. */
export function listenTo(descriptor: number): Socket {
  const buffer = Buffer.allocUnsafeSlow(64 * 1024)
  const callback = (size: number) => {
    receive(buffer.subarray(0, size))
    return true
  }
  channel = new Socket({ fd: descriptor, readable: true, writable: true, onread: { buffer, callback } })
  return channel.on('error', () => {})
}

/**
 * Plays the way of an attempt once (rehearsal.ts), in a child that waits for its first job. A fork shares the
 * memory of its zygote until it writes: the page faults of an attempt's way, some 60 at 7 µs, are taken here,
 * before a job waits for them. The worker's next message is read after it: all of this runs in one turn of
 * the loop.
 */
export async function rehearseHere(): Promise<void> {
  let silence: number
  try {
    silence = openSync('/dev/null', 'w')
  } catch {
    return // no /dev: the first job takes the page faults
  }
  definedTasks().set(REHEARSAL, { name: REHEARSAL, run: async () => ({}) })
  speakTo(silence)
  for (const message of readerInChild().push(rehearsalOrder(0)))
    if (message.kind === 'attempt') {
      const attempt = begin(message)
      sendNow({ kind: 'accepted', ids: [attempt.id] })
      await current.run(attempt, perform, attempt)
    }
  flush()
  speakTo(CHANNEL)
  closeSync(silence)
  definedTasks().delete(REHEARSAL)
}

/** Messages for the worker go to this descriptor from now on. */
export function speakTo(descriptor: number): void {
  mouth = descriptor
}

export function isRunning(id: number): boolean {
  return running.get(id) !== undefined
}

/** The modules are loaded: from now on only a rehearsal has an uncaught error of a module. */
export function beReady(wanted: Mode): void {
  mode = wanted
}

/** Ends the process with one sentence for the worker if a module cannot be loaded. */
export async function loadModules({ modules, once }: Pick<LoadOrder, 'modules' | 'once'>): Promise<void> {
  takeStreams(takeOutput)
  if (!once) takeDescriptors(takeOutput)
  await withWholeStacks(async () => {
    for (loading of modules) await loadModule(loading)
  })
  loading = undefined
}

export function receive(chunk: Buffer): void {
  const attempts: Attempt[] = []
  let isToRehearse = false
  for (const message of reader.push(chunk)) {
    if (message.kind === 'load') void load(message)
    else if (message.kind === 'attempt') attempts.push(begin(message))
    else if (message.kind === 'abort') abort(message.id, message.reason)
    else if (message.kind === 'drain') running.get(message.id)?.draining.abort('the worker drains')
    else if (message.kind === 'answer') calls.answered(message)
    else if (message.kind === 'end') endWhenTold()
    else if (message.kind === 'probe') void tryOut()
    else if (message.kind === 'rehearse') isToRehearse = true
    else throw new Error('the worker sent a message that cannot be read')
  }
  if (isToRehearse && attempts.length === 0 && !hasHadJob) void rehearseHere()
  if (attempts.length === 0) return
  sendNow({ kind: 'accepted', ids: attempts.map(({ id }) => id) })
  for (const attempt of attempts) void current.run(attempt, perform, attempt)
}

async function load({ modules, once, jobsAtOnce }: LoadOrder): Promise<void> {
  channel?.unref() // the loop runs dry when a module waits for nothing
  await loadModules({ modules, once })
  channel?.ref()
  beReady({ once, jobsAtOnce, isForked: false })
  sendNow({ kind: 'ready', tasks: [...definedTasks().keys()] })
}

async function loadModule(module: string): Promise<void> {
  try {
    await import(pathToFileURL(module).href)
  } catch (thrown) {
    await failToLoad(`cannot load ${module}`, thrown)
  }
}

function failToLoad(what: string, thrown: unknown): Promise<never> {
  const failure = failureOf(what, thrown, loading)
  loading = undefined
  mouth = CHANNEL
  sendNow({ kind: 'load-failed', ...failure })
  if (!isPlaceOnStderr(thrown, failure)) process.exit(1)
  process.removeAllListeners('uncaughtException')
  process.setUncaughtExceptionCaptureCallback(null)
  setImmediate(() => {
    throw thrown
  })
  return new Promise(() => {})
}

/** Sends the facts to the worker, then lets the loop run dry. */
async function tryOut(): Promise<void> {
  sendNow({ kind: 'probed', facts: { ...(await probe()) } })
  process.exitCode = PROBE_EXIT_CODE
  channel?.unref()
}

function begin(order: Order): Attempt {
  const attempt: Attempt = {
    id: order.id,
    order,
    ending: new LateSignal(),
    draining: new LateSignal(),
    startedWith: mode?.jobsAtOnce === 1 && !(mode.once && mode.isForked) ? process.cpuUsage() : undefined,
  }
  running.set(attempt.id, attempt)
  hasHadJob ||= !isRehearsal(order)
  return attempt
}

async function perform(attempt: Attempt): Promise<void> {
  try {
    const definition = definedTasks().get(attempt.order.task)
    if (!definition) throw noSuchTask(attempt.order.task)
    const input = parsePayload(attempt.order.payload)
    const job = jobOf(attempt, ways)
    const all = registered()
    const around = isRehearsal(attempt.order) ? [] : all
    const output = await within(around, job, () => definition.run(input, job))
    succeed(attempt, encodeResult(output))
  } catch (error) {
    const rest = restIn(error)
    const [id, usage] = [attempt.id, usageOf(attempt)]
    if (isHandOver(error)) end(attempt, { kind: 'handed-over', id, usage })
    else if (rest) end(attempt, { kind: 'rests', id, usage, rest, error: copyError(error) })
    else fail(attempt, error)
  }
}

function succeed(attempt: Attempt, result: string): void {
  const bytes = Buffer.byteLength(result)
  if (bytes > MAX_RESULT_BYTES)
    end(attempt, { kind: 'result-too-large', id: attempt.id, usage: usageOf(attempt), bytes })
  else end(attempt, { kind: 'succeeded', id: attempt.id, usage: usageOf(attempt), result })
}

function fail(attempt: Attempt, thrown: unknown, spoilsChild = false): void {
  end(attempt, {
    kind: 'failed',
    id: attempt.id,
    usage: usageOf(attempt),
    error: copyError(thrown),
    terminal: isTerminal(thrown),
    spoilsChild,
  })
}

function end(attempt: Attempt, message: FromChild): void {
  if (!isRunning(attempt.id)) return
  attempt.progress?.flush()
  running.delete(attempt.id)
  sendSoon(message)
  const isSpoilt = message.kind === 'failed' && message.spoilsChild
  if ((mode?.once && isSpoilt) || (isTerminating && running.size === 0)) process.exit(0)
  if (!mode?.once) return
  const goOn = letLoopRunDry(channel, sendNow)
  if (isRehearsal(attempt.order)) goOn()
}

function abort(id: number, reason: string): void {
  sendNow({ kind: 'aborting', id })
  running.get(id)?.ending.abort(reason)
}

/** Ends at once, unless somebody listens. The worker kills this process after the grace. */
function endWhenTold(): void {
  isTerminating = true
  const attempts = running.values()
  const hasListener = hasListenerForEnd() || attempts.some(({ ending }) => ending.isLookedAt)
  if (attempts.length === 0 || !hasListener) process.exit(EXIT_CODE_SIGTERM)
  tellListenersOfEnd()
  for (const attempt of attempts) abort(attempt.id, 'the worker ends this child')
}

/** An uncaught error fails the attempt in whose context it was thrown. The child is not used again. */
function uncaught(thrown: unknown): void {
  const attempt = currentAttempt()
  if (!mode || mouth !== CHANNEL)
    void failToLoad('the task modules raised an error while they loaded', thrown)
  else if (attempt && isRunning(attempt.id)) fail(attempt, thrown, true)
  else if (mode.once && hasHadJob) failLate(thrown)
  else sendNow({ kind: 'spoiled', error: copyError(thrown) })
}

/** As in Node; the job has its result already. */
function failLate(thrown: unknown): never {
  process.stderr.write(`${inspect(thrown)}\n`)
  process.exit(1)
}

/** The attempt of the current async context; without a context, the only attempt. */
function currentAttempt(): Attempt | undefined {
  const attempt = current.getStore()
  if (attempt || running.size !== 1) return attempt
  return running.values()[0]
}

export function sayWhoExits(): void {
  const attempt = current.getStore()
  if (attempt && isRunning(attempt.id)) sendNow({ kind: 'exiting', id: attempt.id })
  else if (loading !== undefined) sendNow({ kind: 'load-failed', ...exitOf(loading) })
  else flush()
}

/**
 * Output belongs to the job of the async context, even after the end of the job. Without a context it belongs
 * to the only job of a child that is used once, and to no job in a shared child.
 */
function takeOutput(stream: Stream, output: Buffer): boolean {
  const attempt = current.getStore() ?? (mode?.once ? currentAttempt() : undefined)
  if (attempt) sendOutput(attempt, stream, output)
  return attempt !== undefined
}

function sendOutput(attempt: Performed, stream: Stream, output: Buffer): void {
  for (let at = 0; at < output.length; at += MAX_OUTPUT_FRAME_BYTES)
    sendNow({
      kind: 'output',
      id: attempt.id,
      stream,
      output: output.subarray(at, at + MAX_OUTPUT_FRAME_BYTES),
    })
}

/** Results of one turn of the event loop leave in one write. */
function sendSoon(message: FromChild): void {
  if (outbox.length === 0) process.nextTick(flush)
  outbox.push(message)
}

export function sendNow(message: Said): void {
  outbox.push(message)
  flush()
}

function flush(): void {
  if (outbox.length === 0) return
  const bytes = encodeFromChild(...outbox)
  outbox.length = 0
  let sent = 0
  while (sent < bytes.length) sent += writeSome(bytes, sent)
}

function writeSome(bytes: Buffer, from: number): number {
  try {
    return writeSync(mouth, bytes, from)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') endWithWorker()
    Atomics.wait(pause, 0, 0, 1)
    return 0
  }
}

function endWithWorker(): void {
  killAll(descendantsOf(process.pid))
  try {
    process.kill(-process.pid, 'SIGKILL')
  } catch {
    // It leads no group: only this process ends.
  }
  process.exit(1)
}

function usageOf(attempt: Attempt): Usage {
  if (mode?.once && mode.isForked) return usageOfProcess()
  if (!attempt.startedWith) return {}
  const cpu = process.cpuUsage(attempt.startedWith)
  return {
    cpuUserMs: Math.round(cpu.user / 1000),
    cpuSystemMs: Math.round(cpu.system / 1000),
    ...(mode?.once ? { maxRssBytes: peakRssBytes() } : {}),
  }
}

function noSuchTask(name: string): Error {
  const known = [...definedTasks().keys()]
  const error = new Error(
    `no task "${name}" in the modules of this worker; it has: ${known.join(', ') || 'none'}`,
  )
  error.name = 'UnknownTask'
  delete error.stack
  return error
}
