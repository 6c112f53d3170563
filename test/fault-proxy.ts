// A TCP proxy between a worker or client and its Redis that can do what networks do: swallow everything without a word, or lose the answer
// to one request and reset the connection.
import { createServer, connect as dial, type Server, type Socket } from 'node:net'

export class FaultProxy {
  readonly url: string
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #clients = new Set<Socket>()
  #isBlackHole = false
  #answersAfterMs = 0
  readonly #forgotten = new Set<Socket>()
  #poison: { pattern: string; onDropped: () => void } | undefined

  private constructor(server: Server, port: number) {
    this.#server = server
    this.url = `redis://127.0.0.1:${port}`
  }

  static async start(redisPort: number): Promise<FaultProxy> {
    const server = createServer({ allowHalfOpen: true })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    const proxy = new FaultProxy(server, typeof address === 'object' && address ? address.port : 0)
    server.on('connection', (client) => proxy.#join(client, dial(redisPort, '127.0.0.1')))
    return proxy
  }

  /** Nothing gets through either way, and nobody is told. */
  blackHole(isOn: boolean): void {
    this.#isBlackHole = isOn
  }

  /** As far away as that: each answer takes so long. */
  slow(answersAfterMs: number): void {
    this.#answersAfterMs = answersAfterMs
  }

  /** As an address translator does with what was idle for long: nothing gets through on the connections that are there, and new ones are well. */
  forgetConnections(): void {
    for (const client of this.#clients) this.#forgotten.add(client)
  }

  /** Says to every client that nothing more will come from Redis, and goes on taking what they send. */
  halfClose(): void {
    for (const client of this.#clients) client.end()
  }

  /** The server executes the next request that contains the text; its answer is lost and the connection reset. Resolves when it happened. */
  loseAnswerTo(pattern: string): Promise<void> {
    return new Promise((resolve) => {
      this.#poison = { pattern, onDropped: resolve }
    })
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #join(client: Socket, redis: Socket): void {
    let isLost = false
    this.#clients.add(client)
    client.on('close', () => this.#clients.delete(client))
    for (const socket of [client, redis]) {
      this.#sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        this.#sockets.delete(socket)
        if (!this.#isBlackHole) for (const each of [client, redis]) each.destroy()
      })
    }
    client.on('data', (chunk) => {
      if (this.#isBlackHole || this.#forgotten.has(client)) return
      if (this.#poison && chunk.includes(this.#poison.pattern)) isLost = true
      redis.write(chunk)
    })
    redis.on('data', (chunk) => {
      if (this.#isBlackHole || this.#forgotten.has(client)) return
      if (!isLost) {
        if (this.#answersAfterMs === 0) client.write(chunk)
        else setTimeout(() => client.write(chunk), this.#answersAfterMs)
        return
      }
      const poison = this.#poison
      this.#poison = undefined
      client.resetAndDestroy()
      redis.destroy()
      poison?.onDropped()
    })
  }
}
