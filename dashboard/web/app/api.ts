// Calls of the API: answers with their types, errors as they are told.
import type { ErrorAnswer } from '../../src/api.ts'
import { encodedPart } from './router.ts'

const API = 'api/v1/'
const PATIENCE_MS = 15_000

export type ApiFault = 'away' | 'refused' | 'failed'

/** An answer of 400 or more, or none at all (status 0). */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly status: number
  readonly code: string
  /** With 409: the state of the job now. */
  readonly state: string | undefined
  /** With 503: since when Redis is away. */
  readonly sinceMs: number | undefined
  constructor(status: number, { code, message, state, sinceMs }: ErrorAnswer['error']) {
    super(message)
    this.status = status
    this.code = code
    this.state = state
    this.sinceMs = sinceMs
  }
}

/** What follows `api/v1/`; parts of a path may be anything a user named. */
export function address(
  parts: readonly string[],
  query: Readonly<Record<string, string | number | undefined>> = {},
): string {
  const said = Object.entries(query).flatMap(([name, value]) =>
    value === undefined || value === '' ? [] : [[name, `${value}`]],
  )
  const search = new URLSearchParams(said as [string, string][]).toString()
  return `${parts.map(encodedPart).join('/')}${search && `?${search}`}`
}

/** As an address that a browser may be sent to. */
export const absolute = (path: string): string => new URL(`${API}${path}`, document.baseURI).href

/** Throws ApiError. */
export const get = async <T>(path: string, signal?: AbortSignal): Promise<T> =>
  (await call<T>('GET', path, { signal })).value
/** Throws ApiError. */
export const send = async <T>(method: 'POST' | 'DELETE', path: string, body: object = {}): Promise<T> =>
  (await call<T>(method, path, { body })).value

export interface Answer<T> {
  value: T
  /** Names this version of the answer; of some answers only. */
  tag?: string
}

/** Undefined where the answer is still the one with the tag `than`. Throws ApiError. */
export async function getNewer<T>(
  path: string,
  { than, signal }: { than: string | undefined; signal: AbortSignal },
): Promise<Answer<T> | undefined> {
  const answer = await call<T>('GET', path, { signal, ...(than !== undefined && { than }) })
  return answer.tag !== undefined && answer.tag === than ? undefined : answer
}

interface Asked {
  body?: object
  signal?: AbortSignal | undefined
  than?: string
}

const NOT_MODIFIED = 304

async function call<T>(method: string, path: string, { body, signal, than }: Asked): Promise<Answer<T>> {
  const deadline = AbortSignal.timeout(PATIENCE_MS)
  const init: RequestInit = {
    method,
    signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
    credentials: 'same-origin',
    ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    ...(than !== undefined && { headers: { 'if-none-match': than } }),
  }
  let response: Response
  try {
    response = await fetch(absolute(path), init)
  } catch (error) {
    if (signal?.aborted) throw error
    throw noAnswer(deadline.aborted ? `did not answer within ${PATIENCE_MS / 1_000} s` : 'cannot be reached')
  }
  const tag = response.headers.get('etag') ?? undefined
  if (response.status === NOT_MODIFIED && than !== undefined) return { value: undefined as T, tag: than }
  const answer: unknown = await response.json().catch(() => undefined)
  if (response.ok && answer !== undefined) return { value: answer as T, ...(tag !== undefined && { tag }) }
  throw new ApiError(response.status, errorIn(answer) ?? unreadable(response.status))
}

const noAnswer = (how: string) =>
  new ApiError(0, { code: 'UNREACHABLE', message: `The server of the dashboard ${how}.` })

const unreadable = (status: number) => ({
  code: 'UNREADABLE',
  message: `The answer with status ${status} is not one of Millhand: is there a proxy between, or has the address changed?`,
})

function errorIn(answer: unknown): ErrorAnswer['error'] | undefined {
  if (typeof answer !== 'object' || answer === null || !('error' in answer)) return undefined
  const { error } = answer as ErrorAnswer
  return typeof error?.message === 'string' ? error : undefined
}

/** Why something did not work, as a sentence. */
export const sentence = (error: unknown): string => (error instanceof Error ? error.message : String(error))
