// The redis-server of one round, found on the PATH: starts it on a free port in a temporary folder, asks it
// for its figures, stops it by its process id. Used by the runner and the steps.
import { type ChildProcess, spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { Redis } from 'ioredis'
import { forget, remember, removeFolder, type Stoppable, temporaryFolder } from './processes.ts'

/** The figures of a server since its start. */
export interface Doings {
  readonly commands: number
  /** Reads of its sockets: a call counts once, a pipelined batch too, one longer than 16 kB several times. */
  readonly reads: number
  readonly cpuMicros: number
}

export class Server implements Stoppable {
  readonly url: string
  /** The bench's own connection. */
  readonly redis: Redis
  readonly #child: ChildProcess
  readonly #folder: string
  #stopping: Promise<void> | undefined

  private constructor(child: ChildProcess, folder: string, port: number) {
    this.#child = child
    this.#folder = folder
    this.url = `redis://127.0.0.1:${port}/0`
    this.redis = new Redis({
      port,
      host: '127.0.0.1',
      retryStrategy: (times) => (times < 200 ? 25 : null),
      maxRetriesPerRequest: null,
    })
    this.redis.on('error', () => {})
    remember(this)
  }

  /** Persistence is off unless the settings turn it on, like `{ appendonly: 'yes' }`. */
  static async start(settings: Record<string, string> = {}, program = 'redis-server'): Promise<Server> {
    const port = await freePort()
    const folder = temporaryFolder()
    const all = { port, bind: '127.0.0.1', dir: folder, save: '', appendonly: 'no', ...settings }
    const args = Object.entries(all).flatMap(([name, value]) => [`--${name}`, String(value)])
    const server = new Server(spawn(program, args, { stdio: 'ignore' }), folder, port)
    const failed = new Promise<never>((_, reject) => {
      server.#child.once('error', (error) => reject(new Error(`no ${program} on the PATH`, { cause: error })))
      server.#child.once('exit', (code) => reject(new Error(`${program} ended with exit code ${code}`)))
    })
    failed.catch(() => {})
    await Promise.race([server.redis.ping(), failed])
    return server
  }

  async doings(): Promise<Doings> {
    const info = await this.info()
    const seconds = (info.used_cpu_sys ?? 0) + (info.used_cpu_user ?? 0)
    return {
      commands: info.total_commands_processed ?? 0,
      reads: info.total_reads_processed ?? 0,
      cpuMicros: seconds * 1e6,
    }
  }

  /** The numbers of INFO. */
  async info(): Promise<Record<string, number>> {
    const lines = (await this.redis.info('everything')).split('\r\n')
    const pairs = lines.map((line) => line.split(':')).filter(([, value]) => value !== undefined)
    return Object.fromEntries(pairs.map(([name, value]) => [name, Number.parseFloat(value ?? '')]))
  }

  /** Memory in use after growing tables have been moved and the buffers of closed clients are freed. */
  async settledMemoryBytes(): Promise<number> {
    let before = Number.NaN
    for (let tries = 0; tries < 40; tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 250))
      const { used_memory: now = 0 } = await this.info()
      if (Math.abs(now - before) < 20_000) return now
      before = now
    }
    return before
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    this.redis.disconnect()
    if (this.#child.exitCode === null && this.#child.signalCode === null && this.#child.pid) {
      const ended = new Promise((resolve) => this.#child.once('exit', resolve))
      this.#child.kill('SIGKILL')
      await ended
    }
    removeFolder(this.#folder)
    forget(this)
  }
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}
