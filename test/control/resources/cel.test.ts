// The rules of the CRDs: each one can be evaluated and names a field that there is; and how a rule is evaluated at all. What they refuse
// is compared with an API server in crds-on-cluster.test.ts.
import { brokenRules } from '../../../control/src/resources/cel.ts'
import type { Schema } from '../../../control/src/resources/schema.ts'
import { crds } from './crds.ts'

type Validation = NonNullable<Schema['x-kubernetes-validations']>[number]

const ruled = (rule: string, fieldPath?: string): Schema => ({
  type: 'object',
  'x-kubernetes-validations': [{ rule, message: 'no', ...(fieldPath && { fieldPath }) }],
})
const holds = (rule: string, value: unknown, old?: unknown) =>
  brokenRules(ruled(rule), value, old).length === 0

test.each<[string, string, unknown, boolean]>([
  ['whole numbers are compared as numbers', 'self.a <= self.b', { a: 9, b: 10 }, true],
  ['a number equals a number', 'self.a == 0', { a: 0 }, true],
  ['a number is no text', "self.a == '0'", { a: 0 }, false],
  ['an absent field is absent', 'has(self.a)', { b: 1 }, false],
  ['keys of a map are texts', "self.all(key, !key.startsWith('x/'))", { 'x/a': '1' }, false],
  ['items of a list are counted', "self.a.exists_one(i, i.n == 'w')", { a: [{ n: 'w' }, { n: 'w' }] }, false],
  ['a quantity is a number', "quantity(self.a).compareTo(quantity('1Ki')) == 0", { a: '1024' }, true],
  ['units of quantities count', "quantity(self.a).compareTo(quantity('1Ki')) < 0", { a: '1k' }, true],
  [
    'a number becomes a quantity',
    "quantity(string(self.a)).compareTo(quantity('1k')) > 0",
    { a: 1001 },
    true,
  ],
  ['what is no quantity breaks the rule', "quantity(self.a).compareTo(quantity('1')) > 0", { a: 'x' }, false],
  ['what cannot be evaluated breaks the rule', 'self.a.b == 1', { a: 1 }, false],
])('%s: %s of %j', (_, rule, value, expected) => {
  expect(holds(rule, value)).toBe(expected)
})

test('a rule about a change holds where nothing was before', () => {
  expect(holds('self.a == oldSelf.a', { a: 1 })).toBe(true)
  expect(holds('self.a == oldSelf.a', { a: 1 }, { a: 1 })).toBe(true)
  expect(holds('self.a == oldSelf.a', { a: 1 }, { a: 2 })).toBe(false)
})

test('what breaks is named where it stands: in fields, items and values of maps', () => {
  const inner = ruled('self.a == 1', '.a')
  const schema: Schema = {
    properties: { one: inner, list: { items: inner }, map: { additionalProperties: inner } },
  }
  const wrong = { a: 2 }
  const problems = brokenRules(schema, { one: wrong, list: [{ a: 1 }, wrong], map: { k: wrong } })
  expect(problems.map(({ path, message }) => `${path.join('/')} ${message}`)).toEqual([
    'one/a one.a: no',
    'list/1/a list[1].a: no',
    'map/k/a map.k.a: no',
  ])
})

describe.each(Object.entries(crds))('each rule of a %s', (_, crd) => {
  const rules = [...rulesOf(crd)]

  test('is there', () => expect(rules.length).toBeGreaterThan(1))

  test.each(rules)('$validation.message: names a field that there is', ({ schema, validation }) => {
    const { fieldPath = '' } = validation
    const names = fieldPath.split('.').slice(1)
    const field = names.reduce<Schema | undefined>((at, name) => at?.properties?.[name], schema)
    expect(field).toBeDefined()
  })
})

function* rulesOf(schema: Schema): Generator<{ schema: Schema; validation: Validation }> {
  for (const validation of schema['x-kubernetes-validations'] ?? []) yield { schema, validation }
  for (const child of Object.values(schema.properties ?? {})) yield* rulesOf(child)
  if (schema.items) yield* rulesOf(schema.items)
}
