// A server that says what no Redis says: garbage, endless texts, maps of 16,384 nodes, nothing. It listens as a Redis does, and a persona
// (personas.ts) decides about the raw bytes of each answer. In front of the client library, workers, the command line and the operator.
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** Raw bytes, a function that writes by itself (more than once, later, for ever), or nothing at all. */
export type Said = string | Buffer | ((socket: Socket) => void) | undefined

export interface Asked {
  /** In capitals. */
  readonly command: string
  readonly args: readonly string[]
  readonly server: HostileServer
}

export type Persona = (asked: Asked) => Said

export class HostileServer {
  readonly port: number
  /** How often somebody connected. */
  connections = 0
  /** The commands that came, in order, at most the last 10,000. */
  readonly heard: string[] = []
  persona: Persona
  /** Where the real Redis is that answers instead, while there is one. */
  #real: number | undefined
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(server: Server, persona: Persona) {
    this.#server = server
    this.persona = persona
    this.port = (server.address() as AddressInfo).port
  }

  /** `host`: where to listen; 0.0.0.0 for what pods shall reach. */
  static async start(persona: Persona, { host = '127.0.0.1', port = 0 } = {}): Promise<HostileServer> {
    const server = createServer()
    server.listen(port, host)
    await once(server, 'listening')
    const started = new HostileServer(server, persona)
    server.on('connection', (socket) => started.#join(socket))
    return started
  }

  /** Connections that are open now. */
  get open(): number {
    return this.#sockets.size
  }

  /** From now on; who is connected is connected no more. */
  become(persona: Persona | { realPort: number }): void {
    this.#real = typeof persona === 'function' ? undefined : persona.realPort
    if (typeof persona === 'function') this.persona = persona
    for (const socket of this.#sockets) socket.destroy()
  }

  urlFor(form: Form, host = '127.0.0.1'): string {
    const at = `${host}:${this.port}`
    if (form === 'sentinel') return `redis+sentinel://${at}/jobs`
    return form === 'cluster' ? `redis+cluster://${at}` : `redis://${at}`
  }

  stop(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #join(socket: Socket): void {
    this.connections += 1
    this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.delete(socket))
    socket.on('error', () => {})
    if (this.#real !== undefined) {
      const real = connect(this.#real, '127.0.0.1')
      real.on('error', () => socket.destroy())
      socket.on('close', () => real.destroy())
      socket.pipe(real).pipe(socket)
      return
    }
    let rest = ''
    socket.on('data', (chunk: Buffer) => {
      rest += chunk.toString('latin1')
      for (let parsed = commandIn(rest); parsed; parsed = commandIn(rest)) {
        rest = parsed.rest
        const [name = '', ...args] = parsed.command
        this.#answer(socket, name.toUpperCase(), args)
      }
    })
  }

  #answer(socket: Socket, command: string, args: string[]): void {
    this.heard.push(command)
    if (this.heard.length > 10_000) this.heard.shift()
    const said = this.persona({ command, args, server: this })
    if (typeof said === 'function') said(socket)
    else if (said !== undefined) socket.write(said)
  }
}

/** One server, Sentinels that lead to it, or a Cluster of which it is the only node. */
export type Form = 'server' | 'sentinel' | 'cluster'
export const FORMS: readonly Form[] = ['server', 'sentinel', 'cluster']

export const bulk = (text: string): string => `$${Buffer.byteLength(text)}\r\n${text}\r\n`
export const array = (...parts: readonly string[]): string => `*${parts.length}\r\n${parts.join('')}`

/** Lets everybody in, in each form, and says OK to the rest. What a persona says only of some commands, it says of the rest with this. */
export const civil: Persona = ({ command, args, server }) => {
  const port = server.port
  if (command === 'HELLO') return '-NOPROTO unsupported protocol version\r\n'
  if (command === 'PING') return '+PONG\r\n'
  if (command === 'TIME') return array(bulk('1795366013'), bulk('184000'))
  if (command === 'INFO') return bulk('# Server\r\nredis_version:7.2.4\r\nloading:0\r\nrole:master\r\n')
  if (command === 'SENTINEL') return array(bulk('127.0.0.1'), bulk(String(port)))
  if (command === 'CLUSTER' && args[0]?.toUpperCase() === 'SLOTS') return slots([{ host: '127.0.0.1', port }])
  if (command === 'SUBSCRIBE' || command === 'UNSUBSCRIBE')
    return array(bulk(command.toLowerCase()), bulk(args[0] ?? ''), ':1\r\n')
  if (command === 'BZPOPMIN') return undefined
  return '+OK\r\n'
}

/** CLUSTER SLOTS: these nodes share the slots. */
export function slots(nodes: readonly { host: string; port: number }[]): string {
  const each = 16_384 / nodes.length
  return array(
    ...nodes.map(({ host, port }, at) =>
      array(
        `:${Math.floor(at * each)}\r\n`,
        `:${Math.floor((at + 1) * each) - 1}\r\n`,
        array(bulk(host), `:${port}\r\n`, bulk(`node-${at}`)),
      ),
    ),
  )
}

function commandIn(text: string): { command: string[]; rest: string } | undefined {
  const [header, count] = /^\*(\d+)\r\n/.exec(text) ?? []
  if (!header) return undefined
  const command: string[] = []
  let at = header.length
  while (command.length < Number(count)) {
    const end = text.indexOf('\r\n', at)
    if (end < 0) return undefined
    const begin = end + 2
    at = begin + Number(text.slice(at + 1, end)) + 2
    if (text.length < at) return undefined
    command.push(text.slice(begin, at - 2))
  }
  return { command, rest: text.slice(at) }
}
