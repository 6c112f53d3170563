// The rules of the CRDs (x-kubernetes-validations) by CEL, as the API server evaluates them: for manifests
// that no API server has seen. Pure. Called by cli/src/local/manifests.ts after schema.ts has checked the
// types.
import { Environment } from '@marcbachmann/cel-js'
import { parseQuantity } from './quantity.ts'
import { isObject, named, type Path, type Problem, type Schema } from './schema.ts'

/**
 * The rules that a value breaks, with the place of each. `old` is what was applied before; without it rules
 * about changes hold.
 */
export function brokenRules(schema: Schema, value: unknown, old?: unknown): Problem[] {
  return check(schema, { value, old }, [])
}

type Validation = NonNullable<Schema['x-kubernetes-validations']>[number]

interface Change {
  value: unknown
  old: unknown
}

function check(schema: Schema, change: Change, path: Path): Problem[] {
  const { value } = change
  if (value === undefined) return []
  const validations = schema['x-kubernetes-validations'] ?? []
  const broken = validations.filter((validation) => !holds(validation, change))
  const here = broken.map(({ message, fieldPath = '' }): Problem => {
    const place = [...path, ...fieldPath.split('.').slice(1)]
    return { path: place, message: `${named(place)}: ${message}`, at: 'value' }
  })
  return [...here, ...checkInside(schema, change, path)]
}

function checkInside(schema: Schema, { value, old }: Change, path: Path): Problem[] {
  const { items, properties = {}, additionalProperties } = schema
  // The API server finds an item's earlier form by its key; no rule of an item is about changes.
  if (Array.isArray(value))
    return items
      ? value.flatMap((item, index) => check(items, { value: item, old: undefined }, [...path, index]))
      : []
  if (!isObject(value)) return []
  const others = isObject(additionalProperties) ? additionalProperties : {}
  const before = isObject(old) ? old : {}
  return Object.entries(value).flatMap(([name, field]) =>
    check(properties[name] ?? others, { value: field, old: before[name] }, [...path, name]),
  )
}

/** As with the API server, a rule that cannot be evaluated is broken. */
function holds({ rule }: Validation, { value, old }: Change): boolean {
  const isAboutChange = /\boldSelf\b/.test(rule)
  if (isAboutChange && old === undefined) return true
  try {
    return language.evaluate(rule, {
      self: inCel(value),
      ...(isAboutChange && { oldSelf: inCel(old) }),
    }) as boolean
  } catch {
    return false
  }
}

class Quantity {
  readonly value: number
  constructor(text: string) {
    const value = parseQuantity(text)
    if (value === undefined) throw new Error(`invalid quantity "${text}"`)
    this.value = value
  }
}

/** Kubernetes adds quantities to CEL; of its functions, these are the ones that the CRDs use. */
const language = new Environment()
  .registerVariable('self', 'dyn')
  .registerVariable('oldSelf', 'dyn')
  .registerType('Quantity', Quantity)
  .registerFunction('quantity(string): Quantity', (text: string) => new Quantity(text))
  .registerFunction('Quantity.compareTo(Quantity): int', (one: Quantity, other: Quantity) =>
    BigInt(Math.sign(one.value - other.value)),
  )

/** A number of CEL is a bigint when it is whole. */
function inCel(value: unknown): unknown {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : value
  if (Array.isArray(value)) return value.map(inCel)
  if (!isObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, inCel(field)]))
}
