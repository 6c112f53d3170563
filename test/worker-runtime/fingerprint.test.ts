// One kind of failure has one fingerprint: what varies in messages is left out, and what tells failures apart is not.
import { copyError, type JobError } from '../../worker-runtime/src/errors.ts'
import {
  fingerprintOf,
  isFingerprint,
  ownFunctionIn,
  withoutVariables,
} from '../../worker-runtime/src/fingerprint.ts'

const error = (message: string, more: Partial<JobError> = {}): JobError => ({
  name: 'Error',
  message,
  ...more,
})
const groupOf = (thrown: JobError) => fingerprintOf({ outcome: 'failed', error: thrown })

test('a fingerprint has a version and 16 hexadecimal digits', () => {
  expect(groupOf(error('no'))).toMatch(/^v1:[0-9a-f]{16}$/)
  expect(isFingerprint(groupOf(error('no')))).toBe(true)
  for (const other of ['', 'v1:0', 'v1:XXXXXXXXXXXXXXXX', `v1:${'0'.repeat(17)}`, 7, null])
    expect(isFingerprint(other)).toBe(false)
})

test.each([
  ['numbers', 'timeout of 1500 ms exceeded', 'timeout of <n> ms exceeded'],
  ['times', 'at 2026-11-30 15:50:42.123 it ended', 'at <n>-<n>-<n> <n> it ended'],
  ['uuids', 'no user 6b1f9f5c-0d3e-4a56-9a7b-0123456789ab', 'no user <id>'],
  ['ids of jobs', 'job 0mfd1k2x3y4z5a6b7c8d is gone', 'job <id> is gone'],
  ['hashes', 'sha da39a3ee5e6b4b0d3255bfef95601890afd80709 differs', 'sha <id> differs'],
  ['addresses in memory', 'segfault at 0x7fff5fbff8c0', 'segfault at <id>'],
  ['paths', 'ENOENT: no such file, open /tmp/up-1/cat.png', 'ENOENT: no such file, open <path>'],
  ['paths of Windows', 'cannot read C:\\Users\\me\\cat.png', 'cannot read <path>'],
  ['quoted texts', 'column "name" of \'users\' is `null`', 'column <text> of <text> is <text>'],
  ['urls', 'GET https://api.example.com/v2/users/17?x=1 failed', 'GET <url> failed'],
  ['e-mails', 'mailbox of jane.doe+spam@mail.example.com is full', 'mailbox of <email> is full'],
  ['addresses', 'connect ECONNREFUSED 10.0.0.17:5432', 'connect ECONNREFUSED <n>'],
  ['names of pods', 'pod mail-7d9f8b6c5-x2x4z was evicted', 'pod <id> was evicted'],
  ['an apostrophe', "it can't be read, and it won't be", "it can't be read, and it won't be"],
  ['space', '  two \n lines ', 'two lines'],
])('%s do not make a kind of their own', (_what, message, kind) => {
  expect(withoutVariables(message)).toBe(kind)
})

test.each<[string, JobError, JobError]>([
  ['the class', error('no', { name: 'TypeError' }), error('no', { name: 'RangeError' })],
  ['the message', error('no such user'), error('no such order')],
  ['the code', error('failed', { code: 'ECONNREFUSED' }), error('failed', { code: 'ETIMEDOUT' })],
  [
    'the cause',
    error('fetch failed', { causes: ['Error: a'] }),
    error('fetch failed', { causes: ['Error: b'] }),
  ],
  ['the function', error('no', { stack: frames('pay') }), error('no', { stack: frames('ship') })],
])('%s tells two failures apart', (_what, one, other) => {
  expect(groupOf(one)).not.toBe(groupOf(other))
})

test.each<[string, JobError, JobError]>([
  ['the line', error('no', { stack: frames('pay', 3) }), error('no', { stack: frames('pay', 99) })],
  [
    'the folder',
    error('no', { stack: frames('pay', 3, '/app') }),
    error('no', { stack: frames('pay', 3, '/srv/v2') }),
  ],
  [
    'a value in the cause',
    error('fetch failed', { causes: ['Error: connect 10.0.0.1:80'] }),
    error('fetch failed', { causes: ['Error: connect 10.0.0.2:81'] }),
  ],
])('%s does not', (_what, one, other) => {
  expect(groupOf(one)).toBe(groupOf(other))
})

function frames(name: string, line = 1, folder = '/app'): string {
  return `Error: no\n    at ${name} (file://${folder}/tasks.js:${line}:9)\n    at main (file://${folder}/main.js:1:1)`
}

test.each([
  ['a function', '    at async resize (file:///app/tasks.ts:3:9)', 'resize'],
  ['a method', '    at Mailer.send [as run] (/app/mail.js:3:9)', 'Mailer.send'],
  ['a constructor', '    at new Order (/app/order.js:3:9)', 'Order'],
  ['no function', '    at file:///app/dist/tasks-5f3a9c1e.js:3:9', 'tasks'],
  [
    'behind a dependency',
    '    at f (/app/node_modules/pg/lib/client.js:1:1)\n    at query (/app/db.js:1:1)',
    'query',
  ],
  [
    'behind Node',
    '    at f (node:internal/fs:1:1)\n    at JSON.parse (<anonymous>)\n    at load (/app/a.js:1:1)',
    'load',
  ],
  ['none of its own', '    at f (node:internal/fs:1:1)', ''],
  ['nothing', '', ''],
])('the first frame of own code: %s', (_what, stack, expected) => {
  expect(ownFunctionIn(`Error: no\n${stack}`)).toBe(expected)
})

test('the frames of Millhand are nobody’s own code', () => {
  const { stack = '' } = copyError(new Error('no'))
  const own = new URL('../../worker-runtime/src/child/inside/entry.ts', import.meta.url)
  expect(
    ownFunctionIn(`Error: no\n    at runTask (${own.href}:1:1)\n${stack.split('\n').slice(1).join('\n')}`),
  ).not.toBe('runTask')
})

test('a message of any length, made to be slow, takes a moment', () => {
  const startedMs = performance.now()
  for (const part of ['a@', '"', "'", '/a', '0a-', '1.', 'http://'])
    groupOf(
      error(part.repeat(4_096), {
        causes: Array(8).fill(part.repeat(250)),
        stack: `at ${part.repeat(2_000)}`,
      }),
    )
  expect(performance.now() - startedMs).toBeLessThan(500)
})
