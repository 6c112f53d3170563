// Two orders, each a flow over three queues. The second one cannot be shipped: its parcel is unpacked, its payment paid
// back. MILLHAND_REDIS_URL and MILLHAND_NAMESPACE say where the queues are.
import { type Client, connect, FlowFailed, flow } from 'millhand/client'
import type { Order, pay, reserve, ship, write } from './tasks.ts'

const client = connect()
await place(client, { number: 1, cents: 995, to: 'Rome' })
await place(client, { number: 2, cents: 1_995, to: 'the Moon' })
client.close()

async function place(orders: Client, order: Order): Promise<void> {
  const plan = flow(`order-${order.number}`, {
    onFailure: { queue: 'mail', task: 'write', input: { to: order.to, text: 'we are sorry' } },
  })
  const paid = plan.add<typeof pay>('billing', 'pay', order, { compensate: { task: 'refund' } })
  const parcel = plan.add<typeof reserve>('stock', 'reserve', order, {
    after: [paid],
    compensate: { task: 'release' },
  })
  const shipped = plan.add<typeof ship>('stock', 'ship', { parcel: parcel.result, to: order.to })
  plan.add<typeof write>('mail', 'write', { to: order.to, text: shipped.result })

  const run = await orders.start<string>(plan)
  try {
    console.log(await run.result({ timeoutMs: 120_000 }))
  } catch (error) {
    if (!(error instanceof FlowFailed)) throw error
    console.log(error.message)
  }
  for (const { name, state } of (await run.details())?.flowJobs ?? []) console.log(`  ${name}: ${state}`)
}
