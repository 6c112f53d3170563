// Frames between the worker, its children and its zygote over a byte stream: length (4 bytes, big-endian), kind (1 byte), a line of JSON, a
// raw body. Payloads, results and progress travel in the body as the JSON text they already are. What comes from a child is never
// trusted: a length over the limit of its kind is refused before anything of it is kept, and what does not parse is a value.
import { type JobError, oneLine, parseError } from '../errors.ts'

export const MAX_RESULT_BYTES = 1024 * 1024
export const MAX_PROGRESS_BYTES = 4 * 1024
export const MAX_OUTPUT_FRAME_BYTES = 64 * 1024

export interface Usage {
  maxRssBytes?: number
  cpuUserMs?: number
  cpuSystemMs?: number
}

export type Stream = 'stdout' | 'stderr'

/** Why the modules did not load, where, and what helps; without a reason, where they ended the process. */
export interface LoadFailure {
  reason?: string
  place?: string
  remedy?: string
}

/** Of a place as Node writes it: `file:///a%20b.ts:1` is `/a b.ts:1`. */
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
      kind: 'run'
      run: number
      jobId: string
      queue: string
      task: string
      attempt: number
      enqueuedAtMs: number
      payload: string
    }
  | { kind: 'abort'; run: number; reason: string }
  | { kind: 'end' } // SIGTERM follows, for what the child has started
  | { kind: 'probe' } // part of the self-test of a zygote

export type FromChild =
  | { kind: 'ready'; tasks: string[] }
  | ({ kind: 'load-failed' } & LoadFailure)
  | { kind: 'accepted'; runs: number[] } // sent before the first line of the task runs
  | { kind: 'progress'; run: number; progress: string }
  | { kind: 'output'; run: number; stream: Stream; output: Buffer }
  | { kind: 'aborting'; run: number } // the child has seen `abort`, so its event loop turns
  | { kind: 'succeeded'; run: number; usage: Usage; result: string }
  | { kind: 'failed'; run: number; usage: Usage; error: JobError; terminal: boolean; spoilsChild: boolean }
  | { kind: 'result-too-large'; run: number; usage: Usage; bytes: number }
  | { kind: 'lingers'; resources: string[]; usage: Usage } // its only job has ended, and something keeps its event loop alive
  | { kind: 'exiting'; run: number } // the task called process.exit
  | { kind: 'spoiled'; error: JobError } // an error that no running job is known to have caused
  | { kind: 'probed'; facts: Record<string, unknown> }

/** `forked` and `ended` are written by native/fork.c. */
export type FromZygote =
  | { kind: 'ready'; tasks: string[]; exitListeners: string[] } // the modules that want something done at the end
  | ({ kind: 'load-failed' } & LoadFailure)
  | { kind: 'unfit'; reason: string } // it has loaded the modules, but must not be forked
  | { kind: 'forked'; order: number; pid: number; errno: number; forkMicros: number } // pid is -1 when it failed
  | { kind: 'ended'; pid: number; exitCode?: number; signal?: number; usage: Usage }

export type Broken = { kind: 'broken'; message: string; tooLong: boolean }

const HEAD_BYTES = 5
const HEADER_ALLOWANCE_BYTES = 1024
const ERROR_FRAME_BYTES = 96 * 1024

const KINDS = {
  load: { code: 1, maxBytes: 1024 * 1024 },
  run: { code: 2, maxBytes: 256 * 1024 * 1024 },
  abort: { code: 3, maxBytes: HEADER_ALLOWANCE_BYTES },
  ready: { code: 16, maxBytes: 1024 * 1024 },
  'load-failed': { code: 17, maxBytes: ERROR_FRAME_BYTES },
  accepted: { code: 18, maxBytes: 64 * 1024 },
  progress: { code: 19, maxBytes: MAX_PROGRESS_BYTES + HEADER_ALLOWANCE_BYTES },
  output: { code: 20, maxBytes: MAX_OUTPUT_FRAME_BYTES + HEADER_ALLOWANCE_BYTES },
  aborting: { code: 21, maxBytes: HEADER_ALLOWANCE_BYTES },
  succeeded: { code: 22, maxBytes: MAX_RESULT_BYTES + HEADER_ALLOWANCE_BYTES },
  failed: { code: 23, maxBytes: ERROR_FRAME_BYTES },
  'result-too-large': { code: 24, maxBytes: HEADER_ALLOWANCE_BYTES },
  exiting: { code: 25, maxBytes: HEADER_ALLOWANCE_BYTES },
  spoiled: { code: 26, maxBytes: ERROR_FRAME_BYTES },
  end: { code: 5, maxBytes: HEADER_ALLOWANCE_BYTES },
  probe: { code: 4, maxBytes: HEADER_ALLOWANCE_BYTES },
  probed: { code: 27, maxBytes: HEADER_ALLOWANCE_BYTES },
  lingers: { code: 28, maxBytes: HEADER_ALLOWANCE_BYTES },
  forked: { code: 48, maxBytes: HEADER_ALLOWANCE_BYTES },
  ended: { code: 49, maxBytes: HEADER_ALLOWANCE_BYTES },
  unfit: { code: 50, maxBytes: 16 * 1024 },
} as const
type Kind = keyof typeof KINDS

export function encodeToChild(message: ToChild): Buffer {
  if (message.kind !== 'run') return encode(message.kind, { ...message, kind: undefined })
  const { kind, payload, ...header } = message
  return encode(kind, header, payload)
}

export function encodeFromChild(
  message: FromChild | Extract<FromZygote, { kind: 'ready' | 'unfit' }>,
): Buffer {
  switch (message.kind) {
    case 'succeeded':
      return encode('succeeded', { run: message.run, usage: message.usage }, message.result)
    case 'progress':
      return encode('progress', { run: message.run }, message.progress)
    case 'output':
      return encode('output', { run: message.run, stream: message.stream }, message.output)
    default:
      return encode(message.kind, { ...message, kind: undefined })
  }
}

function encode(kind: Kind, header: object, body: string | Uint8Array = ''): Buffer {
  const line = `${JSON.stringify(header)}\n`
  const lineBytes = Buffer.byteLength(line)
  const length = lineBytes + (typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength)
  const frame = Buffer.allocUnsafe(HEAD_BYTES + length)
  frame.writeUInt32BE(length, 0)
  frame.writeUInt8(KINDS[kind].code, 4)
  frame.write(line, HEAD_BYTES)
  if (typeof body === 'string') frame.write(body, HEAD_BYTES + lineBytes)
  else frame.set(body, HEAD_BYTES + lineBytes)
  return frame
}

/** Cuts a stream into the messages that `parse` knows. After a broken frame it yields that and nothing more. */
export class FrameReader<Message> {
  readonly #kinds: Map<number, Kind>
  readonly #parse: (kind: Kind, header: Record<string, unknown>, body: Buffer) => Message | undefined
  #parts: Buffer[] = []
  #keptBytes = 0
  #wantedBytes = HEAD_BYTES
  #isBroken = false

  constructor(
    kinds: readonly Kind[],
    parse: (kind: Kind, header: Record<string, unknown>, body: Buffer) => Message | undefined,
  ) {
    this.#kinds = new Map(kinds.map((kind) => [KINDS[kind].code, kind]))
    this.#parse = parse
  }

  *push(chunk: Buffer): Generator<Message | Broken> {
    if (this.#isBroken) return
    this.#parts.push(chunk)
    this.#keptBytes += chunk.length
    if (this.#keptBytes < this.#wantedBytes) return
    const buffer = this.#parts.length === 1 ? chunk : Buffer.concat(this.#parts)
    let at = 0
    this.#wantedBytes = HEAD_BYTES
    while (buffer.length - at >= HEAD_BYTES) {
      const length = buffer.readUInt32BE(at)
      const code = buffer.readUInt8(at + 4)
      const kind = this.#kinds.get(code)
      if (!kind) return yield this.#break(`sent a message of an unknown kind (${code})`)
      if (length > KINDS[kind].maxBytes)
        return yield this.#break(
          `sent a message "${kind}" of ${length} bytes; at most ${KINDS[kind].maxBytes} are taken`,
          true,
        )
      const end = at + HEAD_BYTES + length
      if (end > buffer.length) {
        this.#wantedBytes = HEAD_BYTES + length
        break
      }
      const message = this.#message(kind, buffer.subarray(at + HEAD_BYTES, end))
      if (!message) return yield this.#break(`sent a message "${kind}" that cannot be read`)
      yield message
      at = end
    }
    this.#parts = at === buffer.length ? [] : [buffer.subarray(at)]
    this.#keptBytes = buffer.length - at
  }

  #message(kind: Kind, frame: Buffer): Message | undefined {
    const lineEnd = frame.indexOf(10)
    if (lineEnd < 0) return
    const header = parseObject(frame.toString('utf8', 0, lineEnd))
    return header && this.#parse(kind, header, frame.subarray(lineEnd + 1))
  }

  #break(message: string, tooLong = false): Broken {
    this.#isBroken = true
    this.#parts = []
    return { kind: 'broken', message: `the child ${message}`, tooLong }
  }
}

export function readerInChild(): FrameReader<ToChild> {
  return new FrameReader(['load', 'run', 'abort', 'end', 'probe'], (kind, header, body) => {
    // The worker is trusted: its header is the message without the body.
    if (kind === 'run') return { ...header, kind, payload: body.toString('utf8') } as ToChild
    return { ...header, kind } as ToChild
  })
}

export function readerInWorker(): FrameReader<FromChild> {
  const kinds = Object.keys(KINDS) as Kind[]
  return new FrameReader(
    kinds.filter((kind) => KINDS[kind].code >= KINDS.ready.code && KINDS[kind].code < KINDS.forked.code),
    parseFromChild,
  )
}

export function readerOfZygote(): FrameReader<FromZygote> {
  return new FrameReader(['ready', 'load-failed', 'unfit', 'forked', 'ended'], parseFromZygote)
}

function parseFromZygote(kind: Kind, header: Record<string, unknown>): FromZygote | undefined {
  const { pid, order, errno, forkMicros, exitCode, signal, reason } = header
  switch (kind) {
    case 'ready':
      if (!isListOf(header.tasks, 'string') || !isListOf(header.exitListeners, 'string')) return
      return { kind, tasks: header.tasks as string[], exitListeners: header.exitListeners as string[] }
    case 'load-failed':
      return { kind, ...parseLoadFailure(header) }
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
        usage: parseUsage(header.usage),
      }
  }
}

function parseFromChild(kind: Kind, header: Record<string, unknown>, body: Buffer): FromChild | undefined {
  switch (kind) {
    case 'ready':
      return isListOf(header.tasks, 'string') ? { kind, tasks: header.tasks as string[] } : undefined
    case 'lingers':
      return isListOf(header.resources, 'string')
        ? { kind, resources: header.resources as string[], usage: parseUsage(header.usage) }
        : undefined
    case 'accepted':
      return isListOf(header.runs, 'number') ? { kind, runs: header.runs as number[] } : undefined
    case 'load-failed':
      return { kind, ...parseLoadFailure(header) }
    case 'spoiled': {
      const error = parseError(header.error)
      return error && { kind, error }
    }
    case 'probed':
      return { kind, facts: header.facts as Record<string, unknown> }
  }
  const { run } = header
  if (typeof run !== 'number') return
  switch (kind) {
    case 'progress':
      return { kind, run, progress: body.toString('utf8') }
    case 'output':
      return { kind, run, stream: header.stream === 'stderr' ? 'stderr' : 'stdout', output: body }
    case 'aborting':
    case 'exiting':
      return { kind, run }
    case 'succeeded':
      return { kind, run, usage: parseUsage(header.usage), result: body.toString('utf8') }
    case 'result-too-large':
      return { kind, run, usage: parseUsage(header.usage), bytes: Number(header.bytes) }
    case 'failed': {
      const error = parseError(header.error)
      const terminal = header.terminal === true
      const spoilsChild = header.spoilsChild === true
      return error && { kind, run, usage: parseUsage(header.usage), error, terminal, spoilsChild }
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

function parseUsage(value: unknown): Usage {
  if (typeof value !== 'object' || value === null) return {}
  const { maxRssBytes, cpuUserMs, cpuSystemMs } = value as Record<string, unknown>
  return {
    ...(isAmount(maxRssBytes) ? { maxRssBytes } : {}),
    ...(isAmount(cpuUserMs) ? { cpuUserMs } : {}),
    ...(isAmount(cpuSystemMs) ? { cpuSystemMs } : {}),
  }
}

function isAmount(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
}

function isListOf(value: unknown, type: 'string' | 'number'): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === type)
}
