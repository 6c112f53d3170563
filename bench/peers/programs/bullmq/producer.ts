// Enqueues with BullMQ's Queue. Arguments: host, port.
import { type FlowJob, FlowProducer, Queue, QueueEvents } from 'bullmq'
import type { Shape } from '../../../peer.ts'
import { type Data, produce } from '../node/producing.ts'

const [, , host = '', port = ''] = process.argv
const connection = { host, port: Number(port) }
const queue = new Queue<Data>('bench', { connection })
await queue.waitUntilReady()
let events: QueueEvents | undefined
const flows = new FlowProducer({ connection })

/** A job runs behind its children. */
function flowOf(shape: Shape, datas: Data[]): FlowJob<Data> {
  const [data, ...others] = datas.map((each) => ({ name: 'no-op', queueName: 'bench', data: each }))
  if (!data) throw new Error('a flow has at least one job')
  if (shape === 'chord') return { ...data, children: others }
  return others.reduce<FlowJob<Data>>((first, next) => ({ ...next, children: [first] }), data)
}

await produce({
  add: (data) => queue.add('no-op', data),
  addMany: (many) => queue.addBulk(many.map((data) => ({ name: 'no-op', data }))),
  addDelayed: (many, dueAtMs) => {
    const delay = dueAtMs - Date.now()
    return queue.addBulk(many.map((data) => ({ name: 'no-op', data, opts: { delay } })))
  },
  startFlow: (shape, datas) => flows.add(flowOf(shape, datas)),
  roundTrip: async (data) => {
    if (!events) {
      events = new QueueEvents('bench', { connection })
      await events.waitUntilReady()
    }
    const job = await queue.add('no-op', data)
    return job.waitUntilFinished(events)
  },
})
