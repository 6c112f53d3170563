// Checks a value against a schema of api.ts: what a request brings, and in tests what the server answers.
// Pure.
import type { Json, Schema } from '../schema.ts'
import { namedIn } from '../schema.ts'

const MOST_SHOWN = 60

/** Sentences that name the field, its value and the remedy; none where all is right. */
export function problemsOf(value: unknown, schema: Schema, place = ''): string[] {
  const names = namedIn([schema])
  const resolve = (json: Json): Json => {
    const name = json.$ref?.slice(json.$ref.lastIndexOf('/') + 1)
    return name === undefined ? json : (names.get(name)?.json ?? {})
  }
  return check(value, schema.json, { place, resolve })
}

interface At {
  /** '' for the whole body. */
  place: string
  /** Follows a $ref. */
  resolve: (json: Json) => Json
}

function check(value: unknown, given: Json, at: At): string[] {
  const { place, resolve } = at
  const json = resolve(given)
  if (json.anyOf) {
    const tried = json.anyOf.map((each) => check(value, each, at))
    return tried.find((problems) => problems.length === 0) ?? tried[0] ?? []
  }
  const name = place || 'the body'
  if (json.type && !hasType(value, json.type))
    return [`${name} is ${shown(value)}; it must be ${TYPES[json.type]}`]
  if (json.enum && !json.enum.includes(value as string))
    return [`${name} is ${shown(value)}; it must be one of ${json.enum.join(', ')}`]
  if (typeof value === 'string') return checkText(value, json, name)
  if (typeof value === 'number') return checkNumber(value, json, name)
  if (Array.isArray(value)) return checkList(value, json, at)
  return isObject(value) ? checkObject(value, json, at) : []
}

function checkText(value: string, { minLength = 0, maxLength, pattern }: Json, name: string): string[] {
  const is = `${name} is ${shown(value)}`
  if (value.length < minLength) return [`${is}; it needs at least ${minLength} characters`]
  if (maxLength !== undefined && value.length > maxLength)
    return [`${is} with ${value.length} characters; it may have ${maxLength} at most`]
  if (pattern !== undefined && !new RegExp(pattern, 'u').test(value))
    return [`${is}; it must match ${pattern}`]
  return []
}

function checkNumber(value: number, { minimum, maximum }: Json, name: string): string[] {
  if (minimum !== undefined && value < minimum) return [`${name} is ${value}; it must be at least ${minimum}`]
  if (maximum !== undefined && value > maximum) return [`${name} is ${value}; it must be at most ${maximum}`]
  return []
}

function checkList(
  value: unknown[],
  { items, minItems = 0, maxItems }: Json,
  { place, resolve }: At,
): string[] {
  const name = place || 'the body'
  if (value.length < minItems) return [`${name} has ${value.length} items; it needs at least ${minItems}`]
  if (maxItems !== undefined && value.length > maxItems)
    return [`${name} has ${value.length} items; it may have ${maxItems} at most`]
  return items
    ? value.flatMap((each, index) => check(each, items, { place: `${place}[${index}]`, resolve }))
    : []
}

function checkObject(value: Record<string, unknown>, json: Json, { place, resolve }: At): string[] {
  const { properties = {}, required = [], additionalProperties } = json
  const at = (name: string) => (place === '' ? name : `${place}.${name}`)
  const missing = required
    .filter((name) => !Object.hasOwn(value, name))
    .map((name) => `${at(name)} is missing: add it`)
  const wrong = Object.entries(value).flatMap(([name, each]) => {
    const field = Object.hasOwn(properties, name) ? properties[name] : additionalProperties
    if (field) return check(each, field, { place: at(name), resolve })
    return field === false ? [unknownField(at(name), properties)] : []
  })
  return [...missing, ...wrong]
}

function unknownField(name: string, properties: Record<string, unknown>): string {
  const known = Object.keys(properties)
  return `there is no field ${shown(name)}${known.length > 0 ? `; there are: ${known.join(', ')}` : ''}`
}

const TYPES = {
  object: 'an object',
  array: 'a list',
  string: 'a text',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
} as const

function hasType(value: unknown, type: keyof typeof TYPES): boolean {
  if (type === 'array') return Array.isArray(value)
  if (type === 'object') return isObject(value)
  if (type === 'integer') return Number.isSafeInteger(value)
  if (type === 'number') return Number.isFinite(value)
  return typeof value === type
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}…` : text
}
