// The alerts and the dashboard: Prometheus understands them, they fire when they should, and ask for metrics that there are.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { jest } from '@jest/globals'
import { parse } from 'yaml'
import { run } from '../cluster/run.ts'
import { promtool } from '../cluster/tools.ts'
import { one, readChart, render } from './chart.ts'

jest.setTimeout(600_000) // the first call of a tool fetches it

interface Alert {
  alert: string
  expr: string
  labels: { severity: string }
  annotations: Record<string, string>
}
interface Panel {
  title: string
  description?: string
  type: string
  targets?: { expr: string }[]
}

const file = fileURLToPath(new URL('../../charts/millhand/files/alerts.yaml', import.meta.url))
const rules = parse(readFileSync(file, 'utf8'))
const alerts = rules.groups[0].rules as Alert[]
const panels = (JSON.parse(readChart('files/dashboard.json')).panels as Panel[]).filter(
  ({ type }) => type !== 'row',
)
const expressions = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))

test('the alerts fire when they should, and only then', async () => {
  await run([await promtool(), 'test', 'rules', 'alerts.test.yaml'], {
    folder: fileURLToPath(new URL('.', import.meta.url)),
  })
})

test('each alert is tried, and says what to do', async () => {
  const tried = readFileSync(new URL('alerts.test.yaml', import.meta.url), 'utf8')
  expect(alerts.length).toBeGreaterThanOrEqual(6)
  for (const { alert, labels, annotations } of alerts) {
    expect(tried).toMatch(new RegExp(`alertname: ${alert}\\b.*\\n?.*exp_alerts:( [&*]|\\n)`))
    expect(['info', 'warning', 'critical']).toContain(labels.severity)
    expect(annotations.description?.length).toBeGreaterThan(40)
  }
})

test('the chart passes the alerts on as they are', async () => {
  const values = { metrics: { prometheusRule: { enabled: true, labels: { release: 'prom' } } } }
  const rule = one(await render(values), 'PrometheusRule')
  expect(rule.spec).toEqual(rules)
  expect(rule.metadata.labels).toMatchObject({ release: 'prom' })
})

test('Prometheus understands what the dashboard asks', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millhand-dashboard-'))
  try {
    const queries = expressions.map((expr, index) => ({
      record: `panel:${index}`,
      expr: expr.replaceAll('$__rate_interval', '5m').replaceAll(/\$\w+/g, '.*'),
    }))
    const path = join(folder, 'queries.yaml')
    writeFileSync(path, JSON.stringify({ groups: [{ name: 'dashboard', rules: queries }] }))
    expect(await run([await promtool(), 'check', 'rules', path])).toContain(`${queries.length} rules found`)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('the dashboard says of each panel what it shows', () => {
  expect(panels.length).toBeGreaterThan(20)
  const titles = panels.map(({ title }) => title)
  expect(new Set(titles).size).toBe(titles.length)
  expect(panels.filter(({ description = '' }) => description.length < 10)).toEqual([])
})

test('alerts and dashboard ask for metrics that operator, workers and kube-state-metrics have', () => {
  const asked = [...alerts.map(({ expr }) => expr), ...expressions].flatMap(metricsIn)
  expect(asked).toContain('millhand_queue_jobs')
  const unknown = asked.filter((name) => !declared.has(name) && !OTHERS.includes(name))
  expect([...new Set(unknown)]).toEqual([])
})

test('every metric of Millhand is on the dashboard or in an alert', () => {
  const asked = new Set([...alerts.map(({ expr }) => expr), ...expressions].flatMap(metricsIn))
  const own = [...declared].filter((name) => name.startsWith('millhand_'))
  expect(own.length).toBeGreaterThan(10)
  expect(own.filter((name) => !asked.has(name))).toEqual([])
})

const OTHERS = [
  'kube_pod_container_status_waiting_reason',
  'nodejs_eventloop_lag_p99_seconds',
  'process_resident_memory_bytes',
]

/** Names of metrics as the two sources register them. */
const declared = new Set(
  ['operator', 'worker-runtime'].flatMap((part) => {
    const text = readFileSync(new URL(`../../${part}/src/metrics.ts`, import.meta.url), 'utf8')
    const names = /'((?:millhand|controller_runtime|workqueue|rest_client|leader_election)_\w+)'/g
    return [...text.matchAll(names)].map(([, name = '']) => name)
  }),
)

/** Words of a query that are neither labels nor functions: those before a selector, or that look like a metric of ours. */
function metricsIn(expr: string): string[] {
  const bare = expr.replaceAll(/"[^"]*"/g, '""').replaceAll(/\b(by|on|ignoring|without) *\([^)]*\)/g, '')
  const words = bare.replaceAll(/\{[^}]*\}/g, '{}').matchAll(/\b([a-z]\w*_\w+)\b(?!\()/g)
  return [...words].map(([, name = '']) => name.replace(/_bucket$/, ''))
}
