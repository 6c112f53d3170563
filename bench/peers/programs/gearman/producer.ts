// Submits jobs to gearmand over one connection: background jobs, or foreground ones whose result is awaited.
// Argument: the port.
import { once } from 'node:events'
import { type Data, produce } from '../node/producing.ts'
import {
  connectTo,
  FUNCTION,
  JOB_CREATED,
  packet,
  SUBMIT_JOB,
  SUBMIT_JOB_BG,
  split,
  WORK_COMPLETE,
} from './protocol.ts'

/** The server answers submissions in their order. */
const unanswered: ((handle: string) => void)[] = []
const results = new Map<string, (result: string) => void>()

const socket = connectTo(Number(process.argv[2]), (type, body) => {
  if (type === JOB_CREATED) return unanswered.shift()?.(body)
  if (type !== WORK_COMPLETE) return
  const [handle = '', result = ''] = split(body, 2)
  results.get(handle)?.(result)
  results.delete(handle)
})
await once(socket, 'connect')

function submit(type: number, data: Data): Promise<string> {
  socket.write(packet(type, FUNCTION, '', JSON.stringify(data)))
  return new Promise((resolve) => unanswered.push(resolve))
}

await produce({
  add: (data) => submit(SUBMIT_JOB_BG, data),
  // A result may be in the same chunk as the handle: it is listened for before anything else is read.
  roundTrip: (data) =>
    new Promise((resolve) => {
      socket.write(packet(SUBMIT_JOB, FUNCTION, '', JSON.stringify(data)))
      unanswered.push((handle) => results.set(handle, resolve))
    }),
})
