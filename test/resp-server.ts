// Speaks Redis's protocol and says what a test tells it to: for what no real server can be brought to do when a test wants it.
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from 'node:tls'

/** A string that begins with - is an error. */
export type Answer = string | number | readonly Answer[]
/** What the server answers; undefined: nothing. The command's name is in capitals. */
export type Answering = (command: string, ...args: string[]) => Answer | undefined

export class RespServer {
  readonly port: number
  /** How often somebody connected. */
  connections = 0
  /** Every byte that clients sent. */
  heard = ''
  /** What clients called it in their TLS handshakes; false: nothing. */
  readonly names: (string | false)[] = []
  answer: Answering
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(server: Server, answer: Answering) {
    this.#server = server
    this.answer = answer
    this.port = (server.address() as AddressInfo).port
  }

  static async start(answer: Answering, tls?: TlsOptions): Promise<RespServer> {
    const server = tls ? createTlsServer(tls) : createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const started = new RespServer(server, answer)
    server.on(tls ? 'secureConnection' : 'connection', (socket: Socket) => started.#join(socket))
    return started
  }

  stop(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #join(socket: Socket): void {
    this.connections += 1
    if ('servername' in socket) this.names.push((socket as TLSSocket & { servername: string }).servername)
    this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.delete(socket))
    socket.on('error', () => {})
    let rest = ''
    socket.on('data', (chunk: Buffer) => {
      this.heard += chunk.toString('latin1')
      rest += chunk.toString('latin1')
      for (let parsed = commandIn(rest); parsed; parsed = commandIn(rest)) {
        rest = parsed.rest
        const [name = '', ...args] = parsed.command
        const answer = answerTo(name.toUpperCase(), args) ?? this.answer(name.toUpperCase(), ...args)
        if (answer !== undefined) socket.write(encoded(answer))
      }
    })
  }
}

/** What is about the protocol: this one is the old one. */
function answerTo(command: string, args: string[]): Answer | undefined {
  if (command === 'HELLO') return '-NOPROTO unsupported protocol version'
  return command === 'SUBSCRIBE' ? ['subscribe', args[0] ?? '', 1] : undefined
}

function commandIn(text: string): { command: string[]; rest: string } | undefined {
  const [header, count] = /^\*(\d+)\r\n/.exec(text) ?? []
  if (!header) return undefined
  const command: string[] = []
  let at = header.length
  while (command.length < Number(count)) {
    const [size, bytes] = /^\$(\d+)\r\n/.exec(text.slice(at)) ?? []
    if (!size) return undefined
    const begin = at + size.length
    at = begin + Number(bytes) + 2
    if (text.length < at) return undefined
    command.push(text.slice(begin, at - 2))
  }
  return { command, rest: text.slice(at) }
}

function encoded(answer: Answer): string {
  if (typeof answer === 'number') return `:${answer}\r\n`
  if (typeof answer !== 'string') return `*${answer.length}\r\n${answer.map(encoded).join('')}`
  return answer.startsWith('-') ? `${answer}\r\n` : `$${Buffer.byteLength(answer)}\r\n${answer}\r\n`
}
