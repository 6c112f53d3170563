// Bytes → frames: length of the rest (4 bytes, big-endian), kind (1 byte), content. A length over the limit
// of its kind is refused before anything of the content is kept. Both ends of every channel use it
// (messages.ts says what the content means, PROTOCOL.md all of it).
export interface Frame<Kind extends string> {
  kind: Kind
  /** A view into what was read: copy it to keep it. */
  content: Buffer
}

/** The stream cannot be read any further. */
export interface Broken {
  kind: 'broken'
  message: string
  tooLong: boolean
}

export interface Format {
  readonly code: number
  readonly maxBytes: number
}

const HEAD_BYTES = 5

/** `line` is a line of JSON without its end, `body` what follows it raw. */
export function frameOf(code: number, line: string, body: string | Uint8Array = ''): Buffer {
  const lineBytes = Buffer.byteLength(line) + 1
  const length = lineBytes + (typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength)
  const frame = Buffer.allocUnsafe(HEAD_BYTES + length)
  frame.writeUInt32BE(length, 0)
  frame.writeUInt8(code, 4)
  frame.write(line, HEAD_BYTES)
  frame.writeUInt8(10, HEAD_BYTES + lineBytes - 1)
  if (typeof body === 'string') frame.write(body, HEAD_BYTES + lineBytes)
  else frame.set(body, HEAD_BYTES + lineBytes)
  return frame
}

/** Cuts a stream into frames of the formats given. After a broken frame it yields that and nothing more. */
export class FrameReader<Kind extends string> {
  readonly #kinds: Map<number, { kind: Kind; maxBytes: number }>
  #parts: Buffer[] = []
  #keptBytes = 0
  #wantedBytes = HEAD_BYTES
  #isBroken = false

  constructor(formats: readonly (readonly [Kind, Format])[]) {
    this.#kinds = new Map(formats.map(([kind, { code, maxBytes }]) => [code, { kind, maxBytes }]))
  }

  *push(chunk: Buffer): Generator<Frame<Kind> | Broken> {
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
      const format = this.#kinds.get(code)
      if (!format) return yield this.break(`a message of an unknown kind (${code})`)
      const { kind, maxBytes } = format
      if (length > maxBytes)
        return yield {
          ...this.break(`a message "${kind}" of ${length} bytes; at most ${maxBytes} are taken`),
          tooLong: true,
        }
      const end = at + HEAD_BYTES + length
      if (end > buffer.length) {
        this.#wantedBytes = HEAD_BYTES + length
        break
      }
      yield { kind, content: buffer.subarray(at + HEAD_BYTES, end) }
      if (this.#isBroken) return
      at = end
    }
    this.#parts = at === buffer.length ? [] : [buffer.subarray(at)]
    this.#keptBytes = buffer.length - at
  }

  /** Nothing that follows is read. */
  break(what: string): Broken {
    this.#isBroken = true
    this.#parts = []
    return { kind: 'broken', message: `the child sent ${what}`, tooLong: false }
  }
}
