// What anybody in the cluster may ask of the operator's port, and that no question ends the operator.

import { once } from 'node:events'
import { connect } from 'node:net'
import { serveHttp } from '../../operator/src/http.ts'
import { freePort } from '../free-port.ts'

test.each([
  ['GET /healthz HTTP/1.1', '200'],
  ['GET /readyz HTTP/1.1', '503'],
  ['GET /metrics?name=x HTTP/1.1', '200'],
  ['GET // HTTP/1.1', '404'],
  ['GET http:// HTTP/1.1', '404'],
  ['GET /%%% HTTP/1.1', '404'],
  ['nonsense', '400'],
])('%s is answered with %s', async (line, status) => {
  const port = await freePort()
  const server = await serveHttp(port, {
    isReady: () => false,
    metrics: async () => ({ contentType: 'text/plain', text: 'up 1\n' }),
  })
  const socket = connect(port, '127.0.0.1')
  socket.write(`${line}\r\nHost: operator\r\nConnection: close\r\n\r\n`)
  const [answer] = await once(socket, 'data')
  expect(String(answer)).toMatch(new RegExp(`^HTTP/1.1 ${status}`))
  socket.destroy()
  server.close()
})
