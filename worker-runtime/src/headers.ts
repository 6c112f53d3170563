// Headers of a job: small texts that travel from its enqueue to its attempts, like the context of a trace.
// The option, its check, and the named field of the envelope. For job.ts.
import type { Rule } from './options.ts'

/** Texts by name. */
export type Headers = Readonly<Record<string, string>>

const NAME = /^[A-Za-z0-9._-]{1,64}$/
const MOST_BYTES = 1_024

export const HEADERS: Rule = {
  isValid: (value) =>
    typeof value === 'object' &&
    value !== null &&
    Object.entries(value).every(([name, text]) => NAME.test(name) && typeof text === 'string') &&
    encoded(value as Headers).length <= MOST_BYTES,
  is: `an object of texts, with names of 1 to 64 of A-Z a-z 0-9 . _ -, and together, as in the query of a URL, at most ${MOST_BYTES} bytes`,
}

/** The named field; of no headers nothing. */
export function headersText(headers: Headers | undefined): string {
  const text = headers ? encoded(headers) : ''
  return text === '' ? '' : ` h=${text}`
}

export function headersIn(fields: string): Headers | undefined {
  const text = fields.includes(' h=') ? / h=(\S+)/.exec(fields)?.[1] : undefined
  return text === undefined ? undefined : Object.fromEntries(new URLSearchParams(text))
}

const encoded = (headers: Headers): string => new URLSearchParams(headers).toString()
