// Which rows of a list are new since it was shown. Pure.
interface Rows {
  rows: readonly { mark: string }[]
  /** There are more behind it. */
  cursor: string | undefined
}

/**
 * Rows that were not shown. Where the page shown has more behind it, one that stands behind all that were
 * shown has only moved up, because others left.
 */
export function freshIn(shown: Rows, now: Rows): number {
  const known = new Set(shown.rows.map(({ mark }) => mark))
  const last = now.rows.findLastIndex(({ mark }) => known.has(mark))
  const end = shown.cursor === undefined || last < 0 ? now.rows.length : last
  return now.rows.slice(0, end).filter(({ mark }) => !known.has(mark)).length
}
