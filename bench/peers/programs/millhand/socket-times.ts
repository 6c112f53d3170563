// Notes when this process reads from a socket and when it writes to one: the hops of a job, for
// bench/hops.ts. Loaded before anything else. The clock is CLOCK_MONOTONIC, the same one in every process of
// a machine.
import { writeFileSync } from 'node:fs'
import { Socket } from 'node:net'

export interface Noted {
  readonly at: number
  readonly did: 'read' | 'wrote'
  /** The port of the other side; 0 for a pipe, which leads to a child. */
  readonly port: number
}

export const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6
export const noted: Noted[] = []

function note(socket: Socket & { _isStdio?: boolean }, did: Noted['did']): void {
  if (!socket._isStdio) noted.push({ at: nowMs(), did, port: socket.remotePort ?? 0 })
}

/** Calls the method as before, and notes it first. */
function wrap(name: 'push' | '_write' | '_writev', did: Noted['did']): void {
  const before = Reflect.get(Socket.prototype, name) as (...args: unknown[]) => unknown
  Reflect.set(Socket.prototype, name, function (this: Socket, ...args: unknown[]) {
    if (args[0] !== null) note(this, did)
    return before.apply(this, args)
  })
}

wrap('push', 'read')
wrap('_write', 'wrote')
wrap('_writev', 'wrote')

const file = process.env.BENCH_SOCKET_TIMES
if (file) process.once('exit', () => writeFileSync(file, JSON.stringify(noted)))
