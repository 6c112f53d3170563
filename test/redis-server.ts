// A Redis of a test's own, to be stopped, killed, frozen and started again at the same address with the same data.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectRedis, type RedisAccess } from 'millhand/queue'
import { theOutside } from '../cli/src/local/outside.ts'
import { findRedisServer } from '../cli/src/local/redis-server.ts'
import { freePort } from './free-port.ts'

const STORING = [
  ...['--save', '', '--appendonly', 'yes', '--appendfsync', 'everysec'],
  ...['--maxmemory-policy', 'noeviction'],
]

export interface RedisServerOptions {
  /** More arguments of the program. */
  args?: readonly string[]
  /** It is a Sentinel, with these lines in its file. */
  sentinel?: readonly string[]
  /** It speaks TLS only, and clients must show a certificate; files. */
  tls?: { ca: string; cert: string; key: string }
  /** How to reach it where that is not redis://127.0.0.1:<port>. */
  access?: (port: number) => RedisAccess
  /** The program; the machine's own when absent. */
  binary?: string
}

export class RedisServer {
  readonly port: number
  readonly url: string
  readonly access: RedisAccess
  readonly #binary: string
  readonly #options: RedisServerOptions
  readonly #folder = mkdtempSync(join(tmpdir(), 'millhand-redis-'))
  #child: ChildProcess | undefined

  private constructor(binary: string, port: number, options: RedisServerOptions) {
    this.#binary = binary
    this.#options = options
    this.port = port
    this.access = options.access?.(port) ?? { url: `redis://127.0.0.1:${port}` }
    this.url = this.access.url
    if (options.sentinel) writeFileSync(this.#sentinelFile, `${options.sentinel.join('\n')}\n`)
  }

  static async start(options: RedisServerOptions = {}): Promise<RedisServer> {
    const binary = options.binary ?? (await findRedisServer(theOutside(), () => {})).path
    const server = new RedisServer(binary, await freePort(), options)
    await server.start()
    return server
  }

  async start(): Promise<void> {
    const { args = [], sentinel } = this.#options
    const own = sentinel ? [this.#sentinelFile, '--sentinel'] : STORING
    this.#child = spawn(
      this.#binary,
      [...own, ...this.#listening(), '--bind', '127.0.0.1', '--dir', this.#folder, ...args],
      { stdio: 'ignore' },
    )
    const redis = connectRedis(this.access, { deadlineMs: 30_000 })
    await redis.ready()
    redis.close()
  }

  get #sentinelFile(): string {
    return join(this.#folder, 'sentinel.conf')
  }

  #listening(): string[] {
    const { tls } = this.#options
    const port = String(this.port)
    if (!tls) return ['--port', port]
    const files = ['--tls-ca-cert-file', tls.ca, '--tls-cert-file', tls.cert, '--tls-key-file', tls.key]
    return ['--port', '0', '--tls-port', port, '--tls-auth-clients', 'yes', ...files]
  }

  /** SIGTERM: it writes what it has and ends. */
  async shutDown(): Promise<void> {
    await this.#end('SIGTERM')
  }

  async crash(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** The process stands still; its sockets stay open. */
  freeze(): void {
    this.#child?.kill('SIGSTOP')
  }

  thaw(): void {
    this.#child?.kill('SIGCONT')
  }

  async remove(): Promise<void> {
    this.thaw()
    await this.#end('SIGKILL')
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    await ended
  }
}
