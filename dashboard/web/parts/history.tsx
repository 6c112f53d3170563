// What a queue did over the last hour, day or month: four charts over the same time, which is in the address.
import { useMemo } from 'preact/hooks'
import type { History } from '../../src/api.ts'
import { address } from '../app/api.ts'
import { CHARTS, isUnknown, linesOf, RANGES, SERIES } from '../app/history.ts'
import { count, rate } from '../app/numbers.ts'
import { useResource } from '../app/resource.ts'
import { here, query } from '../app/router.ts'
import { duration } from '../app/time.ts'
import { Chart } from './chart.tsx'
import { Shown } from './feedback.tsx'
import { TaskTable } from './task-table.tsx'

const [SHORTEST = '1h'] = Object.keys(RANGES)
const TEXTS = { 'a minute': rate, ms: duration, jobs: count } as const

export function HistoryCard({ namespace, name }: { namespace: string; name: string }) {
  const asked = query.value.get('range') ?? ''
  const chosen = Object.hasOwn(RANGES, asked) ? asked : SHORTEST
  const { means = '', ms = 0, everyMs = 0 } = RANGES[chosen] ?? {}
  const path = address(['queues', namespace, name, 'history'], { series: SERIES, lastMs: ms })
  const history = useResource<History>(path, everyMs)
  return (
    <section class="card" aria-label="History">
      <div class="card-head">
        <h2>History</h2>
        <span class="muted small">{means}</span>
        <nav class="more ranges" aria-label="How far back">
          {Object.entries(RANGES).map(([range, { means }]) => (
            <a
              key={range}
              href={here({ range: range === SHORTEST ? undefined : range })}
              title={means}
              aria-current={range === chosen ? 'true' : undefined}
            >
              {range}
            </a>
          ))}
        </nav>
      </div>
      <Shown of={history} what="the history">
        {(value) => <Charts key={path} of={value} />}
      </Shown>
      <TaskTable namespace={namespace} name={name} lastMs={ms} everyMs={everyMs} />
    </section>
  )
}

function Charts({ of }: { of: History }) {
  const charts = useMemo(() => CHARTS.map((chart) => ({ chart, lines: linesOf(chart, of) })), [of])
  return (
    <div class="charts">
      {charts.map(({ chart: { title, means, unit }, lines }) => (
        <div key={title}>
          <h3>{title}</h3>
          <p class="muted small">{means}</p>
          {isUnknown(lines) ? (
            <p class="muted unknown">Nothing is known of this time.</p>
          ) : (
            <Chart title={title} timesMs={of.times} lines={lines} text={TEXTS[unit]} />
          )}
        </div>
      ))}
    </div>
  )
}
