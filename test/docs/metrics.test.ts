// docs/metrics.md against the code: every metric with its labels, every alert with its time and severity, every row of the dashboard; and
// what it tells people to ask is PromQL of metrics that there are.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { jest } from '@jest/globals'
import { parse } from 'yaml'
import type { SeenQueue } from '../../control/src/redis/seen-queue.ts'
import type { Servers } from '../../control/src/redis/servers.ts'
import { createMetrics as metricsOfOperator } from '../../operator/src/metrics.ts'
import { createMetrics as metricsOfWorker } from '../../worker-runtime/src/metrics.ts'
import { run } from '../cluster/run.ts'
import { promtool } from '../cluster/tools.ts'
import { seenSchedule } from '../control/decide/seen-schedule.ts'

jest.setTimeout(600_000) // the first call of a tool fetches it

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const page = read('docs/metrics.md')
const alerts: { alert: string; for?: string; labels: { severity: string } }[] = parse(
  read('charts/millhand/files/alerts.yaml'),
).groups[0].rules
const samples = async () => `${await operatorPage()}\n${await workerPage()}`

test('every metric is listed with its kind and its labels, and no other', async () => {
  const rows = [...page.matchAll(/^\| `(\w+)` \| ([\w, ]*?) ?\| (gauge|counter|histogram): /gm)]
  const listed = rows.map(([, name, labels, kind]) => `${kind} ${name} ${labels}`.trim())
  expect(listed.sort()).toEqual(metricsIn(await samples()))
})

test('every alert is listed with its time and severity', () => {
  const rows = [...page.matchAll(/^\| `(Millhand\w+)` \| ([^|]*) \| (\w+) \|/gm)]
  const listed = rows.map(([, name, when = '', severity]) => [
    name,
    / for (\d+[mh])\b/.exec(when)?.[1],
    severity,
  ])
  expect(listed).toEqual(alerts.map((each) => [each.alert, each.for, each.labels.severity]))
})

test('every row of the dashboard is told', () => {
  const { panels } = JSON.parse(read('charts/millhand/files/dashboard.json')) as {
    panels: { type: string; title: string }[]
  }
  const rows = panels.flatMap(({ type, title }) => (type === 'row' ? [title] : []))
  const section = page.slice(page.indexOf('## Dashboard'))
  expect([...section.matchAll(/^- \*\*(.*?)\*\*/gm)].map(([, title]) => title)).toEqual(rows)
})

test('what to ask is PromQL of these metrics', async () => {
  const asked = [...page.matchAll(/```promql\n([\s\S]*?)```/g)].map(([, expr = '']) => expr)
  expect(asked.length).toBeGreaterThan(4)
  const known = metricsIn(await samples()).map((metric) => metric.split(' ')[1])
  const named = asked.flatMap((expr) => expr.match(/\bmillhand_\w+/g) ?? [])
  expect(named.filter((name) => !known.includes(name.replace(/_bucket$/, '')))).toEqual([])
  const folder = mkdtempSync(join(tmpdir(), 'millhand-test-'))
  const file = join(folder, 'rules.json')
  const rules = asked.map((expr, index) => ({ record: `asked:${index}`, expr }))
  writeFileSync(file, JSON.stringify({ groups: [{ name: 'asked', rules }] }))
  try {
    expect(await run([await promtool(), 'check', 'rules', file])).toContain(`${asked.length} rules found`)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

/** `kind name labels`, without what prom-client says of every process. */
function metricsIn(text: string): string[] {
  const kinds = [...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].filter(
    ([, name = '']) => !/^(process|nodejs)_/.test(name),
  )
  return kinds
    .map(([, name, kind]) => {
      const [, labels] = new RegExp(`^${name}(?:_count)?(?:\\{(.*)\\})? `, 'm').exec(text) ?? []
      const names = [...(labels ?? '').matchAll(/(\w+)="/g)].map(([, label]) => label)
      return `${kind} ${name} ${names.sort().join(', ')}`.trim()
    })
    .sort()
}

/** After one of everything happened. */
async function operatorPage(): Promise<string> {
  const depth = {
    ready: 0,
    busy: 0,
    delayed: 0,
    buried: 0,
    blocked: 0,
    oldestReadyMs: 0,
    flows: { running: 0, started: 1, completed: 1, failed: 0, cancelled: 0 },
    counts: { vanished: 0, expired: 0 },
  }
  const queue = { namespace: 'shop', isReachable: true, lastView: { depth } } as unknown as SeenQueue
  const metrics = metricsOfOperator({
    leaseName: 'millhand',
    namespaces: () => [{ namespace: 'shop', isReadable: true }],
    servers: () => ({ queues: [queue] }) as unknown as Servers,
    taskQueueOf: () => 'mail',
    wallMs: () => 0,
  })
  const pool = { metadata: { namespace: 'shop', name: 'mail' } } as never
  const currentStatus = {
    desiredReplicas: 1,
    replicas: 1,
    readyReplicas: 1,
    drainingReplicas: 0,
    terminatingReplicas: 0,
    conditions: [],
  }
  metrics.onPlanned({ pool } as never, { decision: {}, currentStatus } as never)
  metrics.onDecision(pool, 'Concurrency')
  metrics.onSchedule(
    seenSchedule({ last: { id: 'a', dueAtMs: 1, firedAtMs: 2, lateMs: 1, state: 'ready' } }, 0),
  )
  metrics.onStatusRefused('TaskQueue')
  metrics.onRequest({ method: 'GET', code: 200, verb: 'get', durationMs: 1 } as never)
  const { controllers } = metrics
  controllers.onReconciled({ controller: 'workerpool', result: 'error', durationMs: 1 })
  controllers.onAdded?.({ controller: 'workerpool', depth: 1 })
  controllers.onTaken?.({ controller: 'workerpool', depth: 0, waitedMs: 1 })
  controllers.onRetried?.({ controller: 'workerpool' })
  return (await metrics.read()).text
}

async function workerPage(): Promise<string> {
  const metrics = metricsOfWorker({ slots: 1, queues: new Map([['shop.mail', 'mail']]), nowMs: () => 0 })
  metrics.watch({ busySlots: () => 0, isRedisUp: () => true, zygoteRssBytes: () => 1 })
  metrics.claimed('shop.mail', 0)
  const facts = { startedAtMs: 0, durationMs: 1, cpuUserMs: 1 }
  metrics.ended('shop.mail', 'send', { kind: 'succeeded', result: '1', facts })
  metrics.forked(1)
  return (await metrics.page()).text
}
