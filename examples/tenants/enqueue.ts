// Enqueues the mails of three tenants, the greedy one's first, and says when the last mail of each was sent.
// MILLHAND_REDIS_URL and MILLHAND_NAMESPACE say where the queue is.
import { connect } from 'millhand/client'
import type { send } from './tasks.ts'

const MAILS = { greedy: 200, modest: 5, shy: 1 }

const client = connect()
const queue = client.queue('mail')
const requests = Object.entries(MAILS).flatMap(([tenant, mails]) =>
  Array.from({ length: mails }, (_, i) => ({
    task: 'send' as const,
    input: { tenant, number: i + 1 },
    options: { key: tenant },
  })),
)
const jobs = await queue.enqueueMany<typeof send>(requests)
const sent = await Promise.all(jobs.map((job) => job.result({ timeoutMs: 300_000 })))
const inOrder = sent.toSorted((a, b) => a.sentAtMs - b.sentAtMs)
for (const tenant of Object.keys(MAILS)) {
  const last = inOrder.findLastIndex((mail) => mail.tenant === tenant) + 1
  console.log(`${tenant}: the last of its mails was number ${last} of ${inOrder.length}`)
}
client.close()
