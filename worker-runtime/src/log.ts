// One JSON object a line. Messages are constants, facts are fields, so that logs can be searched and never
// injected into. A log never holds up or ends the process that writes it: lines that its reader does not take
// are dropped, and their number is told when one gets through.
import { fstatSync, writeSync } from 'node:fs'
import { isatty } from 'node:tty'
import { copyError } from './errors.ts'

export type Level = 'debug' | 'info' | 'warn' | 'error'
export type Facts = Record<string, unknown>
export type Log = Record<Level, (message: string, facts?: Facts) => void>

export const LEVELS: readonly Level[] = ['debug', 'info', 'warn', 'error']

export interface LogOptions {
  level: Level
  write: (line: string) => void
  fields?: Facts
}

type Output = NodeJS.WriteStream & { fd: number }

/** The most that waits in memory for a reader that stands still. */
const MOST_WAITING_BYTES = 1024 * 1024

/**
 * A log on stdout or stderr, be it a pipe without a reader, a terminal that is gone, or a file on a full
 * disk.
 */
export function logTo(stream: Output, options: Omit<LogOptions, 'write'>): Log {
  const put = isFile(stream.fd) ? putIntoFile(stream.fd) : putIntoStream(stream)
  let dropped = 0
  const tellDropped = () => {
    const facts = { ...options.fields, lines: dropped }
    if (dropped > 0 && put(lineOf('warn', 'nobody took these lines of the log: dropped', facts))) dropped = 0
  }
  stream.on('drain', tellDropped)
  return createLog({
    ...options,
    write(line) {
      tellDropped()
      if (dropped > 0 || !put(line)) dropped += 1
    },
  })
}

function isFile(fd: number): boolean {
  const stats = fstatSync(fd)
  return stats.isFile() || (stats.isCharacterDevice() && !isatty(fd))
}

function putIntoStream(stream: Output): (line: string) => boolean {
  stream.on('error', () => {}) // it is closed by then
  // Node makes terminals blocking: a stopped one (Ctrl-S) would stop this process.
  const { _handle: handle } = stream as { _handle?: { setBlocking?(is: boolean): void } }
  if (stream.isTTY) handle?.setBlocking?.(false)
  return (line) => {
    if (stream.destroyed || stream.writableLength > MOST_WAITING_BYTES) return false
    stream.write(line)
    return true
  }
}

/**
 * Writes to the descriptor: the first error would close a stream for good, and a full disk may have room
 * again.
 */
function putIntoFile(fd: number): (line: string) => boolean {
  let isTorn = false
  return (line) => {
    const bytes = Buffer.from(isTorn ? `\n${line}` : line)
    let written = 0
    try {
      while (written < bytes.length) written += writeSync(fd, bytes, written)
    } catch {}
    if (written > 0) isTorn = written < bytes.length
    return written === bytes.length
  }
}

/**
 * A log that drops what is below `level`. An Error among the facts is written with its code, causes and
 * stack.
 */
export function createLog({ level, write, fields = {} }: LogOptions): Log {
  const at = (messageLevel: Level) =>
    LEVELS.indexOf(messageLevel) < LEVELS.indexOf(level)
      ? () => {}
      : (message: string, facts: Facts = {}) => write(lineOf(messageLevel, message, { ...fields, ...facts }))
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

function lineOf(level: Level, message: string, facts: Facts): string {
  return `${JSON.stringify({ time: new Date().toISOString(), level, message, ...facts }, plainError)}\n`
}

export const silent: Log = { debug() {}, info() {}, warn() {}, error() {} }

function plainError(_key: string, value: unknown): unknown {
  return value instanceof Error ? copyError(value) : value
}
