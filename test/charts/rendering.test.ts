// What the chart makes of its values.
import { readFileSync } from 'node:fs'
import { jest } from '@jest/globals'
import { POOL_LABEL } from '../../operator/src/worker-pool/deployment.ts'
import { nameOf, ofKind, one, type Resource, readChart, render, type Values } from './chart.ts'

jest.setTimeout(600_000) // the first call of a tool fetches it

const MILLHAND = 'millhand.dev'

// Only what these tests read of a pod template.
interface Template {
  metadata: { labels: Record<string, string>; annotations?: Record<string, string> }
  spec: {
    containers: [{ env?: { name: string; value?: string }[]; args?: string[] } & Record<string, unknown>]
  } & Record<string, unknown>
}
const templateOf = (resource: Resource) => (resource.spec as { template: Template }).template
const operatorOf = async (values: Values = {}) => templateOf(one(await render(values), 'Deployment'))
const rulesOf = (role: Resource) =>
  role.rules as { apiGroups: string[]; resources: string[]; verbs: string[]; resourceNames?: string[] }[]

async function environment(values: Values) {
  const { env = [] } = (await operatorOf(values)).spec.containers[0]
  return Object.fromEntries(env.map(({ name, value }) => [name, value]))
}

describe('the operator', () => {
  test('is two pods on different nodes and zones where that is possible, of which one may be evicted', async () => {
    const resources = await render()
    const deployment = one(resources, 'Deployment')
    const selector = (deployment.spec as { selector: object }).selector
    expect(deployment.spec).toMatchObject({ replicas: 2 })
    expect(templateOf(deployment).spec).toMatchObject({
      affinity: {
        podAntiAffinity: {
          preferredDuringSchedulingIgnoredDuringExecution: [
            { podAffinityTerm: { topologyKey: 'kubernetes.io/hostname', labelSelector: selector } },
          ],
        },
      },
      topologySpreadConstraints: [
        {
          whenUnsatisfiable: 'ScheduleAnyway',
          topologyKey: 'topology.kubernetes.io/zone',
          labelSelector: selector,
        },
      ],
    })
    expect(one(resources, 'PodDisruptionBudget').spec).toEqual({ maxUnavailable: 1, selector })
    expect(ofKind(await render({ podDisruptionBudget: { enabled: false } }), 'PodDisruptionBudget')).toEqual(
      [],
    )
  })

  test('runs without root, with a read-only file system, bounded, with its probes', async () => {
    const { spec } = await operatorOf()
    expect(spec).toMatchObject({
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      serviceAccountName: 'millhand',
    })
    expect(spec.containers).toHaveLength(1)
    expect(spec.containers[0]).toMatchObject({
      image: 'millhand/operator:0.1.0',
      securityContext: {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      },
      startupProbe: { httpGet: { path: '/healthz', port: 'http' } },
      livenessProbe: { httpGet: { path: '/healthz', port: 'http' } },
      readinessProbe: { httpGet: { path: '/readyz', port: 'http' } },
      ports: [{ name: 'http', containerPort: 8080 }],
      resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '512Mi' } },
    })
  })

  test('is told by its environment what the values say', async () => {
    expect(await environment({})).toMatchObject({
      MILLHAND_LEASE_NAME: 'millhand',
      MILLHAND_WATCH_NAMESPACES: '',
      MILLHAND_REDIS_SECRETS: 'millhand-redis',
      MILLHAND_QUEUE_NAMES: '',
      MILLHAND_REDIS_NETWORKS: '',
      MILLHAND_HTTP_PORT: '8080',
      MILLHAND_LOG_LEVEL: 'info',
    })
    const values = {
      logLevel: 'debug',
      watch: { namespaces: ['shop', 'team-2'] },
      redis: { secretNames: ['redis', 'redis.eu'] },
    }
    expect(await environment(values)).toMatchObject({
      MILLHAND_WATCH_NAMESPACES: 'shop,team-2',
      MILLHAND_REDIS_SECRETS: 'redis,redis.eu',
      MILLHAND_LOG_LEVEL: 'debug',
    })
  })

  test('is given nothing that it does not read', async () => {
    const config = readFileSync(new URL('../../operator/src/config.ts', import.meta.url), 'utf8')
    const unread = Object.keys(await environment({})).filter((name) => !config.includes(name))
    expect(unread).toEqual([])
  })

  const digest = `sha256:${'a'.repeat(64)}`
  const places: [string, Values, object][] = [
    [
      'image',
      { image: { repository: 'registry.test/x', tag: '9' } },
      { containers: [{ image: 'registry.test/x:9' }] },
    ],
    [
      'digest before the tag',
      { image: { tag: '9', digest } },
      { containers: [{ image: `millhand/operator@${digest}` }] },
    ],
    ['pull policy', { image: { pullPolicy: 'Always' } }, { containers: [{ imagePullPolicy: 'Always' }] }],
    [
      'pull secrets',
      { imagePullSecrets: [{ name: 'registry' }] },
      { imagePullSecrets: [{ name: 'registry' }] },
    ],
    ['node selector', { nodeSelector: { pool: 'system' } }, { nodeSelector: { pool: 'system' } }],
    ['tolerations', { tolerations: [{ operator: 'Exists' }] }, { tolerations: [{ operator: 'Exists' }] }],
    ['priority class', { priorityClassName: 'high' }, { priorityClassName: 'high' }],
    [
      'resources',
      { resources: { limits: { cpu: 1 } } },
      { containers: [{ resources: { limits: { cpu: 1 } } }] },
    ],
  ]
  test.each(places)('takes its %s from the values', async (_, values, expected) => {
    expect((await operatorOf(values)).spec).toMatchObject(expected)
  })

  test('takes its number and annotations from the values', async () => {
    const values = { replicas: 1, podAnnotations: { note: 'x' } }
    const deployment = one(await render(values), 'Deployment')
    expect(deployment.spec).toMatchObject({ replicas: 1 })
    expect(templateOf(deployment).metadata.annotations).toEqual({ note: 'x' })
  })

  test.each([
    ['millhand', 'millhand'],
    ['try', 'try-millhand'],
    ['my-millhand-2', 'my-millhand-2'],
  ])('of the release %s is called %s, and so is its lease', async (name, called) => {
    const resources = await render({}, { name })
    expect(one(resources, 'Deployment').metadata.name).toBe(called)
    const lease = rulesOf(one(resources, 'Role', '-leader')).find(({ resourceNames }) => resourceNames)
    expect(lease?.resourceNames).toEqual([called])
  })
})

test('nothing is ended because its node has too much to do', async () => {
  interface Probe {
    timeoutSeconds?: number
    periodSeconds?: number
    failureThreshold?: number
  }
  const resources = await render({ redis: { embedded: { enabled: true } } })
  const containers = ['Deployment', 'StatefulSet'].map(
    (kind) => templateOf(one(resources, kind)).spec.containers[0],
  )
  const probes = containers.flatMap(({ startupProbe, livenessProbe }) => [startupProbe, livenessProbe])
  const given = probes.filter((probe): probe is Probe => probe !== undefined)
  expect(given).toHaveLength(3)
  for (const { timeoutSeconds = 1, failureThreshold = 3, periodSeconds = 10 } of given) {
    expect(timeoutSeconds).toBeGreaterThanOrEqual(5)
    expect(failureThreshold * periodSeconds).toBeGreaterThanOrEqual(120)
  }
})

describe('names of a release with a long name', () => {
  const letters = (count: number) => 'a'.repeat(count)
  const names = [
    ...[36, 37, 42, 45, 46, 47, 50, 53].map(letters),
    `${letters(38)}-millhand`,
    `${letters(44)}-millhand`,
    `${letters(27)}-${letters(25)}`,
    `${letters(45)}millhand`,
  ]
  const everything = {
    redis: { embedded: { enabled: true } },
    metrics: Object.fromEntries(
      ['serviceMonitor', 'podMonitor', 'prometheusRule', 'dashboard'].map((name) => [
        name,
        { enabled: true },
      ]),
    ),
  }

  test.each(names)('%s: all contain millhand, as the alerts expect, and none is too long', async (name) => {
    const resources = (await render(everything, { name })).filter(
      ({ kind }) => !['CustomResourceDefinition', 'Secret'].includes(kind),
    )
    for (const { kind, metadata } of resources) {
      expect(metadata.name).toContain('millhand')
      expect(metadata.name).toMatch(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/)
      // A StatefulSet gives its pods a label with its name and eleven characters more.
      expect(metadata.name.length).toBeLessThanOrEqual(kind === 'StatefulSet' ? 52 : 63)
    }
    const lease = rulesOf(one(resources, 'Role', '-leader')).find(({ resourceNames }) => resourceNames)
    expect(lease?.resourceNames?.[0]).toMatch(leaderAlert)
  })

  test('differ where only what is cut differs', async () => {
    const called = async (name: string) => one(await render({}, { name }), 'Deployment').metadata.name
    expect(await called(`${letters(52)}1`)).not.toBe(await called(`${letters(52)}2`))
  })
})

/** The names of leases that MillhandOperatorWithoutLeader looks for. */
const leaderAlert = new RegExp(
  `^${/leader_election_master_status\{name=~"([^"]+)"\}/.exec(readChart('files/alerts.yaml'))?.[1]}$`,
)

describe('its rights', () => {
  test('are those that it was tried with, in the whole cluster, and to delete is not among them', async () => {
    const resources = await render()
    expect(rulesOf(one(resources, 'ClusterRole', 'millhand'))).toEqual([
      { apiGroups: [MILLHAND], resources: ['taskqueues', 'workerpools'], verbs: ['get', 'list', 'watch'] },
      { apiGroups: [MILLHAND], resources: ['taskqueues/status', 'workerpools/status'], verbs: ['patch'] },
      { apiGroups: [MILLHAND], resources: ['workerpools/finalizers'], verbs: ['update'] },
      { apiGroups: ['apps'], resources: ['deployments'], verbs: ['list', 'watch', 'create', 'patch'] },
      { apiGroups: [''], resources: ['pods'], verbs: ['list', 'watch', 'patch'] },
      { apiGroups: [''], resources: ['secrets'], resourceNames: ['millhand-redis'], verbs: ['get'] },
      { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create'] },
    ])
    expect(rulesOf(one(resources, 'Role', 'millhand-leader'))).toEqual([
      { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['create'] },
      {
        apiGroups: ['coordination.k8s.io'],
        resources: ['leases'],
        resourceNames: ['millhand'],
        verbs: ['get', 'update'],
      },
    ])
    expect(one(resources, 'ClusterRoleBinding').subjects).toEqual([
      { kind: 'ServiceAccount', name: 'millhand', namespace: 'millhand-system' },
    ])
  })

  test('may be in some namespaces only, with nothing in the cluster', async () => {
    const namespaces = ['shop', 'team-2']
    const values = { watch: { namespaces }, crds: { install: false }, rbac: { aggregateRoles: false } }
    const resources = await render(values)
    expect(resources.filter(({ kind }) => /^(Cluster|Custom)/.test(kind)).map(nameOf)).toEqual([])
    const inCluster = rulesOf(one(await render(), 'ClusterRole', 'millhand'))
    for (const namespace of namespaces) {
      const role = resources.find((resource) => nameOf(resource) === `Role ${namespace}/millhand`)
      expect(role && rulesOf(role)).toEqual(inCluster)
    }
    const bindings = ofKind(resources, 'RoleBinding').map(nameOf)
    expect(bindings).toEqual(
      [...namespaces.map((name) => `${name}/millhand`), 'millhand-system/millhand-leader'].map(
        (name) => `RoleBinding ${name}`,
      ),
    )
  })

  test('to read Secrets go as far as the names in the values', async () => {
    const role = one(await render({ redis: { secretNames: ['a', 'b'] } }), 'ClusterRole', 'millhand')
    const rules = rulesOf(role).filter(({ resources }) => resources.includes('secrets'))
    expect(rules).toEqual([
      { apiGroups: [''], resources: ['secrets'], resourceNames: ['a', 'b'], verbs: ['get'] },
    ])
  })
})

test('who may view may look, and only who may edit may write: a pool is pods', async () => {
  const resources = await render()
  const aggregated = (end: string) => {
    const { metadata, ...role } = one(resources, 'ClusterRole', end)
    const labels = Object.keys(metadata.labels ?? {})
    const to = labels.flatMap((label) => /aggregate-to-(\w+)$/.exec(label)?.[1] ?? [])
    return { to, verbs: [...new Set(rulesOf(role as Resource).flatMap(({ verbs }) => verbs))] }
  }
  expect(aggregated('-view')).toEqual({ to: ['view', 'edit', 'admin'], verbs: ['get', 'list', 'watch'] })
  const { to, verbs } = aggregated('-edit')
  expect(to).toEqual(['edit', 'admin'])
  expect(verbs).toEqual(expect.arrayContaining(['create', 'update', 'patch', 'delete']))
  expect(ofKind(await render({ rbac: { aggregateRoles: false } }), 'ClusterRole')).toHaveLength(1)
})

describe('the network policy', () => {
  test('lets the operator talk to DNS, the API server and Redis, and answer on one port', async () => {
    const resources = await render({ networkPolicy: { apiServerPorts: [6443], redisPorts: [6379, 6443] } })
    const tcp = (port: number) => ({ port, protocol: 'TCP' })
    expect(one(resources, 'NetworkPolicy').spec).toEqual({
      podSelector: (one(resources, 'Deployment').spec as { selector: object }).selector,
      policyTypes: ['Ingress', 'Egress'],
      ingress: [{ ports: [{ port: 'http', protocol: 'TCP' }] }],
      egress: [
        { ports: [53, 5353].flatMap((port) => [{ port, protocol: 'UDP' }, tcp(port)]) },
        { ports: [tcp(6443), tcp(6379)] },
      ],
    })
  })

  test('may say who reads the metrics, and may be left out', async () => {
    const peer = { namespaceSelector: { matchLabels: { team: 'monitoring' } } }
    const policy = one(await render({ networkPolicy: { metricsFrom: [peer] } }), 'NetworkPolicy')
    expect(policy.spec).toMatchObject({ ingress: [{ from: [peer] }] })
    expect(ofKind(await render({ networkPolicy: { enabled: false } }), 'NetworkPolicy')).toEqual([])
  })
})

describe('monitoring', () => {
  const on = (name: string, more: Values = {}): Values => ({
    metrics: { [name]: { enabled: true, ...more } },
  })

  test('is off by default: its resources may be unknown to the cluster', async () => {
    const resources = await render()
    expect(resources.filter(({ apiVersion }) => apiVersion.startsWith('monitoring.'))).toEqual([])
    expect(ofKind(resources, 'ConfigMap')).toEqual([])
  })

  test('of the operator keeps the namespaces that its metrics speak of', async () => {
    const resources = await render(on('serviceMonitor', { interval: '15s', labels: { release: 'prom' } }))
    const monitor = one(resources, 'ServiceMonitor')
    expect(monitor.metadata.labels).toMatchObject({ release: 'prom' })
    expect(monitor.spec).toMatchObject({
      endpoints: [{ port: 'http', path: '/metrics', interval: '15s', honorLabels: true }],
    })
    const { matchLabels } = (monitor.spec as { selector: { matchLabels: object } }).selector
    const service = one(resources, 'Service')
    expect(service.metadata.labels).toMatchObject(matchLabels)
    expect(service.spec).toMatchObject({ ports: [{ name: 'http' }], selector: matchLabels })
    expect(templateOf(one(resources, 'Deployment')).metadata.labels).toMatchObject(matchLabels)
  })

  test('of the workers finds their pods, and names their pool', async () => {
    expect(one(await render(on('podMonitor')), 'PodMonitor').spec).toMatchObject({
      namespaceSelector: { any: true },
      selector: { matchExpressions: [{ key: POOL_LABEL, operator: 'Exists' }] },
      podMetricsEndpoints: [
        { port: 'millhand', path: '/metrics', relabelings: [{ targetLabel: 'workerpool' }] },
      ],
    })
    const some = await render({ ...on('podMonitor'), watch: { namespaces: ['shop'] } })
    expect(one(some, 'PodMonitor').spec).toMatchObject({ namespaceSelector: { matchNames: ['shop'] } })
  })

  test('brings a dashboard for Grafana’s sidecar', async () => {
    const map = one(await render(on('dashboard')), 'ConfigMap')
    expect(map.metadata.labels).toMatchObject({ grafana_dashboard: '1' })
    const { data } = map as unknown as { data: Record<string, string> }
    expect(JSON.parse(data['millhand.json'] ?? '')).toEqual(JSON.parse(readChart('files/dashboard.json')))
  })
})

describe('the embedded Redis', () => {
  const on = (more: Values = {}): Values => ({ redis: { embedded: { enabled: true, ...more } } })

  test('is off by default', async () => {
    const resources = await render()
    expect([...ofKind(resources, 'StatefulSet'), ...ofKind(resources, 'Secret')]).toEqual([])
  })

  test('has one password, in the Secret of each namespace', async () => {
    const resources = await render(on({ secretNamespaces: ['shop', 'default', 'millhand-system'] }))
    const secrets = ofKind(resources, 'Secret')
    expect(secrets.map(nameOf)).toEqual(
      ['millhand-system', 'shop', 'default'].map((namespace) => `Secret ${namespace}/millhand-redis`),
    )
    const [{ password = '', url } = {}, ...others] = secrets.map(
      ({ stringData }) => stringData as Record<string, string>,
    )
    expect(password).toMatch(/^\w{32}$/)
    expect(url).toBe(`redis://:${password}@millhand-redis.millhand-system.svc:6379`)
    expect(others).toEqual([
      { password, url },
      { password, url },
    ])
    expect(one(resources, 'Service', '-redis').spec).toMatchObject({ ports: [{ port: 6379 }] })
  })

  test('never evicts a job, and keeps nothing on disk unless asked', async () => {
    const { spec } = templateOf(one(await render(on({ maxMemory: '64mb' })), 'StatefulSet'))
    const args = spec.containers[0].args?.join(' ')
    expect(args).toContain('--maxmemory 64mb --maxmemory-policy noeviction --appendonly no')
    expect(spec).toMatchObject({
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      volumes: [{ name: 'data', emptyDir: {} }],
    })

    const persistence = { enabled: true, size: '5Gi', storageClassName: 'fast' }
    const kept = one(await render(on({ persistence })), 'StatefulSet')
    expect(templateOf(kept).spec.volumes).toBeUndefined()
    expect(templateOf(kept).spec.containers[0].args?.join(' ')).toContain('--appendonly yes')
    expect(kept.spec).toMatchObject({
      volumeClaimTemplates: [
        { spec: { storageClassName: 'fast', resources: { requests: { storage: '5Gi' } } } },
      ],
    })
  })

  test('is known to the operator by its host, so that advice names values of the chart', async () => {
    const { url } = one(await render(on()), 'Secret').stringData as { url: string }
    expect((await environment(on())).MILLHAND_CHART_REDIS).toBe(new URL(url).hostname)
    expect(await environment({})).not.toHaveProperty('MILLHAND_CHART_REDIS')
  })

  test('takes its image from the values', async () => {
    const image = { repository: 'registry.test/redis', tag: '9', pullPolicy: 'Never' }
    expect(templateOf(one(await render(on({ image })), 'StatefulSet')).spec).toMatchObject({
      containers: [{ image: 'registry.test/redis:9', imagePullPolicy: 'Never' }],
    })
  })
})

test('a test pod asks the Service, with the image that is there anyway', async () => {
  const pod = one(await render({ image: { tag: '9' } }), 'Pod', '-test')
  expect(pod.metadata.annotations).toMatchObject({ 'helm.sh/hook': 'test' })
  const [container] = (pod.spec as { containers: { image: string; command: string[] }[] }).containers
  expect(container?.image).toBe('millhand/operator:9')
  expect(container?.command.join(' ')).toContain('http://millhand.millhand-system.svc:8080/readyz')
  // Else the operator's policy and Service would take it for an operator.
  expect(pod.metadata.labels?.['app.kubernetes.io/component']).toBe('test')
})

test('everything carries the labels of the release, and is where the release is', async () => {
  const resources = (await render()).filter(({ kind }) => kind !== 'CustomResourceDefinition')
  for (const resource of resources) {
    expect(resource.metadata.labels).toMatchObject({
      'app.kubernetes.io/name': 'millhand',
      'app.kubernetes.io/instance': 'millhand',
      'app.kubernetes.io/version': '0.1.0',
    })
    if (!resource.kind.startsWith('Cluster')) expect(resource.metadata.namespace).toBe('millhand-system')
  }
  expect(resources.length).toBeGreaterThan(8)
})
