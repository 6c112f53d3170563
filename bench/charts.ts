// SVG charts of a report, one a scenario: bars for the medians, whiskers from minimum to maximum. Called by
// run.ts.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Report } from './report.ts'
import { numberText } from './scenario.ts'

type ScenarioReport = Report['scenarios'][number]

const WIDTH = 800
const INK = '#57606a'

export async function writeCharts(folder: string, report: Report): Promise<void> {
  const echarts = await import('echarts')
  mkdirSync(folder, { recursive: true })
  for (const scenario of report.scenarios) {
    const bars = barsOf(scenario)
    if (bars.length === 0) continue
    const height = 90 + bars.length * 30
    const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height })
    chart.setOption(optionsFor(scenario, bars, report))
    writeFileSync(join(folder, `${scenario.id.toLowerCase()}.svg`), chart.renderToSVGString())
    chart.dispose()
  }
}

interface Bar {
  title: string
  isOurs: boolean
  median: number
  min: number
  max: number
}

function barsOf({ rows, figures }: ScenarioReport): Bar[] {
  const main = figures[0]?.name ?? ''
  return rows.flatMap(({ title, peer, figures: found }) => {
    const spread = found[main]
    return spread ? [{ title, isOurs: peer.startsWith('millhand'), ...spread }] : []
  })
}

function optionsFor({ id, title, figures }: ScenarioReport, bars: Bar[], { machine }: Report) {
  const { cpu, cores, redis } = machine
  return {
    animation: false,
    textStyle: { fontFamily: 'system-ui, sans-serif', color: INK },
    title: {
      text: `${id} ${title}: ${figures[0]?.title}`,
      subtext: `median, least to most; ${figures[0]?.better} is better; ${cpu}, ${cores} cores, Redis ${redis}`,
      textStyle: { fontSize: 15, color: INK },
      subtextStyle: { color: INK },
    },
    grid: { left: 300, right: 90, top: 60, bottom: 10 },
    xAxis: { type: 'value', show: false, max: Math.max(...bars.map(({ max }) => max)) },
    yAxis: {
      type: 'category',
      inverse: true,
      data: bars.map((bar) => bar.title),
      axisLine: { show: false },
      axisTick: { show: false },
      axisLabel: { width: 285, overflow: 'truncate', color: INK },
    },
    series: [
      {
        type: 'bar',
        barWidth: 16,
        data: bars.map(({ median, isOurs }) => ({
          value: median,
          itemStyle: { color: isOurs ? '#c2571a' : '#8c959f' },
        })),
        label: { show: true, position: 'right', distance: 8, color: INK, formatter: labelOf },
      },
      {
        type: 'custom',
        silent: true,
        data: bars.map(({ min, max }, row) => [row, min, max]),
        renderItem: whisker,
      },
    ],
  }
}

const labelOf = ({ value }: { value: unknown }): string => numberText(Number(value))

/** A thin line from minimum to maximum. */
function whisker(_params: unknown, api: { value(at: number): unknown; coord(point: unknown[]): number[] }) {
  const [x1 = 0, y = 0] = api.coord([api.value(1), api.value(0)])
  const [x2 = 0] = api.coord([api.value(2), api.value(0)])
  return { type: 'line', shape: { x1, y1: y + 11, x2, y2: y + 11 }, style: { stroke: INK, lineWidth: 1.5 } }
}
