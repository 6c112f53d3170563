import {
  encodeFromChild,
  encodeToChild,
  type FromChild,
  readerInChild,
  readerInWorker,
} from '../../../worker-runtime/src/child/messages.ts'
import { frame } from '../../tasks/frame.ts'

const messages: FromChild[] = [
  { kind: 'ready', tasks: ['a', 'b'] },
  { kind: 'accepted', ids: [1, 2, 3] },
  { kind: 'progress', id: 1, progress: '{"half":0.5}' },
  { kind: 'output', id: 2, stream: 'stderr', output: Buffer.from('line\n') },
  { kind: 'aborting', id: 2 },
  { kind: 'succeeded', id: 1, usage: { cpuUserMs: 3 }, result: '{"ünï":"☃\\n"}' },
  {
    kind: 'failed',
    id: 3,
    usage: {},
    error: { name: 'E', message: 'm\nn', stack: 's', code: 'c' },
    terminal: true,
    spoilsChild: false,
  },
  { kind: 'result-too-large', id: 3, usage: {}, bytes: 5 },
  { kind: 'exiting', id: 3 },
  { kind: 'spoiled', error: { name: 'E', message: 'm' } },
]
const stream = encodeFromChild(...messages)

test.each([1, 2, 3, 7, 64, 100_000])('messages survive being cut into pieces of %i bytes', (size) => {
  const reader = readerInWorker()
  const read: unknown[] = []
  for (let at = 0; at < stream.length; at += size) read.push(...reader.push(stream.subarray(at, at + size)))
  expect(read).toEqual(messages)
})

test('a payload passes to the child as the text it is', () => {
  const payload = '{"__proto__":{"x":1},  "n":12345678901234567890, "s":"\\u0000\\r\\n"}'
  const attempt = {
    kind: 'attempt',
    id: 7,
    jobId: 'j',
    queue: 'q',
    task: 't',
    attempt: 2,
    enqueuedAtMs: 5,
    payload,
  } as const
  expect([...readerInChild().push(encodeToChild(attempt))]).toEqual([attempt])
})

test.each([
  ['an unknown kind', frame(99, '{}\n'), /unknown kind/],
  ['a kind that only the worker may send', frame(2, '{"id":1}\n{}'), /unknown kind/],
  ['a header that is not JSON', frame(22, 'no\n'), /cannot be read/],
  ['a header that is no object', frame(22, '[1]\n'), /cannot be read/],
  ['a header that is null', frame(22, 'null\n'), /cannot be read/],
  ['no header line', frame(22, '{"id":1}'), /cannot be read/],
  ['no id', frame(22, '{}\n'), /cannot be read/],
  ['an id that is no number', frame(22, '{"id":"1"}\n'), /cannot be read/],
  ['an error that is no error', frame(23, '{"id":1,"error":{"name":1}}\n'), /cannot be read/],
  ['tasks that are no names', frame(16, '{"tasks":[1]}\n'), /cannot be read/],
  ['nothing in it', frame(22, ''), /cannot be read/],
])('a message with %s is an error value, and nothing is read after it', (_what, bytes, message) => {
  const reader = readerInWorker()
  expect([...reader.push(bytes)]).toEqual([
    { kind: 'broken', message: expect.stringMatching(message), tooLong: false },
  ])
  expect([...reader.push(stream)]).toEqual([])
})

test('a message over the limit of its kind is refused by its length, before its body is there', () => {
  const head = Buffer.from([0x7f, 0xff, 0xff, 0xff, 22])
  expect([...readerInWorker().push(head)]).toEqual([
    { kind: 'broken', message: expect.stringContaining('bytes'), tooLong: true },
  ])
})

test('a progress message has a smaller limit than a result', () => {
  const large = `{"id":1}\n${'x'.repeat(8_000)}`
  expect([...readerInWorker().push(frame(22, large))]).toMatchObject([{ kind: 'succeeded' }])
  expect([...readerInWorker().push(frame(19, large))]).toMatchObject([{ kind: 'broken', tooLong: true }])
})

test('errors and usage from a child are cut and checked', () => {
  const error = {
    name: 'n'.repeat(500),
    message: 'm'.repeat(9000),
    stack: 's'.repeat(20_000),
    code: 5,
    causes: ['c', 1],
  }
  const usage = { maxRssBytes: 'many', cpuUserMs: -1, cpuSystemMs: 4 }
  const [message] = [...readerInWorker().push(frame(23, `${JSON.stringify({ id: 1, error, usage })}\n`))]
  expect(message).toEqual({
    kind: 'failed',
    id: 1,
    usage: { cpuSystemMs: 4 },
    error: {
      name: `${'n'.repeat(199)}…`,
      message: 'm'.repeat(4096),
      stack: `${'s'.repeat(4095)}…`,
      causes: ['c'],
    },
    terminal: false,
    spoilsChild: false,
  })
})
