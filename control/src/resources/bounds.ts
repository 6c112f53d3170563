// Makes a status fit into its CRD, so that the API server never refuses it for the length of a text or the
// size of a number. Words of workers, of the API server and of people have no bound. Every status goes
// through here before it is compared or written.
import type { Schema } from './schema.ts'
import { type Kind, loadCrds } from './schemas.ts'

const crds = loadCrds()
const INT32 = { least: -(2 ** 31), most: 2 ** 31 - 1 }

export function boundedStatus<Status extends object>(kind: Kind, status: Status): Status {
  return bounded(status, crds[kind].properties?.status ?? {}) as Status
}

/** Cuts to so many code points, as the API server counts them; `end` replaces the rest. */
export function cutText(text: string, maxLength: number, end = '…'): string {
  // A code point has one or two units.
  if (text.length <= maxLength) return text
  const points = [...text.slice(0, 2 * (maxLength + 1))]
  return points.length > maxLength ? points.slice(0, maxLength - end.length).join('') + end : text
}

function bounded(value: unknown, schema: Schema): unknown {
  // A reason has a pattern that allows no ellipsis.
  if (typeof value === 'string')
    return cutText(value, schema.maxLength ?? Number.POSITIVE_INFINITY, schema.pattern && '')
  if (typeof value === 'number') return boundedNumber(value, schema)
  if (Array.isArray(value)) {
    const { items = {}, maxItems } = schema
    return value.slice(0, maxItems).map((item) => bounded(item, items))
  }
  if (typeof value !== 'object' || value === null) return value
  const fields = Object.entries(value).map(([name, field]) => [
    name,
    bounded(field, schema.properties?.[name] ?? {}),
  ])
  return Object.fromEntries(fields)
}

/**
 * JSON turns NaN and Infinity into null, which the API server refuses; a field that is left out is unknown.
 */
function boundedNumber(value: number, { type, format, minimum, maximum }: Schema): number | undefined {
  if (!Number.isFinite(value)) return undefined
  const { least, most } =
    format === 'int32' ? INT32 : { least: Number.MIN_SAFE_INTEGER, most: Number.MAX_SAFE_INTEGER }
  const whole = type === 'integer' ? Math.round(value) : value
  return Math.min(Math.max(whole, minimum ?? least), maximum ?? most)
}
