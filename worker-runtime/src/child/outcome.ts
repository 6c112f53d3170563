// The outcome of an attempt, as a value. `judge` is pure: all observations of an attempt in, one Outcome out.
import type { JobError } from '../errors.ts'
import type { Rest } from '../retry-after.ts'
import { type FromChild, MAX_RESULT_BYTES, type Usage } from './messages.ts'

export type { JobError } from '../errors.ts'
export type { Usage } from './messages.ts'

export type Outcome = { facts: Facts } & (
  | { kind: 'succeeded'; result: string /* JSON text, as the child sent it */ }
  | { kind: 'failed'; error: JobError; terminal: boolean /* bury at once */ }
  | { kind: 'rests'; error: JobError; rest: Rest }
  | { kind: UnfinishedKind; message: string; terminal?: true }
)

export type UnfinishedKind =
  | 'output-limit'
  | 'timed-out'
  | 'cancelled'
  | 'out-of-memory'
  | 'killed'
  | 'exited'
  | 'lost-hold'
  | 'could-not-start'
  | 'handed-back'

/** Unknown facts are absent. */
export interface Facts {
  startedAtMs: number
  durationMs: number
  exitCode?: number
  signal?: string
  maxRssBytes?: number
  cpuUserMs?: number
  cpuSystemMs?: number
  output?: string // the last 16 KiB of stdout and stderr
  outputBytes?: number
}

export type StopReason = 'cancelled' | 'lost-hold' | 'handed-back'

/** Why the worker itself ended an attempt; the first reason counts. */
export interface Cause {
  kind: StopReason | 'timed-out' | 'out-of-memory' | 'output-limit' | 'broken'
  message: string
}

export type ResultMessage = Extract<
  FromChild,
  { kind: 'succeeded' | 'failed' | 'handed-over' | 'rests' | 'result-too-large' }
>

export interface Ending {
  exitCode?: number
  signal?: string
  /** The kernel's numbers, where they are known (from the zygote). */
  usage?: Usage
  /** The reason, where the child did not end by itself. */
  because?: string
  /** The worker ended a hung zygote, and with it innocent children. */
  isOurDoing?: boolean
}

export interface Seen {
  accepted: boolean // the child has said that it begins
  result?: ResultMessage | undefined
  cause?: Cause | undefined
  isDraining?: boolean // the child was told so
  ending?: Ending | undefined // the child has ended
  lastWords: string // of the child's stderr
  wasKilledByKernel?: boolean // the cgroup's count of OOM kills went up
  startedAtMs: number
  endedAtMs: number
  usage: Usage // the last sample from outside
  output?: string | undefined
  outputBytes?: number
}

const HEAP_IS_FULL = /JavaScript heap out of memory|FATAL ERROR: .*(?:out of memory|heap limit)/

export function judge(seen: Seen): Outcome {
  const facts = factsOf(seen)
  const { cause, result, isDraining = false } = seen
  // A job that finishes in the grace before it is handed back is finished.
  if (cause && !(cause.kind === 'handed-back' && result?.kind === 'succeeded'))
    return cause.kind === 'broken'
      ? { kind: 'failed', error: { name: 'BrokenChild', message: cause.message }, terminal: false, facts }
      : { kind: cause.kind, message: cause.message, facts }
  if (result?.kind === 'handed-over') return ofHandOver(isDraining, facts)
  if (result) return ofResult(result, facts)
  return ofEnding(seen, facts)
}

/** The outcome of an attempt that had no child. */
export function notStarted(kind: 'could-not-start' | StopReason, message: string, nowMs: number): Outcome {
  return { kind, message, facts: { startedAtMs: nowMs, durationMs: 0 } }
}

export function describeEnding({ exitCode, signal, because }: Ending): string {
  if (signal !== undefined) return `was killed by ${signal}${because ? ` (${because})` : ''}`
  return exitCode === undefined ? 'ended' : `exited with code ${exitCode}`
}

/** A job may be handed over only while its worker drains: a worker drains once, which bounds it. */
function ofHandOver(isDraining: boolean, facts: Facts): Outcome {
  if (isDraining) return { kind: 'handed-back', message: 'the task handed its job over', facts }
  const message = 'the task threw HandOver, and its worker does not drain: look at job.draining first'
  return { kind: 'failed', error: { name: 'HandOver', message }, terminal: false, facts }
}

function ofResult(result: Exclude<ResultMessage, { kind: 'handed-over' }>, facts: Facts): Outcome {
  switch (result.kind) {
    case 'succeeded':
      return { kind: 'succeeded', result: result.result, facts }
    case 'failed':
      return { kind: 'failed', error: result.error, terminal: result.terminal, facts }
    case 'rests':
      return { kind: 'rests', error: result.error, rest: result.rest, facts }
    case 'result-too-large':
      return {
        kind: 'output-limit',
        message: `the result has ${result.bytes} bytes; at most ${MAX_RESULT_BYTES} are taken: keep it elsewhere and return where it is; its work is done, so the job is not tried again`,
        terminal: true,
        facts,
      }
  }
}

function ofEnding({ accepted, ending = {}, lastWords, wasKilledByKernel }: Seen, facts: Facts): Outcome {
  const how = describeEnding(ending)
  if (!accepted)
    return { kind: 'could-not-start', message: `the child ${how} before it had begun the job`, facts }
  if (ending.isOurDoing)
    return { kind: 'handed-back', message: `the worker ended the child: it ${how}`, facts }
  if (HEAP_IS_FULL.test(lastWords))
    return { kind: 'out-of-memory', message: 'the child used up the heap that V8 may use', facts }
  if (wasKilledByKernel)
    return {
      kind: 'out-of-memory',
      message: 'the kernel killed the child: the container is out of memory',
      facts,
    }
  if (ending.signal !== undefined)
    return { kind: 'killed', message: `the child ${how} while it ran the job`, facts }
  return { kind: 'exited', message: `the child ${how} before the job had a result`, facts }
}

function factsOf(seen: Seen): Facts {
  const { startedAtMs, endedAtMs, output, outputBytes } = seen
  // An attempt with a result is over before its process ends, so the state of the process is chance.
  const ending = seen.result ? undefined : seen.ending
  const facts: Facts = { startedAtMs, durationMs: Math.max(0, endedAtMs - startedAtMs) }
  if (ending?.exitCode !== undefined) facts.exitCode = ending.exitCode
  if (ending?.signal !== undefined) facts.signal = ending.signal
  Object.assign(facts, seen.usage, seen.result?.usage, ending?.usage)
  if (output) facts.output = output
  if (outputBytes) facts.outputBytes = outputBytes
  return facts
}
