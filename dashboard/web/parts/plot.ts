// Draws a chart with uPlot: loaded only where a chart is shown.
import uPlot from 'uplot'
import type { Line } from '../app/history.ts'
import { clock, dateAndClock } from '../app/time.ts'

const HEIGHT = 168
const DAY_S = 86_400

export interface Plot {
  show: (timesMs: readonly number[], lines: readonly Line[]) => void
  remove: () => void
}

export function plot(
  place: HTMLElement,
  timesMs: readonly number[],
  lines: readonly Line[],
  text: (value: number) => string,
): Plot {
  const colors = colorsOf(place)
  const made = new uPlot(
    {
      width: place.clientWidth,
      height: HEIGHT,
      legend: { live: true },
      cursor: { y: false, points: { size: 6 } },
      scales: { y: { range: (_, __, most) => [0, most > 0 ? most * 1.1 : 1] } },
      axes: [
        {
          stroke: colors('muted'),
          grid: { show: false },
          ticks: { show: false },
          size: 28,
          values: (_, splits) => splits.map((at) => label(at, splits)),
        },
        {
          stroke: colors('muted'),
          grid: { stroke: colors('border'), width: 1 },
          ticks: { show: false },
          size: 64,
          values: (_, splits) => splits.map(text),
        },
      ],
      series: [
        { label: 'Time', value: (_, at) => (at === null ? '' : dateAndClock(at * 1_000)) },
        ...lines.map(({ label, tone, isThin, isDashed, isFilled }) => ({
          label,
          stroke: colors(tone),
          width: isThin ? 1 : 2,
          ...(isDashed && { dash: [6, 4] }),
          ...(isFilled && { fill: colors(`${tone}-tint`) }),
          points: { show: false, filter: alone },
          value: (_: uPlot, value: number | null, __: number, at: number | null) =>
            value === null ? (at === null ? '' : '–') : text(value),
        })),
      ] as uPlot.Series[],
    },
    dataOf(timesMs, lines),
    place,
  )
  const resized = new ResizeObserver(() => made.setSize({ width: place.clientWidth, height: HEIGHT }))
  resized.observe(place)
  return {
    show: (times, next) => made.setData(dataOf(times, next)),
    remove() {
      resized.disconnect()
      made.destroy()
    },
  }
}

const dataOf = (timesMs: readonly number[], lines: readonly Line[]): uPlot.AlignedData =>
  [timesMs.map((at) => at / 1_000), ...lines.map(({ values }) => [...values])] as uPlot.AlignedData

/** A value between two gaps has no line: it is a point. */
function alone(of: uPlot, series: number): number[] {
  const values = of.data[series] ?? []
  const isGap = (n: number) => typeof values[n] !== 'number'
  return [...values.keys()].filter((n) => !isGap(n) && isGap(n - 1) && isGap(n + 1))
}

/** The clock within a day, the date beyond. */
function label(atS: number, splits: readonly number[]): string {
  const span = (splits.at(-1) ?? 0) - (splits[0] ?? 0)
  return span > DAY_S
    ? dateAndClock(atS * 1_000).replace(/,? \d\d:\d\d$/, '')
    : clock(atS * 1_000).slice(0, 5)
}

/** A canvas knows no variables of CSS. */
function colorsOf(place: HTMLElement): (name: string) => string {
  return (name) => {
    const probe = document.createElement('span')
    probe.style.color = `var(--${name})`
    place.append(probe)
    const { color } = getComputedStyle(probe)
    probe.remove()
    return color
  }
}
