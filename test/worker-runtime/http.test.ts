// What a worker answers to the kubelet and to Prometheus, and that it lies to neither.
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { connectRedis } from 'millhand/queue'
import { ConfigError, readConfig } from '../../worker-runtime/src/config.ts'
import {
  answersAnybody,
  type Health,
  type HttpServer,
  healthPage,
  livePage,
  serveHttp,
} from '../../worker-runtime/src/http.ts'
import { eventually } from '../eventually.ts'
import { freePort } from '../free-port.ts'
import { redisUrl } from '../redis.ts'
import { RedisServer } from '../redis-server.ts'
import { RespServer } from '../resp-server.ts'
import { startWorker, WorkerProcess } from '../worker-process.ts'

const TINY = fileURLToPath(new URL('../tasks/tiny.ts', import.meta.url))
const queue = (name: string, silentMs: number) => ({ name, silentMs })

test.each<[string, Health, number, string]>([
  ['works', { phase: 'working', queues: [queue('a.b', 29_999)] }, 200, 'working\n'],
  ['has no queue yet', { phase: 'starting', queues: [] }, 200, 'starting\n'],
  ['starts while Redis is away', { phase: 'starting', queues: [queue('a.b', 90_000)] }, 200, 'starting\n'],
  ['drains while Redis is away', { phase: 'stopping', queues: [queue('a.b', 90_000)] }, 200, 'stopping\n'],
  [
    'has heard nothing of one queue',
    { phase: 'working', queues: [queue('a.b', 10), queue('a.c', 42_900), queue('a.d', 31_000)] },
    503,
    'Redis has not answered for the queue a.c for 42 s\n',
  ],
])('the health of a worker that %s', (_what, health, status, text) => {
  expect(healthPage(health)).toMatchObject({ status, text })
})

test('only a worker that a restart could help asks for one', async () => {
  const ill: Health = { phase: 'working', queues: [queue('a.b', 42_000)] }
  const well: Health = { phase: 'working', queues: [queue('a.b', 10)] }
  const never = () => Promise.reject(new Error('nobody asks'))
  expect(await livePage(ill, () => Promise.resolve(true))).toMatchObject({ status: 503 })
  expect(await livePage(ill, () => Promise.resolve(false))).toMatchObject({
    status: 200,
    text: 'Redis has not answered for the queue a.b for 42 s\n',
  })
  expect(await livePage(well, never)).toMatchObject({ status: 200 })
})

test('a Redis that refuses the credentials is there: with the Secret as it is now a restart may help', async () => {
  const answering = async (answer: string) => {
    const server = await RespServer.start(() => answer)
    const isThere = await answersAnybody({ url: `redis://u:old@127.0.0.1:${server.port}` })
    server.stop()
    return isThere
  }
  expect(await answering('-WRONGPASS invalid username-password pair or user is disabled.')).toBe(true)
  expect(await answering('-LOADING Redis is loading the dataset in memory')).toBe(false)
  expect(await answersAnybody({ url: redisUrl() })).toBe(true)
  expect(await answersAnybody({ url: `redis://127.0.0.1:${await freePort()}` })).toBe(false)
}, 30_000)

describe('the server', () => {
  let server: HttpServer
  const pages = {
    '/fine': () => ({ status: 200, type: 'text/plain', text: 'fine' }),
    '/ill': () => ({ status: 503, type: 'text/plain', text: 'ill' }),
    '/breaks': () => Promise.reject(new Error('redis://:password@host')),
  }
  const ask = async (path: string, method = 'GET', host = '127.0.0.1') => {
    const response = await fetch(`http://${host}:${server.port}${path}`, { method })
    return [response.status, await response.text()]
  }
  beforeEach(async () => {
    server = await serveHttp(await freePort(), pages)
  })
  afterEach(() => server.stop())

  test('gives each page with its status, also to HEAD, with a query, and on every address', async () => {
    expect(await ask('/fine')).toEqual([200, 'fine'])
    expect(await ask('/ill?verbose')).toEqual([503, 'ill'])
    expect(await ask('/fine', 'HEAD')).toEqual([200, ''])
    expect(await ask('/fine', 'GET', '127.0.0.2')).toEqual([200, 'fine'])
  })

  test('refuses other paths and methods', async () => {
    expect(await ask('/')).toEqual([404, 'there is /fine and /ill and /breaks\n'])
    expect((await ask('/constructor'))[0]).toBe(404)
    expect(await ask('/fine', 'POST')).toEqual([405, 'only GET and HEAD\n'])
  })

  test('a page that cannot be made tells nothing of why', async () => {
    expect(await ask('/breaks')).toEqual([500, 'this page cannot be made now\n'])
  })

  test('stops at once, also while somebody keeps a connection', async () => {
    const idle = connect(server.port, '127.0.0.1')
    idle.on('error', () => {})
    idle.write('GET /fine HTTP/1.1\r\nHost: x\r\n\r\n')
    await once(idle, 'data')
    await Promise.all([server.stop(), closed(idle)])
    await expect(ask('/fine')).rejects.toThrow('fetch failed')
  })

  test('a port that is taken is a mistake in the configuration, by its name', async () => {
    const taken = createServer().listen(0)
    await once(taken, 'listening')
    const { port } = taken.address() as { port: number }
    const refused = serveHttp(port, pages)
    await expect(refused).rejects.toThrow(ConfigError)
    await expect(refused).rejects.toThrow(
      `cannot listen on port ${port}, which MILLHAND_HTTP_PORT names: EADDRINUSE`,
    )
    taken.close()
  })
})

test.each(['0', '65536', '80a', '-1'])('the port %s is refused by the name of its variable', (port) => {
  const env = {
    MILLHAND_REDIS_URL: 'redis://h',
    MILLHAND_QUEUES: '[{"name":"q"}]',
    MILLHAND_HTTP_PORT: port,
  }
  expect(() => readConfig([TINY], env)).toThrow(
    `invalid MILLHAND_HTTP_PORT ${JSON.stringify(port)}: use a whole number from 1 to 65535`,
  )
})

describe('a worker', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millhand-http-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  test('answers while its modules still load, and when it works', async () => {
    const [gate, module] = [join(folder, 'gate'), join(folder, 'gated.mjs')]
    writeFileSync(
      module,
      `import { existsSync } from 'node:fs'
      import { task } from ${JSON.stringify(fileURLToPath(new URL('../../worker-runtime/src/index.ts', import.meta.url)))}
      while (!existsSync(${JSON.stringify(gate)})) await new Promise((look) => setTimeout(look, 10))
      task('waits', () => new Promise((done) => setTimeout(done, 60_000)))`,
    )
    const port = await freePort()
    const health = () => fetch(`http://127.0.0.1:${port}/healthz`).then((response) => response.text())
    const worker = new WorkerProcess({
      redisUrl: redisUrl(),
      queues: ['http-gated'],
      modules: [module],
      env: { MILLHAND_HTTP_PORT: String(port) },
    })
    try {
      await eventually(async () => (await health()) === 'starting\n', { what: 'the first answer' })
      expect(worker.said('zygote ready')).toBeUndefined()
      writeFileSync(gate, '')
      await eventually(async () => (await health()) === 'working\n', { what: 'work' })
      expect(await worker.stop()).toEqual({ code: 0, signal: null })
    } finally {
      worker.kill('SIGKILL')
    }
  }, 60_000)

  test.each<[string, (server: RedisServer) => Promise<unknown>, (server: RedisServer) => Promise<unknown>]>([
    ['that is away', (server) => server.crash(), (server) => server.start()],
    [
      'that refuses it',
      (server) => setPassword(server, '', 'other'),
      (server) => setPassword(server, 'other', ''),
    ],
  ])(
    'is not ready while it has a Redis %s; once it has registered it stays ready',
    async (_, hinder, help) => {
      const server = await RedisServer.start()
      await hinder(server)
      const port = await freePort()
      const ready = () => fetch(`http://127.0.0.1:${port}/readyz`).then((response) => response.status)
      const worker = new WorkerProcess({
        redisUrl: server.url,
        queues: ['http-ready'],
        modules: [TINY],
        env: { MILLHAND_HTTP_PORT: String(port) },
      })
      const waits = () => worker.lines.filter(({ message }) => message === 'waiting for Redis').length
      const patience = { withinMs: 30_000 }
      try {
        await eventually(() => waits() > 0, { what: 'a try to register', ...patience })
        expect(await ready()).toBe(503)
        await help(server)
        await eventually(async () => (await ready()) === 200, { what: 'its registration', ...patience })
        const before = waits()
        await server.crash()
        await eventually(() => waits() > before, { what: 'the loss of Redis', ...patience })
        expect(await ready()).toBe(200)
      } finally {
        worker.kill('SIGKILL')
        await server.remove()
      }
    },
    120_000,
  )

  test('listens nowhere without a port', async () => {
    const worker = await startWorker({ redisUrl: redisUrl(), queues: ['http-none'], modules: [TINY] })
    const port = await freePort()
    const other = await startWorker({
      redisUrl: redisUrl(),
      queues: ['http-none'],
      modules: [TINY],
      env: { MILLHAND_HTTP_PORT: String(port) },
    })
    try {
      expect(listenersOf(other.pid)).toBe(1)
      expect(listenersOf(worker.pid)).toBe(0)
    } finally {
      await Promise.all([worker.stop(), other.stop()])
    }
  }, 60_000)
})

async function setPassword({ port }: RedisServer, from: string, to: string): Promise<void> {
  const redis = connectRedis(`redis://${from && `:${from}@`}127.0.0.1:${port}`)
  try {
    await redis.call('CONFIG', 'SET', 'requirepass', to)
  } finally {
    redis.close()
  }
}

function closed(socket: Socket): Promise<unknown> {
  return socket.closed ? Promise.resolve() : once(socket, 'close')
}

/** How many sockets of a process wait for connections. */
function listenersOf(pid: number): number {
  const LISTEN = '0A'
  const listening = ['tcp', 'tcp6']
    .flatMap((table) => readFileSync(`/proc/${pid}/net/${table}`, 'utf8').trim().split('\n').slice(1))
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , , state]) => state === LISTEN)
    .map((fields) => `socket:[${fields[9]}]`)
  const open = readdirSync(`/proc/${pid}/fd`).map((fd) => linkOf(`/proc/${pid}/fd/${fd}`))
  return open.filter((link) => listening.includes(link)).length
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return '' // closed meanwhile
  }
}
