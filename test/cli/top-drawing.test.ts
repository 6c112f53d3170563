// The pure parts of millhand top: keys, cells, what is written to change a picture, rates, what is typed.
import fc from 'fast-check'
import { fitted, glyphs, widthOf, wrapped } from '../../cli/src/top/cells.ts'
import { completions } from '../../cli/src/top/go-to.ts'
import { keysIn } from '../../cli/src/top/keys.ts'
import { widthsOf } from '../../cli/src/top/page.ts'
import { Rates, rateText } from '../../cli/src/top/rates.ts'
import { difference, Frame, type Look } from '../../cli/src/top/screen.ts'

const LOOK: Look = { isColored: true, isAscii: false }
/** For ESC in a pattern: a character that is never shown. */
const MARK = '\ue000'
const STYLES = ['', 'red', 'bold', 'inverse'] as const
const word = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('世界', 'a', '👩‍👩‍👧', '\u001b[2J', 'e\u0301'),
)
const piece = fc.tuple(fc.nat(14), fc.nat(4), word, fc.constantFrom(...STYLES))

function frameOf(pieces: readonly [number, number, string, (typeof STYLES)[number]][], look = LOOK): Frame {
  const frame = new Frame(12, 4, look)
  for (const [x, y, text, style] of pieces) frame.put(x, y, text, style)
  return frame
}

/** A terminal that knows what top writes, and nothing else: how it moves at other than ASCII is not relied on. */
function written(screen: string[][], text: string): void {
  let [x, y, style] = [-1, -1, '0']
  for (const [, row, column, codes, character = ''] of text
    .replaceAll('\x1b', MARK)
    .matchAll(/\ue000\[(\d+);(\d+)H|\ue000\[([\d;]+)m|((?:\P{M})\p{M}*)/gu)) {
    if (row) [x, y] = [Number(column) - 1, Number(row) - 1]
    else if (codes) style = codes
    else {
      if (x < 0) throw new Error('written without a known place')
      const line = screen[y] ?? []
      line[x] = `${style}:${character}`
      if (widthOf(character) === 2) line[x + 1] = `${style}:`
      x = /^[ -~]$/.test(character) ? x + 1 : -1
    }
  }
}

test('what is written changes any picture into any other', () => {
  fc.assert(
    fc.property(fc.array(piece), fc.array(piece), (a, b) => {
      const screen = Array.from({ length: 4 }, () => Array.from({ length: 12 }, () => '?'))
      const fresh = Array.from({ length: 4 }, () => Array.from({ length: 12 }, () => '?'))
      written(screen, difference(undefined, frameOf(a), LOOK))
      written(screen, difference(frameOf(a), frameOf(b), LOOK))
      written(fresh, difference(undefined, frameOf(b), LOOK))
      expect(screen).toEqual(fresh)
    }),
  )
})

test('only cells that differ are written, and nothing where none does', () => {
  const before = frameOf([[0, 0, 'ready 12', '']])
  const after = frameOf([[0, 0, 'ready 13', '']])
  expect(difference(before, after, LOOK)).toBe('\x1b[1;8H3')
  expect(difference(after, frameOf([[0, 0, 'ready 13', '']]), LOOK)).toBe('')
  expect(difference(before, frameOf([[0, 1, 'x', 'red']]), { ...LOOK, isColored: false })).not.toContain('31')
})

test('no text is a control sequence, and it is as wide as it says', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.nat(30), (text, width) => {
      const shown = (isAscii: boolean) => glyphs(text, { isAscii }).map((glyph) => glyph.text)
      expect(shown(false).join('')).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}]/u)
      expect(shown(true).join('')).toMatch(/^[ -~]*$/)
      expect(widthOf(fitted(text, width))).toBe(width)
      expect(Math.max(...wrapped(text, width).map(widthOf))).toBeLessThanOrEqual(Math.max(2, width))
    }),
  )
})

test.each([
  ['mail', 6, 'mail  '],
  ['thumbnails', 6, 'thumb…'],
  ['世界世界', 6, '世界… '],
  ['a\tb\u001b[31m', 12, 'a\\tb\\x1b[31m'],
  ['e\u0301\u0301\u0301\u0301', 2, 'e\u0301\u0301 '],
])('%j in %i cells', (text, width, expected) => {
  // NFC would join the first mark with its letter.
  expect(fitted(text, width).normalize('NFD')).toBe(expected.normalize('NFD'))
})

test.each([
  ['jk', ['j', 'k'], ''],
  ['\x1b[A\x1bOB\x1b[5~\x1b[6~', ['up', 'down', 'pageup', 'pagedown'], ''],
  ['\x1b', [], '\x1b'],
  ['x\x1b[1', ['x'], '\x1b[1'],
  ['\x1bq', ['esc', 'q'], ''],
  ['\x1b[1;5Cq\x1b[?62c', ['right', 'q'], ''],
  ['\r\t\x7f\x03\x04世', ['enter', 'tab', 'backspace', 'ctrl-c', 'ctrl-d', '世'], ''],
])('%j are the keys %j', (input, keys, rest) => {
  expect(keysIn(input)).toEqual({ keys, rest })
})

test('columns give way where there is no room, numbers last', () => {
  const columns = [{ title: 'NAME' }, { title: 'READY', align: 'right' as const }, { title: 'WHY' }]
  const rows = [{ key: '1', cells: ['n'.repeat(30), 123_456_789, 'w'.repeat(80)] }]
  expect(widthsOf(columns, rows, 200)).toEqual([30, 9, 80])
  expect(widthsOf(columns, rows, 60)).toEqual([23, 9, 24])
  expect(widthsOf(columns, rows, 20)).toEqual([6, 6, 6])
})

test('rates are those of the last ten seconds, and unknown where counters go back', () => {
  const rates = new Rates()
  const at = (seconds: number, enqueued: number) =>
    rates.of('mail', { enqueued, completed: 0 }, seconds * 1_000).enqueuedPerSecond
  expect([at(0, 100), at(2, 120), at(4, 140), at(30, 400), at(40, 400)]).toEqual([undefined, 10, 10, 10, 0])
  expect([at(42, 7), at(44, 9)]).toEqual([undefined, 1])
  expect([undefined, 0, 0.25, 9.96, 1234.5].map(rateText)).toEqual(['-', '0', '0.3', '10.0', '1235'])
})

test('what is typed behind : is completed by views and queues', () => {
  expect(completions('', [])).toEqual([
    'queues',
    'jobs',
    'job',
    'workers',
    'errors',
    'schedules',
    'flows',
    'quit',
  ])
  expect(completions('jo', [])).toEqual(['jobs', 'job'])
  expect(completions('j ma', ['mail', 'other'])).toEqual(['j mail'])
  expect(completions('jobs mail sta', ['mail'])).toEqual([])
})
