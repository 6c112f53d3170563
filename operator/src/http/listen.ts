// A port with HTTP or HTTPS. The certificate is read again now and then: a renewed one is used without a
// restart.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { Log } from 'millhand/queue'
import type { CertificateSource } from './certificates.ts'

export type Handler = (request: IncomingMessage, response: ServerResponse) => void

export interface Listening {
  close(): void
}

export interface Tls {
  certificates: CertificateSource
  /** What it is the certificate of, for the log. */
  of: string
  log: Log
}

/** How often the certificate's source is asked for a newer one. */
const RENEW_EVERY_MS = 60_000

/** Resolves when it listens. */
export async function listenHttp(port: number, handler: Handler): Promise<Listening> {
  return listening(createServer(handler), port)
}

/** Resolves when it listens; fails when the certificate cannot be used. */
export async function listenHttps(
  port: number,
  handler: Handler,
  { certificates, of, log }: Tls,
): Promise<Listening> {
  let used = await certificates.read()
  const server = createTlsServer(used, handler)
  const renewal = setInterval(async () => {
    try {
      const newest = await certificates.read()
      if (newest.cert === used.cert && newest.key === used.key) return
      server.setSecureContext(newest)
      used = newest
      log.info(`the certificate of the ${of} was renewed`)
    } catch (error) {
      log.warn(`the certificate of the ${of} cannot be renewed; the old one stays in use`, { error })
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
