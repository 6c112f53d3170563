// The one implementation of Access. A request passes, in this order: its Host, its origin and content type,
// its credentials; then each route asks about its permission. What differs between the modes is an Authority.
import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { type Log, reasonOf } from 'millhand/queue'
import {
  type Access,
  type Admission,
  type Mode,
  type Permission,
  READS,
  type Refusal,
  type Session,
  type User,
  type Write,
} from './access.ts'
import { Cookies, MOST_TOKEN_BYTES } from './cookies.ts'
import { Failures } from './failures.ts'
import { headersFor } from './headers.ts'
import { type HostRules, hostRefusal } from './hosts.ts'
import { Busy, KeptAnswers } from './kept-answers.ts'
import { contentRefusal, originRefusal } from './origins.ts'

export interface Authority {
  readonly mode: Mode
  /** What a stranger has to do. */
  readonly howToSignIn: string
  /** Of a token; undefined: nobody has it. In the mode proxy there are no tokens. */
  userOf?(token: string): Promise<User | undefined>
  /** Of the headers of a proxy. */
  userIn?(request: IncomingMessage): User | Refusal
  /** The client's, where a proxy says it. */
  addressIn?(request: IncomingMessage): string | undefined
  /** Without a namespace: in all. */
  isAllowed(user: User, permission: Permission, namespace: string | undefined): Promise<boolean>
}

export interface GateOptions {
  authority: Authority
  hosts: HostRules
  isReadOnly?: boolean
  /** Where the browser sees the dashboard, like https://millhand.example.com. */
  publicUrl?: URL | undefined
  /** Seals the cookies; the same in all replicas. */
  cookieSecret?: string | undefined
  log: Log
  nowMs: () => number
  wallMs: () => number
}

const ALLOWED_FOR_MS = 60_000
const REFUSED_FOR_MS = 10_000

/** Namespaces that are asked about at one time. */
const AT_ONCE = 8

type Sent = { token?: string; isAmbient: boolean }

export class Gate implements Access {
  readonly #options: GateOptions
  readonly #cookies: Cookies
  readonly #failures: Failures
  /** By a hash: no token is kept. */
  readonly #users: KeptAnswers<{ user?: User }>
  readonly #rights: KeptAnswers<boolean>

  constructor(options: GateOptions) {
    const { nowMs, wallMs, authority, cookieSecret: secret, publicUrl } = options
    this.#options = options
    this.#cookies = new Cookies({ mode: authority.mode, secret, publicUrl, wallMs })
    this.#failures = new Failures(nowMs)
    const forMs = (isGood: boolean) => (isGood ? ALLOWED_FOR_MS : REFUSED_FOR_MS)
    this.#users = new KeptAnswers({ nowMs, forMs: ({ user }) => forMs(user !== undefined) })
    this.#rights = new KeptAnswers({ nowMs, forMs })
  }

  get mode(): Mode {
    return this.#options.authority.mode
  }

  get isReadOnly(): boolean {
    return this.#options.isReadOnly === true
  }

  headersFor(path: string): Readonly<Record<string, string>> {
    return headersFor(path)
  }

  async admit(request: IncomingMessage): Promise<Admission> {
    const sent = this.#sentIn(request)
    const refusal =
      hostRefusal(request, this.#options.hosts) ??
      this.#originRefusal(request, sent) ??
      contentRefusal(request)
    if (refusal) return { kind: 'refused', refusal }
    const inAddress = this.mode === 'local' ? tokenInAddress(request) : undefined
    if (inAddress !== undefined) return this.#moved(request, inAddress)
    const user = await this.#userOf(request, sent.token)
    return 'status' in user ? { kind: 'stranger', refusal: user } : this.#admitted(request, user)
  }

  async signIn(
    request: IncomingMessage,
    token: string,
  ): Promise<{ setCookie: string } | { refusal: Refusal }> {
    if (Buffer.byteLength(token) > MOST_TOKEN_BYTES) {
      const message = `a token of more than ${MOST_TOKEN_BYTES} bytes fits into no cookie: use a shorter one`
      return { refusal: { status: 400, code: 'INVALID_TOKEN', message } }
    }
    const user = await this.#userOf(request, token)
    const outcome = 'status' in user ? user.code : 'done'
    const who = 'status' in user ? {} : { user: user.name, groups: user.groups }
    const address = this.#addressOf(request)
    this.#options.log.info('sign-in to the dashboard', { ...who, mode: this.mode, outcome, address })
    return 'status' in user ? { refusal: user } : { setCookie: this.#cookies.set(request, token) }
  }

  signOut(request: IncomingMessage): { setCookie: string } {
    return { setCookie: this.#cookies.forget(request) }
  }

  audit({ user, mode, address }: Session, { permission, ...write }: Write): void {
    const who = { user: user.name, groups: user.groups, mode, address }
    this.#options.log.info('write by the dashboard', { ...who, ...permission, ...write })
  }

  #sentIn(request: IncomingMessage): Sent {
    if (this.mode === 'proxy') return { isAmbient: true }
    const { authorization } = request.headers
    const token = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1]
    if (token !== undefined) return { token, isAmbient: false }
    const inCookie = this.#cookies.tokenIn(request)
    return inCookie === undefined ? { isAmbient: false } : { token: inCookie, isAmbient: true }
  }

  #originRefusal(request: IncomingMessage, { isAmbient }: Sent): Refusal | undefined {
    const { publicUrl } = this.#options
    return originRefusal(request, { trusted: publicUrl ? [publicUrl.origin] : [] }, isAmbient)
  }

  async #moved(request: IncomingMessage, token: string): Promise<Admission> {
    const signed = await this.signIn(request, token)
    if ('refusal' in signed) return { kind: 'stranger', refusal: signed.refusal }
    // Relative: a path of the request could begin with // and lead to another site.
    return { kind: 'moved', headers: { Location: './', 'Set-Cookie': signed.setCookie } }
  }

  async #userOf(request: IncomingMessage, token: string | undefined): Promise<User | Refusal> {
    const { authority } = this.#options
    if (authority.userIn) return authority.userIn(request)
    if (token === undefined || !authority.userOf) return unknown(authority.howToSignIn)
    const key = createHash('sha256').update(token).digest('base64')
    const user = this.#users.known(key)?.user
    return user ?? this.#ask(request, key, token)
  }

  async #ask(request: IncomingMessage, key: string, token: string): Promise<User | Refusal> {
    const { authority } = this.#options
    const address = this.#addressOf(request)
    // In the mode local a page of any site could use up the tries of 127.0.0.1.
    const seconds = this.mode === 'local' ? undefined : this.#failures.secondsToWait(address)
    if (seconds !== undefined) return tooManyFailures(seconds)
    const asked = this.#users.get(key, async () => {
      const user = await authority.userOf?.(token)
      if (!user) this.#failures.add(address)
      return user ? { user } : {}
    })
    const found = await asked.catch((error) => this.#unanswered(error))
    if ('status' in found) return found
    return found.user ?? unknown(`nobody has this token; ${authority.howToSignIn}`)
  }

  #admitted(request: IncomingMessage, user: User): Admission {
    const session: Session = {
      user,
      mode: this.mode,
      address: this.#addressOf(request),
      refusalOf: (permission, namespace) => this.#refusalOf(user, permission, namespace),
      namespacesOf: (permission, namespaces) => this.#namespacesOf(user, permission, namespaces),
    }
    return { kind: 'user', session }
  }

  async #refusalOf(user: User, permission: Permission, namespace?: string): Promise<Refusal | undefined> {
    const isRead = READS.some((verb) => verb === permission.verb)
    if (this.isReadOnly && !isRead) {
      const message = 'this dashboard is read-only: nothing can be changed here'
      return { status: 403, code: 'READ_ONLY', message }
    }
    const isAllowed = await this.#mayIn(user, permission, namespace).catch((error) => this.#unanswered(error))
    if (typeof isAllowed === 'object') return isAllowed
    return isAllowed ? undefined : forbidden(user, permission, namespace)
  }

  async #namespacesOf(
    user: User,
    permission: Permission,
    namespaces: readonly string[],
  ): Promise<readonly string[]> {
    const may = (namespace?: string) => this.#mayIn(user, permission, namespace).catch(() => false)
    if (await may()) return namespaces
    const allowed: string[] = []
    for (let at = 0; at < namespaces.length; at += AT_ONCE) {
      const some = namespaces.slice(at, at + AT_ONCE)
      const answers = await Promise.all(some.map(may))
      allowed.push(...some.filter((_, nth) => answers[nth]))
    }
    return allowed
  }

  #mayIn(user: User, permission: Permission, namespace: string | undefined): Promise<boolean> {
    const { authority } = this.#options
    const question = JSON.stringify([user, permission.resource, permission.verb, namespace ?? null])
    const key = createHash('sha256').update(question).digest('base64')
    return this.#rights.get(key, () => authority.isAllowed(user, permission, namespace))
  }

  #unanswered(error: unknown): Refusal {
    if (error instanceof Busy)
      return { status: 429, code: 'TOO_MANY_CALLS', message: 'too many users are being checked; try again' }
    this.#options.log.warn('the API server cannot be asked who may', { error: reasonOf(error) })
    const message = 'the API server cannot be asked who may do this; try again'
    return { status: 503, code: 'NOT_CHECKED', message }
  }

  #addressOf(request: IncomingMessage): string {
    return this.#options.authority.addressIn?.(request) ?? request.socket.remoteAddress ?? ''
  }
}

/** Of `/?token=…`, which `up` prints; nowhere else is a token taken from an address. */
function tokenInAddress({ method, url = '' }: IncomingMessage): string | undefined {
  const found = /^\/\?token=([\w-]{1,200})$/.exec(url)
  return method === 'GET' ? found?.[1] : undefined
}

function unknown(howToSignIn: string): Refusal {
  const headers = { 'WWW-Authenticate': 'Bearer' }
  return { status: 401, code: 'NOT_SIGNED_IN', message: howToSignIn, headers }
}

function tooManyFailures(seconds: number): Refusal {
  const message = `too many wrong tokens from this address: try again in ${seconds} s`
  return { status: 429, code: 'TOO_MANY_SIGN_INS', message, headers: { 'Retry-After': String(seconds) } }
}

function forbidden({ name }: User, { resource, verb }: Permission, namespace: string | undefined): Refusal {
  const where = namespace === undefined ? 'in all namespaces' : `in the namespace ${namespace}`
  const message = `${name} may not ${verb} ${resource} ${where}: it needs the verb ${verb} on ${resource} of millhand.dev`
  return { status: 403, code: 'FORBIDDEN', message }
}
