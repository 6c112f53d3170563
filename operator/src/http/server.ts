// The operator's ports. Probes of the kubelet: /healthz (the process answers), /readyz (its caches are
// filled, leader or not). /metrics is on the same port, or on one of its own with TLS, for those who may read
// it (access.ts). main.ts starts them.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type Log, reasonOf } from 'millhand/queue'
import { type Config, ConfigError } from '../config.ts'
import type { Reviews } from '../kube/reviews.ts'
import { Access } from './access.ts'
import { type CertificateSource, certificateIn, ownCertificate } from './certificates.ts'

export interface Answer {
  status: number
  text: string
  contentType?: string
}

export type Route = (request: IncomingMessage) => Answer | Promise<Answer>
export type Routes = Readonly<Record<string, Route>>

export interface Listening {
  close(): void
}

export interface Served {
  isReady: () => boolean
  metrics: () => Promise<{ contentType: string; text: string }>
  /** Asked about requests for metrics with TLS. */
  reviews: Reviews
  log: Log
  nowMs: () => number
  wallMs: () => number
}

/** How often the certificate's source is asked for a newer one. */
const RENEW_EVERY_MS = 60_000

/** Resolves when all ports listen. */
export async function serve(
  { httpPort, secureMetrics }: Pick<Config, 'httpPort' | 'secureMetrics'>,
  { isReady, metrics, reviews, log, nowMs, wallMs }: Served,
): Promise<Listening> {
  const probes: Routes = {
    '/healthz': () => said(200, 'ok'),
    '/readyz': () => (isReady() ? said(200, 'ok') : said(503, 'the caches are not filled yet')),
  }
  const own: Routes = { '/metrics': async () => ({ status: 200, ...(await metrics()) }) }
  if (!secureMetrics) return serveHttp(httpPort, { ...probes, ...own })

  const { port, certificateFolder } = secureMetrics
  const certificates = certificateFolder ? certificateIn(certificateFolder) : ownCertificate(wallMs)
  const routes = guarded(own, new Access({ reviews, nowMs }))
  const secure = await serveHttps(port, routes, { certificates, log }).catch((error) => {
    throw new ConfigError(`metrics cannot be served with TLS on port ${port}: ${reasonOf(error)}`)
  })
  const plain = await serveHttp(httpPort, probes)
  return {
    close: () => {
      secure.close()
      plain.close()
    },
  }
}

/** The same routes, for requests that `access` allows. */
function guarded(routes: Routes, access: Access): Routes {
  const guard =
    (path: string, route: Route): Route =>
    async (request) => {
      const refusal = await access.refusalOf(request.headers.authorization, path)
      return refusal ? said(refusal.status, refusal.reason) : route(request)
    }
  return Object.fromEntries(Object.entries(routes).map(([path, route]) => [path, guard(path, route)]))
}

/** Resolves when it listens. */
async function serveHttp(port: number, routes: Routes): Promise<Listening> {
  return listening(createServer(handler(routes)), port)
}

/** Resolves when it listens; fails when the certificate cannot be used. */
export async function serveHttps(
  port: number,
  routes: Routes,
  { certificates, log }: { certificates: CertificateSource; log: Log },
): Promise<Listening> {
  let used = await certificates.read()
  const server = createTlsServer(used, handler(routes))
  const renewal = setInterval(async () => {
    try {
      const newest = await certificates.read()
      if (newest.cert === used.cert && newest.key === used.key) return
      server.setSecureContext(newest)
      used = newest
      log.info('the certificate of the metrics was renewed')
    } catch (error) {
      log.warn('the certificate of the metrics cannot be renewed; the old one stays in use', { error })
    }
  }, certificates.renewEveryMs ?? RENEW_EVERY_MS)
  const { close } = await listening(server, port)
  return {
    close: () => {
      clearInterval(renewal)
      close()
    },
  }
}

async function listening(server: Server, port: number): Promise<Listening> {
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

function handler(routes: Routes): (request: IncomingMessage, response: ServerResponse) => void {
  const known = Object.keys(routes).join(', ')
  const answer = async (request: IncomingMessage): Promise<Answer> => {
    const path = request.url?.split('?')[0] ?? '/'
    const route = Object.hasOwn(routes, path) ? routes[path] : undefined
    return route ? route(request) : said(404, `not found; there are: ${known}`)
  }
  return (request, response) => {
    answer(request)
      .catch(() => said(500, 'internal error'))
      .then(({ status, text, contentType = 'text/plain; charset=utf-8' }) =>
        response.writeHead(status, { 'Content-Type': contentType }).end(text),
      )
  }
}

const said = (status: number, text: string): Answer => ({ status, text: `${text}\n` })
