import { jsonDocument, jsonLine, manyLines, oneLine, withoutPasswords } from '../../cli/src/printable.ts'

const HOSTILE = 'a\x1b[31mred\x9b2J\r\n\u202egnp.exe\u2028b\x7f'

describe('text from Redis', () => {
  test('never moves the cursor, changes colours or reverses text', () => {
    expect(oneLine(HOSTILE)).toBe('a\\x1b[31mred\\x9b2J\\r\\n\\u202egnp.exe\\u2028b\\x7f')
  })

  test('keeps its lines and tabs where lines are wanted', () => {
    expect(manyLines('one\n\ttwo\r\nthree\rfour\x1b')).toBe('one\n\ttwo\nthree\\rfour\\x1b')
  })

  test('stays as it is when it is harmless, in any script', () => {
    expect(oneLine('Grüße, 世界 👩‍👩‍👧')).toBe('Grüße, 世界 👩‍👩‍👧')
  })

  test('is the same JSON, without a character that a terminal obeys', () => {
    for (const json of [jsonLine({ text: HOSTILE }), jsonDocument({ text: HOSTILE })]) {
      expect(JSON.parse(json)).toEqual({ text: HOSTILE })
      expect(json.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\u202e\u2028]/u)
    }
  })
})

describe('a password', () => {
  test.each([
    ['redis://user:secret@host:6379', 'redis://***@host:6379'],
    ['could not reach rediss://:s3cr=t@host, giving up', 'could not reach rediss://***@host, giving up'],
    ['redis://127.0.0.1:6379', 'redis://127.0.0.1:6379'],
    ['ann@example.com', 'ann@example.com'],
  ])('is left out of %s', (text, shown) => {
    expect(withoutPasswords(text)).toBe(shown)
  })
})
