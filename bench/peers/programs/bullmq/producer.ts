// Enqueues with BullMQ's Queue. Arguments: host, port.
import { Queue, QueueEvents } from 'bullmq'
import { type Data, produce } from '../node/producing.ts'

const [, , host = '', port = ''] = process.argv
const connection = { host, port: Number(port) }
const queue = new Queue<Data>('bench', { connection })
await queue.waitUntilReady()
let events: QueueEvents | undefined

await produce({
  add: (data) => queue.add('no-op', data),
  addMany: (many) => queue.addBulk(many.map((data) => ({ name: 'no-op', data }))),
  addDelayed: (many, dueAtMs) => {
    const delay = dueAtMs - Date.now()
    return queue.addBulk(many.map((data) => ({ name: 'no-op', data, opts: { delay } })))
  },
  roundTrip: async (data) => {
    if (!events) {
      events = new QueueEvents('bench', { connection })
      await events.waitUntilReady()
    }
    const job = await queue.add('no-op', data)
    return job.waitUntilFinished(events)
  },
})
