// Passes all writes of a child's JavaScript to stdout and stderr to entry.ts, which knows the job. Output of
// native code and of other processes goes through the pipes.
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import type { Stream } from '../messages.ts'

/** Answers whether it took the output; else the output goes into the pipe. */
export type Take = (stream: Stream, output: Buffer) => boolean

/**
 * The console and its streams. Node's write would buffer without bound while the worker is slow; `take`
 * blocks.
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

/** Writes to descriptors 1 and 2 without the streams, like those of pino. */
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
