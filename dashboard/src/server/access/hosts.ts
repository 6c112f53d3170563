// Which Host a request may name. A page of another site reaches this server under a name of its own that it
// points here (DNS rebinding); neither an IP address nor a listed name can be such a name. Pure.
import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import type { Refusal } from './access.ts'

export interface HostRules {
  /** Names besides localhost; `*.example.com` is every name below example.com. */
  names: readonly string[]
  /** Every IP address, not only those of loopback: behind a port-forward, a node port or the API server. */
  anyAddress: boolean
  /** What to do, to end the refusal: "add it to dashboard.hosts of the chart". */
  remedy: string
}

/** Undefined when the request may name its Host. */
export function hostRefusal(request: IncomingMessage, rules: HostRules): Refusal | undefined {
  const named = valuesOf(request, 'host')
  const [host] = named
  if (named.length !== 1 || host === undefined || !request.url?.startsWith('/'))
    return { status: 400, code: 'INVALID_HOST', message: 'send one Host header, and a path as the target' }
  const name = nameIn(host)
  if (name !== undefined && isAllowed(name, rules)) return undefined
  const message = `the Host ${JSON.stringify(host.slice(0, 256))} is not served here: ${rules.remedy}`
  return { status: 403, code: 'HOST_NOT_ALLOWED', message }
}

/** All values of a header, which Node may have joined or dropped in `headers`. */
export function valuesOf({ rawHeaders }: IncomingMessage, name: string): string[] {
  return rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === name)
}

/** In lower case, without the port, the brackets and the dot at the end. */
function nameIn(host: string): string | undefined {
  const found = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+?)\.?)(?::\d{1,5})?$/i.exec(host)
  return (found?.[1] ?? found?.[2])?.toLowerCase()
}

function isAllowed(name: string, { names, anyAddress }: HostRules): boolean {
  if (name === 'localhost' || name.endsWith('.localhost')) return true
  const family = isIP(name)
  if (family === 4) return anyAddress || name.startsWith('127.')
  if (family === 6) return anyAddress || name === '::1'
  return names.some((known) =>
    known.startsWith('*.') ? name.endsWith(known.slice(1).toLowerCase()) : name === known.toLowerCase(),
  )
}
