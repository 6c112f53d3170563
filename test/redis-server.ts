// A Redis of a test's own, to be stopped, killed, frozen and started again at the same address with the same data.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectRedis } from 'millhand/queue'
import { theOutside } from '../operator/src/local/outside.ts'
import { findRedisServer } from '../operator/src/local/redis-server.ts'
import { freePort } from './free-port.ts'

export class RedisServer {
  readonly port: number
  readonly url: string
  readonly #binary: string
  readonly #folder = mkdtempSync(join(tmpdir(), 'millhand-redis-'))
  #child: ChildProcess | undefined

  private constructor(binary: string, port: number) {
    this.#binary = binary
    this.port = port
    this.url = `redis://127.0.0.1:${port}`
  }

  static async start(): Promise<RedisServer> {
    const { path } = await findRedisServer(theOutside(), () => {})
    const server = new RedisServer(path, await freePort())
    await server.start()
    return server
  }

  async start(): Promise<void> {
    const args = [
      '--port',
      String(this.port),
      '--bind',
      '127.0.0.1',
      '--dir',
      this.#folder,
      '--save',
      '',
      '--appendonly',
      'yes',
    ]
    this.#child = spawn(
      this.#binary,
      [...args, '--appendfsync', 'everysec', '--maxmemory-policy', 'noeviction'],
      { stdio: 'ignore' },
    )
    const redis = connectRedis(this.url, { deadlineMs: 30_000 })
    await redis.ready()
    redis.close()
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
