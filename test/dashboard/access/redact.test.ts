// What a page never shows, and what stays exactly as it was.
import { HIDDEN, redactor } from '../../../dashboard/src/server/access/redact.ts'

const paths = { SendMail: ['customer.card.number', 'items.*.code'], '*': ['pin'] }
const { json, text } = redactor({ paths })
const JWT = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl'
const PEM = '-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----'
const hidden = JSON.stringify(HIDDEN)

describe('by the name of its key, at any depth', () => {
  const names = [
    'password',
    'PASSWORD',
    'db_password',
    'userPasswd',
    'secret',
    'client-secret',
    'token',
    'accessToken',
    'authorization',
    'Cookie',
    'set-cookie',
    'api_key',
    'apiKey',
    'X-API-Key',
    'privateKey',
    'credentials',
    'session_id',
  ]
  test.each(names)('%s', (name) => {
    expect(json(`{"a":[{"b":{"${name}":"x"}}]}`)).toBe(`{"a":[{"b":{"${name}":${hidden}}}]}`)
    expect(json(`{"${name}":{"deep":["x",{"y":1}]},"z":2}`)).toBe(`{"${name}":${hidden},"z":2}`)
  })

  test('also where the name is written with escapes, twice, or in JSON inside a string', () => {
    expect(json('{"pass\\u0077ord":"x","pass\\u0077ord":"y"}')).not.toMatch(/"[xy]"/)
    expect(json(JSON.stringify({ body: JSON.stringify({ password: 'hunter2' }) }))).not.toContain('hunter2')
  })

  test('a count of tokens is not a token', () => {
    const counts = '{"max_tokens":4096,"tokens": 12,"token":null}'
    expect(json(counts)).toBe(counts)
    expect(json('{"tokens":["a"]}')).toBe(`{"tokens":${hidden}}`)
    expect(json('{"password":1234}')).toBe(`{"password":${hidden}}`)
  })
})

describe('by its shape', () => {
  test.each([
    ['a JWT', JWT],
    ['a private key', PEM],
    ['a private key that was cut', PEM.slice(0, 34)],
    ['a password in a URL', 'redis://app:hunter2@host:6379/0'],
    ['a password without a user in a URL', 'redis://:hunter2@host'],
    ['a bearer token', 'Bearer 0123456789abcdef'],
  ])('%s', (_, secret) => {
    for (const shown of [json(JSON.stringify({ a: [secret] })), json(`"${secret}`), text(`at ${secret}`)]) {
      expect(shown).toContain(HIDDEN)
      expect(shown).not.toMatch(/hunter2|MIIB|eyJ|0123456789/)
    }
  })

  test('also with escapes, and as a key', () => {
    expect(json('{"a":"redis:\\/\\/app:hunter2@host"}')).not.toContain('hunter2')
    expect(json(`{"${JWT}":1}`)).toBe(`{${hidden}:1}`)
  })

  test.each(['password=hunter2', 'api_key: "hunter2"', '{"token": "hunter2"}', 'cookie=hunter2; path=/'])(
    'in text: %s',
    (said) => expect(text(said)).not.toContain('hunter2'),
  )

  test('and leaves the rest of a text', () => {
    const plain = 'ECONNREFUSED redis://host:6379 at 12:30:01, eyJ is no token, ask a@b.c'
    expect(text(plain)).toBe(plain)
  })
})

describe('by a path', () => {
  test('of its task, from any depth, through lists', () => {
    const input =
      '{"order":{"customer":{"card":{"number":4111,"month":2}}},"items":[{"code":"a"},{"code":"b"}]}'
    expect(json(input, 'SendMail')).toBe(
      `{"order":{"customer":{"card":{"number":${hidden},"month":2}}},"items":[{"code":${hidden}},{"code":${hidden}}]}`,
    )
    expect(json(input, 'Other')).toBe(input)
  })

  test('of all tasks', () => {
    expect(json('{"pin":12}', 'Other')).toBe(`{"pin":${hidden}}`)
  })

  test('a task named like a property of every object has none', () => {
    expect(json('{"a":1}', 'constructor')).toBe('{"a":1}')
    expect(json('{"a":1}', '__proto__')).toBe('{"a":1}')
  })
})

describe('everything else stays as it was', () => {
  test.each([
    ['big numbers', '{"id":12345678901234567890,"x":1.0,"y":1e400,"z":-0}'],
    ['double keys and spaces', '{ "a" : 1,\n\t"a":2 }'],
    ['escapes', '{"a":"\\u0041\\/\\ud800","b":"\\"}"}'],
    ['what is no JSON', '}}]],:{"a" 1 undefined NaN'],
    ['a text that was cut', '{"a":[1,{"b":"some te'],
    ['a string alone', '"x"'],
    ['a number alone', '12345678901234567890'],
    ['nothing', ''],
    ['a key of prototypes', '{"__proto__":{"a":1},"constructor":2}'],
  ])('%s', (_, input) => {
    expect(json(input)).toBe(input)
    expect(json(input, 'SendMail')).toBe(input)
  })
})

test('a text that is made to be slow takes no longer than its length', () => {
  const length = 200_000
  const hostile = ['eyJ', '-----BEGIN A', 'http://', 'a:', '[{', '"\\', '{"a":', 'password ', '":', 'bearer ']
  for (const part of hostile) {
    const startedAt = performance.now()
    const whole = part.repeat(length / part.length)
    json(whole)
    json(`["${whole}`)
    text(whole)
    expect([part, performance.now() - startedAt < 5_000]).toEqual([part, true])
  }
})
