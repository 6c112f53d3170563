import { checkAgainstSchema, named, PATTERNS, type Schema } from '../../../control/src/resources/schema.ts'
import { schemas } from './crds.ts'

const { WorkerPool } = schemas

const check = (value: unknown, schema: Schema) => checkAgainstSchema(value, schema)
const firstMessage = (value: unknown, schema: Schema) => check(value, schema).problems[0]?.message

describe('checking a value against a schema', () => {
  const text: Schema = { type: 'string' }
  const rows: [string, unknown, Schema, string | undefined][] = [
    ['a right value', 'x', text, undefined],
    [
      'a number where a string belongs',
      5,
      text,
      'the manifest is 5; it must be a string: write "5", with quotes',
    ],
    [
      'a string where a number belongs',
      '5',
      { type: 'integer' },
      'the manifest is "5"; it must be a whole number: write 5, without quotes',
    ],
    ['a fraction', 1.5, { type: 'integer' }, 'the manifest is 1.5; it must be a whole number'],
    ['yes', 'yes', { type: 'boolean' }, 'the manifest is "yes"; it must be true or false: write true'],
    [
      'True',
      'True',
      { type: 'boolean' },
      'the manifest is "True"; it must be true or false: write true, without quotes',
    ],
    [
      'no list',
      'a',
      { type: 'array', items: text },
      'the manifest is "a"; it must be a list: begin each item with a dash',
    ],
    ['no object', [1], { type: 'object' }, 'the manifest is [1]; it must be a block of fields'],
    ['nothing', null, text, 'the manifest is empty; give it a value or leave it out'],
    [
      'a word that is not allowed',
      'Frok',
      { type: 'string', enum: ['Fork', 'Spawn'] },
      'the manifest is "Frok"; it must be one of Fork, Spawn; did you mean Fork?',
    ],
    [
      'a number that is too small',
      0,
      { type: 'integer', minimum: 1 },
      'the manifest is 0; it must be at least 1',
    ],
    [
      'a number that is too big',
      9,
      { type: 'integer', maximum: 8 },
      'the manifest is 9; it must be at most 8',
    ],
    [
      'a number beyond int32',
      2 ** 31,
      { type: 'integer', format: 'int32' },
      'the manifest is 2147483648; it must be at most 2147483647',
    ],
    [
      'a text that is too short',
      '',
      { type: 'string', minLength: 1 },
      'the manifest is ""; it needs at least 1 character',
    ],
    [
      'a text that is too long',
      'abc',
      { type: 'string', maxLength: 2 },
      'the manifest is "abc", which has 3 characters; it may have 2 at most',
    ],
    [
      'a text of another form',
      'A',
      { type: 'string', pattern: '^[a-z]$' },
      'the manifest is "A"; it must look like the pattern ^[a-z]$',
    ],
    ['too few items', [], { type: 'array', minItems: 1 }, 'the manifest is []; it needs at least 1 item'],
    [
      'too many items',
      [1, 2],
      { type: 'array', maxItems: 1 },
      'the manifest has 2 items; it may have 1 at most',
    ],
    ['a whole number for int-or-string', 3, { 'x-kubernetes-int-or-string': true }, undefined],
    ['a string for int-or-string', '25%', { 'x-kubernetes-int-or-string': true }, undefined],
    [
      'a list for int-or-string',
      [],
      { 'x-kubernetes-int-or-string': true },
      'the manifest is []; it must be a whole number or a string',
    ],
    [
      'a wrong value of a map',
      { a: 1 },
      { type: 'object', additionalProperties: text },
      'a is 1; it must be a string: write "1", with quotes',
    ],
    [
      'a field that is not known, where such are kept',
      { a: 1 },
      { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
      undefined,
    ],
    [
      'a field that is missing',
      {},
      { type: 'object', required: ['a'], properties: { a: text } },
      'a is missing; add it',
    ],
    [
      'a field named like something every object has',
      { toString: 1 },
      { type: 'object', properties: { a: text } },
      'toString: there is no toString at the top of the manifest; the fields there are a',
    ],
  ]
  test.each(rows)('%s', (_, value, schema, message) => {
    expect(firstMessage(value, schema)).toBe(message)
  })

  test('an unknown field is a problem that names the nearest one, and points at the name', () => {
    const { problems } = check({ spec: { scaling: { maxReplica: 3 } } }, WorkerPool)
    expect(problems).toContainEqual({
      path: ['spec', 'scaling', 'maxReplica'],
      at: 'name',
      message: 'spec.scaling.maxReplica: there is no maxReplica in spec.scaling; did you mean maxReplicas?',
    })
  })

  test('a required field that was misspelt is recognised, also where unknown fields are kept', () => {
    const { problems } = check({ spec: { template: { spec: { contaners: [] } } } }, WorkerPool)
    expect(problems.map(({ message }) => message)).toContain(
      'spec.template.spec.containers is missing; is contaners a misspelling of it?',
    )
  })

  test('two items of a list with the same key are a problem', () => {
    const queues = [{ name: 'a' }, { name: 'b' }, { name: 'a', weight: 2 }]
    const { problems } = check({ spec: { queues } }, WorkerPool)
    expect(problems.map(({ message }) => message)).toContain(
      'spec.queues[2] repeats name "a" of spec.queues[0]; each may stand there once',
    )
  })

  test('the keys of a list include those that have a default', () => {
    const schema: Schema = {
      type: 'array',
      'x-kubernetes-list-map-keys': ['port', 'protocol'],
      items: {
        type: 'object',
        properties: { port: { type: 'integer' }, protocol: { type: 'string', default: 'TCP' } },
      },
    }
    const ports = [{ port: 1 }, { port: 1, protocol: 'TCP' }, { port: 1, protocol: 'UDP' }]
    const repeated = check(ports, schema).problems.filter(({ message }) => message.includes('repeats'))
    expect(repeated.map(({ path }) => named(path))).toEqual(['[1]'])
  })

  test('defaults fill in what is absent, all the way down, and leave the input alone', () => {
    const schema: Schema = {
      type: 'object',
      properties: { a: { type: 'object', default: {}, properties: { b: { type: 'integer', default: 7 } } } },
    }
    const input = {}
    expect(check(input, schema)).toEqual({ value: { a: { b: 7 } }, problems: [] })
    expect(input).toEqual({})
  })

  test('a field left empty takes its default, as the API server does it', () => {
    const schema: Schema = { type: 'object', properties: { a: { type: 'integer', default: 7 } } }
    expect(check({ a: null }, schema)).toEqual({ value: { a: 7 }, problems: [] })
  })

  test('all problems are found at once', () => {
    const { problems } = check(
      { spec: { slots: 0, replicas: 'x', queues: [] }, metadata: { name: 'A' } },
      WorkerPool,
    )
    expect(problems.map(({ path }) => named(path)).sort()).toEqual([
      'metadata.name',
      'spec.queues',
      'spec.replicas',
      'spec.slots',
      'spec.template',
    ])
  })

  test('every pattern of the CRDs is explained in words', () => {
    const patterns = JSON.stringify(Object.values(schemas).map(({ properties }) => properties?.spec))
    for (const [, pattern = ''] of patterns.matchAll(/"pattern":("(?:[^"\\]|\\.)*")/g)) {
      expect(Object.keys(PATTERNS)).toContain(JSON.parse(pattern))
    }
  })
})
