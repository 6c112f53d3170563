// Draws a view into a frame: the way here, a summary, the rows around the cursor, and a last line.
import type { Cell } from '../table.ts'
import { fitted, widthOf, wrapped } from './cells.ts'
import { Frame, type Look, type Style } from './screen.ts'
import type { Column, Row, View } from './view.ts'

export interface Page {
  readonly view: View
  readonly crumbs: readonly string[]
  /** At the right of the first line. */
  readonly corner: string
  readonly summary: Cell
  /** Of the row under the cursor; of a view of lines, unused. */
  readonly selected: number
  /** The first row or line that is shown. */
  readonly offset: number
  readonly footer: Cell
  /** While something is typed in the footer: what stands behind the cursor. */
  readonly typing: string | undefined
}

const HEAD = 3
const GAP = 2
const LEAST_COLUMN = 6
/** What a view of lines shows is bounded before: a job's texts. */
const MOST_LINES = 5_000

/** How many rows or lines there is room for. */
export const roomFor = (height: number): number => Math.max(1, height - HEAD - 1)

/** The lines of a view without columns, as they stand on the screen. */
export function linesOf(view: View, width: number): string[] {
  const lines = view.lines?.() ?? []
  const shown = lines.slice(0, MOST_LINES).flatMap((line) => wrapped(line, width))
  return shown.length > 0 ? shown : [view.empty]
}

export function draw(page: Page, { width, height }: { width: number; height: number }, look: Look): Frame {
  const frame = new Frame(width, height, look)
  const corner = width > widthOf(page.corner) + 30 ? page.corner : ''
  const crumbs = ['millhand', ...page.crumbs].join(' › ')
  frame.put(0, 0, fitted(crumbs, width - widthOf(corner) - 1), 'bold')
  frame.put(width - widthOf(corner), 0, corner, 'dim')
  put(frame, 1, page.summary)
  if (page.view.columns.length > 0) putRows(frame, page)
  else putLines(frame, page)
  put(frame, height - 1, page.footer)
  if (page.typing !== undefined) putCursor(frame, page.footer, page.typing)
  return frame
}

function putCursor(frame: Frame, footer: Cell, hint: string): void {
  const y = frame.height - 1
  const x = Math.min(widthOf(partsOf(footer)[0]), frame.width - 1)
  frame.put(x, y, ' ', 'inverse')
  frame.put(x + GAP, y, hint, 'dim')
}

function putRows(frame: Frame, { view, selected, offset }: Page): void {
  const rows = view.rows()
  const shown = rows.slice(offset, offset + roomFor(frame.height))
  if (shown.length === 0) {
    put(frame, HEAD, { text: view.empty, style: 'dim' })
    return
  }
  const widths = widthsOf(view.columns, shown, frame.width)
  putRow(frame, {
    y: HEAD - 1,
    widths,
    columns: view.columns,
    cells: view.columns.map(({ title }) => title),
    style: 'bold',
  })
  for (const [at, { cells }] of shown.entries()) {
    const isSelected = offset + at === selected
    if (isSelected) frame.put(0, HEAD + at, ' '.repeat(frame.width), 'inverse')
    putRow(frame, { y: HEAD + at, widths, columns: view.columns, cells, style: isSelected ? 'inverse' : '' })
  }
}

interface DrawnRow {
  y: number
  widths: readonly number[]
  columns: readonly Column[]
  cells: readonly Cell[]
  /** '' for that of each cell. */
  style: Style
}

function putRow(frame: Frame, { y, widths, columns, cells, style }: DrawnRow): void {
  let x = 0
  for (const [at, width] of widths.entries()) {
    const [text, own] = partsOf(cells[at] ?? '')
    frame.put(x, y, fitted(text, width, columns[at]?.align), style || own)
    x += width + GAP
  }
}

/** As wide as what is in them; where that is too much, the widest ones give way. */
export function widthsOf(columns: readonly Column[], rows: readonly Row[], room: number): number[] {
  const widths = columns.map(({ title }, at) =>
    Math.max(
      widthOf(title),
      ...rows.map(({ cells }) => Math.min(room, widthOf(partsOf(cells[at] ?? '')[0].slice(0, room)))),
    ),
  )
  let over = widths.reduce((sum, width) => sum + width + GAP, -GAP) - room
  // Numbers last: one that is cut says nothing.
  for (const isNumber of [false, true]) {
    for (; over > 0; over--) {
      const may = widths.map((width, at) => ((columns[at]?.align === 'right') === isNumber ? width : 0))
      const widest = Math.max(...may)
      if (widest <= LEAST_COLUMN) break
      widths[may.indexOf(widest)] = widest - 1
    }
  }
  return widths
}

function putLines(frame: Frame, { view, offset }: Page): void {
  const lines = linesOf(view, frame.width).slice(offset, offset + roomFor(frame.height))
  for (const [at, line] of lines.entries()) frame.put(0, HEAD + at, line)
}

function put(frame: Frame, y: number, cell: Cell): void {
  const [text, style] = partsOf(cell)
  frame.put(0, y, fitted(text, frame.width), style)
}

function partsOf(cell: Cell): [text: string, style: Style] {
  return typeof cell === 'object' ? [cell.text, cell.style] : [String(cell), '']
}
