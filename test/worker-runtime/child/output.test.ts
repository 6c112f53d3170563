import { Lines, Tail } from '../../../worker-runtime/src/child/output.ts'

test('the tail keeps the last bytes, whatever the pieces', () => {
  const text = Array.from({ length: 5_000 }, (_, at) => `line ${at}\n`).join('')
  for (const size of [1, 10, 1_000, 100_000]) {
    const tail = new Tail(1_000)
    for (let at = 0; at < text.length; at += size) tail.append(Buffer.from(text.slice(at, at + size)))
    expect(tail.text()).toBe(text.slice(-1_000))
  }
})

test('the tail does not begin with half a character', () => {
  const tail = new Tail(4)
  tail.append(Buffer.from('☃☃'))
  expect(tail.text()).toBe('☃')
})

test('lines are cut at their ends and kept apart by stream', () => {
  const lines: string[] = []
  const cutter = new Lines((stream, line) => lines.push(`${stream}: ${line}`))
  cutter.append('stdout', Buffer.from('one\r\ntw'))
  cutter.append('stderr', Buffer.from('oh\n\n'))
  cutter.append('stdout', Buffer.from('o\nrest'))
  cutter.end()
  expect(lines).toEqual(['stdout: one', 'stderr: oh', 'stdout: two', 'stdout: rest'])
})

test('a line without end comes in pieces of a bounded length', () => {
  const lines: string[] = []
  const cutter = new Lines((_stream, line) => lines.push(line))
  for (let count = 0; count < 100; count += 1) cutter.append('stdout', Buffer.alloc(1_000, 'x'))
  cutter.end()
  expect(lines.join('')).toHaveLength(100_000)
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(8 * 1024)
})
