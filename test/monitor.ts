// Watches a Redis from outside with MONITOR: which commands clients send, and which the scripts run.
import { connect, type Socket } from 'node:net'
import { connectRedis } from 'millhand/queue'
import { loadScripts } from '../worker-runtime/src/queue/scripts.ts'

/** A script is sent by its hash. */
const VERBS = new Map(Object.entries(loadScripts()).map(([verb, { sha }]) => [sha, verb]))

export interface Seen {
  /** What clients sent: one entry a round trip; scripts by the name of their verb. */
  sent: string[]
  /** What scripts ran. */
  inScripts: string[]
}

export class Monitor {
  readonly #socket: Socket
  readonly #url: string
  #text = ''
  #marks = 0

  private constructor(socket: Socket, url: string) {
    this.#socket = socket
    this.#url = url
    socket.on('data', (chunk) => {
      this.#text += chunk
    })
  }

  static async start(url: string): Promise<Monitor> {
    const { port } = new URL(url)
    const socket = connect(Number(port), '127.0.0.1')
    const monitor = new Monitor(socket, url)
    await new Promise((resolve) => socket.once('connect', resolve))
    socket.write('MONITOR\r\n')
    await new Promise((resolve) => socket.once('data', resolve))
    return monitor
  }

  /** All that was seen since the last call, up to now. */
  async take(): Promise<Seen> {
    this.#marks += 1
    const mark = `mark-${this.#marks}`
    const redis = connectRedis(this.#url)
    await redis.call('ECHO', mark)
    redis.close()
    while (!this.#text.includes(`"${mark}"`))
      await new Promise((resolve) => this.#socket.once('data', resolve))
    const lines = this.#text.split('\r\n')
    const end = lines.findIndex((line) => line.includes(`"${mark}"`))
    this.#text = lines.slice(end + 1).join('\r\n')
    const seen: Seen = { sent: [], inScripts: [] }
    for (const line of lines.slice(0, end)) {
      const [, source = '', command = '', argument = ''] =
        /\[\d+ (\S+)\] "(\w+)"(?: "(\w*)")?/.exec(line) ?? []
      if (source === 'lua') seen.inScripts.push(command.toUpperCase())
      else if (command && !/^(info|echo|client|hello|command|select)$/i.test(command))
        seen.sent.push(VERBS.get(argument) ?? command.toUpperCase())
    }
    return seen
  }

  stop(): void {
    this.#socket.destroy()
  }
}
