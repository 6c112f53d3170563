// What the API answers in place of what was asked for: a status, a code for programs, and a sentence with the
// remedy.
import { FilterInvalid, QueueRefused, RedisDataInvalid, RedisUnavailable } from 'millhand/queue'
import type { ErrorAnswer } from '../api.ts'
import type { Refusal } from './access/access.ts'

export type Status = 400 | 401 | 403 | 404 | 405 | 409 | 413 | 415 | 429 | 500 | 502 | 503

export class Refused extends Error {
  override readonly name = 'Refused'
  readonly status: Status
  readonly code: string
  readonly more: { state?: string; sinceMs?: number }
  readonly headers: Readonly<Record<string, string>>

  constructor(
    status: Status,
    code: string,
    message: string,
    {
      headers = {},
      ...more
    }: { state?: string; sinceMs?: number; headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(message)
    this.status = status
    this.code = code
    this.more = more
    this.headers = headers
  }

  get answer(): ErrorAnswer {
    return { error: { code: this.code, message: this.message, ...this.more } }
  }
}

export const badRequest = (message: string) => new Refused(400, 'INVALID_REQUEST', message)

export const refusedBy = ({ status, code, message, headers = {} }: Refusal) =>
  new Refused(status, code, message, { headers })

const OF_QUEUE: Record<QueueRefused['code'], Status> = {
  PAYLOAD_TOO_LARGE: 413,
  QUEUE_FULL: 429,
  KEY_FULL: 429,
  NEWER_LAYOUT: 503,
  OLDER_LAYOUT: 503,
  REDIS_FULL: 503,
  NOT_DURABLE: 503,
  EVENTS_OFF: 409,
  SCHEDULE_TAKEN: 409,
  TOO_MANY_SCHEDULES: 429,
  BATCH_CLOSED: 409,
  BATCH_FULL: 409,
}

/** Undefined for an error that nobody foresaw. `sinceMs`: since when Redis is known to be away. */
export function refusalOf(error: unknown, sinceMs?: number): Refused | undefined {
  if (error instanceof Refused) return error
  if (error instanceof QueueRefused)
    return new Refused(OF_QUEUE[error.code] ?? 409, error.code, error.message)
  if (error instanceof FilterInvalid) return new Refused(400, error.code, error.message)
  if (error instanceof RedisDataInvalid) return new Refused(502, error.code, error.message)
  if (error instanceof RedisUnavailable) {
    const done = error.maybeDone ? '; the call may have been done: look before you repeat it' : '; try again'
    const since = sinceMs === undefined ? {} : { sinceMs }
    return new Refused(503, error.code, `Redis cannot be asked: ${error.message}${done}`, since)
  }
  return undefined
}
