// What stands on the screen, and what to write so that another picture stands there: only cells that differ,
// by moves of the cursor. Nothing is ever cleared (pure).
import { inspect } from 'node:util'
import type { Cell } from '../table.ts'
import { glyphs } from './cells.ts'

/** Names of styleText; '' for none. */
export type Style = Exclude<Cell, string | number>['style'] | ''

interface Spot {
  /** '' for the right half of a wide character. */
  readonly text: string
  readonly style: Style
}

export interface Look {
  /** Without colours only bold, dim and inverse are left. */
  readonly isColored: boolean
  /** A terminal without UTF-8. */
  readonly isAscii: boolean
}

const EMPTY: Spot = { text: ' ', style: '' }
const WITHOUT_COLORS = ['bold', 'dim', 'inverse', 'underline']

export class Frame {
  readonly width: number
  readonly height: number
  readonly #rows: Spot[][]
  readonly #look: Look

  constructor(width: number, height: number, look: Look) {
    this.width = width
    this.height = height
    this.#look = look
    this.#rows = Array.from({ length: height }, () => Array.from({ length: width }, () => EMPTY))
  }

  /** Answers the column behind it. What does not fit into the row is left out. */
  put(x: number, y: number, text: string, style: Style = ''): number {
    const row = this.#rows[y]
    let at = x
    for (const glyph of glyphs(text, this.#look)) {
      if (!row || at + glyph.width > this.width) break
      // Half of a wide character is none.
      if (row[at]?.text === '' && at > 0) row[at - 1] = EMPTY
      if (row[at + glyph.width]?.text === '') row[at + glyph.width] = EMPTY
      row[at] = { text: glyph.text, style }
      if (glyph.width === 2) row[at + 1] = { text: '', style }
      at += glyph.width
    }
    return at
  }

  at(x: number, y: number): Spot {
    return this.#rows[y]?.[x] ?? EMPTY
  }

  /** As text, without styles. */
  lines(): string[] {
    return this.#rows.map((row) =>
      row
        .map(({ text }) => text)
        .join('')
        .trimEnd(),
    )
  }
}

/** '' where nothing differs. Without a frame before, or one of another size, all is written. */
export function difference(before: Frame | undefined, after: Frame, look: Look): string {
  const isKnown = before?.width === after.width && before.height === after.height
  let written = ''
  let style: Style = ''
  for (let y = 0; y < after.height; y++) {
    let cursor = -1
    for (let x = 0; x < after.width; x++) {
      const spot = after.at(x, y)
      if (spot.text === '' || (isKnown && isSame(before.at(x, y), spot))) continue
      if (cursor !== x) written += `\x1b[${y + 1};${x + 1}H`
      if (String(style) !== String(spot.style)) written += codesOf(spot.style, look)
      style = spot.style
      written += spot.text
      // How far the terminal moves at other characters is not relied on.
      cursor = /^[ -~]$/.test(spot.text) ? x + 1 : -1
    }
  }
  return written === '' || style === '' ? written : `${written}\x1b[0m`
}

const isSame = (a: Spot, b: Spot): boolean => a.text === b.text && String(a.style) === String(b.style)

function codesOf(style: Style, { isColored }: Look): string {
  const names = [style].flat().filter((name) => name !== '' && (isColored || WITHOUT_COLORS.includes(name)))
  return `\x1b[${[0, ...names.map((name) => inspect.colors[name]?.[0] ?? 0)].join(';')}m`
}
