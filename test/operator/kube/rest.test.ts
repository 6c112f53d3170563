// How a request is made: on a server of this process that plays what API servers, proxies and networks do.

import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Fence, NotLeading } from '../../../control/src/engine/fence.ts'
import { KubeError } from '../../../operator/src/kube/errors.ts'
import { type Answered, type Call, Rest } from '../../../operator/src/kube/rest.ts'
import { eventually } from '../../eventually.ts'

type Play = (request: IncomingMessage, response: ServerResponse) => void

const SECRET = 'very-secret-token-0123456789'
let folder: string
let server: Server
let play: Play
let asked: IncomingMessage[]
const sockets = new Set<Socket>()
const resting: Rest[] = []

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'millhand-rest-'))
  asked = []
  server = createServer((request, response) => {
    asked.push(request)
    play(request, response)
  })
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})

afterEach(async () => {
  for (const rest of resting.splice(0)) rest.close()
  for (const socket of sockets) socket.destroy()
  if (server.listening) await new Promise((resolve) => server.close(resolve))
  rmSync(folder, { recursive: true })
})

const portOf = () => {
  const address = server.address()
  return typeof address === 'object' && address ? address.port : 0
}

interface Way {
  user?: object
  path?: string
  onRequest?: (answered: Answered) => void
  fence?: Fence
}

function connect({ user = { token: SECRET }, path = '', onRequest, fence }: Way = {}): Rest {
  const kubeconfig = join(folder, 'kubeconfig')
  const cluster = { server: `http://127.0.0.1:${portOf()}${path}`, 'insecure-skip-tls-verify': true }
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'here',
    clusters: [{ name: 'here', cluster }],
    users: [{ name: 'me', user }],
    contexts: [{ name: 'here', context: { cluster: 'here', user: 'me' } }],
  }
  writeFileSync(kubeconfig, JSON.stringify(config))
  const rest = new Rest({ kubeconfig, onRequest, fence })
  resting.push(rest)
  return rest
}

const get = (over: Partial<Call> = {}): Call => ({
  verb: 'get',
  method: 'GET',
  path: '/thing',
  deadlineMs: 5_000,
  ...over,
})

/** Only the clock on the wall is another; timers run. */
async function laterBy(ms: number, act: () => Promise<unknown>): Promise<void> {
  const Today = Date
  const later = class extends Today {
    constructor() {
      super(Today.now() + ms)
    }
  }
  globalThis.Date = later as DateConstructor
  try {
    await act()
  } finally {
    globalThis.Date = Today
  }
}

async function failureOf(promise: Promise<unknown>): Promise<KubeError> {
  const error = await promise.then(
    () => undefined,
    (failure: unknown) => failure,
  )
  if (!(error instanceof KubeError)) throw new Error('it did not fail with a KubeError', { cause: error })
  return error
}

const send = (response: ServerResponse, status: number, body: string, headers = {}) => {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(body)
}

describe('a request', () => {
  test('goes to the server of the kubeconfig, below its path, with its credentials', async () => {
    play = (_request, response) => send(response, 200, '{"a":1}')
    const rest = connect({ path: '/k8s/clusters/c-1/' })
    expect(rest.server).toBe(`127.0.0.1:${portOf()}`)
    const query = { labelSelector: 'a=b,c', force: true, continue: undefined }
    expect(await rest.send(get({ query }))).toEqual({ a: 1 })
    expect(asked[0]?.url).toBe('/k8s/clusters/c-1/thing?labelSelector=a%3Db%2Cc&force=true')
    expect(asked[0]?.headers.authorization).toBe(`Bearer ${SECRET}`)
  })

  test('uses a connection that is there', async () => {
    play = (_request, response) => send(response, 200, '{}')
    const rest = connect()
    for (let count = 0; count < 3; count++) await rest.send(get())
    expect(new Set(asked.map(({ socket }) => socket)).size).toBe(1)
  })

  test('reads a token from its file again, at most a minute after it changed', async () => {
    const tokenFile = join(folder, 'token')
    writeFileSync(tokenFile, 'first\n')
    play = (_request, response) => send(response, 200, '{}')
    const rest = connect({ user: { 'auth-provider': { name: 'tokenFile', config: { tokenFile } } } })
    await rest.send(get())
    writeFileSync(tokenFile, 'second')
    await laterBy(61_000, () => rest.send(get()))
    expect(asked.map(({ headers }) => headers.authorization)).toEqual(['Bearer first', 'Bearer second'])
  })

  test('is made again on a new connection when the one that was kept had just ended', async () => {
    play = (_request, response) => send(response, 200, '{}')
    const rest = connect()
    await rest.send(get())
    const [kept] = sockets
    // The server ends it when the next request arrives, before it read it.
    play = (request, response) => {
      if (request.socket === kept) kept.resetAndDestroy()
      else send(response, 200, '{"again":true}')
    }
    expect(await rest.send(get())).toEqual({ again: true })
    expect(asked).toHaveLength(3)
  })

  test('fails as unreachable when nobody listens', async () => {
    const rest = connect()
    await new Promise((resolve) => server.close(resolve))
    const { status, reason, message } = await failureOf(rest.send(get()))
    expect([status, reason]).toEqual([0, 'Unreachable'])
    expect(message).toMatch(/^GET \/thing at 127\.0\.0\.1:\d+: connect ECONNREFUSED/)
  })

  test.each([
    ['no answer', () => {}],
    ['an answer that does not end', (_request, response) => response.writeHead(200).write('{"a":')],
  ] satisfies [string, Play][])('fails at its deadline: %s', async (_name, playing) => {
    play = playing
    const { status, message } = await failureOf(connect().send(get({ deadlineMs: 100 })))
    expect(status).toBe(0)
    expect(message).toMatch(/no answer within 100 ms$/)
    await eventually(() => sockets.size === 0, { what: 'the end of the connection' })
  })

  test('fails when the connection is cut in the middle of the answer', async () => {
    play = (_request, response) => {
      response.writeHead(200).write('{"a":')
      setImmediate(() => response.socket?.destroy())
    }
    expect(await failureOf(connect().send(get()))).toMatchObject({ status: 0, reason: 'Unreachable' })
  })

  test('fails with the reason of a signal that ends it', async () => {
    play = () => {}
    const ending = new AbortController()
    const sending = connect().send(get({ signal: ending.signal }))
    await eventually(() => asked.length === 1)
    ending.abort(new Error('over'))
    await expect(sending).rejects.not.toBeInstanceOf(KubeError)
    await eventually(() => sockets.size === 0)
  })

  test('obeys an answer that asks to come back later, once', async () => {
    play = (_request, response) => {
      if (asked.length === 1) send(response, 429, '{}', { 'retry-after': '1' })
      else send(response, 200, '{"a":1}')
    }
    const startedMs = performance.now()
    expect(await connect().send(get())).toEqual({ a: 1 })
    expect(performance.now() - startedMs).toBeGreaterThan(990)
    asked.length = 0
    play = (_request, response) => send(response, 503, '{"message":"busy"}', { 'retry-after': '0' })
    expect(await failureOf(connect().send(get()))).toMatchObject({ status: 503, message: 'busy' })
    expect(asked).toHaveLength(2)
  })

  test('does not wait for longer than its deadline', async () => {
    play = (_request, response) => send(response, 429, '{"message":"busy"}', { 'retry-after': '6' })
    expect(await failureOf(connect().send(get()))).toMatchObject({ status: 429, message: 'busy' })
    expect(asked).toHaveLength(1)
  })

  test.each([
    ['plain text', 'text/plain; charset=utf-8', '404 page not found\n', '404 page not found'],
    ['a page of some proxy', 'text/html', '<h1>no</h1>', 'the API server answered with HTTP status 404'],
    ['nothing', 'application/json', '', 'the API server answered with HTTP status 404'],
    ['a Status', 'application/json', '{"reason":"NotFound","message":"not there"}', 'not there'],
  ])('fails with what the server says: %s', async (_name, type, body, message) => {
    play = (_request, response) => send(response, 404, body, { 'content-type': type })
    expect(await failureOf(connect().send(get()))).toMatchObject({ status: 404, message })
  })

  test('tells of each request, its verb, code and time', async () => {
    const answers: Answered[] = []
    play = (_request, response) => {
      if (asked.length === 1) send(response, 409, '{}')
      else response.socket?.destroy()
    }
    const rest = connect({ onRequest: (answered) => answers.push(answered) })
    await failureOf(rest.send(get()))
    await failureOf(connect({ onRequest: (answered) => answers.push(answered) }).send(get({ verb: 'list' })))
    expect(answers.map(({ verb, method, code }) => [verb, method, code])).toEqual([
      ['get', 'GET', 409],
      ['list', 'GET', 'error'],
    ])
    expect(answers.every(({ durationMs }) => durationMs > 0)).toBe(true)
  })
})

describe('while another operator leads', () => {
  const patch = (rest: object = {}) => get({ verb: 'patch', method: 'PATCH', body: {}, ...rest })

  test('nothing is written but the lease, and everything is read', async () => {
    const answers: Answered[] = []
    play = (_request, response) => send(response, 200, '{"a":1}')
    const rest = connect({ fence: { isOpen: false }, onRequest: (answered) => answers.push(answered) })
    await expect(rest.send(patch())).rejects.toBeInstanceOf(NotLeading)
    await expect(rest.send(patch({ verb: 'create', method: 'POST' }))).rejects.toBeInstanceOf(NotLeading)
    expect([asked.length, answers.length]).toEqual([0, 0])
    expect(await rest.send(get())).toEqual({ a: 1 })
    expect(await rest.send(patch({ verb: 'update', method: 'PUT', isUnfenced: true }))).toEqual({ a: 1 })
  })

  test('what the API server wanted later is not written any more', async () => {
    const fence = { isOpen: true }
    play = (_request, response) => {
      fence.isOpen = false
      send(response, 429, '{}', { 'retry-after': '0' })
    }
    await expect(connect({ fence }).send(patch())).rejects.toBeInstanceOf(NotLeading)
    expect(asked).toHaveLength(1)
  })
})

describe('an error has no secret in it', () => {
  const everythingOf = (error: KubeError) =>
    [error.message, error.stack, String(error.cause), JSON.stringify(error), error.reason].join('\n')

  test('not the token, when there is no answer or no good one', async () => {
    const failures: KubeError[] = []
    play = (_request, response) => send(response, 403, `{"message":"no"}`)
    failures.push(await failureOf(connect().send(get())))
    play = (_request, response) => response.socket?.destroy()
    failures.push(await failureOf(connect().send(get())))
    play = () => {}
    failures.push(await failureOf(connect().send(get({ deadlineMs: 50 }))))
    const broken = connect({ user: { token: `${SECRET}\u0000` } })
    failures.push(await failureOf(broken.send(get())))
    for (const failure of failures) expect(everythingOf(failure)).not.toContain(SECRET)
  })

  test('not an answer that is broken: it may be a Secret', async () => {
    play = (_request, response) => send(response, 200, `${SECRET} {`)
    const failure = await failureOf(connect().send(get()))
    expect(failure.reason).toBe('Unreadable')
    expect(everythingOf(failure)).not.toContain(SECRET)
  })

  test.each([
    ['writes no JSON', ['-c', `echo ${SECRET}`]],
    ['fails', ['-c', `echo ${SECRET} >&2; exit 1`]],
  ])('not what a credential program writes that %s', async (_name, args) => {
    const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: 'sh', args }
    const failure = await failureOf(connect({ user: { exec } }).send(get()))
    expect(failure.message).toContain('no credentials for the API server')
    expect(everythingOf(failure)).not.toContain(SECRET)
    expect(asked).toHaveLength(0)
  })

  test('but the file or program that is not there', async () => {
    const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: 'no-such-program', args: [] }
    expect((await failureOf(connect({ user: { exec } }).send(get()))).message).toContain('no-such-program')
    const config = { tokenFile: '/no/such/token' }
    const user = { 'auth-provider': { name: 'tokenFile', config } }
    expect((await failureOf(connect({ user }).send(get()))).message).toContain('/no/such/token')
  })
})

describe('a stream', () => {
  const linesUntil = async (stream: AsyncIterable<unknown>) => {
    const lines: unknown[] = []
    for await (const line of stream) lines.push(line)
    return lines
  }

  test('gives lines as they come, however they are cut', async () => {
    let response: ServerResponse | undefined
    play = (_request, given) => {
      response = given
      given.writeHead(200).write('{"n":1}\n{"n":')
    }
    const stream = connect().stream(get({ deadlineMs: 3_000 }))
    expect((await stream.next()).value).toEqual({ n: 1 })
    // Its deadline is for the beginning only: this takes longer.
    await new Promise((resolve) => setTimeout(resolve, 3_100))
    const euro = Buffer.from('2,"text":"€"}\n{"n":3}\n{"cut')
    response?.write(euro.subarray(0, 12))
    const next = stream.next()
    await new Promise(setImmediate)
    response?.end(euro.subarray(12))
    expect((await next).value).toEqual({ n: 2, text: '€' })
    expect(await linesUntil(stream)).toEqual([{ n: 3 }])
  })

  test('fails when it does not begin in time, or not well', async () => {
    play = () => {}
    const rest = connect()
    const { status } = await failureOf(linesUntil(rest.stream(get({ deadlineMs: 50 }))))
    expect(status).toBe(0)
    play = (_request, response) => send(response, 410, '{"reason":"Expired","message":"too old"}')
    const failure = await failureOf(linesUntil(rest.stream(get())))
    expect(failure).toMatchObject({ status: 410, reason: 'Expired', message: 'too old' })
  })

  test('fails when the connection is cut', async () => {
    play = (_request, response) => {
      response.writeHead(200).write('{"n":1}\n')
    }
    const stream = connect().stream(get())
    await stream.next()
    for (const socket of sockets) socket.destroy()
    expect(await failureOf(stream.next())).toMatchObject({ status: 0, reason: 'Unreachable' })
  })

  test('ends with its signal, and when nobody reads on; the connection ends too', async () => {
    play = (_request, response) => {
      response.writeHead(200).write('{"n":1}\n')
    }
    const ending = new AbortController()
    const aborted = connect().stream(get({ signal: ending.signal }))
    await aborted.next()
    const next = aborted.next()
    ending.abort()
    await expect(next).rejects.toThrow()
    for await (const line of connect().stream(get())) {
      expect(line).toEqual({ n: 1 })
      break
    }
    await eventually(() => sockets.size === 0)
  })

  test('fails when a line is longer than any object can be', async () => {
    let written = 0
    play = (_request, response) => {
      const block = 'x'.repeat(1024 * 1024)
      const write = () => {
        while (!response.destroyed && written < 100 && response.write(block)) written++
        if (written < 100) response.once('drain', write)
      }
      write()
    }
    const failure = await failureOf(linesUntil(connect().stream(get())))
    expect(failure).toMatchObject({ status: 0, reason: 'Unreadable' })
    expect(written).toBeLessThan(40)
  })
})

test('a way to the API server that nobody described is told of', () => {
  expect(() => new Rest({ kubeconfig: join(folder, 'no-such-file') })).toThrow(/no-such-file/)
  const empty = join(tmpdir(), `millhand-empty-${process.pid}`)
  writeFileSync(empty, '{}')
  try {
    expect(() => new Rest({ kubeconfig: empty })).toThrow()
  } finally {
    rmSync(empty)
  }
})
