// The example of OpenTelemetry: what a collector gets is one trace, from the enqueue to the last attempt.
import { execFile } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { eventually } from '../eventually.ts'
import { RedisServer } from '../redis-server.ts'
import { startWorker } from '../worker-process.ts'

const EXAMPLE = fileURLToPath(new URL('../../examples/opentelemetry', import.meta.url))

interface Span {
  traceId: string
  spanId: string
  parentSpanId?: string
  name: string
  status: { code?: number }
}

/** Takes what exporters send by OTLP over HTTP, as JSON. */
async function collector() {
  const spans: Span[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    for (const { scopeSpans } of JSON.parse(body).resourceSpans)
      for (const scope of scopeSpans) spans.push(...scope.spans)
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return { spans, url: `http://127.0.0.1:${port}`, close: () => server.close() }
}

test.each(['Fork', 'Reuse'] as const)(
  'with %s, the spans of enqueue, attempts and task are one trace',
  async (isolation) => {
    const [server, otlp] = await Promise.all([RedisServer.start(), collector()])
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: otlp.url }
    const worker = await startWorker({
      redisUrl: server.url,
      namespace: 'default',
      queues: ['payments'],
      modules: [join(EXAMPLE, 'tasks.js')],
      isolation,
      env,
    })
    try {
      const { stdout } = await promisify(execFile)(
        process.execPath,
        ['--conditions=millhand-source', join(EXAMPLE, 'enqueue.js')],
        { env: { ...process.env, ...env, MILLHAND_REDIS_URL: server.url } },
      )
      expect(stdout).toBe('{ paid: true }\n')
      await eventually(() => otlp.spans.length === 6, { what: 'six spans', withinMs: 20_000 })
      expect(new Set(otlp.spans.map(({ traceId }) => traceId)).size).toBe(1)
      const byId = new Map(otlp.spans.map((span) => [span.spanId, span]))
      const way = (span: Span): string => {
        const parent = byId.get(span.parentSpanId ?? '')
        return parent ? `${way(parent)} > ${span.name}` : span.name
      }
      const attempt = 'checkout > send charge > process charge'
      expect(otlp.spans.map(way).sort()).toEqual([
        'checkout',
        'checkout > send charge',
        attempt,
        attempt,
        `${attempt} > ask the bank`,
        `${attempt} > ask the bank`,
      ])
      const ERROR = 2
      const attempts = otlp.spans.filter(({ name }) => name === 'process charge')
      expect(attempts.map(({ status }) => status.code === ERROR).sort()).toEqual([false, true])
      expect(worker.lines.filter(({ message }) => /Fork|Spawn/.test(message))).toEqual([])
    } finally {
      await worker.stop()
      otlp.close()
      await server.remove()
    }
  },
  120_000,
)
