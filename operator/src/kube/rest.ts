// One request to the API server and its answer, whole or line by line. client.ts calls it with what is to be
// asked.
//
// @kubernetes/client-node provides server, TLS and credentials only, and reads rotated ones again (a service
// account token at most a minute after the kubelet wrote it). Requests are made here: each has a deadline,
// connections are kept alive, and TCP keep-alive notices a dead one within half a minute. An instance that
// lost leadership writes nothing more.
import { type IncomingMessage, Agent as PlainAgent, request as requestPlain } from 'node:http'
import { Agent, type RequestOptions, request } from 'node:https'
import { KubeConfig } from '@kubernetes/client-node'
import { sleep } from '@millhand/control/engine/backoff'
import { type Fence, NotLeading, openFence, pass } from '@millhand/control/engine/fence'
import { reasonOf } from 'millhand/queue'
import { KubeError } from './errors.ts'

export interface Call {
  /** Of RBAC, or apply: for metrics. */
  verb: string
  method: 'GET' | 'POST' | 'PUT' | 'PATCH'
  path: string
  query?: Record<string, string | number | boolean | undefined>
  contentType?: string
  body?: object
  /** Until the whole answer is there; for a stream until it begins. */
  deadlineMs: number
  signal?: AbortSignal
  /** Passes the fence: leases decide who leads, and reviews change nothing. */
  isUnfenced?: true
}

export interface Answered {
  verb: string
  method: string
  code: number | 'error'
  durationMs: number
}

export interface RestOptions {
  kubeconfig?: string | undefined
  onRequest?: ((answered: Answered) => void) | undefined
  /** Default: open. */
  fence?: Fence | undefined
}

/** Larger than any object in etcd. */
const LONGEST_LINE = 16 * 1024 * 1024
const LONGEST_PLAIN_MESSAGE = 300
const KEPT = { keepAlive: true, keepAliveMsecs: 15_000, timeout: 60_000 }

export class Rest {
  readonly #config: KubeConfig
  readonly #base: URL
  readonly #agent: Agent | PlainAgent
  /** The agents of KubeConfig know the proxy of a kubeconfig, but do not keep connections alive. */
  readonly #isByProxy: boolean
  readonly #onRequest: (answered: Answered) => void
  readonly #fence: Fence

  constructor({ kubeconfig, onRequest = () => {}, fence = openFence }: RestOptions) {
    this.#fence = fence
    this.#config = loadConfig(kubeconfig)
    const cluster = this.#config.getCurrentCluster()
    if (!cluster) throw new Error('the kubeconfig has no current context with a cluster')
    this.#base = new URL(cluster.server)
    this.#isByProxy = Boolean(cluster.proxyUrl)
    this.#agent = this.#base.protocol === 'http:' ? new PlainAgent(KEPT) : new Agent(KEPT)
    this.#onRequest = onRequest
  }

  /** `host:port` of the API server. */
  get server(): string {
    const { hostname, port, protocol } = this.#base
    return `${hostname}:${port || (protocol === 'http:' ? 80 : 443)}`
  }

  /** The body of the answer. Retry-After is obeyed once, where the deadline allows it. */
  async send(call: Call): Promise<unknown> {
    const giveUpAtMs = performance.now() + call.deadlineMs
    const deadline = AbortSignal.timeout(call.deadlineMs)
    const signal = anyOf(deadline, call.signal)
    try {
      const first = await this.#ask(call, signal)
      const waitMs = retryAfterMs(first)
      if (waitMs === undefined || performance.now() + waitMs >= giveUpAtMs) return await wholeOf(first)
      first.resume()
      await sleep(waitMs, signal)
      return await wholeOf(await this.#ask(call, signal))
    } catch (error) {
      throw this.#explained(error, call, deadline)
    }
  }

  /** The answer's lines, each a JSON value. */
  async *stream(call: Call): AsyncGenerator<unknown, void, undefined> {
    const deadline = new AbortController()
    const timer = setTimeout(() => deadline.abort(), call.deadlineMs)
    try {
      const response = await this.#ask(call, anyOf(deadline.signal, call.signal))
      if (!isGood(response)) await wholeOf(response)
      clearTimeout(timer)
      for await (const line of linesOf(response)) yield parsed(line)
    } catch (error) {
      throw this.#explained(error, call, deadline.signal)
    } finally {
      clearTimeout(timer)
    }
  }

  /** Ends the connections that are kept. */
  close(): void {
    this.#agent.destroy()
  }

  async #ask(call: Call, signal: AbortSignal): Promise<IncomingMessage> {
    const { verb, method } = call
    const startedMs = performance.now()
    const durationMs = () => performance.now() - startedMs
    try {
      const options = await untilAborted(this.#optionsOf(call), signal)
      if (method !== 'GET' && !call.isUnfenced) pass(this.#fence)
      const response = await opened({ ...options, signal }, call.body)
      this.#onRequest({ verb, method, code: response.statusCode ?? 0, durationMs: durationMs() })
      return response
    } catch (error) {
      if (error instanceof NotLeading) throw error
      this.#onRequest({ verb, method, code: 'error', durationMs: durationMs() })
      throw error
    }
  }

  async #optionsOf({ method, path, query = {}, contentType, body }: Call): Promise<RequestOptions> {
    const headers: Record<string, string> = { accept: 'application/json', 'user-agent': 'millhand-operator' }
    if (body) headers['content-type'] = contentType ?? 'application/json'
    const options: RequestOptions = {}
    try {
      await this.#config.applyToHTTPSOptions(options)
    } catch (error) {
      throw new KubeError(`no credentials for the API server: ${harmlessMessage(error)}`, UNREACHABLE)
    }
    const { protocol, hostname, port, pathname } = this.#base
    return {
      ...options,
      headers: { ...trimmed(options.headers), ...headers },
      ...(!this.#isByProxy && { agent: this.#agent }),
      protocol,
      hostname: hostname.replace(/^\[(.*)\]$/, '$1'),
      port,
      method,
      path: `${pathname.replace(/\/$/, '')}${path}${queryString(query)}`,
    }
  }

  #explained(error: unknown, { method, path, signal, deadlineMs }: Call, deadline: AbortSignal): unknown {
    if (error instanceof KubeError || error instanceof NotLeading || signal?.aborted) return error
    const why = deadline.aborted ? `no answer within ${deadlineMs} ms` : reasonOf(error)
    const message = `${method} ${path} at ${this.server}: ${why}`
    return new KubeError(message, { ...UNREACHABLE, cause: error })
  }
}

const UNREACHABLE = { status: 0, reason: 'Unreachable' }

function loadConfig(kubeconfig: string | undefined): KubeConfig {
  const config = new KubeConfig()
  if (kubeconfig) config.loadFromFile(kubeconfig)
  else config.loadFromDefault()
  return config
}

/** The server may have just closed a kept connection: the request is sent once more on a new one. */
async function opened(options: RequestOptions, body: object | undefined): Promise<IncomingMessage> {
  const ask = options.protocol === 'http:' ? requestPlain : request
  const once = () => {
    const asked = ask(options)
    const response = new Promise<IncomingMessage>((resolve, reject) => {
      asked.on('response', resolve)
      asked.on('error', reject)
    })
    asked.end(body && JSON.stringify(body))
    return { asked, response }
  }
  const { asked, response } = once()
  return response.catch((error: NodeJS.ErrnoException) => {
    if (asked.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE')) return once().response
    throw error
  })
}

async function wholeOf(response: IncomingMessage): Promise<unknown> {
  let body = ''
  response.setEncoding('utf8')
  for await (const text of response) body += text
  if (isGood(response)) return parsed(body)
  throw refusal(response, body)
}

const isGood = ({ statusCode = 0 }: IncomingMessage) => statusCode >= 200 && statusCode < 300

function refusal({ statusCode = 0, headers }: IncomingMessage, body: string): KubeError {
  const { reason = 'Unknown', message = '' } = statusIn(body)
  const isPlain = headers['content-type']?.startsWith('text/plain')
  const said = message || (isPlain ? body.trim().slice(0, LONGEST_PLAIN_MESSAGE) : '')
  return new KubeError(said || `the API server answered with HTTP status ${statusCode}`, {
    status: statusCode,
    reason,
  })
}

function statusIn(body: string): { reason?: string; message?: string } {
  try {
    const status: unknown = JSON.parse(body)
    return typeof status === 'object' && status !== null ? status : {}
  } catch {
    return {}
  }
}

/** The message of JSON.parse quotes the text, which may be that of a Secret. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new KubeError('the answer of the API server is not JSON', { status: 0, reason: 'Unreadable' })
  }
}

/** Text after the last line break is incomplete and left out. */
async function* linesOf(response: IncomingMessage): AsyncGenerator<string, void, undefined> {
  let parts: string[] = []
  let length = 0
  response.setEncoding('utf8')
  for await (const text of response as AsyncIterable<string>) {
    let from = 0
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', from)) {
      const line = parts.join('') + text.slice(from, end)
      from = end + 1
      parts = []
      length = 0
      if (line) yield line
    }
    parts.push(text.slice(from))
    length += text.length - from
    if (length > LONGEST_LINE)
      throw new KubeError('a line of the API server is too long', { status: 0, reason: 'Unreadable' })
  }
}

function retryAfterMs({ statusCode = 0, headers }: IncomingMessage): number | undefined {
  const seconds = Number(headers['retry-after'] || Number.NaN)
  return (statusCode === 429 || statusCode >= 500) && seconds >= 0 ? seconds * 1000 : undefined
}

function queryString(query: NonNullable<Call['query']>): string {
  const given = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) if (value !== undefined) given.set(name, String(value))
  return given.size > 0 ? `?${given}` : ''
}

/** The file of a token may end in a line break, which a header may not have. */
function trimmed(headers: RequestOptions['headers']): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers ?? {}).map(([name, value]) => [name, String(value).trim()]),
  )
}

/** A system error names a file or program; other errors may quote the output of a credential program. */
function harmlessMessage(error: unknown): string {
  const isOfSystem = typeof error === 'object' && error !== null && 'syscall' in error
  return isOfSystem ? reasonOf(error) : 'the way of the kubeconfig to get them failed'
}

function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const give = () => reject(signal.reason)
    if (signal.aborted) give()
    signal.addEventListener('abort', give, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', give))
  })
}

function anyOf(first: AbortSignal, second: AbortSignal | undefined): AbortSignal {
  return second ? AbortSignal.any([first, second]) : first
}
