// A small part of JSON Schema, with the type of TypeScript that belongs to each. api.ts says with it what
// requests and answers are: their types, their check and the OpenAPI document have one source. Pure, and
// nothing of Node.

/** As OpenAPI 3.1 has it. */
export interface Json {
  $ref?: string
  description?: string
  type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean'
  enum?: readonly string[]
  pattern?: string
  minLength?: number
  maxLength?: number
  minimum?: number
  maximum?: number
  items?: Json
  minItems?: number
  maxItems?: number
  properties?: Record<string, Json>
  required?: readonly string[]
  additionalProperties?: Json | false
  anyOf?: readonly Json[]
}

export interface Schema<T = unknown> {
  readonly json: Json
  /** Set where it has a name of its own in the document. */
  readonly name?: string
  /** Parts that have names. */
  readonly parts: readonly Schema[]
  /** Only for the compiler. */
  readonly is?: T
}

export interface Optional<T = unknown> {
  readonly optional: Schema<T>
}

export type Fields = Readonly<Record<string, Schema | Optional>>
type OptionalNames<F> = { [K in keyof F]: F[K] extends Optional ? K : never }[keyof F]
type Shape<F> = {
  [K in Exclude<keyof F, OptionalNames<F>>]: F[K] extends Schema<infer T> ? T : never
} & { [K in OptionalNames<F>]?: F[K] extends Optional<infer T> ? T : never }
type Flat<T> = { [K in keyof T]: T[K] }
export type TypeOf<S> = S extends Schema<infer T> ? T : never

const MOST_TEXT = 1_000

/** At most 1,000 characters, unless it says otherwise. */
export function text(
  description: string,
  { max = MOST_TEXT, min = 0, pattern }: { max?: number; min?: number; pattern?: string } = {},
): Schema<string> {
  const bounds = { maxLength: max, ...(min > 0 && { minLength: min }), ...(pattern && { pattern }) }
  return { json: { type: 'string', description, ...bounds }, parts: [] }
}

export function oneOf<const T extends string>(description: string, words: readonly T[]): Schema<T> {
  return { json: { type: 'string', description, enum: words }, parts: [] }
}

export function whole(
  description: string,
  { min = 0, max = Number.MAX_SAFE_INTEGER }: { min?: number; max?: number } = {},
): Schema<number> {
  return { json: { type: 'integer', description, minimum: min, maximum: max }, parts: [] }
}

export function number(description: string): Schema<number> {
  return { json: { type: 'number', description }, parts: [] }
}

export function flag(description: string): Schema<boolean> {
  return { json: { type: 'boolean', description }, parts: [] }
}

/** Any JSON. */
export function anything(description: string): Schema<unknown> {
  return { json: { description }, parts: [] }
}

export function list<T>(
  description: string,
  items: Schema<T>,
  { max, min }: { max?: number; min?: number } = {},
): Schema<readonly T[]> {
  const bounds = { ...(min !== undefined && { minItems: min }), ...(max !== undefined && { maxItems: max }) }
  return { json: { type: 'array', description, items: reference(items), ...bounds }, parts: [items] }
}

/** Texts as names, and values of one kind. */
export function record<T>(description: string, values: Schema<T>): Schema<Readonly<Record<string, T>>> {
  const json: Json = { type: 'object', description, additionalProperties: reference(values) }
  return { json, parts: [values] }
}

/** A number, or nothing known. */
export function orNull<T>(schema: Schema<T>): Schema<T | null> {
  return { json: { anyOf: [reference(schema), { enum: [null as unknown as string] }] }, parts: [schema] }
}

export function object<const F extends Fields>(description: string, fields: F): Schema<Flat<Shape<F>>> {
  const entries = Object.entries(fields).map(([name, field]) => [name, schemaOf(field)] as const)
  const required = Object.keys(fields).filter((name) => !('optional' in (fields[name] as object)))
  const properties = Object.fromEntries(entries.map(([name, schema]) => [name, reference(schema)]))
  const json: Json = {
    type: 'object',
    description,
    properties,
    ...(required.length > 0 && { required }),
    additionalProperties: false,
  }
  return { json, parts: entries.map(([, schema]) => schema) }
}

export function optional<T>(schema: Schema<T>): Optional<T> {
  return { optional: schema }
}

/** It stands once in the document, under this name. */
export function named<T>(name: string, schema: Schema<T>): Schema<T> {
  return { ...schema, name }
}

export function schemaOf(field: Schema | Optional): Schema {
  return 'optional' in field ? field.optional : field
}

export function reference({ name, json }: Schema): Json {
  return name === undefined ? json : { $ref: `#/components/schemas/${name}` }
}

/** All that have names, of these and of their parts. */
export function namedIn(schemas: Iterable<Schema>, found = new Map<string, Schema>()): Map<string, Schema> {
  for (const schema of schemas) {
    if (schema.name !== undefined) {
      if (found.has(schema.name)) continue
      found.set(schema.name, schema)
    }
    namedIn(schema.parts, found)
  }
  return found
}
