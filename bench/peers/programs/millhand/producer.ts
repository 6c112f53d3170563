// Enqueues with millhand/client, with all its defaults but the durability where BENCH_DURABILITY says one.
// Argument: the Redis URL.
import { connect, type Durability } from 'millhand/client'
import { type Data, produce } from '../node/producing.ts'

const { BENCH_DURABILITY: durability } = process.env
const client = connect({
  redis: process.argv[2],
  ...(durability && { durability: durability as Durability }),
})
const queue = client.queue('bench')
const requests = (many: Data[], at?: Date) =>
  many.map((input) => ({ task: 'no-op', input, ...(at && { options: { at } }) }))

await queue.job('none').details() // a first call: connects
await produce({
  add: (data) => queue.enqueue('no-op', data),
  addMany: (many) => queue.enqueueMany(requests(many)),
  addDelayed: (many, dueAtMs) => queue.enqueueMany(requests(many, new Date(dueAtMs))),
  roundTrip: async (data) => (await queue.enqueue('no-op', data)).result(),
})
