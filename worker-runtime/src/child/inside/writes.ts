// Every way in which JavaScript of a child writes to stdout and stderr, handed to entry.ts, which knows the
// job. Output of native code and of processes that inherit the pipes goes through the pipes.
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import type { Stream } from '../messages.ts'

/** Answers whether it has taken the output; else that goes into the pipe. */
export type Take = (stream: Stream, output: Buffer) => boolean

/**
 * The console and the streams behind it. Node's own write would buffer without end while the worker is
 * behind; `take` blocks instead.
 */
export function takeStreams(take: Take): void {
  for (const stream of ['stdout', 'stderr'] as const) {
    const target = process[stream]
    const write = target.write.bind(target) as (...rest: unknown[]) => boolean
    target.write = (chunk: string | Uint8Array, ...rest: unknown[]): boolean => {
      if (!take(stream, bytesOf(chunk, rest[0]))) return write(chunk, ...rest)
      const done = callbackOf(rest)
      if (done) process.nextTick(done)
      return true
    }
  }
}

/** Writes to descriptors 1 and 2 past the streams, as pino's are. */
export function takeDescriptors(take: Take): void {
  const { write, writeSync } = fs
  const taken = (fd: unknown, [data, ...rest]: unknown[]): number | undefined => {
    if (fd !== 1 && fd !== 2) return
    if (typeof data !== 'string' && !ArrayBuffer.isView(data)) return
    const bytes = typeof data === 'string' ? bytesOf(data, rest[1]) : partOf(data, rest)
    return take(fd === 1 ? 'stdout' : 'stderr', bytes) ? bytes.length : undefined
  }
  const writeOrTake = (fd: number, ...rest: unknown[]) => {
    const bytes = taken(fd, rest)
    if (bytes === undefined) return Reflect.apply(write, fs, [fd, ...rest])
    process.nextTick(callbackOf(rest) ?? (() => {}), null, bytes, rest[0])
  }
  const writeSyncOrTake = (fd: number, ...rest: unknown[]) =>
    taken(fd, rest) ?? Reflect.apply(writeSync, fs, [fd, ...rest])
  Object.assign(fs, { write: writeOrTake, writeSync: writeSyncOrTake })
  syncBuiltinESMExports()
}

function bytesOf(chunk: string | Uint8Array, encoding: unknown): Buffer {
  if (typeof chunk !== 'string') return Buffer.from(chunk)
  return Buffer.from(chunk, typeof encoding === 'string' && Buffer.isEncoding(encoding) ? encoding : 'utf8')
}

function partOf(view: ArrayBufferView, [offset, length]: unknown[]): Buffer {
  const options = typeof offset === 'object' && offset !== null ? offset : { offset, length }
  const { offset: from, length: count } = options as { offset?: unknown; length?: unknown }
  const start = typeof from === 'number' ? from : 0
  const end = typeof count === 'number' ? start + count : undefined
  return Buffer.from(Buffer.from(view.buffer, view.byteOffset, view.byteLength).subarray(start, end))
}

function callbackOf(rest: unknown[]): ((...results: unknown[]) => void) | undefined {
  return rest.findLast((value) => typeof value === 'function') as
    | ((...results: unknown[]) => void)
    | undefined
}
