// The server of the dashboard: who asks (access/), which route, what it brings, what it answers. Whoever owns a port calls `handle`
// for each request: the operator, and `up` by listen.ts.
//
//   headers → admitted? → file, or route → allowed? → input → handler → JSON, or a stream     refused at any step: the error as JSON
import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Log } from 'millhand/queue'
import { API, type Config } from '../api.ts'
import { object, text } from '../schema.ts'
import type { Access, Permission, Session } from './access/access.ts'
import { type Redactor, redactor } from './access/redact.ts'
import type { Assets } from './assets.ts'
import { Drivers } from './drivers.ts'
import { Feeds } from './feeds.ts'
import { addressOf, bodyOf, type Matched, matchOf, queryOf } from './input.ts'
import { Looks } from './looks.ts'
import type { Plant } from './plant.ts'
import { Recent } from './recent.ts'
import { Refused, refusalOf, refusedBy } from './refused.ts'
import type { AnswerRoute, Call, Parts, StreamRoute } from './route.ts'
import { routes } from './routes.ts'
import { Snapshots } from './snapshots.ts'
import { version } from './version.ts'
import { Viewers } from './viewers.ts'

export interface DashboardOptions {
  plant: Plant
  access: Access
  /** The pages; absent: only the API. */
  assets?: Assets
  /** Default: the names and shapes that everybody hides. */
  redact?: Redactor
  /** Where a proxy puts it, like /millhand; requests may come with it or without it. */
  basePath?: string
  log: Log
  /** Monotonic, ms. */
  nowMs: () => number
  wallMs: () => number
}

export interface Dashboard {
  handle(request: IncomingMessage, response: ServerResponse): void
  close(): void
}

/** Waits for results included. */
const MOST_CALLS = 256
const MOST_ANSWER_BYTES = 1024 * 1024

const SIGN_IN = {
  body: object('Who wants to sign in', { token: text('A bearer token', { min: 1, max: 8_192 }) }),
}

export function dashboardServer(options: DashboardOptions): Dashboard {
  return new Server(options)
}

class Server implements Dashboard {
  readonly #options: DashboardOptions
  readonly #parts: Parts
  readonly #viewers: Viewers
  #calls = 0

  constructor(options: DashboardOptions) {
    const { plant, access, log, wallMs, redact = redactor() } = options
    this.#options = options
    this.#viewers = new Viewers(options)
    const looks = new Looks(options)
    const snapshots = new Snapshots({ ...options, looks })
    const recent = new Recent({ ...options, looks })
    const background = { feeds: new Feeds(log), drivers: new Drivers(log) }
    const config = () => this.#config()
    this.#parts = { plant, access, looks, snapshots, recent, ...background, redact, log, wallMs, config }
  }

  handle(request: IncomingMessage, response: ServerResponse): void {
    void this.#answer(request, response).catch((error) => this.#refuse(error, request, response))
  }

  close(): void {
    this.#viewers.close()
    this.#parts.snapshots.close()
    this.#parts.feeds.close()
    this.#parts.drivers.close()
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { access, assets } = this.#options
    const { path, query } = addressOf(request)
    const place = this.#withoutBase(path)
    for (const [name, value] of Object.entries(access.headersFor(place))) response.setHeader(name, value)
    if (place === '/healthz') return void response.end('ok\n')
    const admission = await access.admit(request)
    if (admission.kind === 'refused') throw refusedBy(admission.refusal)
    if (admission.kind === 'moved') return void response.writeHead(303, admission.headers).end()
    const isApi = place === API || place.startsWith(`${API}/`)
    if (!isApi && assets) return assets.serve(request, response, place)
    if (place === `${API}/session`) return this.#session(request, response)
    if (admission.kind === 'stranger') throw refusedBy(admission.refusal)
    const matched = matchOf(routes, request.method ?? 'GET', isApi ? place.slice(API.length) : place)
    await this.#run({ request, response, matched, query, session: admission.session })
  }

  /** Sign-in and sign-out: the only calls of strangers. */
  async #session(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { access } = this.#options
    if (request.method === 'DELETE') {
      response.setHeader('Set-Cookie', access.signOut(request).setCookie)
      return sendJson(response, { value: {} })
    }
    if (request.method !== 'POST')
      throw new Refused(
        405,
        'METHOD_NOT_ALLOWED',
        `the method is ${request.method}; it must be POST, DELETE`,
        {
          headers: { Allow: 'POST, DELETE' },
        },
      )
    const { token } = (await bodyOf(request, SIGN_IN)) as { token: string }
    const signed = await access.signIn(request, token)
    if ('refusal' in signed) throw refusedBy(signed.refusal)
    response.setHeader('Set-Cookie', signed.setCookie)
    sendJson(response, { value: {} })
  }

  async #run({ request, response, matched, query, session }: Running): Promise<void> {
    const { route, path } = matched
    const isWrite = route.method !== 'GET'
    const noted: Noted = {}
    let outcome = 'done'
    if (this.#calls >= MOST_CALLS) throw tooManyCalls()
    this.#calls += 1
    try {
      const namespaces = await this.#namespaces(route.permission, path.namespace, session)
      const signal = goneSignal(response)
      const checked = {
        path,
        query: queryOf(query, route.query),
        body: await bodyOf(request, route),
        namespaces,
      }
      const note = (said: Noted) => void Object.assign(noted, said)
      const call: Call = { parts: this.#parts, session, ...checked, signal, note }
      if (route.kind === 'answer') await this.#reply(route, call, request, response)
      else await this.#stream(route, call, request, response)
    } catch (error) {
      const refused = refusalOf(error, this.#awaySinceMs(path))
      outcome = refused?.code ?? 'INTERNAL'
      throw refused ?? error
    } finally {
      this.#calls -= 1
      if (isWrite && route.permission !== 'none')
        this.#audit(session, { permission: route.permission, path, noted, outcome })
    }
  }

  /** Whoever has this version of the answer already gets 304. */
  async #reply(
    route: AnswerRoute,
    call: Call,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const version = await route.version?.(call)
    if (version !== undefined) {
      const tag = tagOf(version)
      response.setHeader('ETag', tag)
      if (request.headers['if-none-match'] === tag) return void response.writeHead(304).end()
    }
    sendJson(response, { value: await route.handle(call), isHead: request.method === 'HEAD' })
  }

  /** Those of the permission; throws Refused where there are none. */
  async #namespaces(
    permission: Permission | 'none',
    namespace: string | undefined,
    session: Session,
  ): Promise<readonly string[]> {
    if (permission === 'none') return []
    if (namespace !== undefined) {
      const refusal = await session.refusalOf(permission, namespace)
      if (refusal) throw refusedBy(refusal)
      return [namespace]
    }
    const { plant } = this.#options
    const all = [...plant.list('TaskQueue'), ...plant.list('WorkerPool')]
    const names = [...new Set(all.map(({ metadata }) => metadata.namespace ?? ''))].sort()
    const allowed = await session.namespacesOf(permission, names)
    if (allowed.length > 0) return allowed
    const refusal = await session.refusalOf(permission, undefined)
    if (refusal) throw refusedBy(refusal)
    return []
  }

  async #stream(
    route: StreamRoute,
    call: Call,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const { permission } = route
    const viewer = this.#viewers.open(response, async () => {
      const now = await this.#namespaces(permission, call.path.namespace, call.session).catch(() => undefined)
      if (now && now.join() === call.namespaces.join()) return undefined
      return { status: 403, code: 'RIGHTS_CHANGED', message: 'what you may see has changed: connect again' }
    })
    await route.open(call, viewer, String(request.headers['last-event-id'] ?? ''))
  }

  #audit(session: Session, { permission, path, noted, outcome }: Audited): void {
    const queue = `${path.namespace}/${path.name}`
    this.#options.access.audit(session, { permission, queue, ...noted, outcome })
  }

  #awaySinceMs({ namespace, name }: Readonly<Record<string, string>>): number | undefined {
    const object = this.#options.plant.get('TaskQueue', `${namespace}/${name}`)
    return object && this.#parts.looks.awaySinceMs(object)
  }

  #withoutBase(path: string): string {
    const { basePath = '' } = this.#options
    const base = basePath.replace(/\/+$/, '')
    return base !== '' && (path === base || path.startsWith(`${base}/`))
      ? path.slice(base.length) || '/'
      : path
  }

  #config(): Config {
    const { plant, access, wallMs } = this.#options
    return { version, plant: plant.kind, isReadOnly: access.isReadOnly, nowMs: wallMs(), mostRows: 200 }
  }

  #refuse(error: unknown, request: IncomingMessage, response: ServerResponse): void {
    const refused = refusalOf(error) ?? this.#unforeseen(error, request)
    request.resume()
    if (response.headersSent) return void response.destroy()
    for (const [name, value] of Object.entries(refused.headers)) response.setHeader(name, value)
    sendJson(response, { status: refused.status, value: refused.answer, isHead: request.method === 'HEAD' })
  }

  #unforeseen(error: unknown, { method, url = '' }: IncomingMessage): Refused {
    this.#options.log.error('a request to the dashboard failed', { error, method, path: url.split('?')[0] })
    return new Refused(
      500,
      'INTERNAL',
      'this failed for a reason that nobody foresaw: the log of the server has it',
    )
  }
}

/** A weak one: a proxy that compresses answers leaves it alone. */
const tagOf = (version: string) => `W/"${createHash('sha256').update(version).digest('base64url')}"`

type Noted = Parameters<Call['note']>[0]

interface Running {
  request: IncomingMessage
  response: ServerResponse
  matched: Matched
  query: URLSearchParams
  session: Session
}

interface Audited {
  permission: Permission
  path: Readonly<Record<string, string>>
  noted: Noted
  outcome: string
}

const tooManyCalls = () =>
  new Refused(429, 'TOO_MANY_CALLS', `${MOST_CALLS} calls are under way: try again`, {
    headers: { 'Retry-After': '1' },
  })

function goneSignal(response: ServerResponse): AbortSignal {
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  return gone.signal
}

interface JsonAnswer {
  status?: number
  value: unknown
  /** The answer has no body. */
  isHead?: boolean
}

function sendJson(response: ServerResponse, { status = 200, value, isHead = false }: JsonAnswer): void {
  const text = JSON.stringify(value)
  const bytes = Buffer.byteLength(text)
  if (bytes > MOST_ANSWER_BYTES)
    throw new Refused(
      413,
      'ANSWER_TOO_LARGE',
      `the answer has ${bytes} bytes, more than 1 MiB: ask for less with limit`,
    )
  response.writeHead(status, { 'Content-Type': 'application/json; charset=utf-8', 'Content-Length': bytes })
  response.end(isHead ? undefined : text)
}
