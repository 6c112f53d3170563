// What anybody in the cluster may ask of the operator's ports, and that no question ends the operator.
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silent } from 'millhand/queue'
import { certificateIn } from '../../../operator/src/http/certificates.ts'
import { listenHttps } from '../../../operator/src/http/listen.ts'
import { selfSigned } from '../../../operator/src/http/self-signed.ts'
import { handler, type Served, serve } from '../../../operator/src/http/server.ts'
import { eventually } from '../../eventually.ts'
import { freePort } from '../../free-port.ts'

const reviews: Served['reviews'] = {
  userOf: async (token) => (token === 'unknown' ? undefined : { username: token }),
  mayGet: async ({ username }, path) => username === 'prometheus' && path === '/metrics',
}
const served = {
  isReady: () => false,
  metrics: async () => ({ contentType: 'text/plain', text: 'up 1\n' }),
  reviews,
  log: silent,
  nowMs: () => 0,
  wallMs: () => Date.now(),
}

async function saidTo(port: number, line: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(`${line}\r\nHost: operator\r\nConnection: close\r\n\r\n`)
  const [answer] = await once(socket, 'data')
  socket.destroy()
  return String(answer)
}

async function getSecurely(port: number, path: string, token?: string) {
  const headers = token ? { authorization: `Bearer ${token}` } : {}
  const asked = request({ port, path, headers, rejectUnauthorized: false, agent: false }).end()
  const [response] = await once(asked, 'response')
  const { fingerprint256 } = response.socket.getPeerCertificate()
  response.setEncoding('utf8')
  let text = ''
  for await (const part of response) text += part
  return { status: response.statusCode, text, fingerprint256 }
}

test.each([
  ['GET /healthz HTTP/1.1', '200'],
  ['GET /readyz HTTP/1.1', '503'],
  ['GET /metrics?name=x HTTP/1.1', '200'],
  ['GET // HTTP/1.1', '404'],
  ['GET /constructor HTTP/1.1', '404'],
  ['GET http:// HTTP/1.1', '404'],
  ['GET /%%% HTTP/1.1', '404'],
  ['nonsense', '400'],
])('%s is answered with %s', async (line, status) => {
  const port = await freePort()
  const server = await serve({ httpPort: port, secureMetrics: undefined }, served)
  expect(await saidTo(port, line)).toMatch(new RegExp(`^HTTP/1.1 ${status}`))
  server.close()
})

describe('metrics with TLS', () => {
  test('are for users that may get them, and at no other port', async () => {
    const [httpPort, port] = [await freePort(), await freePort()]
    const server = await serve({ httpPort, secureMetrics: { port, certificateFolder: undefined } }, served)
    expect(await getSecurely(port, '/metrics', 'prometheus')).toMatchObject({ status: 200, text: 'up 1\n' })
    expect(await getSecurely(port, '/metrics', 'somebody')).toMatchObject({ status: 403 })
    expect(await getSecurely(port, '/metrics', 'unknown')).toMatchObject({ status: 401 })
    expect(await getSecurely(port, '/metrics')).toMatchObject({ status: 401 })
    expect(await getSecurely(port, '/healthz')).toMatchObject({ status: 404 })
    expect(await saidTo(httpPort, 'GET /metrics HTTP/1.1')).toMatch(/^HTTP\/1.1 404/)
    expect(await saidTo(httpPort, 'GET /healthz HTTP/1.1')).toMatch(/^HTTP\/1.1 200/)
    server.close()
  })

  describe('by the certificate of a Secret', () => {
    let folder: string
    beforeEach(() => {
      folder = mkdtempSync(join(tmpdir(), 'millhand-certificate-'))
    })
    afterEach(() => rmSync(folder, { recursive: true }))

    const write = () => {
      const pair = selfSigned('metrics.example', { fromMs: Date.now(), lifetimeMs: 60_000 })
      writeFileSync(join(folder, 'tls.crt'), pair.cert)
      writeFileSync(join(folder, 'tls.key'), pair.key)
    }

    test('use the new one when it is renewed, and the old one while the new one cannot be read', async () => {
      write()
      const port = await freePort()
      const certificates = { ...certificateIn(folder), renewEveryMs: 20 }
      const warned: string[] = []
      const log = { ...silent, warn: (message: string) => void warned.push(message) }
      const server = await listenHttps(port, handler({}), { certificates, of: 'metrics', log })
      const used = async () => (await getSecurely(port, '/')).fingerprint256
      const first = await used()

      writeFileSync(join(folder, 'tls.crt'), 'half of a certificate')
      await eventually(() => warned.length > 0)
      expect(await used()).toBe(first)

      write()
      await eventually(async () => (await used()) !== first)
      server.close()
    })

    test('are not served when it cannot be used, and the port and the reason are said', async () => {
      const ports = { httpPort: await freePort(), secureMetrics: { port: 8443, certificateFolder: folder } }
      await expect(serve(ports, served)).rejects.toThrow(
        /metrics cannot be served with TLS on port 8443: .*tls\.(crt|key)/,
      )
    })
  })
})
