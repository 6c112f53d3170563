import { copyError, encodeValue, parsePayload } from '../../../worker-runtime/src/child/values.ts'

test.each([
  'null',
  '1',
  '"text"',
  '{"a":[1,{"b":"\\"]]"}]}',
  '{"constructor":1,"x":"__proto__"}',
  '12345678901234567890',
])('the payload %s is what JSON says it is', (payload) => {
  expect(parsePayload(payload)).toEqual(JSON.parse(payload))
})

test.each([
  ['', /not JSON/],
  ['{', /not JSON/],
  ['{"a":{"__proto__":{"polluted":true}}}', /__proto__/],
  ['[{"\\u005f_proto_\\u005F":{"polluted":true}}]', /__proto__/],
  ['{"__p\\u0072oto__":1}', /__proto__/],
  ['['.repeat(100_000) + ']'.repeat(100_000), /nests deeper/],
  [`${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`, /nests deeper/],
  ['['.repeat(100_000), /nests deeper/],
])('the payload %.40s is refused with a sentence', (payload, message) => {
  expect(() => parsePayload(payload)).toThrow(message)
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
})

test('brackets inside of strings are no nesting', () => {
  const text = '[{"'.repeat(2_000)
  expect(parsePayload(JSON.stringify([text, '\\', text]))).toEqual([text, '\\', text])
})

test.each([
  [undefined, 'null'],
  [() => {}, 'null'],
  [{ a: undefined }, '{}'],
  [new Date(0), '"1970-01-01T00:00:00.000Z"'],
])('%p is sent as %s', (value, json) => {
  expect(encodeValue(value, 'result')).toBe(json)
})

test('a result that is no JSON is refused with a sentence', () => {
  const circle: Record<string, unknown> = {}
  circle.self = circle
  expect(() => encodeValue(circle, 'result')).toThrow(/result cannot be written as JSON: .*circular/)
  expect(() => encodeValue({ n: 1n }, 'progress')).toThrow(/progress cannot be written as JSON: .*BigInt/)
  const hostile = {
    toJSON() {
      throw null
    },
  }
  expect(() => encodeValue(hostile, 'result')).toThrow(/null was thrown/)
})

const throwing = new Proxy(
  {},
  {
    get() {
      throw new Error('trap')
    },
  },
)

test.each<[() => unknown, object]>([
  [() => 'text', { name: 'Error', message: 'text' }],
  [() => undefined, { name: 'Error', message: 'undefined was thrown' }],
  [() => null, { name: 'Error', message: 'null was thrown' }],
  [() => 5n, { name: 'Error', message: '5 was thrown' }],
  [() => Symbol('s'), { name: 'Error', message: 'Symbol(s) was thrown' }],
  [() => ({ message: 'plain', code: 7 }), { name: 'Error', message: 'plain', code: '7' }],
  [() => ({ a: 1 }), { name: 'Error', message: 'a value that is no Error was thrown: {"a":1}' }],
  [() => throwing, { name: 'Error', message: 'a value that is no Error was thrown' }],
])('whatever is thrown becomes an error: %p', (thrown, error) => {
  expect(copyError(thrown())).toEqual(error)
})

test('an error is copied with its code, its stack, and the stacks of its causes', () => {
  const error = Object.assign(new TypeError('top', { cause: new Error('root') }), { code: 'E_TOP' })
  const copy = copyError(error)
  expect(copy).toMatchObject({ name: 'TypeError', message: 'top', code: 'E_TOP' })
  expect(copy.stack).toMatch(/TypeError: top[\s\S]*caused by: Error: root/)
})

test('causes in a circle come to an end', () => {
  const error: Error & { cause?: unknown } = new Error('again')
  error.cause = error
  expect(copyError(error).stack?.split('caused by').length).toBeLessThan(10)
})
