// Where the lines of a flow stand in a graph.
import fc from 'fast-check'
import { type Drawn, drawn, NODE } from '../../../dashboard/web/app/layers.ts'

interface Line {
  depth: number
  behind: number[]
}

/** Lines in the order of a tree, each one column behind the last that it waits for. */
function linesOf(waits: readonly (readonly number[])[]): Line[] {
  const lines: Line[] = []
  for (const [n, chosen] of waits.entries()) {
    const behind = [...new Set(chosen.filter((each) => n > 0 && each < n))].sort((a, b) => a - b)
    const depth = Math.max(-1, ...behind.map((each) => lines[each]?.depth ?? 0)) + 1
    lines.push({ depth, behind })
  }
  return lines
}

const anyLines = fc
  .array(fc.array(fc.nat({ max: 40 }), { maxLength: 4 }), { minLength: 1, maxLength: 40 })
  .map(linesOf)

/** The points of an arrow: its begin, and the end of each of its parts. */
const pointsOf = (path: string): { x: number; y: number }[] => {
  let y = 0
  return path.split(/(?=[MCH])/).map((part) => {
    const numbers = part.slice(1).split(' ').map(Number)
    if (part[0] === 'H') return { x: numbers[0] ?? 0, y }
    y = numbers.at(-1) ?? 0
    return { x: numbers.at(-2) ?? 0, y }
  })
}

const middleOf = ({ places }: Drawn, n: number) => (places[n]?.y ?? 0) + NODE.height / 2

test('no line stands on another, and all are inside of the picture', () => {
  fc.assert(
    fc.property(anyLines, (lines) => {
      const { places, width, height } = drawn(lines)
      for (const [n, { x, y }] of places.entries()) {
        expect(x).toBeGreaterThanOrEqual(0)
        expect(y).toBeGreaterThanOrEqual(0)
        expect(x + NODE.width).toBeLessThanOrEqual(width)
        expect(y + NODE.height).toBeLessThanOrEqual(height)
        for (const other of places.slice(n + 1))
          if (other.x === x) expect(Math.abs(other.y - y)).toBeGreaterThanOrEqual(NODE.height)
      }
    }),
  )
})

test('what waits stands further to the right, and an arrow leads there without crossing a line', () => {
  fc.assert(
    fc.property(anyLines, (lines) => {
      const picture = drawn(lines)
      const { places, arrows } = picture
      expect(arrows).toHaveLength(lines.reduce((sum, { behind }) => sum + behind.length, 0))
      for (const { from, to, path } of arrows) {
        const points = pointsOf(path)
        const [begin, end] = [points[0], points.at(-1)]
        expect(begin?.x).toBe((places[from]?.x ?? 0) + NODE.width)
        expect(end?.x).toBe(places[to]?.x)
        expect(begin?.y).toBeCloseTo(middleOf(picture, from), 0)
        expect(end?.y).toBeCloseTo(middleOf(picture, to), 0)
        expect(begin?.x ?? 0).toBeLessThan(end?.x ?? 0)
        for (const { x, y } of points.slice(1, -1))
          for (const [n, place] of places.entries())
            if (place.x <= x && x <= place.x + NODE.width && n !== from && n !== to)
              expect(y < place.y || y > place.y + NODE.height).toBe(true)
      }
    }),
  )
})

test('a chain is a straight line, and a fork is even', () => {
  const chain = drawn(linesOf([[], [0], [1], [2]]))
  expect(new Set(chain.places.map(({ y }) => y)).size).toBe(1)
  const fork = drawn(linesOf([[], [0], [0], [1, 2]]))
  expect(middleOf(fork, 0)).toBeCloseTo((middleOf(fork, 1) + middleOf(fork, 2)) / 2, 0)
  expect(middleOf(fork, 3)).toBeCloseTo(middleOf(fork, 0), 0)
})

test('two chains side by side do not cross', () => {
  const [a, b, c, d] = [0, 1, 2, 3].map((n) => middleOf(drawn(linesOf([[], [], [0], [1]])), n))
  expect(Math.sign((a ?? 0) - (b ?? 0))).toBe(Math.sign((c ?? 0) - (d ?? 0)))
})
