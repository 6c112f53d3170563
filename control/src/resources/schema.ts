// Checks a parsed manifest against a CRD's openAPIV3Schema, as the API server would, and fills in the
// defaults. Stricter in one thing: an unknown field is a problem that names the nearest valid one, where the
// API server would drop the field in silence. Called by local/manifests.ts; reads nothing from outside.
import { nearest } from 'millhand/queue'

/** The part of openAPIV3Schema that the CRDs use. */
export interface Schema {
  description?: string
  type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean'
  format?: string
  default?: unknown
  enum?: readonly unknown[]
  minimum?: number
  maximum?: number
  minLength?: number
  maxLength?: number
  pattern?: string
  minItems?: number
  maxItems?: number
  maxProperties?: number
  items?: Schema
  required?: readonly string[]
  properties?: Readonly<Record<string, Schema>>
  additionalProperties?: Schema | boolean
  'x-kubernetes-preserve-unknown-fields'?: boolean
  'x-kubernetes-int-or-string'?: boolean
  'x-kubernetes-list-map-keys'?: readonly string[]
  'x-kubernetes-validations'?: readonly { rule: string; message: string; fieldPath?: string }[]
}

export type Path = readonly (string | number)[]

export interface Problem {
  path: Path
  /** Names the field, shows the value and says what to write instead. */
  message: string
  /** What a pointer into the file should mark: the field's name or its value. */
  at: 'name' | 'value'
}

export interface Checked {
  /** A copy with defaults; meaningful only when there are no problems. */
  value: unknown
  problems: Problem[]
}

export function checkAgainstSchema(value: unknown, schema: Schema): Checked {
  return check(value, { schema, path: [], whole: schema })
}

/** Where a value stands. */
interface Place {
  schema: Schema
  path: Path
  /** The schema of the manifest. */
  whole: Schema
}

const inside = ({ path, whole }: Place, step: string | number, schema: Schema): Place => ({
  schema,
  path: [...path, step],
  whole,
})

function check(value: unknown, place: Place): Checked {
  const { schema, path } = place
  if (value === null)
    return only(value, problem(path, `${named(path)} is empty; give it a value or leave it out`))
  const wrongType = typeProblem(value, schema, path)
  if (wrongType) return only(value, wrongType)
  if (Array.isArray(value)) return checkList(value, place)
  if (isObject(value)) return checkObject(value, place)
  return { value, problems: scalarProblems(value, place) }
}

/** `spec.queues[0].name`, for people. */
export function named(path: Path): string {
  if (path.length === 0) return 'the manifest'
  return path
    .map((step, index) => (typeof step === 'number' ? `[${step}]` : index ? `.${step}` : step))
    .join('')
}

/** The value as a person would recognise it in the file, shortened. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function checkObject(value: Record<string, unknown>, place: Place): Checked {
  const { schema, path } = place
  const properties = schema.properties ?? {}
  const result: Record<string, unknown> = {}
  const problems: Problem[] = []
  for (const [name, given] of Object.entries(value)) {
    const property = Object.hasOwn(properties, name) ? properties[name] : undefined
    if (property) {
      // The API server drops a null where there is a default, and takes the default.
      if (given === null && property.default !== undefined) continue
      take(name, check(given, inside(place, name, property)))
    } else if (isObject(schema.additionalProperties)) {
      take(name, check(given, inside(place, name, schema.additionalProperties)))
    } else if (isOpen(schema)) {
      result[name] = given
    } else {
      problems.push(unknownField(name, place))
    }
  }
  for (const [name, property] of Object.entries(properties)) {
    if (Object.hasOwn(result, name) || property.default === undefined) continue
    if (Object.hasOwn(value, name) && value[name] !== null) continue
    // A default may itself lack fields that have defaults: `default: {}` all the way down.
    take(name, check(structuredClone(property.default), inside(place, name, property)))
  }
  const count = Object.keys(value).length
  if (schema.maxProperties !== undefined && count > schema.maxProperties) {
    const message = `${named(path)} has ${count} fields; it may have ${schema.maxProperties} at most`
    problems.push(problem(path, message))
  }
  for (const name of schema.required ?? []) {
    if (!Object.hasOwn(value, name) && !Object.hasOwn(result, name)) {
      problems.push(missingField(name, value, place))
    }
  }
  return { value: result, problems }

  function take(name: string, checked: Checked): void {
    result[name] = checked.value
    problems.push(...checked.problems)
  }
}

function checkList(value: unknown[], place: Place): Checked {
  const { schema, path } = place
  const { items, minItems, maxItems } = schema
  const checked = value.map((item, index) =>
    items ? check(item, inside(place, index, items)) : { value: item, problems: [] },
  )
  const problems = checked.flatMap((item) => item.problems)
  if (minItems !== undefined && value.length < minItems) {
    problems.push(problem(path, `${named(path)} is ${shown(value)}; it needs ${atLeast(minItems, 'item')}`))
  }
  if (maxItems !== undefined && value.length > maxItems) {
    problems.push(problem(path, `${named(path)} has ${value.length} items; it may have ${maxItems} at most`))
  }
  const list = checked.map((item) => item.value)
  return { value: list, problems: [...problems, ...duplicateKeys(list, place)] }
}

function duplicateKeys(list: unknown[], { schema, path }: Place): Problem[] {
  const keys = schema['x-kubernetes-list-map-keys']
  if (!keys) return []
  const firstIndexes = new Map<string, number>()
  return list.flatMap((item, index) => {
    if (!isObject(item)) return []
    const key = JSON.stringify(keys.map((name) => item[name]))
    const first = firstIndexes.get(key)
    if (first === undefined) {
      firstIndexes.set(key, index)
      return []
    }
    const what = keys.map((name) => `${name} ${shown(item[name])}`).join(' and ')
    const message = `${named([...path, index])} repeats ${what} of ${named([...path, first])}; each may stand there once`
    return [problem([...path, index], message)]
  })
}

function scalarProblems(value: unknown, place: Place): Problem[] {
  const { schema, path } = place
  if (schema.enum && !schema.enum.includes(value)) {
    const near = nearest(String(value), schema.enum.map(String))
    const hint = near ? `; did you mean ${near}?` : ''
    return [problem(path, `${saying(value, path)}; it must be one of ${schema.enum.join(', ')}${hint}`)]
  }
  if (typeof value === 'number') return numberProblems(value, place)
  if (typeof value === 'string') return stringProblems(value, place)
  return []
}

const saying = (value: unknown, path: Path) => `${named(path)} is ${shown(value)}`

function numberProblems(value: number, { schema, path }: Place): Problem[] {
  const { minimum, maximum } = schema
  const is = saying(value, path)
  if (minimum !== undefined && value < minimum)
    return [problem(path, `${is}; it must be at least ${minimum}`)]
  const most = maximum ?? (schema.format === 'int32' ? 2 ** 31 - 1 : undefined)
  if (most !== undefined && value > most) return [problem(path, `${is}; it must be at most ${most}`)]
  return []
}

function stringProblems(value: string, { schema, path }: Place): Problem[] {
  const { minLength, maxLength, pattern } = schema
  const is = saying(value, path)
  const length = [...value].length
  if (minLength !== undefined && length < minLength) {
    return [problem(path, `${is}; it needs ${atLeast(minLength, 'character')}`)]
  }
  if (maxLength !== undefined && length > maxLength) {
    return [problem(path, `${is}, which has ${length} characters; it may have ${maxLength} at most`)]
  }
  if (pattern !== undefined && !new RegExp(pattern, 'u').test(value)) {
    return [problem(path, `${is}; it must look like ${PATTERNS[pattern] ?? `the pattern ${pattern}`}`)]
  }
  return []
}

/** What the patterns of the CRDs ask for, in words. A test keeps this complete. */
export const PATTERNS: Readonly<Record<string, string>> = {
  '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$': 'thumbnails or my-queue-2: lower case letters, digits and inner dashes',
  '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$': 'millhand-redis: lower case letters, digits, inner dashes and dots',
  '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$': 'the metadata.uid of a resource: a UUID',
  '^[a-z0-9][a-z0-9._-]*$': 'default.thumbnails: lower case letters, digits, dots, dashes and underscores',
  '^(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))(([KMGTPE]i)|[kMGTPE]|([eE](\\+)?[0-9]+))?$':
    'a number of bytes with an optional unit: 512Mi, 1.5Gi or 200M',
  '^(\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))))?$':
    'a quantity: 500m, 2, 512Mi or 1.5Gi',
  '^(@[a-z]+|[^ ]+( +[^ ]+){4})$':
    '"0 3 * * 1-5": minute, hour, day of the month, month, day of the week; or @hourly, @daily, @weekly',
  '^[A-Za-z0-9_+/-]+$': 'Europe/Berlin: a time zone of the IANA database',
  '^[A-Za-z0-9:._-]+$': 'tenant-42: letters, digits, colons, dots, dashes and underscores',
  '^[A-Za-z0-9:._@/-]+$': 'nightly: letters, digits and : . _ @ / -',
  '^[A-Za-z0-9][A-Za-z0-9._-]*$': 'resize: letters, digits, dots, dashes and underscores',
  '^(0|[1-9][0-9]*)%$': 'a percentage: 25% (or a whole number of pods, without quotes)',
  '^(0|[1-9][0-9]?|100)%$': 'a percentage up to 100: 25% (or a whole number of pods, without quotes)',
  '^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$':
    'the value of a label: letters, digits and inner dashes, dots and underscores',
}

function typeProblem(value: unknown, schema: Schema, path: Path): Problem | undefined {
  if (schema['x-kubernetes-int-or-string']) {
    if (Number.isInteger(value) || typeof value === 'string') return undefined
    return problem(path, `${named(path)} is ${shown(value)}; it must be a whole number or a string`)
  }
  if (!schema.type || hasType(value, schema.type)) return undefined
  const message = `${named(path)} is ${shown(value)}; it must be ${TYPE_NAMES[schema.type]}${remedy(value, schema.type)}`
  return problem(path, message)
}

const TYPE_NAMES = {
  object: 'a block of fields',
  array: 'a list',
  string: 'a string',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
} as const

function hasType(value: unknown, type: NonNullable<Schema['type']>): boolean {
  switch (type) {
    case 'object':
      return isObject(value)
    case 'array':
      return Array.isArray(value)
    case 'integer':
      return Number.isSafeInteger(value)
    default:
      return typeof value === type
  }
}

function remedy(value: unknown, type: NonNullable<Schema['type']>): string {
  if (type === 'string') return typeof value === 'object' ? '' : `: write "${value}", with quotes`
  if (type === 'array') return ': begin each item with a dash'
  const unquoted = typeof value === 'string' && value.trim()
  if (!unquoted) return ''
  if (type === 'boolean' && /^(true|false)$/i.test(unquoted))
    return `: write ${unquoted.toLowerCase()}, without quotes`
  if (type === 'boolean' && /^(yes|on|no|off)$/i.test(unquoted))
    return `: write ${/^(yes|on)$/i.test(unquoted)}`
  if (type === 'integer' && /^[0-9]+$/.test(unquoted)) return `: write ${unquoted}, without quotes`
  return ''
}

function unknownField(name: string, { schema, path, whole }: Place): Problem {
  const valid = Object.keys(schema.properties ?? {})
  const elsewhere = fieldsOf(whole)
  // Of names that are equally near, those of this place come first.
  const found = nearest(name, [...valid, ...elsewhere.keys()])
  const near = found === undefined || valid.includes(found) ? found : elsewhere.get(found)
  const where = path.length ? `in ${named(path)}` : 'at the top of the manifest'
  const hint = near ? `did you mean ${near}?` : `the fields there are ${valid.join(', ')}`
  return {
    path: [...path, name],
    at: 'name',
    message: `${named([...path, name])}: there is no ${name} ${where}; ${hint}`,
  }
}

/** Every field that people write, by its name, and where it stands; of several the outermost. */
function fieldsOf(whole: Schema): Map<string, string> {
  const found = new Map<string, string>()
  const { status: _, ...written } = whole.properties ?? {}
  let level: [string, Schema][] = [['', { properties: written }]]
  while (level.length > 0) {
    const fields = level.flatMap(([place, { properties = {} }]) =>
      Object.entries(properties).map(([name, field]) => ({ name, field, place: place + name })),
    )
    for (const { name, place } of fields) if (!found.has(name)) found.set(name, place)
    level = fields.map(({ field, place }) =>
      field.items ? [`${place}[].`, field.items] : [`${place}.`, field],
    )
  }
  return found
}

function missingField(name: string, value: Record<string, unknown>, { schema, path }: Place): Problem {
  const properties = schema.properties ?? {}
  const unknown = Object.keys(value).filter((given) => !Object.hasOwn(properties, given))
  const misspelt = nearest(name, unknown)
  const hint = misspelt ? `; is ${misspelt} a misspelling of it?` : '; add it'
  return problem([...path, name], `${named([...path, name])} is missing${hint}`)
}

function isOpen(schema: Schema): boolean {
  return schema['x-kubernetes-preserve-unknown-fields'] === true || schema.additionalProperties === true
}

function atLeast(count: number, noun: string): string {
  return `at least ${count} ${noun}${count === 1 ? '' : 's'}`
}

function problem(path: Path, message: string): Problem {
  return { path, message, at: 'value' }
}

function only(value: unknown, found: Problem): Checked {
  return { value, problems: [found] }
}
