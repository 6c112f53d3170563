// Where the lines of a flow stand when they are drawn as a graph: a column for each depth, from the left to
// the right. In a column they are ordered so that few arrows cross, and near what they wait for. Pure.
interface Line {
  depth: number
  /** The lines that it waits for, by their number. */
  behind?: readonly number[]
}

export interface Drawn {
  width: number
  height: number
  /** The top left corner of each line, in the order of the lines. */
  places: { x: number; y: number }[]
  arrows: { from: number; to: number; path: string }[]
}

/** A line, or the place where an arrow crosses a column on its way. */
interface Spot {
  column: number
  height: number
  /** Its middle. */
  y: number
  before: Spot[]
  after: Spot[]
}

export const NODE = { width: 192, height: 52 } as const
const COLUMN_GAP = 56
const GAP = 14
const CROSSING_HEIGHT = 4
const MARGIN = 12
const ROUNDS = 4
/** Beyond that arrows cross columns where they like. */
const MOST_CROSSINGS = 3_000

export function drawn(lines: readonly Line[]): Drawn {
  const spots = lines.map(({ depth }) => spot(depth, NODE.height))
  const columns: Spot[][] = []
  for (const each of spots) inColumn(columns, each)
  let crossings = 0
  const ways = lines.flatMap(({ behind = [] }, to) =>
    behind.map((from) => {
      const way = wayBetween(spots[from], spots[to], crossings < MOST_CROSSINGS)
      crossings += way.length - 2
      for (const each of way.slice(1, -1)) inColumn(columns, each)
      return { from, to, way }
    }),
  )
  place(columns)
  const top = Math.min(...spots.map(({ y }) => y)) - NODE.height / 2 - MARGIN
  for (const each of columns.flat()) each.y -= top
  return {
    width: columns.length * (NODE.width + COLUMN_GAP) - COLUMN_GAP + 2 * MARGIN,
    height: Math.max(...spots.map(({ y }) => y)) + NODE.height / 2 + MARGIN,
    places: spots.map((each) => ({ x: leftOf(each), y: each.y - NODE.height / 2 })),
    arrows: ways.map(({ from, to, way }) => ({ from, to, path: pathAlong(way) })),
  }
}

const spot = (column: number, height: number): Spot => ({ column, height, y: 0, before: [], after: [] })

function inColumn(columns: Spot[][], each: Spot): void {
  while (columns.length <= each.column) columns.push([])
  columns[each.column]?.push(each)
}

function wayBetween(from: Spot | undefined, to: Spot | undefined, isLaid: boolean): Spot[] {
  if (!from || !to) return []
  const between = isLaid ? Math.max(0, to.column - from.column - 1) : 0
  const crossed = Array.from({ length: between }, (_, n) => spot(from.column + n + 1, CROSSING_HEIGHT))
  const way = [from, ...crossed, to]
  for (const [n, each] of way.slice(1).entries()) {
    way[n]?.after.push(each)
    each.before.push(way[n] as Spot)
  }
  return way
}

/** There and back again: each column by what stands before it, then by what stands behind it. */
function place(columns: Spot[][]): void {
  for (const column of columns) spread(column, (_, n) => n * (NODE.height + GAP))
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const column of columns) settle(column, 'before')
    for (const column of columns.toReversed()) settle(column, 'after')
  }
  for (const column of columns) settle(column, 'before')
}

function settle(column: Spot[], side: 'before' | 'after'): void {
  const wanted = new Map(column.map((each) => [each, meanOf(each[side]) ?? each.y]))
  const wantedOf = (each: Spot) => wanted.get(each) ?? 0
  column.sort((a, b) => wantedOf(a) - wantedOf(b))
  spread(column, wantedOf)
}

const meanOf = (spots: readonly Spot[]): number | undefined =>
  spots.length === 0 ? undefined : spots.reduce((sum, { y }) => sum + y, 0) / spots.length

/**
 * As near to where each wants to be as their order and their heights allow: those that are in each other's
 * way share the way.
 */
function spread(column: readonly Spot[], wantedOf: (each: Spot, n: number) => number): void {
  const blocks: { spots: Spot[]; offsets: number[]; y: number }[] = []
  for (const [n, each] of column.entries()) {
    let block = { spots: [each], offsets: [0], y: wantedOf(each, n) }
    for (let above = blocks.at(-1); above && endOf(above, each) > block.y; above = blocks.at(-1)) {
      blocks.pop()
      const shift = endOf(above, block.spots[0] as Spot) - above.y
      const [m, k] = [above.spots.length, block.spots.length]
      block = {
        spots: [...above.spots, ...block.spots],
        offsets: [...above.offsets, ...block.offsets.map((offset) => offset + shift)],
        y: (m * above.y + k * (block.y - shift)) / (m + k),
      }
    }
    blocks.push(block)
  }
  for (const { spots, offsets, y } of blocks)
    for (const [n, each] of spots.entries()) each.y = y + (offsets[n] ?? 0)
}

/** Where the next spot may stand. */
function endOf({ spots, offsets, y }: { spots: Spot[]; offsets: number[]; y: number }, next: Spot): number {
  const [last, offset = 0] = [spots.at(-1), offsets.at(-1)]
  return y + offset + ((last?.height ?? 0) + next.height) / 2 + GAP
}

const leftOf = ({ column }: Spot): number => MARGIN + column * (NODE.width + COLUMN_GAP)

/** From the right edge of the first to the left edge of the last; straight through the columns between. */
function pathAlong(way: readonly Spot[]): string {
  const [first, ...rest] = way
  if (!first) return ''
  const bend = COLUMN_GAP / 2
  let path = `M${leftOf(first) + NODE.width} ${round(first.y)}`
  let y = first.y
  for (const [n, each] of rest.entries()) {
    const left = leftOf(each)
    path += `C${left - bend} ${round(y)} ${left - bend} ${round(each.y)} ${left} ${round(each.y)}`
    if (n < rest.length - 1) path += `H${left + NODE.width}`
    y = each.y
  }
  return path
}

const round = (value: number): number => Math.round(value * 10) / 10
