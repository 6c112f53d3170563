// A small chart beside a number: how it went over the last hour.
import type { History } from '../../src/api.ts'

const HEIGHT = 20

export function Spark({ of, series, name }: { of: History | undefined; series: string; name: string }) {
  const values = of?.columns.find((column) => column.series === series)?.values ?? []
  const most = values.reduce<number>((most, n) => Math.max(most, n ?? 0), 0)
  const width = Math.max(1, values.length - 1)
  return (
    <svg
      class="spark"
      viewBox={`0 -1 ${width} ${HEIGHT + 2}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={`${name} over the last hour`}
    >
      {partsOf(values).map((part) => {
        const [begin = 0, end = 0] = [part[0]?.[0], part.at(-1)?.[0]]
        const line = part.map(([n, value]) => `${n},${HEIGHT - (most === 0 ? 0 : (value / most) * HEIGHT)}`)
        return (
          <g key={begin}>
            <path class="ground" d={`M${begin},${HEIGHT}L${line.join('L')}L${end},${HEIGHT}Z`} />
            <polyline points={line.join(' ')} />
          </g>
        )
      })}
    </svg>
  )
}

type Point = [n: number, value: number]

/** A step of which nothing is known is a gap. */
function partsOf(values: readonly (number | null)[]): Point[][] {
  const parts: Point[][] = [[]]
  values.forEach((value, n) => {
    if (value !== null) parts.at(-1)?.push([n, value])
    else if (parts.at(-1)?.length) parts.push([])
  })
  return parts.filter((part) => part.length > 0).map(widened)
}

/** One point alone would not be seen. */
function widened(part: Point[]): Point[] {
  const [only, second] = part
  return only && !second
    ? [
        [only[0] - 0.5, only[1]],
        [only[0] + 0.5, only[1]],
      ]
    : part
}
