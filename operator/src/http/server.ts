// The operator's ports. Probes of the kubelet: /healthz (the process answers), /readyz (its caches are
// filled, leader or not). /metrics is on the same port, or on one of its own with TLS, for those who may read
// it (access.ts). main.ts starts them.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Log, reasonOf } from 'millhand/queue'
import { type Config, ConfigError } from '../config.ts'
import type { Reviews } from '../kube/reviews.ts'
import { Access } from './access.ts'
import { certificateIn, ownCertificate } from './certificates.ts'
import { type Listening, listenHttp, listenHttps } from './listen.ts'

export interface Answer {
  status: number
  text: string
  contentType?: string
}

export type Route = (request: IncomingMessage) => Answer | Promise<Answer>
export type Routes = Readonly<Record<string, Route>>

export interface Served {
  isReady: () => boolean
  metrics: () => Promise<{ contentType: string; text: string }>
  /** Asked about requests for metrics with TLS. */
  reviews: Pick<Reviews, 'userOf' | 'mayGet'>
  log: Log
  nowMs: () => number
  wallMs: () => number
}

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
  if (!secureMetrics) return listenHttp(httpPort, handler({ ...probes, ...own }))

  const { port, certificateFolder } = secureMetrics
  const certificates = certificateFolder ? certificateIn(certificateFolder) : ownCertificate(wallMs)
  const routes = guarded(own, new Access({ reviews, nowMs }))
  const tls = { certificates, of: 'metrics', log }
  const secure = await listenHttps(port, handler(routes), tls).catch((error) => {
    throw new ConfigError(`metrics cannot be served with TLS on port ${port}: ${reasonOf(error)}`)
  })
  const plain = await listenHttp(httpPort, handler(probes))
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

export function handler(routes: Routes): (request: IncomingMessage, response: ServerResponse) => void {
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
