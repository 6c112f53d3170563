// A server that stands behind the gate with three routes, and requests to it by a raw socket: fetch would
// rewrite Host and Origin.
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import type { Permission, User } from '../../../dashboard/src/server/access/access.ts'
import { localAuthority } from '../../../dashboard/src/server/access/authorities.ts'
import { Gate, type GateOptions } from '../../../dashboard/src/server/access/gate.ts'
import { createLog } from '../../../worker-runtime/src/log.ts'

export const TOKEN = 'a-token-of-this-test'
const RETRY: Permission = { resource: 'jobs', verb: 'retry' }
const LIST: Permission = { resource: 'jobs', verb: 'list' }

export interface Answered {
  status: number
  headers: Record<string, string>
  body: string
}

export interface Serving {
  gate: Gate
  port: number
  logged: Record<string, unknown>[]
  clock: { nowMs: number }
  /** Lines of a request without the line ends; `body` gets its Content-Length. */
  send(lines: string[], body?: string): Promise<Answered>
}

const open: Server[] = []

afterEach(() => {
  for (const server of open.splice(0)) {
    server.close()
    server.closeAllConnections()
  }
})

export async function serveBehindGate(options: Partial<GateOptions> = {}): Promise<Serving> {
  const logged: Record<string, unknown>[] = []
  const clock = { nowMs: 1_000_000 }
  const log = createLog({ level: 'debug', write: (line) => logged.push(JSON.parse(line)) })
  const gate = new Gate({
    authority: localAuthority(TOKEN),
    hosts: { names: [], anyAddress: false, remedy: 'open localhost' },
    log,
    nowMs: () => clock.nowMs,
    wallMs: () => clock.nowMs,
    ...options,
  })
  const server = await listening(gate)
  const { port } = server.address() as AddressInfo
  return { gate, port, logged, clock, send: (lines, body) => sendRaw(port, lines, body) }
}

async function listening(gate: Gate): Promise<Server> {
  const server = createServer(async (request, response) => {
    const answer = (status: number, body: unknown, headers: object = {}) => {
      const text = JSON.stringify(body)
      // So that it is not sent in chunks.
      const length = { 'Content-Length': Buffer.byteLength(text) }
      response.writeHead(status, { ...headers, ...length }).end(text)
    }
    const path = (request.url ?? '').split('?')[0] ?? ''
    for (const [name, value] of Object.entries(gate.headersFor(path))) response.setHeader(name, value)
    const admitted = await gate.admit(request)
    if (admitted.kind === 'moved') return answer(303, '', admitted.headers)
    if (admitted.kind === 'refused') return answer(admitted.refusal.status, admitted.refusal)
    if (path === '/') return answer(200, 'page')
    if (path === '/api/v1/session' && request.method === 'POST') {
      const chunks = await request.toArray()
      const signed = await gate.signIn(request, JSON.parse(Buffer.concat(chunks).toString()).token)
      if ('refusal' in signed) return answer(signed.refusal.status, signed.refusal, signed.refusal.headers)
      return answer(200, '', { 'Set-Cookie': signed.setCookie })
    }
    if (admitted.kind === 'stranger')
      return answer(admitted.refusal.status, admitted.refusal, admitted.refusal.headers)
    const { session } = admitted
    const namespace = path.split('/')[4]
    const isRead = request.method === 'GET'
    const refusal = await session.refusalOf(isRead ? LIST : RETRY, namespace)
    if (refusal) return answer(refusal.status, refusal)
    if (!isRead)
      gate.audit(session, { permission: RETRY, queue: `${namespace}/mail`, reason: 'again', outcome: 'done' })
    return answer(200, session.user)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  open.push(server)
  return server
}

async function sendRaw(port: number, lines: string[], body?: string): Promise<Answered> {
  const socket = connect(port, '127.0.0.1')
  const length = body === undefined ? [] : [`Content-Length: ${Buffer.byteLength(body)}`]
  socket.write([...lines, ...length, 'Connection: close', '', body ?? ''].join('\r\n'))
  const said = Buffer.concat(await socket.toArray()).toString()
  const [head = '', ...rest] = said.split('\r\n\r\n')
  const [first = '', ...fields] = head.split('\r\n')
  const headers = Object.fromEntries(
    fields.map((line) => [line.split(':')[0]?.toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  )
  return { status: Number(first.split(' ')[1]), headers, body: rest.join('\r\n\r\n') }
}

export const ANNA: User = { name: 'anna', groups: ['shop'] }
