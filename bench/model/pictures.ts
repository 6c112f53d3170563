// Two charts of the model: pods over time, and the cost of short waits. Called by main.ts.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { spreadOf } from '../runner.ts'
import { numberText } from '../scenario.ts'
import type { Change, Outcome } from './cluster.ts'
import type { Load } from './loads.ts'
import { contestants, type PolicyName } from './policies.ts'
import type { Ran } from './report.ts'

type Played = readonly { load: Load; ran: readonly Ran[] }[]

const WIDTH = 800
const INK = '#57606a'
const COLORS: Record<PolicyName, string> = {
  millhand: '#c2571a',
  'millhand-latency': '#e0a074',
  keda: '#8c959f',
  'keda-tuned': '#3b6ea5',
  'keda-tuned-10-min': '#93b5d6',
}
/** The loads with the largest differences: load → the last minute that is shown. */
const OVER_TIME: Record<string, number> = { burst: 8, long: 150 }
const PANEL = 270
const TITLE = { left: 0, top: 0, textStyle: { fontSize: 15, color: INK }, subtextStyle: { color: INK } }
// Wider than necessary, because the width of a text is only estimated.
const LEGEND = { left: 0, itemGap: 44, itemWidth: 14, textStyle: { color: INK, fontSize: 11 } }

export async function writePictures(folder: string, played: Played): Promise<void> {
  const echarts = await import('echarts')
  mkdirSync(folder, { recursive: true })
  const write = (name: string, height: number, option: object) => {
    const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height })
    const textStyle = { fontFamily: 'system-ui, sans-serif', color: INK }
    chart.setOption({ animation: false, textStyle, ...option })
    writeFileSync(join(folder, `${name}.svg`), chart.renderToSVGString())
    chart.dispose()
  }
  const changing = played.filter(({ load }) => load.id in OVER_TIME)
  if (changing.length > 0) write('scaling-pods', changing.length * PANEL, podsOverTime(changing))
  write('scaling-cost', 440, waitsAndCosts(played))
}

/** The first pool of the first seed, one panel a load. */
function podsOverTime(played: Played) {
  const panels = played.map(({ load, ran }, panel) => ({
    ...{ load, top: panel * PANEL },
    // Without data a pool is scaled by Concurrency; its line would hide the other one.
    ran: ran.filter(({ contestant }) => contestant.name !== 'millhand-latency'),
  }))
  return {
    title: panels.map(({ load, top }) => ({
      ...TITLE,
      text: `${load.title}: how many pods there are (first seed)`,
      top,
    })),
    legend: panels.map(({ load, ran, top }) => ({
      ...LEGEND,
      data: ran.map((each) => labelOf(load, each)),
      top: top + 26,
    })),
    grid: panels.map(({ top }) => ({ left: 40, right: 20, top: top + 58, height: PANEL - 108 })),
    xAxis: panels.map(({ load }, gridIndex) => ({
      ...{ type: 'value', gridIndex, max: OVER_TIME[load.id], splitLine: { show: false } },
      ...{ name: 'minutes since the first job', nameLocation: 'middle', nameGap: 22 },
    })),
    yAxis: panels.map((_, gridIndex) => ({ type: 'value', gridIndex, minInterval: 1 })),
    series: panels.flatMap(({ load, ran }, panel) =>
      ran.map((each) => ({
        ...{ type: 'line', step: 'end', symbol: 'none', xAxisIndex: panel, yAxisIndex: panel },
        name: labelOf(load, each),
        color: COLORS[each.contestant.name],
        lineStyle: { width: each.contestant.name === 'millhand' ? 2.5 : 1.5 },
        data: stepsOf(each.rounds[0]?.outcomes[0]),
      })),
    ),
  }
}

function labelOf({ id }: Load, { contestant, rounds }: Ran): string {
  const { p95 = 0, killed = 0 } = rounds[0]?.figures ?? {}
  const found = id === 'long' ? `${numberText(killed)} killed` : `wait p95 ${numberText(p95)} s`
  return `${contestant.title}: ${found}`
}

function stepsOf(outcome: Outcome | undefined): number[][] {
  if (!outcome) return []
  const { pods, beganAtMs, endedAtMs } = outcome
  const at = ({ atMs, count }: Change) => [Math.max(0, atMs - beganAtMs) / 60_000, count]
  const last = { atMs: endedAtMs, count: pods.at(-1)?.count ?? 0 }
  return [[0, 0], ...pods.map(at), at(last)]
}

/** A point for each load and contestant, but none where the maximum of pods decides the wait. */
function waitsAndCosts(played: Played) {
  const shown = played.filter(({ load }) => load.id !== 'flood')
  const present = (name: PolicyName) => shown.some(({ load }) => load.policies.includes(name))
  const everywhere = contestants.filter(({ name }) => name !== 'keda-tuned-10-min' && present(name))
  const pointOf = ({ load, ran }: Played[number], name: PolicyName) => {
    const each = ran.find(({ contestant }) => contestant.name === name)
    const [p95, hours, least] = ['p95', 'podHours', 'leastPodHours'].map(
      (figure) => each && spreadOf(each, figure)?.median,
    )
    if (p95 === undefined || !hours || !least) return []
    return [{ value: [hours / least, Math.max(LEAST_WAIT, p95)], name: load.id }]
  }
  return {
    title: {
      ...TITLE,
      text: 'What is waited, and what it costs',
      subtext: 'left is cheap, low is quick; a point a load; 0.1 s stands for anything shorter',
    },
    legend: { ...LEGEND, top: 52 },
    grid: { left: 60, right: 60, top: 88, bottom: 50 },
    xAxis: {
      ...{ type: 'value', min: 1, nameLocation: 'middle', nameGap: 28 },
      name: 'pod time, as a multiple of what the jobs need',
    },
    yAxis: {
      ...{ type: 'log', min: LEAST_WAIT, nameLocation: 'middle', nameGap: 44 },
      name: 'wait p95, s (logarithmic)',
    },
    series: everywhere.map(({ name, title }) => ({
      ...{ name: title, type: 'scatter', symbolSize: 11, color: COLORS[name] },
      label: {
        ...{ show: true, formatter: '{b}', color: INK, fontSize: 11 },
        position: name === 'keda-tuned' ? 'top' : 'right',
      },
      data: shown.flatMap((each) => pointOf(each, name)),
    })),
  }
}

const LEAST_WAIT = 0.1
