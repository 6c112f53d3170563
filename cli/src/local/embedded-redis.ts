// The Redis-compatible server of `millhand up`, the demo and the tests: on loopback only, without eviction.
//
//   finding → starting → answering → stopped (by us)
//                                  → exited (by itself: `exited` tells why)
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { setTimeout as after } from 'node:timers/promises'
import { reasonOf } from 'millhand/queue'
import type { Guard } from './guard.ts'
import type { Outside } from './outside.ts'
import { findRedisServer, type RedisServer } from './redis-server.ts'

export interface EmbeddedRedis {
  url: string
  port: number
  pid: number
  /** For instance "Redis 7.2.4". */
  version: string
  /** Resolves when the server has ended, however. */
  exited: Promise<void>
  /** The last lines that it wrote: why it ended by itself. */
  output: () => string
  stop: () => Promise<void>
}

export interface EmbeddedRedisOptions {
  outside: Outside
  guard: Guard
  /** The folder of its data; created when it does not exist. */
  folder: string
  /** True: an append-only file, so that jobs survive a restart. */
  isPersistent: boolean
  /** Absent: any free port. */
  port?: number
  onFetch?: (message: string) => void
}

const TRIES = 5

export async function startEmbeddedRedis(options: EmbeddedRedisOptions): Promise<EmbeddedRedis> {
  const server = await findRedisServer(options.outside, options.onFetch ?? (() => {}))
  await mkdir(options.folder, { recursive: true, mode: 0o700 })
  for (let tries = 1; ; tries++) {
    const port = options.port ?? (await freePort())
    const redis = startServer(server, port, options)
    const answers = await waitUntilAnswering(redis)
    if (answers) return redis
    await redis.stop()
    // Another process may have taken the free port meanwhile.
    const isTaken = /Address already in use|bind/i.test(redis.output())
    if (options.port !== undefined || !isTaken || tries === TRIES)
      throw new Error(failure(server, port, redis))
  }
}

function startServer(
  { path, version }: RedisServer,
  port: number,
  options: EmbeddedRedisOptions,
): EmbeddedRedis {
  const { guard, folder, isPersistent } = options
  const loopbackOnly = ['--bind', '127.0.0.1', '--protected-mode', 'yes', '--port', `${port}`]
  const keeping = [
    '--maxmemory-policy',
    'noeviction',
    '--save',
    '',
    '--appendonly',
    isPersistent ? 'yes' : 'no',
  ]
  const child = spawn(path, [...loopbackOnly, ...keeping, '--dir', folder, '--daemonize', 'no'], {
    // A session of its own: Ctrl-C must not reach the server before the workers have settled.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-4096)
  }
  for (const stream of [child.stdout, child.stderr]) stream.on('data', keep).on('error', () => {})
  child.on('error', () => {}) // a failed start is told by `exited`; a failed signal is followed by the next one
  const pid = child.pid ?? 0
  if (pid > 0) guard.watch(pid)
  const exited = once(child, 'exit')
    .then(() => guard.forget(pid))
    .catch((error: Error) => keep(Buffer.from(reasonOf(error))))

  async function stop(): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null || pid === 0) return
    child.kill('SIGTERM')
    const isStuck = await Promise.race([exited.then(() => false), after(10_000, true, { ref: false })])
    if (isStuck) child.kill('SIGKILL')
    await exited
  }
  return { url: `redis://127.0.0.1:${port}`, port, pid, version, exited, output: () => output.trim(), stop }
}

/** False when the server ended, or was silent for too long. It is not silent while it loads its data. */
async function waitUntilAnswering({ port, exited }: EmbeddedRedis): Promise<boolean> {
  let hasExited = false
  void exited.then(() => {
    hasExited = true
  })
  for (let silences = 0; silences < 500 && !hasExited; ) {
    const answer = await ping(port)
    if (answer.startsWith('+PONG')) return !hasExited
    silences = answer.startsWith('-LOADING') ? 0 : silences + 1
    await Promise.race([exited, after(20)])
  }
  return false
}

function ping(port: number): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>()
  const socket = connect({ host: '127.0.0.1', port, timeout: 1000 }, () => socket.write('PING\r\n'))
  const end = (answer: string) => {
    socket.destroy()
    resolve(answer)
  }
  socket.once('data', (answer) => end(answer.toString()))
  socket.on('error', () => end(''))
  socket.once('timeout', () => end(''))
  socket.once('close', () => resolve(''))
  return promise
}

async function freePort(): Promise<number> {
  const probe = createServer().listen({ host: '127.0.0.1', port: 0 })
  await once(probe, 'listening')
  const address = probe.address()
  probe.close()
  await once(probe, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}

function failure({ path }: RedisServer, port: number, redis: EmbeddedRedis): string {
  return `${path} did not start on port ${port}; it said:\n${redis.output() || '(nothing)'}`
}

export interface KeptRedis {
  url: string
  version: string
  pid: () => number
  stop: () => Promise<void>
}

const RESTART_AFTER_MS = 500

/**
 * As startEmbeddedRedis. A server that ends by itself is started again on the same port: clients see an
 * outage.
 */
export async function keepEmbeddedRedis(
  options: EmbeddedRedisOptions,
  onExited: (output: string) => void,
): Promise<KeptRedis> {
  let redis = await startEmbeddedRedis(options)
  const { port, url, version } = redis
  const stopping = new AbortController()
  const watching = keepUp()
  return {
    url,
    version,
    pid: () => redis.pid,
    async stop() {
      stopping.abort()
      await redis.stop()
      await watching
    },
  }

  async function keepUp(): Promise<void> {
    for (;;) {
      await redis.exited
      if (stopping.signal.aborted) return
      onExited(redis.output())
      await startAgain()
    }
  }

  async function startAgain(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        redis = await startEmbeddedRedis({ ...options, port })
        if (stopping.signal.aborted) await redis.stop()
        return
      } catch {
        await after(RESTART_AFTER_MS, undefined, { signal: stopping.signal }).catch(() => {})
      }
    }
  }
}
