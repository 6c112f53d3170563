// Tracing of a process: spans go to OTEL_EXPORTER_OTLP_ENDPOINT. Both sides load it: the program that enqueues, and
// the tasks.
import { context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node'

export const provider = new NodeTracerProvider({
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
})
provider.register() // with the propagation of the W3C: traceparent, tracestate, baggage
const tracer = trace.getTracer('millhand')

/**
 * For `connect({ beforeEnqueue })`: the job carries the context of its enqueue.
 *
 * @type {import('millhand/client').BeforeEnqueue}
 */
export function carryContext({ queue, task, options }) {
  const attributes = { 'messaging.destination.name': queue }
  const span = tracer.startSpan(`send ${task}`, { kind: SpanKind.PRODUCER, attributes })
  const headers = { ...options.headers }
  propagation.inject(trace.setSpan(context.active(), span), headers)
  span.end()
  return { ...options, headers }
}

/**
 * For `use()`: each attempt is a span below the enqueue of its job.
 *
 * @type {import('millhand').Around}
 */
export async function traceAttempt(job, next) {
  const parent = propagation.extract(context.active(), job.headers)
  const attributes = {
    'messaging.destination.name': job.queue,
    'messaging.message.id': job.id,
    'millhand.attempt': job.attempt,
  }
  await tracer.startActiveSpan(
    `process ${job.task}`,
    { kind: SpanKind.CONSUMER, attributes },
    parent,
    async (span) => {
      try {
        await next()
      } catch (error) {
        span.recordException(error)
        span.setStatus({ code: SpanStatusCode.ERROR, message: String(error) })
        throw error
      } finally {
        span.end()
        await provider.forceFlush() // with Fork and Spawn the process ends with its job
      }
    },
  )
}
