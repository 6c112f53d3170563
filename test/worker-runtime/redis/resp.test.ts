// What bytes are as replies, in whatever pieces they come, and where reading ends.
import { randomInt } from 'node:crypto'
import { BadReply, type Reply, ReplyError, ReplyReader } from '../../../worker-runtime/src/redis/resp.ts'
import { oneOf, type Random, randomFrom } from '../../hostile-redis/random.ts'
import { array, bulk } from '../../hostile-redis/server.ts'

const seed = Number(process.env.MILLHAND_FUZZ_SEED ?? randomInt(2 ** 31))

function read(pieces: readonly Buffer[], maxBytes = 100_000): Reply[] {
  const replies: Reply[] = []
  const reader = new ReplyReader(maxBytes, (reply) => replies.push(reply))
  for (const piece of pieces) reader.read(piece)
  return replies
}

test.each<[string, Reply]>([
  ['+OK\r\n', 'OK'],
  [':-12\r\n', -12],
  ['$5\r\na\r\nbc\r\n', 'a\r\nbc'],
  ['$0\r\n\r\n', ''],
  ['$-1\r\n', null],
  ['*-1\r\n', null],
  ['*0\r\n', []],
  [array(':1\r\n', array(bulk('ü'), '*0\r\n'), '$-1\r\n'), [1, ['ü', []], null]],
])('%j is %j', (bytes, reply) => {
  expect(read([Buffer.from(bytes)])).toEqual([reply])
})

test('an error is a value, also in a list', () => {
  const [first, second] = read([Buffer.from('-ERR no\r\n*1\r\n-WRONGTYPE x\r\n')])
  expect(first).toEqual(new ReplyError('ERR no'))
  expect(second).toEqual([new ReplyError('WRONGTYPE x')])
})

test(`replies are the same in whatever pieces they come (MILLHAND_FUZZ_SEED=${seed})`, () => {
  const random = randomFrom(seed)
  for (let round = 0; round < 200; round++) {
    const replies = Array.from({ length: 5 }, () => randomReply(random, 0))
    const bytes = Buffer.from(replies.map(written).join(''))
    const pieces: Buffer[] = []
    for (let at = 0; at < bytes.length; ) {
      const size = 1 + Math.floor(random() * oneOf(random, [1, 3, 40]))
      pieces.push(bytes.subarray(at, at + size))
      at += size
    }
    expect(read(pieces)).toEqual(replies)
  }
})

test.each([
  ['a string that is longer than it may be', '$200000\r\n', 'DATA_INVALID'],
  [
    'many strings that are too long together',
    array(bulk('x'.repeat(60_000)), bulk('x'.repeat(60_000))),
    'DATA_INVALID',
  ],
  ['a list that is longer than it may be, before its elements', '*1000000000\r\n', 'DATA_INVALID'],
  [
    'lists that are empty, but too many',
    `*1000\r\n${`*1000\r\n${'*0\r\n'.repeat(1_000)}`.repeat(4)}`,
    'DATA_INVALID',
  ],
  ['levels without end', '*1\r\n'.repeat(100), 'PROTOCOL'],
  ['a line without end', `+${'x'.repeat(20_000)}`, 'PROTOCOL'],
  ['a length that is none', '$1e3\r\n', 'PROTOCOL'],
  ['a length below zero', '*-2\r\n', 'PROTOCOL'],
  ['a number that is none', ':NaN\r\n', 'PROTOCOL'],
  ['a number with a fraction', ':1.5\r\n', 'PROTOCOL'],
  ['a text that goes on behind its length', '$2\r\nabc\r\n', 'PROTOCOL'],
  ['a line that ends with half an end', '+OK\rx', 'PROTOCOL'],
  ['another protocol', 'HTTP/1.1 400 Bad Request\r\n', 'PROTOCOL'],
  ['the next protocol', '%1\r\n+a\r\n+b\r\n', 'PROTOCOL'],
  ['an empty line', '\r\n', 'PROTOCOL'],
])('%s ends the reading', (_what, bytes, kind) => {
  const error = errorOf(() => read([Buffer.from(bytes)]))
  expect(error).toBeInstanceOf(BadReply)
  expect(error).toMatchObject({ kind })
  // Also where it comes byte by byte.
  expect(errorOf(() => read([...Buffer.from(bytes)].map((byte) => Buffer.from([byte]))))).toMatchObject({
    kind,
  })
})

test('the bound is of one reply: any number of small ones is read', () => {
  expect(read(Array.from({ length: 100 }, () => Buffer.from(bulk('x'.repeat(60_000)))))).toHaveLength(100)
})

test.each([1, 65_536])('what has no end keeps no more than one reply may have, in pieces of %i', (size) => {
  const reader = new ReplyReader(2_000_000, () => {})
  reader.read(Buffer.from('$2000000\r\n'))
  const before = process.memoryUsage().rss
  expect(() => {
    for (let i = 0; i < 3_000_000; i++) reader.read(Buffer.alloc(size, 'x'))
  }).toThrow(BadReply)
  expect(process.memoryUsage().rss - before).toBeLessThan(150_000_000)
})

function randomReply(random: Random, depth: number): Reply {
  const kind = Math.floor(random() * (depth < 3 ? 6 : 4))
  if (kind === 0) return null
  if (kind === 1) return Math.floor((random() - 0.5) * 2 ** 53)
  if (kind < 4)
    return oneOf(random, ['', 'OK', '\r\n', '$-1\r\n', 'ünïcode', 'x'.repeat(Math.floor(random() * 300))])
  return Array.from({ length: Math.floor(random() * 4) }, () => randomReply(random, depth + 1))
}

function written(reply: Reply): string {
  if (reply === null) return '$-1\r\n'
  if (typeof reply === 'number') return `:${reply}\r\n`
  if (Array.isArray(reply)) return array(...reply.map(written))
  return bulk(String(reply))
}

function errorOf(act: () => unknown): unknown {
  try {
    act()
  } catch (error) {
    return error
  }
}
