// The cookie of who has signed in: the token, sealed with a key of the server. Cookies know no ports: on
// localhost every other server gets it, and must not get a token of the cluster. Nothing is kept here, so
// replicas with the same key know each other's cookies.
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Mode } from './access.ts'

export interface CookieOptions {
  mode: Mode
  /** The same in all replicas; without one, a key of this process. */
  secret?: string | undefined
  /** Its scheme and host say whether the browser came by HTTPS, where TLS ends before this server. */
  publicUrl?: URL | undefined
  wallMs: () => number
}

/** Of a working day. */
const GOOD_FOR_MS = 12 * 3_600_000
/** Browsers drop cookies of more than 4,096 bytes; the seal takes a third of the token more. */
export const MOST_TOKEN_BYTES = 2_900
const IV_BYTES = 12
const TAG_BYTES = 16
const CIPHER = 'aes-256-gcm'

export class Cookies {
  readonly #options: CookieOptions
  readonly #key: Buffer

  constructor(options: CookieOptions) {
    this.#options = options
    this.#key = options.secret ? createHash('sha256').update(options.secret).digest() : randomBytes(32)
  }

  /** Set-Cookie. Strict: no other site sends it, not even by a link. It ends with the browser. */
  set(request: IncomingMessage, token: string): string {
    return this.#header(request, this.#seal(token), '')
  }

  /** Set-Cookie. */
  forget(request: IncomingMessage): string {
    return this.#header(request, '', '; Max-Age=0')
  }

  /** The token in the cookie; undefined where there is none, or one that is old or was not sealed here. */
  tokenIn(request: IncomingMessage): string | undefined {
    const name = `${this.#nameFor(request)}=`
    const found = (request.headers.cookie ?? '').split(/; */).find((part) => part.startsWith(name))
    return found === undefined ? undefined : this.#open(found.slice(name.length))
  }

  #header(request: IncomingMessage, value: string, more: string): string {
    const secure = this.#isSecure(request) ? '; Secure' : ''
    return `${this.#nameFor(request)}=${value}; Path=/; HttpOnly; SameSite=Strict${secure}${more}`
  }

  /** Several `up` on one machine have a cookie each. */
  #nameFor(request: IncomingMessage): string {
    if (this.#isSecure(request)) return '__Host-millhand'
    return this.#options.mode === 'local' ? `millhand-${request.socket.localPort}` : 'millhand'
  }

  #isSecure(request: IncomingMessage): boolean {
    if ((request.socket as { encrypted?: boolean }).encrypted) return true
    const { publicUrl } = this.#options
    return publicUrl?.protocol === 'https:' && request.headers.host?.toLowerCase() === publicUrl.host
  }

  #seal(token: string): string {
    const iv = randomBytes(IV_BYTES)
    const cipher = createCipheriv(CIPHER, this.#key, iv)
    const sealed = [cipher.update(`${this.#options.wallMs()} ${token}`), cipher.final()]
    return Buffer.concat([iv, cipher.getAuthTag(), ...sealed]).toString('base64url')
  }

  #open(value: string): string | undefined {
    const bytes = Buffer.from(value, 'base64url')
    const start = IV_BYTES + TAG_BYTES
    if (bytes.length <= start) return undefined
    try {
      const decipher = createDecipheriv(CIPHER, this.#key, bytes.subarray(0, IV_BYTES))
      decipher.setAuthTag(bytes.subarray(IV_BYTES, start))
      const opened = Buffer.concat([decipher.update(bytes.subarray(start)), decipher.final()]).toString()
      const space = opened.indexOf(' ')
      const isOld = this.#options.wallMs() > Number(opened.slice(0, space)) + GOOD_FOR_MS
      return isOld && this.#options.mode !== 'local' ? undefined : opened.slice(space + 1)
    } catch {
      return undefined
    }
  }
}
