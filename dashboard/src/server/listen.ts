// The dashboard on this machine only: on 127.0.0.1 and on ::1, where there is one. For `millhand up`.
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Dashboard } from './server.ts'

export interface Listening {
  readonly port: number
  close(): void
}

/** An address whose port somebody else has. */
export class PortTaken extends Error {
  override readonly name = 'PortTaken'
}

const HEADERS_WITHIN_MS = 10_000
const BODY_WITHIN_MS = 30_000

/** `port` 0: a free one. Throws PortTaken. */
export async function listenLocally(dashboard: Dashboard, port: number): Promise<Listening> {
  const first = await listening(dashboard, '127.0.0.1', port)
  const { port: taken } = first.address() as AddressInfo
  // Browsers may try ::1 first for localhost; not every machine has it.
  const second = await listening(dashboard, '::1', taken).catch(() => undefined)
  return {
    port: taken,
    close: () => {
      dashboard.close()
      for (const server of [first, second]) {
        server?.close()
        server?.closeAllConnections()
      }
    },
  }
}

async function listening(dashboard: Dashboard, host: string, port: number): Promise<Server> {
  const server = createServer((request, response) => dashboard.handle(request, response))
  server.headersTimeout = HEADERS_WITHIN_MS
  server.requestTimeout = BODY_WITHIN_MS
  server.listen({ port, host, ipv6Only: true })
  try {
    await once(server, 'listening')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new PortTaken(`the dashboard cannot listen on ${host}:${port} (${code})`, { cause: error })
  }
  return server
}
