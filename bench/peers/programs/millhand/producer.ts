// Enqueues with millhand/client, with all its defaults but the durability where BENCH_DURABILITY says one.
// Argument: the Redis URL.
import { connect, type Durability, flow } from 'millhand/client'
import type { Shape } from '../../../peer.ts'
import { type Data, produce } from '../node/producing.ts'

const { BENCH_DURABILITY: durability } = process.env
const client = connect({
  redis: process.argv[2],
  ...(durability && { durability: durability as Durability }),
})
const queue = client.queue('bench')
const requests = (many: Data[], at?: Date) =>
  many.map((input) => ({ task: 'no-op', input, ...(at && { options: { at } }) }))

function startFlow(shape: Shape, datas: Data[]) {
  const plan = flow(`flow-${datas[0]?.n}`)
  const steps = datas.map((input) => ({ queue: 'bench', task: 'no-op', input }))
  const [last] = steps.slice(-1)
  if (shape === 'chain') plan.chain(steps)
  else if (shape === 'group') plan.group(steps)
  else plan.add('bench', 'no-op', last?.input, { after: [plan.group(steps.slice(0, -1))] })
  return client.start(plan)
}

await queue.job('none').details() // a first call: connects
await produce({
  add: (data) => queue.enqueue('no-op', data),
  addMany: (many) => queue.enqueueMany(requests(many)),
  addDelayed: (many, dueAtMs) => queue.enqueueMany(requests(many, new Date(dueAtMs))),
  startFlow,
  roundTrip: async (data) => (await queue.enqueue('no-op', data)).result(),
})
