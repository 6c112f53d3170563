// A task whose second attempt succeeds, with a span of its own in each.
import { trace } from '@opentelemetry/api'
import { task, use } from 'millhand'
import { traceAttempt } from './tracing.js'

use(traceAttempt)

export const charge = task('charge', async ({ order }, job) => {
  const span = trace.getTracer('shop').startSpan('ask the bank')
  span.setAttribute('order', order)
  span.end()
  if (job.attempt === 1) throw new Error('the bank does not answer')
  return { paid: true }
})
