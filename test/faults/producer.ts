// A producer process of its own: enqueues one bulk with ids that it can name again after a crash.
import { appendFileSync } from 'node:fs'
import { connect } from 'millhand/client'

const { redis, namespace, jobs, delayMs, history } = JSON.parse(process.argv[2] ?? '{}')
const client = connect({ redis, namespace })
const requests = Array.from({ length: jobs }, (_, i) => ({
  task: 'naps',
  input: { history },
  options: { id: `batch-${i}`, ...(delayMs && { delayMs }) },
}))
for (let i = 0; i < requests.length; i += 500) {
  for (const { id } of await client.queue('jobs').enqueueMany(requests.slice(i, i + 500)))
    appendFileSync(history, `${JSON.stringify({ what: 'acknowledged', job: id, atMs: Date.now() })}\n`)
}
client.close()
