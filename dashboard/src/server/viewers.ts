// Those who watch: each has a stream of server-sent events, with bounded memory. A viewer that does not read is dropped, and is told
// why; it comes back by itself and goes on where it was.
//
//   open ── reads ──▶ open   ── does not read for 15 s, or too much waits ──▶ told `end`, closed   ── not allowed any more ──▶ told `end`, closed
import type { ServerResponse } from 'node:http'
import type { Refusal } from './access/access.ts'
import { Refused } from './refused.ts'

export interface ViewersOptions {
  /** Monotonic, ms. */
  nowMs: () => number
  most?: number
}

const MOST_VIEWERS = 200
/** So that proxies keep the connection, and clients see that it lives. */
const HEARTBEAT_MS = 10_000
/** Rights may be taken away while somebody watches. */
const ASK_AGAIN_MS = 60_000
/** How long a viewer may read nothing. */
const PATIENCE_MS = 15_000
/** Of events, which are not skipped. */
const MOST_WAITING_BYTES = 262_144
const LAST_WORDS_MS = 5_000
const RETRY_MS = 3_000

export class Viewers {
  readonly #options: ViewersOptions
  readonly #all = new Set<Viewer>()
  #timer: NodeJS.Timeout | undefined

  constructor(options: ViewersOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#all.size
  }

  /** Throws Refused with 429 where there are too many. `refusalOf` is asked again each minute. */
  open(response: ServerResponse, refusalOf: () => Promise<Refusal | undefined>): Viewer {
    const { nowMs, most = MOST_VIEWERS } = this.#options
    if (this.#all.size >= most)
      throw new Refused(
        429,
        'TOO_MANY_STREAMS',
        `${most} streams are open: close one, or read without a stream`,
        {
          headers: { 'Retry-After': '30' },
        },
      )
    const viewer = new Viewer(response, { nowMs, refusalOf })
    this.#all.add(viewer)
    viewer.closed.then(() => {
      this.#all.delete(viewer)
      if (this.#all.size === 0) clearInterval(this.#timer)
      if (this.#all.size === 0) this.#timer = undefined
    })
    this.#timer ??= setInterval(() => {
      for (const each of this.#all) each.beat()
    }, HEARTBEAT_MS / 2)
    return viewer
  }

  close(): void {
    clearInterval(this.#timer)
    for (const viewer of this.#all) viewer.end('SERVER_STOPS', 'the server stops; connect again')
  }
}

interface ViewerOptions extends ViewersOptions {
  refusalOf: () => Promise<Refusal | undefined>
}

export class Viewer {
  readonly #response: ServerResponse
  readonly #options: ViewerOptions
  readonly #closed = Promise.withResolvers<void>()
  #isBegun = false
  #isOver = false
  #saidAtMs: number
  #askedAtMs: number
  #blockedSinceMs: number | undefined

  constructor(response: ServerResponse, options: ViewerOptions) {
    this.#response = response
    this.#options = options
    this.#saidAtMs = options.nowMs()
    this.#askedAtMs = options.nowMs()
    response.on('drain', () => {
      this.#blockedSinceMs = undefined
    })
    response.on('close', () => {
      this.#isOver = true
      this.#closed.resolve()
    })
    response.on('error', () => {})
  }

  get closed(): Promise<void> {
    return this.#closed.promise
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** The newest state: it is skipped for a viewer that has not read the one before. */
  sendState(frame: Buffer): void {
    if (this.#isOver || this.#response.writableNeedDrain) return
    this.#write(frame)
  }

  /** What must not be missing; answers when the viewer can take more. */
  async sendEvent(frame: Buffer): Promise<void> {
    if (this.#isOver) return
    if (this.#response.writableLength + frame.length > MOST_WAITING_BYTES) return this.#tooSlow()
    this.#write(frame)
    if (this.#response.writableNeedDrain)
      await new Promise<void>((resolve) => {
        this.#response.once('drain', resolve)
        void this.closed.then(resolve)
      })
  }

  /** Called every few seconds. */
  beat(): void {
    const now = this.#options.nowMs()
    if (this.#isOver || !this.#isBegun) return
    const isStuck = this.#blockedSinceMs !== undefined && now - this.#blockedSinceMs >= PATIENCE_MS
    if (isStuck) {
      this.#tooSlow()
      return
    }
    if (now - this.#saidAtMs >= HEARTBEAT_MS && !this.#response.writableNeedDrain) this.#write(HEARTBEAT)
    if (now - this.#askedAtMs < ASK_AGAIN_MS) return
    this.#askedAtMs = now
    void this.#options.refusalOf().then((refusal) => {
      if (refusal) this.end(refusal.code, refusal.message)
    })
  }

  /** Says why, and closes; what waits is still sent for some seconds. */
  end(code: string, message: string): void {
    if (this.#isOver) return
    this.#isOver = true
    this.begin()
    this.#response.end(frameOf('end', { code, message }))
    setTimeout(() => this.#response.destroy(), LAST_WORDS_MS).unref()
  }

  #tooSlow(): void {
    this.end('TOO_SLOW', 'this client did not read for 15 s, or reads too slowly: connect again')
  }

  #write(frame: Buffer): void {
    this.begin()
    this.#saidAtMs = this.#options.nowMs()
    if (!this.#response.write(frame)) this.#blockedSinceMs ??= this.#saidAtMs
  }

  /** With the first event at the latest; until then an error can still be an answer. */
  begin(): void {
    if (this.#isBegun) return
    this.#isBegun = true
    this.#response.writeHead(200, {
      'Content-Type': 'text/event-stream; charset=utf-8',
      'Cache-Control': 'no-cache, no-transform',
      'X-Accel-Buffering': 'no',
    })
    this.#response.write(`retry: ${RETRY_MS}\n\n`)
  }
}

const HEARTBEAT = Buffer.from(': hb\n\n')

/** JSON has no line breaks: it is one line of data. */
export function frameOf(event: string, data: unknown, id?: string): Buffer {
  const text = typeof data === 'string' ? data : JSON.stringify(data)
  return Buffer.from(`${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${text}\n\n`)
}
