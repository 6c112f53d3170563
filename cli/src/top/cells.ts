// Text → the cells of a terminal that it takes (pure). What is in it comes from Redis: nothing of it is ever
// a control sequence, and no character takes more or fewer cells than is counted here.
import { oneLine } from '../printable.ts'

/** A character as a person sees it: one or two cells wide. */
export interface Glyph {
  readonly text: string
  readonly width: 1 | 2
}

const UNKNOWN = '\ufffd'
const MAX_MARKS = 2
const ASCII: Readonly<Record<string, string>> = { '…': '~', '›': '>', '·': '-', '▏': '|' }
const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' })
const PLAIN = /^[ -~]*$/
const NOT_SHOWN = /^[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{M}]/u
// East Asian Wide and Fullwidth, and emoji that are pictures by themselves.
const WIDE =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{17000}-\u{18cff}\u{1b000}-\u{1b2ff}\u{1f200}-\u{1f2ff}\u{20000}-\u{3fffd}\p{Emoji_Presentation}]/u

/** isAscii: of a terminal without UTF-8; other characters become `?`. */
export function glyphs(text: string, { isAscii = false } = {}): Glyph[] {
  const line = oneLine(text)
  if (PLAIN.test(line)) return [...line].map((character) => ({ text: character, width: 1 }))
  const found = [...graphemes.segment(line)].map(({ segment }) => glyphOf(segment))
  if (!isAscii) return found
  return found.flatMap(({ text: shown, width }) =>
    PLAIN.test(shown)
      ? [{ text: shown, width }]
      : [...(ASCII[shown] ?? '?').padEnd(width)].map((character) => ({ text: character, width: 1 as const })),
  )
}

export const widthOf = (text: string): number => glyphs(text).reduce((sum, { width }) => sum + width, 0)

/** Exactly so wide: cut with `…`, or filled up with spaces. */
export function fitted(text: string, width: number, align: 'left' | 'right' = 'left'): string {
  const all = glyphs(text.slice(0, 4 * width + 100))
  const whole = all.reduce((sum, glyph) => sum + glyph.width, 0)
  if (whole <= width && text.length <= 4 * width + 100) {
    const space = ' '.repeat(width - whole)
    const shown = textOf(all)
    return align === 'right' ? space + shown : shown + space
  }
  const kept = first(all, Math.max(0, width - 1))
  return width < 1 ? '' : textOf(kept.taken) + '…'.padEnd(width - kept.width)
}

/** Lines of at most this width. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = []
  let rest = glyphs(text)
  do {
    const { taken } = first(rest, Math.max(2, width))
    lines.push(textOf(taken))
    rest = rest.slice(taken.length)
  } while (rest.length > 0)
  return lines
}

function first(all: readonly Glyph[], room: number): { taken: readonly Glyph[]; width: number } {
  let width = 0
  let count = 0
  for (const glyph of all) {
    if (width + glyph.width > room) break
    width += glyph.width
    count++
  }
  return { taken: all.slice(0, count), width }
}

const textOf = (all: readonly Glyph[]): string => all.map(({ text }) => text).join('')

/** Terminals differ in the width of joined emoji and of stacked marks: those are reduced. */
function glyphOf(segment: string): Glyph {
  const [base = ' ', ...others] = segment
  if (NOT_SHOWN.test(base)) return { text: UNKNOWN, width: 1 }
  if (/^(?!\u3000)\p{Zs}/u.test(base)) return { text: ' ', width: 1 }
  const marks = others.filter((mark) => /^\p{Mn}$/u.test(mark) && !/^[\ufe00-\ufe0f]$/.test(mark))
  return { text: base + marks.slice(0, MAX_MARKS).join(''), width: WIDE.test(base) ? 2 : 1 }
}
