// The pages of a worker, for the kubelet, people and Prometheus: GET /readyz, /livez, /healthz and /metrics
// on MILLHAND_HTTP_PORT. main.ts starts it first, so that it answers while the task modules load; nothing of
// it runs in a child.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { ConfigError } from './config.ts'
import type { RedisAccess } from './redis/address.ts'
import { RedisUnavailable } from './redis/connection.ts'
import { connectRedis } from './redis/reconnect.ts'

export interface Page {
  readonly status: number
  readonly type: string
  readonly text: string
}

/** Path → the page as it is now. */
export type Pages = Readonly<Record<string, () => Page | Promise<Page>>>

export interface HttpServer {
  readonly port: number
  stop(): Promise<void>
}

export interface Health {
  readonly phase: 'starting' | 'working' | 'stopping'
  /** How long ago Redis last answered for each queue, ms. */
  readonly queues: readonly { readonly name: string; readonly silentMs: number }[]
}

const TEXT = 'text/plain; charset=utf-8'
const SILENT_TOO_LONG_MS = 30_000
const PATIENCE_MS = 5_000

/** On all addresses, the pod's and the loopback's. Throws ConfigError where it cannot listen. */
export async function serveHttp(port: number, pages: Pages): Promise<HttpServer> {
  const server = createServer((request, response) => void answer(request, response, pages))
  server.headersTimeout = PATIENCE_MS
  server.requestTimeout = PATIENCE_MS
  await listen(server, port)
  const address = server.address()
  return {
    port: typeof address === 'object' && address ? address.port : port,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** A worker whose event loop hangs does not answer at all: the probe's own timeout finds it. */
export function healthPage({ phase, queues }: Health): Page {
  const [longest] = [...queues].sort((a, b) => b.silentMs - a.silentMs)
  if (phase !== 'working' || !longest || longest.silentMs < SILENT_TOO_LONG_MS)
    return { status: 200, type: TEXT, text: `${phase}\n` }
  const seconds = Math.floor(longest.silentMs / 1000)
  return {
    status: 503,
    type: TEXT,
    text: `Redis has not answered for the queue ${longest.name} for ${seconds} s\n`,
  }
}

/**
 * For the liveness probe: 503 only where a restart could help. While no client reaches Redis it would only
 * end the jobs that run.
 */
export async function livePage(health: Health, isRedisThere: () => Promise<boolean>): Promise<Page> {
  const page = healthPage(health)
  if (page.status === 200 || (await isRedisThere())) return page
  return { ...page, status: 200 }
}

/**
 * Whether Redis answers on a new connection. A refusal of the credentials counts as an answer: they were
 * changed, and after a restart the worker has the Secret as it is then.
 */
export async function answersAnybody(redis: RedisAccess): Promise<boolean> {
  const connection = connectRedis(redis, { name: 'millhand-probe', deadlineMs: 2_000 })
  try {
    await connection.call('PING')
    return true
  } catch (error) {
    return error instanceof RedisUnavailable && error.code === 'REDIS_REFUSED'
  } finally {
    connection.close()
  }
}

/**
 * Red until the worker has registered with all its queues, and never again: an unready pod is the first that
 * a ReplicaSet removes.
 */
export function readyPage(isRegistered: boolean, queues: readonly string[]): Page {
  if (isRegistered) return { status: 200, type: TEXT, text: 'registered\n' }
  const text = `not registered yet with the queues ${queues.join(', ')}: the log says why\n`
  return { status: 503, type: TEXT, text }
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        new ConfigError(`cannot listen on port ${port}, which MILLHAND_HTTP_PORT names: ${error.code}`, {
          cause: error,
        }),
      ),
    )
    server.listen(port, resolve)
  })
}

async function answer(
  { method, url = '' }: IncomingMessage,
  response: ServerResponse,
  pages: Pages,
): Promise<void> {
  const path = url.split('?')[0] ?? ''
  const page = Object.hasOwn(pages, path) ? pages[path] : undefined
  const isRead = method === 'GET' || method === 'HEAD'
  const { status, type, text } = !page
    ? { status: 404, type: TEXT, text: `there is ${Object.keys(pages).join(' and ')}\n` }
    : !isRead
      ? { status: 405, type: TEXT, text: 'only GET and HEAD\n' }
      : await ask(page)
  const more = status === 405 ? { Allow: 'GET, HEAD' } : {}
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(text), ...more })
  response.end(method === 'HEAD' ? undefined : text)
}

async function ask(page: () => Page | Promise<Page>): Promise<Page> {
  try {
    return await page()
  } catch {
    return { status: 500, type: TEXT, text: 'this page cannot be made now\n' }
  }
}
