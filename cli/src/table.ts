// Rows in aligned columns, like those of kubectl. Cells become printable here, so that no command can forget
// it.
import type { Paint } from './context.ts'
import { oneLine } from './printable.ts'

export type Cell = string | number | { text: string; style: Parameters<Paint>[0] }

const GAP = '  '

/** Numbers are aligned right. */
export function table(head: readonly string[], rows: readonly (readonly Cell[])[], paint: Paint): string {
  const texts = rows.map((row) => row.map(textOf))
  const widths = head.map((name, column) =>
    Math.max(name.length, ...texts.map((row) => row[column]?.length ?? 0)),
  )
  const isNumber = head.map((_, column) => rows.length > 0 && rows.every((row) => isNumeric(row[column])))
  const aligned = (text: string, column: number) =>
    isNumber[column] ? text.padStart(widths[column] ?? 0) : text.padEnd(widths[column] ?? 0)
  const lines = rows.map((row, index) =>
    row
      .map((cell, column) => painted(cell, aligned(texts[index]?.[column] ?? '', column), paint))
      .join(GAP)
      .trimEnd(),
  )
  return [paint('bold', head.map(aligned).join(GAP).trimEnd()), ...lines].join('\n')
}

/** `label  value`, the labels in one column. */
export function facts(pairs: readonly (readonly [string, Cell | undefined])[], paint: Paint): string {
  const known = pairs.flatMap(([label, cell]) => (cell === undefined || cell === '' ? [] : [{ label, cell }]))
  const width = Math.max(0, ...known.map(({ label }) => label.length))
  return known
    .map(
      ({ label, cell }) =>
        `  ${paint('dim', label.padEnd(width))}${GAP}${painted(cell, textOf(cell), paint)}`,
    )
    .join('\n')
}

function textOf(cell: Cell): string {
  return oneLine(String(typeof cell === 'object' ? cell.text : cell))
}

function painted(cell: Cell, text: string, paint: Paint): string {
  return typeof cell === 'object' ? paint(cell.style, text) : text
}

function isNumeric(cell: Cell | undefined): boolean {
  return typeof cell === 'number' || cell === '-' || (typeof cell === 'string' && /^[\d.]+$/.test(cell))
}
