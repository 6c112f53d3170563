// Which requests another site may not send in the name of who is signed in (CSRF). The order is that of Go's
// http.CrossOriginProtection, but that a request without both headers needs a bearer token. Pure.
import type { IncomingMessage } from 'node:http'
import type { Refusal } from './access.ts'

const SAFE = ['GET', 'HEAD', 'OPTIONS']

export interface OriginRules {
  /** Like https://millhand.example.com: the public address, where a proxy changes the Host. */
  trusted: readonly string[]
}

/** Undefined when the request may change something, as far as its origin goes. */
export function originRefusal(
  request: IncomingMessage,
  { trusted }: OriginRules,
  isAmbient: boolean,
): Refusal | undefined {
  if (isSafe(request)) return undefined
  const { origin, host, 'sec-fetch-site': site } = request.headers
  if (origin !== undefined && trusted.includes(origin)) return undefined
  // Browsers send Sec-Fetch-Site to https:// and localhost only.
  if (site !== undefined)
    return site === 'same-origin' || site === 'none' ? undefined : refusal(`a page of another site`)
  if (origin !== undefined)
    return hostOf(origin) === host?.toLowerCase() ? undefined : refusal(`a page of ${quoted(origin)}`)
  // No browser of today sends a write without Origin; a client of the API has a bearer token.
  return isAmbient ? refusal('something that sends neither Sec-Fetch-Site nor Origin') : undefined
}

/** A form of another site can send text and form data, but no JSON. */
export function contentRefusal(request: IncomingMessage): Refusal | undefined {
  if (isSafe(request)) return undefined
  const { 'content-type': type, 'content-length': length, 'transfer-encoding': encoding } = request.headers
  const hasBody = encoding !== undefined || Number(length ?? 0) !== 0
  if (type === undefined ? !hasBody : /^application\/json *(; *charset="?utf-8"?)?$/i.test(type))
    return undefined
  const message = 'send the body as JSON: Content-Type: application/json'
  return { status: 415, code: 'CONTENT_TYPE', message }
}

const isSafe = ({ method }: IncomingMessage) => SAFE.includes(method ?? '')
const quoted = (text: string) => JSON.stringify(text.slice(0, 256))

/** Undefined for "null", the origin of sandboxed pages and files. */
function hostOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined
}

function refusal(from: string): Refusal {
  const message = `this write comes from ${from}: send it from the dashboard itself, or with a bearer token`
  return { status: 403, code: 'FOREIGN_ORIGIN', message }
}
