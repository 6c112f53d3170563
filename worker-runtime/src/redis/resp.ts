// The Redis protocol, version 2 (RESP2): commands to text, bytes to replies. Pure; socket.ts reads and
// writes. A server is not trusted: each length is checked before memory is allocated, and invalid bytes end
// the reading with a BadReply.
import type { Command } from './connection.ts'

export type Reply = string | number | null | ReplyError | Reply[]

/** An error reply: the server understood the command and refused it. */
export class ReplyError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'ReplyError'
  }
}

/** The bytes are not the expected reply (PROTOCOL), or the reply is too large (DATA_INVALID). */
export class BadReply extends Error {
  readonly kind: 'PROTOCOL' | 'DATA_INVALID'
  constructor(message: string, kind: BadReply['kind'] = 'PROTOCOL') {
    super(message)
    this.name = 'BadReply'
    this.kind = kind
  }
}

/** Lengths, numbers, states, errors. The longest line of Redis is the error of a script. */
const MAX_LINE_BYTES = 16_384
/** CLUSTER SLOTS has four levels. */
const MAX_DEPTH = 16
/** The memory of an element of an array beside its text, so that a million empty elements count. */
const ELEMENT_BYTES = 32
/** The longest error: people read it. */
const MAX_ERROR_LENGTH = 1_000

/** A larger buffer is not reused. */
const SPARE_BYTES = 65_536
const NOTHING = Buffer.alloc(0)

const CR = 13
const LF = 10

const sizeText = (bytes: number) => `\r\n$${bytes}\r\n`
/** The heads of short arguments, made once: this halves the time of a command. */
const SIZES = Array.from({ length: 512 }, (_, bytes) => sizeText(bytes))

export function encoded(command: Command): string {
  let text = `*${command.length}`
  for (const part of command) {
    const argument = typeof part === 'string' ? part : String(part)
    const bytes = Buffer.byteLength(argument)
    text += (SIZES[bytes] ?? sizeText(bytes)) + argument
  }
  return `${text}\r\n`
}

interface OpenArray {
  readonly elements: Reply[]
  readonly size: number
}

/** Reads the replies out of a stream of bytes, in pieces of any size. */
export class ReplyReader {
  /** The largest reply; may be changed at any time. */
  maxBytes: number
  readonly #onReply: (reply: Reply) => void
  /**
   * The unread bytes. It is one buffer that grows: a list of one-byte pieces would take a hundred times the
   * memory.
   */
  #held = NOTHING
  #unread = 0
  /** The reader tries again at this number of unread bytes. */
  #needed = 1
  #open: OpenArray[] = []
  /** Bytes of the reply that is being read. */
  #taken = 0

  constructor(maxBytes: number, onReply: (reply: Reply) => void) {
    this.maxBytes = maxBytes
    this.#onReply = onReply
  }

  /** Throws BadReply; the reader may not be used after it. */
  read(piece: Buffer): void {
    let bytes = piece
    if (this.#unread > 0) {
      this.#hold(piece)
      if (this.#unread < this.#needed) return
      bytes = this.#held.subarray(0, this.#unread)
    }
    const rest = bytes.subarray(this.#readAll(bytes))
    this.#unread = 0
    if (rest.length > 0) this.#hold(rest)
    else if (this.#held.length > SPARE_BYTES) this.#held = NOTHING
  }

  #hold(piece: Buffer): void {
    const size = this.#unread + piece.length
    if (size > this.#held.length) {
      const larger = Buffer.allocUnsafe(Math.max(size, 2 * this.#held.length))
      this.#held.copy(larger, 0, 0, this.#unread)
      this.#held = larger
    }
    piece.copy(this.#held, this.#unread)
    this.#unread = size
  }

  /** Answers how many bytes were read; the others belong to an incomplete reply. */
  #readAll(bytes: Buffer): number {
    let at = 0
    for (;;) {
      this.#needed = bytes.length - at + 1
      const end = endOfLine(bytes, at)
      if (end < 0 || end + 1 === bytes.length) return at
      if (bytes[end + 1] !== LF) throw new BadReply('a line that does not end with CRLF')
      const next = end + 2
      switch (bytes[at]) {
        case 0x24: {
          // $
          const size = sizeIn(bytes, at + 1, end)
          this.#take(Math.max(0, size))
          const after = next + size + 2
          if (size < 0) {
            this.#complete(null)
            at = next
          } else if (after > bytes.length) {
            this.#taken -= size
            this.#needed = after - at
            return at
          } else {
            if (bytes[after - 2] !== CR || bytes[after - 1] !== LF)
              throw new BadReply('a text that is longer than its length says')
            this.#complete(bytes.toString('utf8', next, next + size))
            at = after
          }
          break
        }
        case 0x2a: // *
          this.#openArray(sizeIn(bytes, at + 1, end))
          at = next
          break
        case 0x3a: // :
          this.#complete(numberIn(bytes, at + 1, end))
          at = next
          break
        case 0x2b: // +
        case 0x2d: {
          // -
          const text = bytes.toString('utf8', at + 1, end)
          this.#take(text.length)
          this.#complete(bytes[at] === 0x2b ? text : new ReplyError(text.slice(0, MAX_ERROR_LENGTH)))
          at = next
          break
        }
        default:
          throw new BadReply('bytes that are not a reply')
      }
    }
  }

  #take(bytes: number): void {
    this.#taken += bytes
    if (this.#taken > this.maxBytes)
      throw new BadReply(`a reply of more than ${this.maxBytes} bytes`, 'DATA_INVALID')
  }

  #openArray(size: number): void {
    if (this.#open.length === MAX_DEPTH) throw new BadReply(`a reply of more than ${MAX_DEPTH} levels`)
    this.#take(Math.max(0, size) * ELEMENT_BYTES)
    if (size > 0) this.#open.push({ elements: [], size })
    else this.#complete(size < 0 ? null : [])
  }

  #complete(value: Reply): void {
    let complete = value
    for (let inner = this.#open.at(-1); inner; inner = this.#open.at(-1)) {
      inner.elements.push(complete)
      if (inner.elements.length < inner.size) return
      this.#open.pop()
      complete = inner.elements
    }
    this.#taken = 0
    this.#onReply(complete)
  }
}

/** -1: not received yet. Most lines are a few bytes, and a loop finds their end faster than indexOf. */
function endOfLine(bytes: Buffer, from: number): number {
  const most = Math.min(bytes.length, from + MAX_LINE_BYTES + 1)
  for (let at = from; at < most; at += 1) if (bytes[at] === CR) return at
  if (most - from > MAX_LINE_BYTES) throw new BadReply('a line without end')
  return -1
}

/** -1: null. */
function sizeIn(bytes: Buffer, from: number, end: number): number {
  const size = digitsIn(bytes, from, end)
  if (size !== undefined) return size
  if (bytes.toString('latin1', from, end) !== '-1') throw new BadReply('an invalid length')
  return -1
}

function numberIn(bytes: Buffer, from: number, end: number): number {
  const isBelowZero = bytes[from] === 0x2d // -
  const number = digitsIn(bytes, isBelowZero ? from + 1 : from, end)
  if (number !== undefined) return isBelowZero ? -number : number
  const text = bytes.toString('latin1', from, end)
  if (!/^[+-]?\d{1,19}$/.test(text)) throw new BadReply('an invalid number')
  return Number(text)
}

/** Undefined where it is not 1 to 10 digits. */
function digitsIn(bytes: Buffer, from: number, end: number): number | undefined {
  if (end === from || end - from > 10) return undefined
  let number = 0
  for (let at = from; at < end; at += 1) {
    const digit = (bytes[at] ?? 0) - 0x30
    if (digit < 0 || digit > 9) return undefined
    number = 10 * number + digit
  }
  return number
}
