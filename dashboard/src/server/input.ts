// What a request brings, parsed and bounded: the path, the query, the body.
import type { IncomingMessage } from 'node:http'
import type { Json, Schema } from '../schema.ts'
import { isObject, problemsOf, shown } from './check.ts'
import { badRequest, Refused } from './refused.ts'
import { PATH_FIELDS, type Route } from './route.ts'

const MAX_BODY_BYTES = 65_536
/** Longer ones cost more than they can say. */
const MAX_URL = 8_192

export interface Address {
  path: string
  query: URLSearchParams
}

export function addressOf({ url = '/' }: IncomingMessage): Address {
  if (url.length > MAX_URL)
    throw badRequest(`the address has ${url.length} characters; it may have ${MAX_URL} at most`)
  const at = url.indexOf('?')
  if (at < 0) return { path: url, query: new URLSearchParams() }
  return { path: url.slice(0, at), query: new URLSearchParams(url.slice(at + 1)) }
}

export interface Matched {
  route: Route
  path: Readonly<Record<string, string>>
}

/** Throws Refused with 404 or 405. */
export function matchOf(routes: readonly Route[], method: string, path: string): Matched {
  const parts = path.split('/')
  const found = routes.flatMap((route) => {
    const values = valuesOf(route.path.split('/'), parts)
    return values ? [{ route, path: values }] : []
  })
  const wanted = method === 'HEAD' ? 'GET' : method
  const matched = found.find(({ route }) => route.method === wanted)
  if (matched) return { route: matched.route, path: checkedPath(matched.path) }
  const allowed = [...new Set(found.map(({ route }) => route.method))].join(', ')
  if (allowed === '')
    throw new Refused(
      404,
      'NOT_FOUND',
      `there is no ${shown(path)} here; GET openapi.json lists what there is`,
    )
  const headers = { Allow: allowed }
  throw new Refused(405, 'METHOD_NOT_ALLOWED', `the method is ${method}; it must be ${allowed}`, { headers })
}

function valuesOf(pattern: readonly string[], parts: readonly string[]): Record<string, string> | undefined {
  if (pattern.length !== parts.length) return undefined
  const values: Record<string, string> = {}
  for (const [i, each] of pattern.entries()) {
    const part = parts[i] ?? ''
    if (each.startsWith('{')) values[each.slice(1, -1)] = part
    else if (each !== part) return undefined
  }
  return values
}

function checkedPath(values: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).map(([name, encoded]) => {
      const value = decoded(encoded)
      const schema = PATH_FIELDS[name]
      const [problem] = schema ? problemsOf(value, schema, name) : []
      if (problem !== undefined) throw badRequest(problem)
      return [name, value]
    }),
  )
}

/** The ids . and .. come encoded twice: a browser takes them for steps in the address. */
function decoded(part: string): string {
  try {
    const once = decodeURIComponent(part)
    return /^(%2e){1,2}$/i.test(once) ? decodeURIComponent(once) : once
  } catch {
    throw badRequest(`the address has ${shown(part)}, which is not percent-encoded UTF-8`)
  }
}

/** Numbers and flags are what their text says. */
export function queryOf(query: URLSearchParams, schema: Schema | undefined): Record<string, unknown> {
  const fields = schema?.json.properties ?? {}
  const found: Record<string, unknown> = {}
  for (const [name, value] of query) {
    if (Object.hasOwn(found, name)) throw badRequest(`the query has ${shown(name)} twice: give it once`)
    found[name] = typed(value, Object.hasOwn(fields, name) ? fields[name] : undefined)
  }
  const [problem] = problemsOf(found, schema ?? NOTHING, '')
  if (problem !== undefined) throw badRequest(`in the query: ${problem}`)
  return found
}

const NOTHING: Schema = { json: { type: 'object', additionalProperties: false }, parts: [] }

function typed(text: string, json: Json | undefined): unknown {
  if (json?.type === 'integer' && /^-?\d{1,16}$/.test(text)) return Number(text)
  if (json?.type === 'boolean' && /^(true|false)$/.test(text)) return text === 'true'
  return text
}

export async function bodyOf(
  request: IncomingMessage,
  route: Pick<Route, 'body' | 'maxBodyBytes'>,
): Promise<unknown> {
  if (!route.body) {
    request.resume()
    return undefined
  }
  const text = await textOf(request, route.maxBodyBytes ?? MAX_BODY_BYTES)
  const body = text === '' ? {} : jsonOf(text)
  const [problem] = problemsOf(body, route.body)
  if (problem !== undefined) throw badRequest(problem)
  return body
}

async function textOf(request: IncomingMessage, maxBytes: number): Promise<string> {
  const tooLarge = (bytes: string) =>
    new Refused(413, 'BODY_TOO_LARGE', `the body has ${bytes} bytes; it may have ${maxBytes} at most`, {
      headers: { Connection: 'close' },
    })
  const said = Number(request.headers['content-length'] ?? 0)
  if (said > maxBytes) throw tooLarge(String(said))
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > maxBytes) throw tooLarge(`more than ${maxBytes}`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** A whole number that JavaScript would change is refused: a task would get another one. */
function jsonOf(text: string): unknown {
  try {
    const parsed: unknown = JSON.parse(text, (_, value, { source }: { source?: string } = {}) => {
      if (typeof value === 'number' && source !== undefined && !isKept(value, source))
        throw badRequest(
          `the body has the number ${shown(source)}, which a task would get as ${value}: write it as a text`,
        )
      return value
    })
    if (!isObject(parsed)) throw badRequest(`the body is ${shown(parsed)}; it must be an object`)
    return parsed
  } catch (error) {
    if (error instanceof Refused) throw error
    throw badRequest(
      `the body is not valid JSON: ${error instanceof Error ? error.message.slice(0, 200) : error}`,
    )
  }
}

function isKept(value: number, source: string): boolean {
  if (/^-?\d{1,400}$/.test(source)) return Number.isFinite(value) && BigInt(source) === BigInt(value)
  return Number.isFinite(value)
}
