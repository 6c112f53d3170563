// Enqueues a job within a span: the trace goes from here through every attempt of the job.
import { trace } from '@opentelemetry/api'
import { connect } from 'millhand/client'
import { carryContext, provider } from './tracing.js'

const client = connect({ beforeEnqueue: carryContext })
await trace.getTracer('shop').startActiveSpan('checkout', async (span) => {
  const job = await client.queue('payments').enqueue('charge', { order: 42 }, { backoffMs: 0 })
  console.log(await job.result({ timeoutMs: 60_000 }))
  span.end()
})
client.close()
await provider.shutdown()
