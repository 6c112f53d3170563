// The output of an attempt: the record keeps its last bytes, the log gets its lines. Both are bounded.
import type { Stream } from './messages.ts'

const MAX_LINE_BYTES = 8 * 1024
const MAX_ENDED = 100
const MAX_STRAY_BYTES = 256 * 1024
const STRAY_BYTES_PER_MS = 10

/** The last `maxBytes` of a stream of chunks. */
export class Tail {
  readonly #maxBytes: number
  #chunks: Buffer[] = []
  #bytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  append(chunk: Buffer): void {
    // A copy: a small piece must not keep its large read buffer alive.
    const kept = Buffer.from(chunk.subarray(-this.#maxBytes))
    this.#chunks.push(kept)
    this.#bytes += kept.length
    if (this.#bytes > 2 * this.#maxBytes || this.#chunks.length > 1000) this.#compact()
  }

  text(): string {
    this.#compact()
    return this.#chunks[0]?.toString('utf8').replace(/^\ufffd+/, '') ?? ''
  }

  #compact(): void {
    const last = Buffer.from(Buffer.concat(this.#chunks).subarray(-this.#maxBytes))
    this.#chunks = [last]
    this.#bytes = last.length
  }
}

/** Cuts the two streams into lines of bounded length, without empty ones. */
export class Lines {
  readonly #onLine: (stream: Stream, line: string) => void
  readonly #unfinished = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) }

  constructor(onLine: (stream: Stream, line: string) => void) {
    this.#onLine = onLine
  }

  append(stream: Stream, chunk: Buffer): void {
    const bytes = this.#unfinished[stream].length ? Buffer.concat([this.#unfinished[stream], chunk]) : chunk
    let start = 0
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
      this.#emit(stream, bytes.subarray(start, end))
      start = end + 1
    }
    for (; bytes.length - start >= MAX_LINE_BYTES; start += MAX_LINE_BYTES)
      this.#emit(stream, bytes.subarray(start, start + MAX_LINE_BYTES))
    this.#unfinished[stream] = Buffer.from(bytes.subarray(start))
  }

  end(): void {
    for (const stream of ['stdout', 'stderr'] as const) {
      this.#emit(stream, this.#unfinished[stream])
      this.#unfinished[stream] = Buffer.alloc(0)
    }
  }

  #emit(stream: Stream, line: Buffer): void {
    for (let start = 0; start < line.length; start += MAX_LINE_BYTES)
      this.#onLine(stream, line.toString('utf8', start, start + MAX_LINE_BYTES).replace(/\r$/, ''))
  }
}

export interface Stray {
  stream: Stream
  line: string
  /** The job that wrote it after its end, if known. */
  job?: { readonly queue: string; readonly jobId: string }
}

/**
 * Output of a shared child that belongs to no job's record: its lines go to the log, with a bound.
 */
export class Strays {
  readonly #onStray: (line: Stray) => void
  readonly #lines: Lines
  /** The last jobs, in a ring. */
  readonly #ended: { run: number; queue: string; jobId: string }[] = []
  #endedCount = 0
  readonly #startedAtMs = performance.now()
  #bytes = 0

  constructor(onStray: (line: Stray) => void) {
    this.#onStray = onStray
    this.#lines = new Lines((stream, line) => onStray({ stream, line }))
  }

  append(stream: Stream, chunk: Buffer): void {
    if (this.#isWithinBounds(chunk)) this.#lines.append(stream, chunk)
  }

  appendOf(run: number, stream: Stream, chunk: Buffer): void {
    const ended = this.#ended.find((each) => each.run === run)
    const job = ended && { queue: ended.queue, jobId: ended.jobId }
    const lines = new Lines((of, line) => this.#onStray({ stream: of, line, ...(job && { job }) }))
    if (!this.#isWithinBounds(chunk)) return
    lines.append(stream, chunk)
    lines.end()
  }

  /** Its further output is late. */
  hasEnded(run: number, { queue, jobId }: { queue: string; jobId: string }): void {
    this.#ended[this.#endedCount % MAX_ENDED] = { run, queue, jobId }
    this.#endedCount += 1
  }

  end(): void {
    this.#lines.end()
  }

  #isWithinBounds(chunk: Buffer): boolean {
    this.#bytes += chunk.length
    const allowed = MAX_STRAY_BYTES + (performance.now() - this.#startedAtMs) * STRAY_BYTES_PER_MS
    if (this.#bytes <= allowed) return true
    this.#bytes -= chunk.length
    return false
  }
}
