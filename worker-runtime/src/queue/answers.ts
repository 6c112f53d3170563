// The one parser of numbers, texts, words and lists that verbs get from Redis. Other programs may have
// written to the keys, and something else may listen where a Redis should be: what cannot be right is an
// error here, and never a NaN or a 2 GB text further on.

/**
 * Redis holds, or answers, what Millhand never writes. `field` says of what, in Millhand's words; the value
 * is foreign.
 */
export class RedisDataInvalid extends Error {
  override readonly name = 'RedisDataInvalid'
  readonly code = 'REDIS_DATA_INVALID'
  readonly field: string
  constructor(field: string, value: unknown) {
    super(
      `Redis says that ${field} is ${shown(value)}, which cannot be: another program wrote to keys that begin with mh:, or this is no Redis`,
    )
    this.field = field
  }
}

/** Jobs that are there, slots, workers. */
export const MOST_OF_ANYTHING = 2 ** 31
/** The longest text of a worker's entry; bytes. */
export const MAX_TEXT = 256

/** How many of something there are now. */
export function amountOf(value: unknown, field: string): number {
  return numberOf(value, field, { least: 0, most: MOST_OF_ANYTHING })
}

/** How often something happened since the queue exists; 0 where nothing is written. */
export function counterOf(value: unknown, field: string): number {
  return value === null ? 0 : numberOf(value, field, { least: 0, most: Number.MAX_SAFE_INTEGER })
}

/** Undefined where the answer does not have it. */
export function optionalOf(
  value: unknown,
  field: string,
  most: number = Number.MAX_SAFE_INTEGER,
): number | undefined {
  return value === undefined ? undefined : numberOf(value, field, { least: 0, most })
}

export function numberOf(
  value: unknown,
  field: string,
  { least, most }: { least: number; most: number },
): number {
  const isText = typeof value === 'string' && /^-?\d{1,16}$/.test(value)
  const found = typeof value === 'number' || isText ? Number(value) : Number.NaN
  if (Number.isInteger(found) && found >= least && found <= most) return found
  throw new RedisDataInvalid(field, value)
}

export function textOf(value: unknown, field: string, most: number = MAX_TEXT): string {
  if (typeof value === 'string' && value.length <= most) return value
  throw new RedisDataInvalid(field, value)
}

export function oneOf<T extends string>(value: unknown, field: string, words: readonly T[]): T {
  const found = words.find((word) => word === value)
  if (found !== undefined) return found
  throw new RedisDataInvalid(field, value)
}

export function listOf(value: unknown, field: string, most: number = MOST_OF_ANYTHING): unknown[] {
  if (Array.isArray(value) && value.length <= most) return value
  throw new RedisDataInvalid(field, value)
}

/** Every second one belongs to the one before it. */
export function pairsOf(value: unknown): [unknown, unknown][] {
  const flat = listOf(value, 'a list of pairs')
  return Array.from({ length: Math.ceil(flat.length / 2) }, (_, i) => [flat[2 * i], flat[2 * i + 1]])
}

/** A counter that is not written yet is null; one that was not answered is no counter. */
export const presentIn = (value: unknown): unknown => (value === null ? undefined : value)

export const isDone = (answer: unknown): number =>
  numberOf(answer, 'the answer to a write', { least: 1, most: 1 })

function shown(value: unknown): string {
  if (value === undefined || value === null) return 'nothing'
  if (Array.isArray(value)) return `a list of ${value.length}`
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}
