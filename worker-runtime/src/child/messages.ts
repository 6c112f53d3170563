// The messages between the worker, its children and its zygote: each message as a type, its frame
// (frames.ts), and one parser for each direction. The first line of a frame's content is JSON. Payloads,
// results, progress and values of calls follow it as raw JSON text. Messages of a child are never trusted.
// PROTOCOL.md has the protocol for programs in other languages.
import { type JobError, oneLine, parseError } from '../errors.ts'
import { isRest, type Rest } from '../retry-after.ts'
import { type Format, FrameReader, FrameWriter, type Read } from './frames.ts'

export const MAX_RESULT_BYTES = 1024 * 1024
export const MAX_PROGRESS_BYTES = 4 * 1024
/** The most bytes that a job saves: names, values, and 100 bytes for each (queue/lua/save.lua). */
export const MAX_SAVED_BYTES = 256 * 1024
export const MAX_OUTPUT_FRAME_BYTES = 64 * 1024
export const MAX_CALL_BYTES = 1024 * 1024

export interface Usage {
  maxRssBytes?: number
  cpuUserMs?: number
  cpuSystemMs?: number
}

export type Stream = 'stdout' | 'stderr'

/** Why the modules did not load, where, and the remedy. Without a reason: where they ended the process. */
export interface LoadFailure {
  reason?: string
  place?: string
  remedy?: string
}

/** The path of a position of Node: `file:///a%20b.ts:1` is `/a b.ts:1`. */
export function withoutScheme(place: string): string {
  if (!place.startsWith('file://')) return place
  const path = place.slice('file://'.length)
  try {
    return decodeURIComponent(path)
  } catch {
    return path // not as Node writes it
  }
}

export type ToChild =
  | { kind: 'load'; modules: string[]; once: boolean; jobsAtOnce: number; forkShares?: readonly string[] }
  | {
      kind: 'attempt'
      id: number // of the attempt, as worker and child call it
      jobId: string
      queue: string
      task: string
      attempt: number // 1 for the job's first
      enqueuedAtMs: number
      headers?: Readonly<Record<string, string>> | undefined
      payload: string
    }
  | { kind: 'abort'; id: number; reason: string }
  | { kind: 'drain'; id: number } // the attempt may go on, or hand its job over
  | { kind: 'answer'; id: number; call: number; error?: CallError; value: string }
  | { kind: 'end' } // SIGTERM follows, for what the child has started
  | { kind: 'rehearse' } // to a waiting child: play an attempt once, without a message
  | { kind: 'probe' } // part of the self-test of a zygote

export type FromChild =
  | { kind: 'ready'; tasks: string[] }
  | ({ kind: 'load-failed' } & LoadFailure)
  | { kind: 'accepted'; ids: number[] } // sent before the first line of the task runs
  | { kind: 'progress'; id: number; progress: string }
  | { kind: 'output'; id: number; stream: Stream; output: Buffer }
  | { kind: 'call'; id: number; call: number; verb: string; body: string } // each is answered
  | { kind: 'aborting'; id: number } // the child has seen `abort`, so its event loop turns
  | { kind: 'succeeded'; id: number; usage: Usage; result: string }
  | { kind: 'failed'; id: number; usage: Usage; error: JobError; terminal: boolean; spoilsChild: boolean }
  | { kind: 'handed-over'; id: number; usage: Usage } // the task threw HandOver
  | { kind: 'rests'; id: number; usage: Usage; rest: Rest; error: JobError } // the task threw RetryAfter
  | { kind: 'result-too-large'; id: number; usage: Usage; bytes: number }
  | { kind: 'lingers'; resources: string[] } // its only job has ended, and something keeps its event loop alive
  | { kind: 'exiting'; id: number } // the task called process.exit
  | { kind: 'spoiled'; error: JobError } // an error that no running attempt is known to have caused
  | { kind: 'probed'; facts: Record<string, unknown> }

/** `forked` and `ended` are written by fork.c. */
export type FromZygote =
  | { kind: 'ready'; tasks: string[]; exitListeners: string[] } // the modules that want something done at the end
  | ({ kind: 'load-failed' } & LoadFailure)
  | { kind: 'unfit'; reason: string } // the modules are loaded, but it must not be forked
  | { kind: 'forked'; order: number; pid: number; errno: number; forkMicros: number } // pid is -1 when it failed
  | { kind: 'ended'; pid: number; exitCode?: number; signal?: number; usage: Usage }

/** The messages of the JavaScript of a child or a zygote. */
export type Said = FromChild | Extract<FromZygote, { kind: 'ready' | 'unfit' }>

/** Why a call was refused or failed. */
export interface CallError {
  name: string
  message: string
  code?: string | number
}

const LINE_BYTES = 1024
const ERROR_FRAME_BYTES = 96 * 1024

/** Kinds below 16 are the worker's, those from 48 on the zygote's. */
export const FORMATS = {
  load: { code: 1, maxBytes: 1024 * 1024 },
  attempt: { code: 2, maxBytes: 256 * 1024 * 1024 },
  abort: { code: 3, maxBytes: LINE_BYTES },
  probe: { code: 4, maxBytes: LINE_BYTES },
  end: { code: 5, maxBytes: LINE_BYTES },
  rehearse: { code: 6, maxBytes: LINE_BYTES },
  answer: { code: 7, maxBytes: MAX_CALL_BYTES + ERROR_FRAME_BYTES },
  drain: { code: 8, maxBytes: LINE_BYTES },
  ready: { code: 16, maxBytes: 1024 * 1024 },
  'load-failed': { code: 17, maxBytes: ERROR_FRAME_BYTES },
  accepted: { code: 18, maxBytes: 64 * 1024 },
  progress: { code: 19, maxBytes: MAX_PROGRESS_BYTES + LINE_BYTES },
  output: { code: 20, maxBytes: MAX_OUTPUT_FRAME_BYTES + LINE_BYTES },
  aborting: { code: 21, maxBytes: LINE_BYTES },
  succeeded: { code: 22, maxBytes: MAX_RESULT_BYTES + LINE_BYTES },
  failed: { code: 23, maxBytes: ERROR_FRAME_BYTES },
  'result-too-large': { code: 24, maxBytes: LINE_BYTES },
  exiting: { code: 25, maxBytes: LINE_BYTES },
  spoiled: { code: 26, maxBytes: ERROR_FRAME_BYTES },
  probed: { code: 27, maxBytes: LINE_BYTES },
  lingers: { code: 28, maxBytes: LINE_BYTES },
  call: { code: 29, maxBytes: MAX_CALL_BYTES + LINE_BYTES },
  'handed-over': { code: 30, maxBytes: LINE_BYTES },
  rests: { code: 31, maxBytes: ERROR_FRAME_BYTES },
  forked: { code: 48, maxBytes: LINE_BYTES },
  ended: { code: 49, maxBytes: LINE_BYTES },
  unfit: { code: 50, maxBytes: 16 * 1024 },
} as const satisfies Record<string, Format>
type Kind = keyof typeof FORMATS
type Fields = Record<string, unknown>
/** The body is the part of `content` from `bodyAt` on. */
type Parse<Message> = (kind: Kind, fields: Fields, content: Buffer, bodyAt: number) => Message | undefined

const writer = new FrameWriter()

/** All messages in one buffer, for one write. */
export function encodeToChild(...messages: readonly ToChild[]): Buffer {
  for (const message of messages) putToChild(message)
  return writer.takeToKeep()
}

/** As encodeToChild, but to be written before the next call, which uses the same buffer: a child writes at once. */
export function encodeFromChild(...messages: readonly Said[]): Buffer {
  for (const message of messages) putFromChild(message)
  return writer.take()
}

function putToChild(message: ToChild): void {
  if (message.kind === 'attempt') {
    const { id, jobId, queue, task, attempt, enqueuedAtMs, headers, payload } = message
    put('attempt', { id, jobId, queue, task, attempt, enqueuedAtMs, headers }, payload)
  } else if (message.kind === 'answer') {
    const { id, call, error, value } = message
    put('answer', { id, call, error }, value)
  } else put(message.kind, { ...message, kind: undefined })
}

function putFromChild(message: Said): void {
  switch (message.kind) {
    case 'succeeded':
      put('succeeded', { id: message.id, usage: message.usage }, message.result)
      break
    case 'progress':
      put('progress', { id: message.id }, message.progress)
      break
    case 'call':
      put('call', { id: message.id, call: message.call, verb: message.verb }, message.body)
      break
    case 'output':
      put('output', { id: message.id, stream: message.stream }, message.output)
      break
    default:
      put(message.kind, { ...message, kind: undefined })
  }
}

function put(kind: Kind, fields: object, body?: string | Uint8Array): void {
  writer.put(FORMATS[kind].code, JSON.stringify(fields), body)
}

/** Frames → messages, in one of the three directions. */
export type MessageReader<Message> = FrameReader<Kind, Message>

/** Each child has a reader, so what all of a direction share is made once. */
function readersOf<Message>(
  [from, below]: [from: number, below: number],
  parse: Parse<Message>,
): () => MessageReader<Message> {
  const all = Object.entries(FORMATS) as [Kind, Format][]
  const formats = all.filter(([, { code }]) => code >= from && code < below)
  const kinds = new Map(formats.map(([kind, { code, maxBytes }]) => [code, { kind, maxBytes }]))
  const read: Read<Kind, Message> = (kind, content) => {
    const lineEnd = content.indexOf(10)
    const fields = lineEnd < 0 ? undefined : parseObject(content.toString('utf8', 0, lineEnd))
    return fields && parse(kind, fields, content, lineEnd + 1)
  }
  return () => new FrameReader(kinds, read)
}

export const readerInChild = readersOf<ToChild>([0, 16], (kind, fields, content, bodyAt) => {
  // The worker is trusted: its fields are the message without the body.
  if (kind === 'attempt') fields.payload = content.toString('utf8', bodyAt)
  else if (kind === 'answer') fields.value = content.toString('utf8', bodyAt)
  fields.kind = kind
  return fields as ToChild
})

export const readerInWorker = readersOf<FromChild>([16, 48], parseFromChild)

export const readerOfZygote = readersOf<FromZygote>([16, 256], parseFromZygote)

function parseFromZygote(kind: Kind, fields: Fields): FromZygote | undefined {
  const { pid, order, errno, forkMicros, exitCode, signal, reason } = fields
  switch (kind) {
    case 'ready':
      if (!isListOf(fields.tasks, 'string') || !isListOf(fields.exitListeners, 'string')) return
      return { kind, tasks: fields.tasks as string[], exitListeners: fields.exitListeners as string[] }
    case 'load-failed':
      return { kind, ...parseLoadFailure(fields) }
    case 'unfit':
      return { kind, reason: String(reason) }
    case 'forked':
      if (typeof pid !== 'number' || typeof order !== 'number') return
      return { kind, pid, order, errno: Number(errno), forkMicros: Number(forkMicros) }
    case 'ended':
      if (typeof pid !== 'number') return
      return {
        kind,
        pid,
        ...(isAmount(exitCode) ? { exitCode } : {}),
        ...(isAmount(signal) ? { signal } : {}),
        usage: parseUsage(fields.usage),
      }
  }
}

function parseFromChild(kind: Kind, fields: Fields, content: Buffer, bodyAt: number): FromChild | undefined {
  switch (kind) {
    case 'ready':
      return isListOf(fields.tasks, 'string') ? { kind, tasks: fields.tasks as string[] } : undefined
    case 'lingers':
      return isListOf(fields.resources, 'string')
        ? { kind, resources: fields.resources as string[] }
        : undefined
    case 'accepted':
      return isListOf(fields.ids, 'number') ? { kind, ids: fields.ids as number[] } : undefined
    case 'load-failed':
      return { kind, ...parseLoadFailure(fields) }
    case 'spoiled': {
      const error = parseError(fields.error)
      return error && { kind, error }
    }
    case 'probed':
      return { kind, facts: fields.facts as Record<string, unknown> }
  }
  const { id } = fields
  if (typeof id !== 'number') return
  switch (kind) {
    case 'progress':
      return { kind, id, progress: content.toString('utf8', bodyAt) }
    case 'call':
      if (typeof fields.call !== 'number' || typeof fields.verb !== 'string') return
      return { kind, id, call: fields.call, verb: fields.verb, body: content.toString('utf8', bodyAt) }
    case 'output':
      return {
        kind,
        id,
        stream: fields.stream === 'stderr' ? 'stderr' : 'stdout',
        output: content.subarray(bodyAt),
      }
    case 'aborting':
    case 'exiting':
      return { kind, id }
    case 'succeeded':
      return { kind, id, usage: parseUsage(fields.usage), result: content.toString('utf8', bodyAt) }
    case 'handed-over':
      return { kind, id, usage: parseUsage(fields.usage) }
    case 'rests': {
      const error = parseError(fields.error)
      const rest = parseRest(fields.rest)
      return error && rest && { kind, id, usage: parseUsage(fields.usage), rest, error }
    }
    case 'result-too-large':
      return { kind, id, usage: parseUsage(fields.usage), bytes: Number(fields.bytes) }
    case 'failed': {
      const error = parseError(fields.error)
      const terminal = fields.terminal === true
      const spoilsChild = fields.spoilsChild === true
      return error && { kind, id, usage: parseUsage(fields.usage), error, terminal, spoilsChild }
    }
  }
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}

function parseLoadFailure({ reason, place, remedy }: Record<string, unknown>): LoadFailure {
  return {
    ...(typeof reason === 'string' && { reason: oneLine(reason) }),
    ...(typeof place === 'string' && { place: oneLine(place) }),
    ...(typeof remedy === 'string' && { remedy: oneLine(remedy) }),
  }
}

function parseRest(value: unknown): Rest | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  return isRest(value) ? (value as Rest) : undefined
}

function parseUsage(value: unknown): Usage {
  if (typeof value !== 'object' || value === null) return {}
  const { maxRssBytes, cpuUserMs, cpuSystemMs } = value as Record<string, unknown>
  const usage: Usage = {}
  if (isAmount(maxRssBytes)) usage.maxRssBytes = maxRssBytes
  if (isAmount(cpuUserMs)) usage.cpuUserMs = cpuUserMs
  if (isAmount(cpuSystemMs)) usage.cpuSystemMs = cpuSystemMs
  return usage
}

function isAmount(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
}

function isListOf(value: unknown, type: 'string' | 'number'): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === type)
}
