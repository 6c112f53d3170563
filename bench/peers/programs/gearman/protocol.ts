// Gearman's binary protocol, as much of it as the programs here speak: https://gearman.org/protocol/
import { connect, type Socket } from 'node:net'

export const CAN_DO = 1
export const PRE_SLEEP = 4
export const NOOP = 6
export const SUBMIT_JOB = 7
export const JOB_CREATED = 8
export const GRAB_JOB = 9
export const NO_JOB = 10
export const JOB_ASSIGN = 11
export const WORK_COMPLETE = 13
export const SUBMIT_JOB_BG = 18

/** The name that jobs of the bench are submitted under. */
export const FUNCTION = 'bench'
const HEAD_BYTES = 12

export function packet(type: number, ...parts: string[]): Buffer {
  const body = Buffer.from(parts.join('\0'))
  const head = Buffer.from('\0REQ\0\0\0\0\0\0\0\0', 'latin1')
  head.writeUInt32BE(type, 4)
  head.writeUInt32BE(body.length, 8)
  return Buffer.concat([head, body])
}

/** The last part may hold anything; there are `parts` in all. */
export function split(body: string, parts: number): string[] {
  const all = body.split('\0')
  return [...all.slice(0, parts - 1), all.slice(parts - 1).join('\0')]
}

export function connectTo(port: number, onPacket: (type: number, body: string) => void): Socket {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  let rest: Buffer = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let at = 0
    while (rest.length - at >= HEAD_BYTES) {
      const end = at + HEAD_BYTES + rest.readUInt32BE(at + 8)
      if (rest.length < end) break
      onPacket(rest.readUInt32BE(at + 4), rest.toString('utf8', at + HEAD_BYTES, end))
      at = end
    }
    rest = rest.subarray(at)
  })
  socket.on('error', (error) => console.error(error.message))
  return socket
}
