// Bytes → frames: length of the rest (4 bytes, big-endian), kind (1 byte), content. A length over the limit
// of its kind is refused before anything of the content is kept. Both ends of every channel use it
// (messages.ts says what the content means, PROTOCOL.md all of it).

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
/** The writer keeps a buffer of at most this size for the next frames. */
const SPARE_BYTES = 64 * 1024
const NOTHING = Buffer.alloc(0)

/** Writes frames one behind the other into one buffer. */
export class FrameWriter {
  #bytes = NOTHING
  #size = 0

  /** `line` is a line of JSON without its end, `body` what follows it raw. */
  put(code: number, line: string, body: string | Uint8Array = ''): void {
    const isText = typeof body === 'string'
    const text = isText ? `${line}\n${body}` : `${line}\n`
    const start = this.#size + HEAD_BYTES
    this.#reserve(HEAD_BYTES + mostBytes(text) + (isText ? 0 : body.byteLength))
    let end = start + this.#bytes.write(text, start)
    if (!isText) {
      this.#bytes.set(body, end)
      end += body.byteLength
    }
    this.#bytes.writeUInt32BE(end - start, this.#size)
    this.#bytes[this.#size + 4] = code
    this.#size = end
  }

  /** The frames since the last call: a view that the next `put` writes over. */
  take(): Buffer {
    const all = this.#bytes.subarray(0, this.#size)
    this.#size = 0
    if (this.#bytes.length > SPARE_BYTES) this.#bytes = NOTHING
    return all
  }

  /** As `take`, but to keep. */
  takeToKeep(): Buffer {
    const all = this.take()
    return this.#bytes === NOTHING ? all : Buffer.from(all)
  }

  #reserve(bytes: number): void {
    const needed = this.#size + bytes
    if (needed <= this.#bytes.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, Math.min(2 * needed, SPARE_BYTES)))
    this.#bytes.copy(larger, 0, 0, this.#size)
    this.#bytes = larger
  }
}

/** Only a long text is counted: a character has at most three bytes. */
function mostBytes(text: string): number {
  return text.length < 1024 ? 3 * text.length : Buffer.byteLength(text)
}

/** By code. */
export type Kinds<Kind> = ReadonlyMap<number, { kind: Kind; maxBytes: number }>

/** `content` is a view into the read buffer: copy it to keep it. Undefined: invalid. */
export type Read<Kind, Message> = (kind: Kind, content: Buffer) => Message | undefined

/**
 * Cuts a stream into frames of the kinds given, and reads each. After a broken frame it answers that and
 * nothing more.
 */
export class FrameReader<Kind extends string, Message> {
  readonly #kinds: Kinds<Kind>
  readonly #read: Read<Kind, Message>
  #parts: Buffer[] = []
  #keptBytes = 0
  #wantedBytes = HEAD_BYTES
  #isBroken = false

  constructor(kinds: Kinds<Kind>, read: Read<Kind, Message>) {
    this.#kinds = kinds
    this.#read = read
  }

  push(chunk: Buffer): (Message | Broken)[] {
    if (this.#isBroken) return []
    if (this.#parts.length === 0) return this.#readAll(chunk)
    this.#keep(chunk)
    return this.#keptBytes < this.#wantedBytes ? [] : this.#readAll(Buffer.concat(this.#parts))
  }

  /** A copy: the read buffer is reused, and a small rest must not keep a large buffer alive. */
  #keep(rest: Buffer): void {
    this.#parts.push(Buffer.from(rest))
    this.#keptBytes += rest.length
  }

  #readAll(buffer: Buffer): (Message | Broken)[] {
    const messages: (Message | Broken)[] = []
    let at = 0
    this.#wantedBytes = HEAD_BYTES
    while (buffer.length - at >= HEAD_BYTES) {
      const length = buffer.readUInt32BE(at)
      const format = this.#kinds.get(buffer.readUInt8(at + 4))
      if (!format) return this.#break(messages, `a message of an unknown kind (${buffer.readUInt8(at + 4)})`)
      const { kind, maxBytes } = format
      if (length > maxBytes) {
        const what = `a message "${kind}" of ${length} bytes; at most ${maxBytes} are taken`
        return this.#break(messages, what, true)
      }
      const end = at + HEAD_BYTES + length
      if (end > buffer.length) {
        this.#wantedBytes = HEAD_BYTES + length
        break
      }
      const message = this.#read(kind, buffer.subarray(at + HEAD_BYTES, end))
      if (message === undefined) return this.#break(messages, `a message "${kind}" that cannot be read`)
      messages.push(message)
      at = end
    }
    this.#parts = []
    this.#keptBytes = 0
    if (at < buffer.length) this.#keep(buffer.subarray(at))
    return messages
  }

  /** Nothing after it is read. */
  #break(before: (Message | Broken)[], what: string, tooLong = false): (Message | Broken)[] {
    this.#isBroken = true
    this.#parts = []
    return [...before, { kind: 'broken', message: `the child sent ${what}`, tooLong }]
  }
}
