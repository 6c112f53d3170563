// What kubelet and Prometheus ask: /healthz (the process answers), /readyz (its caches are filled, leader or not), /metrics.
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'

export interface Answers {
  isReady: () => boolean
  metrics: () => Promise<{ contentType: string; text: string }>
}

/** Resolves when it listens. */
export async function serveHttp(port: number, answers: Answers): Promise<{ close(): void }> {
  const server = createServer((request, response) => {
    answer(request.url?.split('?')[0] ?? '/', response, answers).catch(() =>
      say(response, 500, 'cannot be told now'),
    )
  })
  server.keepAliveTimeout = 5_000
  server.listen(port)
  await once(server, 'listening')
  return {
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}

async function answer(path: string, response: ServerResponse, { isReady, metrics }: Answers): Promise<void> {
  if (path === '/healthz') return say(response, 200, 'ok')
  if (path === '/readyz')
    return isReady() ? say(response, 200, 'ok') : say(response, 503, 'the caches are not filled yet')
  if (path !== '/metrics') return say(response, 404, 'there are /healthz, /readyz and /metrics')
  const { contentType, text } = await metrics()
  response.writeHead(200, { 'Content-Type': contentType }).end(text)
}

function say(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' }).end(`${text}\n`)
}
