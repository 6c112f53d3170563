// Works for gearmand: a connection runs one job at a time, so there are as many connections as jobs at once.
// Arguments: the port, jobs at once.
import { once } from 'node:events'
import { endWithStdin, perform, recordSoon } from '../node/recording.ts'
import {
  CAN_DO,
  connectTo,
  FUNCTION,
  GRAB_JOB,
  JOB_ASSIGN,
  NO_JOB,
  NOOP,
  PRE_SLEEP,
  packet,
  split,
  WORK_COMPLETE,
} from './protocol.ts'

const [, , port = '', slots = '1'] = process.argv
const GRAB = packet(GRAB_JOB)

async function open(): Promise<void> {
  const socket = connectTo(Number(port), (type, body) => {
    if (type === NOOP) socket.write(GRAB)
    else if (type === NO_JOB) socket.write(packet(PRE_SLEEP))
    else if (type === JOB_ASSIGN) void work(body)
  })
  const work = async (assigned: string) => {
    const [handle = '', , text = ''] = split(assigned, 3)
    const { n } = JSON.parse(text)
    recordSoon(n)
    await perform(n, 1)
    socket.write(Buffer.concat([packet(WORK_COMPLETE, handle, 'null'), GRAB]))
  }
  await once(socket, 'connect')
  socket.write(Buffer.concat([packet(CAN_DO, FUNCTION), GRAB]))
}

process.on('SIGTERM', () => process.exit(0))
endWithStdin()
await Promise.all(Array.from({ length: Number(slots) }, open))
console.log('{"ready":true}')
