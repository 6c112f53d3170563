// The dashboard and the alerts asked of a real Prometheus, which scrapes two operators and the workers of a small run as the chart's
// ServiceMonitor and PodMonitor have it: every expression is understood, and what is to be seen is seen.
import type { ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'yaml'
import { onTestbed } from '../cluster/suites.ts'
import { prometheus } from '../cluster/tools.ts'
import { eventually } from '../eventually.ts'
import { freePort } from '../free-port.ts'
import { ask, askAll } from '../operator/cluster/asking.ts'
import {
  type KubeJson,
  type OperatorProcess,
  openScene,
  type Scene,
  schedule,
  taskQueue,
} from '../operator/cluster/scene.ts'
import { chart, one, readChart, render } from './chart.ts'

interface Variable {
  name: string
  type: string
  definition?: string
  allValue?: string
}
interface Panel {
  title: string
  targets?: { expr: string }[]
}
interface Endpoint {
  path: string
  port: string
  honorLabels?: boolean
  relabelings?: { sourceLabels?: string[]; targetLabel?: string; regex?: string; replacement?: string }[]
}
interface Result {
  metric: Record<string, string>
  value: [number, string]
}
interface Rule {
  name: string
  health: string
  state: string
  lastError?: string
}

const dashboard = JSON.parse(readChart('files/dashboard.json'))
const panels: Panel[] = dashboard.panels
const variables: Variable[] = dashboard.templating.list
const expressions = panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr })))
/** What they show is wrong, and nothing is. */
const EMPTY_WHEN_ALL_IS_WELL = ['Workers without Redis']
const MINUTE = { withinMs: 60_000, everyMs: 1_000 }
const RELEASE = 'millhand-system'

onTestbed('a Prometheus that scrapes operators and workers', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millhand-prometheus-'))
  let scene: Scene
  let server: ChildProcess | undefined
  let ended: Promise<void> | undefined
  let url: string
  beforeAll(async () => {
    const program = await prometheus()
    scene = await openScene('dashboard')
    const operators = [scene.operator, await scene.startOperator()]
    const port = await freePort()
    url = `http://127.0.0.1:${port}`
    writeFileSync(join(folder, 'prometheus.json'), JSON.stringify(await configuration(operators)))
    mkdirSync(join(folder, 'data'))
    const flags = {
      'config.file': join(folder, 'prometheus.json'),
      'storage.tsdb.path': join(folder, 'data'),
      'web.listen-address': `127.0.0.1:${port}`,
      'log.level': 'error',
    }
    server = scene.cluster.inside(
      [program, ...Object.entries(flags).map(([name, value]) => `--${name}=${value}`)],
      { stdio: ['ignore', 'inherit', 'inherit'] },
    )
    ended = new Promise((resolve) => server?.once('exit', () => resolve()))
    await eventually(async () => (await ask(scene.cluster, `${url}/-/ready`)).status === 200, MINUTE)
    await smallRun()
  }, 3_600_000)
  afterAll(async () => {
    server?.kill()
    await ended
    await scene?.remove()
    rmSync(folder, { recursive: true, force: true })
  }, 60_000)

  test.each(['all of everything', 'this run’s namespace, queue and pool'])(
    'every panel shows something of %s',
    async (what) => {
      const chosen = what.startsWith('all')
        ? undefined
        : { namespace: scene.namespace, queue: 'mail', workerpool: 'mail' }
      const asked = expressions.map(({ title, expr }) => ({ title, expr: substituted(expr, chosen) }))
      const wanted = asked.filter(({ title }) => !EMPTY_WHEN_ALL_IS_WELL.includes(title))
      expect(wanted.length).toBeGreaterThan(25)
      // Rates need a second scrape after what they measure.
      let empty: unknown[] = []
      await eventually(async () => {
        const results = await query(wanted.map(({ expr }) => expr))
        empty = wanted.filter(
          (_, index) => !results[index]?.some(({ value }) => !Number.isNaN(Number(value[1]))),
        )
        return empty.length === 0
      }, MINUTE).catch(() => {})
      expect(empty).toEqual([])
      await query(asked.map(({ expr }) => expr))
    },
    90_000,
  )

  test('each variable of the dashboard has values to choose from', async () => {
    const asked = variables.filter(({ type }) => type === 'query')
    expect(asked.map(({ name }) => name)).toEqual(['namespace', 'queue', 'workerpool'])
    for (const { name, definition = '' } of asked) {
      const [, metric = '', label] = /^label_values\((.*), (\w+)\)$/.exec(substituted(definition)) ?? []
      const match = new URLSearchParams({ 'match[]': metric })
      const { text } = await ask(scene.cluster, `${url}/api/v1/label/${label}/values?${match}`)
      expect(JSON.parse(text).data).toContain(name === 'namespace' ? scene.namespace : 'mail')
    }
  }, 60_000)

  test('every alert is evaluated without an error, and a healthy run raises none', async () => {
    const defined = parse(readChart('files/alerts.yaml')).groups.flatMap(
      (group: { rules: unknown[] }) => group.rules,
    )
    const told = async (): Promise<Rule[]> => {
      const { text } = await ask(scene.cluster, `${url}/api/v1/rules`)
      return JSON.parse(text).data.groups.flatMap((group: { rules: Rule[] }) => group.rules)
    }
    const rules = await eventually(async () => {
      const found = await told()
      return found.length > 0 && found.every(({ health }) => health !== 'unknown') ? found : undefined
    }, MINUTE)
    expect(rules.length).toBe(defined.length)
    expect(rules.filter(({ health }) => health !== 'ok')).toEqual([])
    expect(rules.filter(({ state }) => state === 'firing')).toEqual([])
    const ofTrouble = ['MillhandRedisUnreachable', 'MillhandOperatorWithoutLeader', 'MillhandQueueOld']
    const pending = async () =>
      (await told()).filter(({ name, state }) => ofTrouble.includes(name) && state !== 'inactive')
    // One scrape that comes late makes an alert pending, until the next.
    await eventually(async () => (await pending()).length === 0, MINUTE)
  }, 90_000)

  /** Jobs that succeed and one that does not, in bursts: of a counter that was not there before, the first step is no increase. */
  async function smallRun(): Promise<void> {
    const scaling = { minReplicas: 1, maxReplicas: 3 }
    await scene.apply(taskQueue('mail'), scene.pool('mail', { scaling, drain: { timeoutSeconds: 1 } }))
    await eventually(async () => (await workersUp()) === 1, MINUTE)
    for (const pods of [2, 3]) {
      // One slot stays free.
      await scene.enqueue('mail', 'sleep', Array(pods === 2 ? 3 : 2).fill({ ms: 120_000 }))
      await eventually(async () => (await workersUp()) === pods, MINUTE)
      await scene.enqueue('mail', 'die', [null])
    }
    for (const round of [1, 2]) {
      await scene.enqueue('mail', 'echo', [round, round, round])
      const queue = await scene.queue('mail')
      await eventually(async () => (await queue.depth()).counts.completed === 3 * round, MINUTE)
    }
    await scene.apply(schedule('yearly', { queue: 'mail', cron: '@yearly', task: 'echo' }))
    const { schedules, flows } = await scene.queue('mail')
    const batch = {
      id: 'batch',
      onFailure: 'batch',
      keepMs: 60_000,
      expiresInMs: undefined,
      returns: 'null',
      callbacks: {},
      jobs: [],
    } as const
    await flows.start(batch)
    await flows.closeBatch(batch.id)
    await eventually(() => schedules.run('yearly'), { ...MINUTE, what: 'a run of the schedule' })
  }

  /** Debian's Prometheus does not find pods by itself: it is told of them with the labels that it would give them. */
  async function tellPods(): Promise<void> {
    const { items } = await scene.get('pods')
    const written = join(folder, 'pods.json')
    writeFileSync(`${written}.new`, JSON.stringify(items.flatMap(podTargets)))
    renameSync(`${written}.new`, written)
  }

  async function workersUp(): Promise<number> {
    await tellPods()
    const [up = []] = await query(['up{container="worker"} == 1'])
    return up.length
  }

  /** Fails with what Prometheus says of the first that it does not understand. */
  async function query(asked: readonly string[]): Promise<Result[][]> {
    const urls = asked.map((expr) => `${url}/api/v1/query?${new URLSearchParams({ query: expr })}`)
    const answers = await askAll(scene.cluster, urls)
    return answers.map(({ status, text }, index) => {
      if (status !== 200) throw new Error(`${asked[index]}: ${text}`)
      return JSON.parse(text).data.result
    })
  }

  /** As Grafana does it; all values where none are chosen. */
  function substituted(expr: string, chosen: Record<string, string> = {}): string {
    const known: Record<string, string> = { __rate_interval: '10m' }
    for (const { name, allValue = '.*' } of variables) known[name] = chosen[name] ?? allValue
    return expr.replace(/\$(\w+)|\$\{(\w+)\}/g, (whole, name, braced) => {
      const value = known[name ?? braced]
      if (value === undefined) throw new Error(`${whole} in ${expr} is no variable of the dashboard`)
      return value
    })
  }

  /** What the Prometheus operator would make of the chart's monitors. */
  async function configuration(operators: readonly OperatorProcess[]): Promise<object> {
    const metrics = { serviceMonitor: { enabled: true }, podMonitor: { enabled: true } }
    const resources = await render({ metrics }, { namespace: RELEASE })
    const [service] = (one(resources, 'ServiceMonitor').spec as { endpoints: Endpoint[] }).endpoints
    const [pod] = (one(resources, 'PodMonitor').spec as { podMetricsEndpoints: Endpoint[] })
      .podMetricsEndpoints
    const often = { scrape_interval: '1s', scrape_timeout: '1s' }
    return {
      global: { evaluation_interval: '1s' },
      rule_files: [join(chart, 'files/alerts.yaml')],
      scrape_configs: [
        {
          job_name: 'operators',
          ...often,
          ...scraping(service),
          static_configs: operators.map(operatorTarget),
        },
        {
          job_name: 'workers',
          ...often,
          ...scraping(pod),
          file_sd_configs: [{ files: [join(folder, 'pods.json')], refresh_interval: '1s' }],
          relabel_configs: [...podLabels(pod), ...relabelingsOf(pod)],
        },
      ],
    }
  }
})

function scraping(endpoint: Endpoint | undefined) {
  return { metrics_path: endpoint?.path, honor_labels: endpoint?.honorLabels ?? false }
}

/** A Service's target carries these; the operators of this run are processes. */
function operatorTarget({ port }: OperatorProcess, index: number) {
  const service = { job: 'millhand', service: 'millhand', namespace: RELEASE, endpoint: 'http' }
  return {
    targets: [`127.0.0.1:${port}`],
    labels: { ...service, container: 'operator', pod: `millhand-${index}` },
  }
}

function podTargets({ metadata, spec, status }: KubeJson) {
  if (!status.podIP) return []
  const labels = Object.entries(metadata.labels).flatMap(([name, value]) => {
    const known = name.replace(/\W/g, '_')
    return [
      [`__meta_kubernetes_pod_label_${known}`, value],
      [`__meta_kubernetes_pod_labelpresent_${known}`, 'true'],
    ]
  })
  const meta = {
    ...Object.fromEntries(labels),
    __meta_kubernetes_namespace: metadata.namespace,
    __meta_kubernetes_pod_name: metadata.name,
  }
  return spec.containers.flatMap(({ name, ports = [] }: KubeJson) =>
    ports.map((port: KubeJson) => ({
      targets: [`${status.podIP}:${port.containerPort}`],
      labels: {
        ...meta,
        __meta_kubernetes_pod_container_name: name,
        __meta_kubernetes_pod_container_port_name: port.name ?? '',
      },
    })),
  )
}

/** What the Prometheus operator writes for every PodMonitor, and for the selector of this one. */
function podLabels(endpoint: Endpoint | undefined): object[] {
  const from = (label: string, target_label: string) => ({
    source_labels: [`__meta_kubernetes_${label}`],
    target_label,
  })
  const keep = (label: string, regex: string) => ({
    action: 'keep',
    source_labels: [`__meta_kubernetes_${label}`],
    regex,
  })
  return [
    keep('pod_label_app_kubernetes_io_managed_by', 'millhand'),
    keep('pod_labelpresent_millhand_dev_pool', 'true'),
    keep('pod_container_port_name', endpoint?.port ?? ''),
    from('namespace', 'namespace'),
    from('pod_container_name', 'container'),
    from('pod_name', 'pod'),
    { target_label: 'job', replacement: `${RELEASE}/millhand-workers` },
    { target_label: 'endpoint', replacement: endpoint?.port },
  ]
}

function relabelingsOf(endpoint: Endpoint | undefined): object[] {
  return (endpoint?.relabelings ?? []).map(({ sourceLabels, targetLabel, ...rest }) => ({
    ...rest,
    ...(sourceLabels && { source_labels: sourceLabels }),
    ...(targetLabel && { target_label: targetLabel }),
  }))
}
