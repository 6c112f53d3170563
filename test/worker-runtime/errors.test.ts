// What an error says of itself and of its causes, whatever it is.
import {
  copyError,
  errorLines,
  errorText,
  failureText,
  parseError,
  reasonOf,
} from '../../worker-runtime/src/errors.ts'
import { createLog } from '../../worker-runtime/src/log.ts'
import { TerminalError } from '../../worker-runtime/src/task.ts'
import { freePort } from '../free-port.ts'

const throwing = new Proxy(
  {},
  {
    get() {
      throw new Error('trap')
    },
  },
)
const revoked = Proxy.revocable([], {})
revoked.revoke()

class CardDeclined extends Error {}
class OutOfStock extends RangeError {}
class Refunded extends TerminalError {}
class Named extends Error {
  override name = 'GivenName'
}

test.each<[string, () => unknown, object]>([
  ['text', () => 'text', { name: 'Error', message: 'text' }],
  ['undefined', () => undefined, { name: 'Error', message: 'undefined was thrown' }],
  ['null', () => null, { name: 'Error', message: 'null was thrown' }],
  ['a bigint', () => 5n, { name: 'Error', message: '5 was thrown' }],
  ['a symbol', () => Symbol('s'), { name: 'Error', message: 'Symbol(s) was thrown' }],
  [
    'an object with a message',
    () => ({ message: 'plain', code: 7 }),
    { name: 'Error', message: 'plain', code: '7' },
  ],
  ['an object', () => ({ a: 1 }), { name: 'Error', message: 'a value that is no Error was thrown: {"a":1}' }],
  [
    'a proxy that throws',
    () => throwing,
    { name: 'Error', message: 'a value that is no Error was thrown: a Proxy' },
  ],
])('%s that is thrown becomes an error', (_what, thrown, error) => {
  expect(copyError(thrown())).toEqual(error)
})

const errored = (message: string, more: object) => Object.assign(new Error(message), more)

test.each<[string, () => unknown, string]>([
  ['a message', () => new TypeError('top'), 'TypeError: top'],
  ['a class without a name', () => new CardDeclined('no'), 'CardDeclined: no'],
  ['a class of a class', () => new OutOfStock('gone'), 'OutOfStock: gone'],
  ['a class of a TerminalError', () => new Refunded('twice'), 'Refunded: twice'],
  ['a class with a name', () => new Named('x'), 'GivenName: x'],
  ['a code', () => errored('no', { code: 'E_CARD' }), 'Error: no (E_CARD)'],
  ['a cause', () => new Error('x', { cause: new TypeError('why') }), 'Error: x; caused by: TypeError: why'],
  ['a cause that is text', () => new Error('x', { cause: 'why' }), 'Error: x; caused by: why'],
  [
    'a cause that is an object',
    () => new Error('x', { cause: { status: 503 } }),
    'Error: x; caused by: {"status":503}',
  ],
  [
    'a cause of a class',
    () => new Error('x', { cause: new CardDeclined('no') }),
    'Error: x; caused by: CardDeclined: no',
  ],
  [
    'causes of causes',
    () => new Error('a', { cause: new Error('b', { cause: new Error('c', { cause: 'd' }) }) }),
    'Error: a; caused by: Error: b; caused by: Error: c; caused by: d',
  ],
  [
    'a cause of the system',
    () =>
      new TypeError('fetch failed', {
        cause: errored('', { code: 'ECONNREFUSED', syscall: 'connect', address: '10.0.0.1', port: 80 }),
      }),
    'TypeError: fetch failed; caused by: Error (ECONNREFUSED, syscall connect, address 10.0.0.1, port 80)',
  ],
  ['a status', () => errored('Request failed', { status: 503 }), 'Error: Request failed (status 503)'],
  ['no message', () => new CardDeclined(), 'CardDeclined'],
  ['no message but a code', () => errored('', { code: 'E_NOTHING' }), 'Error (E_NOTHING)'],
  [
    'inner errors',
    () => new AggregateError([new Error('one'), 'two', new CardDeclined('three')], 'all failed'),
    'AggregateError: all failed; caused by: Error: one; caused by: two; caused by: CardDeclined: three',
  ],
  [
    'inner errors only',
    () => new AggregateError([new Error('one'), new Error('two')]),
    'AggregateError; caused by: Error: one; caused by: Error: two',
  ],
  [
    'a hundred inner errors',
    () =>
      new AggregateError(
        Array.from({ length: 100 }, (_, i) => new Error(`number ${i}`)),
        'all',
      ),
    'AggregateError: all; caused by: Error: number 0; caused by: Error: number 1; caused by: Error: number 2; caused by: Error: number 3; caused by: and 96 more errors',
  ],
  [
    'a message that repeats its cause',
    () => new Error('cannot load: the disk is full', { cause: new Error('the disk is full') }),
    'Error: cannot load: the disk is full',
  ],
  [
    'a cause that JSON cannot write',
    () => new Error('x', { cause: new Map([[1, 2n]]) }),
    'Error: x; caused by: Map(1) { 1 => 2n }',
  ],
  ['lines', () => new Error('one\n  two\r\nthree'), 'Error: one two three'],
  ['a message that is no text', () => errored('', { message: { a: 1 } }), 'Error: {"a":1}'],
])('an error with %s says so in one line', (_what, thrown, text) => {
  expect(errorText(copyError(thrown()))).toBe(text)
})

test('both addresses of a host that refuse, and the reasons of Promise.any, are told', async () => {
  const refused = await fetch(`http://127.0.0.1:${await freePort()}`).catch((error) => error)
  expect(errorText(copyError(refused))).toMatch(/^TypeError: fetch failed; caused by: .*ECONNREFUSED/)
  const any = await Promise.any([Promise.reject(new Error('one')), Promise.reject(new Error('two'))]).catch(
    (error) => error,
  )
  expect(errorText(copyError(any))).toBe(
    'AggregateError: All promises were rejected; caused by: Error: one; caused by: Error: two',
  )
})

test('causes in a circle, getters and proxies that throw, come to an end', () => {
  const circle: Error & { cause?: unknown; errors?: unknown } = new Error('again')
  circle.cause = new Error('and again', { cause: circle })
  circle.errors = [circle]
  expect(errorText(copyError(circle))).toBe('Error: again; caused by: Error: and again')
  const hostile = Object.defineProperties(new Error('x'), {
    cause: { get: () => Error.prototype.toString.call(throwing) },
    errors: { value: revoked.proxy },
    code: { value: throwing },
    stack: { value: 7 },
    name: { value: throwing },
  })
  expect(errorText(copyError(hostile))).toMatch(/^Error: x/)
  expect(errorText(copyError(new Error('x', { cause: throwing })))).toBe('Error: x; caused by: a Proxy')
  expect(errorText(copyError(new Error('x', { cause: revoked.proxy })))).toMatch(/^Error: x; caused by: /)
})

test('a long message leaves room for its causes, its stack and the place where it was thrown', () => {
  const cause = new Error('c'.repeat(10_000), { cause: { status: 503 } })
  const copy = copyError(new CardDeclined('m'.repeat(10_000), { cause }))
  expect(copy.message).toHaveLength(4_096)
  expect(copy.stack).toMatch(/^CardDeclined: m+…\n\s+at .*errors\.test\.ts:\d+/)
  expect(copy.stack).toMatch(/caused by: Error: c+…\n\s+at .*errors\.test\.ts:\d+/)
  expect(errorText(copy)).toMatch(/^CardDeclined: m+…; caused by: Error: c+…; caused by: \{"status":503\}$/)
  expect(errorText(copy).length).toBeLessThanOrEqual(2_000)
  expect(errorLines(copy)).toHaveLength(3)
  expect(JSON.stringify(copy).length).toBeLessThan(16_000)
})

test('what comes as data is cut and checked as well', () => {
  expect(parseError({ name: 'E', message: 'm', causes: ['a', 7, null], stack: 5, code: {} })).toEqual({
    name: 'E',
    message: 'm',
    causes: ['a'],
  })
  expect(parseError({ name: 'E' })).toBeUndefined()
  expect(parseError(null)).toBeUndefined()
  expect(parseError({ name: 'E', message: 'x'.repeat(9_000) })?.message).toHaveLength(4_096)
})

test('for the middle of a sentence the class is left out; an attempt without an error tells the sentence of its worker', () => {
  expect(reasonOf(new Error('no such file', { cause: 'gone' }))).toBe('no such file; caused by: gone')
  expect(reasonOf(new CardDeclined())).toBe('CardDeclined')
  expect(failureText({ outcome: 'timed-out', message: 'it took too long' })).toBe(
    'timed-out: it took too long',
  )
  expect(failureText({ outcome: 'worker-lost' })).toBe('worker-lost')
  expect(failureText({ outcome: 'failed', error: { name: 'E', message: 'm', causes: ['c'] } })).toBe(
    'E: m; caused by: c',
  )
})

test('an error among the facts of a log line is written with its causes', () => {
  const lines: string[] = []
  const log = createLog({ level: 'info', write: (line) => lines.push(line) })
  log.warn('could not', { error: new CardDeclined('no', { cause: { status: 503 } }) })
  expect(JSON.parse(lines[0] ?? '').error).toMatchObject({
    name: 'CardDeclined',
    message: 'no',
    causes: ['{"status":503}'],
    stack: expect.stringContaining('errors.test.ts'),
  })
})
