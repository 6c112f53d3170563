import { encodeResult, encodeValue, parsePayload } from '../../../worker-runtime/src/child/inside/values.ts'
import { copyError } from '../../../worker-runtime/src/errors.ts'

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

test('an empty payload is no input', () => {
  expect(parsePayload('')).toBe(undefined)
})

test.each([
  ['{', /not JSON/],
  [' ', /not JSON/],
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
  [{ a: undefined }, '{}'],
  [new Date(0), '"1970-01-01T00:00:00.000Z"'],
])('%p is sent as %s', (value, json) => {
  expect(encodeValue(value, 'result')).toBe(json)
})

test.each<[string, () => unknown, RegExp]>([
  [
    'a bigint',
    () => 10n,
    /result cannot be written as JSON: .*BigInt.*; its work is done, so the job is not tried again$/,
  ],
  ['a function', () => () => {}, /result cannot be written as JSON: it is a function; /],
  ['a symbol', () => Symbol('s'), /result cannot be written as JSON: it is a symbol; /],
  [
    'a toJSON that throws',
    () => ({ toJSON: () => JSON.parse('null').field }),
    /result cannot be written as JSON: Cannot read/,
  ],
])('the result of %s is refused in one line, for good', (_what, output, message) => {
  let refusal: unknown
  try {
    encodeResult(output())
  } catch (error) {
    refusal = error
  }
  expect(refusal).toMatchObject({ name: 'TerminalError', message: expect.stringMatching(message) })
  expect(copyError(refusal)).toEqual({ name: 'TerminalError', message: expect.not.stringContaining('\n') })
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
