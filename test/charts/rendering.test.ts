// What the chart makes of its values.
import { readFileSync } from 'node:fs'
import { jest } from '@jest/globals'
import { READS, RESOURCES, WRITES } from '../../dashboard/src/server/access/access.ts'
import { readConfig } from '../../operator/src/config.ts'
import { POOL_LABEL } from '../../operator/src/fleet/deployment.ts'
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
interface Source {
  name: string
  items: [{ path: string }]
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
    const budget = { podDisruptionBudget: { minAvailable: '50%' } }
    expect(one(await render(budget), 'PodDisruptionBudget').spec).toEqual({ minAvailable: '50%', selector })
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
      MILLHAND_LEASE_DURATION_SECONDS: '15',
      MILLHAND_LEASE_RENEW_DEADLINE_SECONDS: '10',
      MILLHAND_LEASE_RETRY_PERIOD_SECONDS: '2',
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
      leaderElection: { leaseDuration: '60s' },
    }
    expect(await environment(values)).toMatchObject({
      MILLHAND_LEASE_DURATION_SECONDS: '60',
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

  const alias = { ip: '10.0.0.9', hostnames: ['redis.example'] }
  const volume = { name: 'ca', configMap: { name: 'ca' } }
  const mount = { name: 'ca', mountPath: '/ca', readOnly: true }
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
    ['grace period', { terminationGracePeriodSeconds: 7 }, { terminationGracePeriodSeconds: 7 }],
    ['host aliases', { hostAliases: [alias] }, { hostAliases: [alias] }],
    ['arguments', { extraArgs: ['--version'] }, { containers: [{ args: ['--version'] }] }],
    ['volumes', { extraVolumes: [volume] }, { volumes: [volume] }],
    ['volume mounts', { extraVolumeMounts: [mount] }, { containers: [{ volumeMounts: [mount] }] }],
    ['service account', { serviceAccount: { name: 'own' } }, { serviceAccountName: 'own' }],
    [
      'service account, where none is created',
      { serviceAccount: { create: false } },
      { serviceAccountName: 'default' },
    ],
  ]
  test.each(places)('takes its %s from the values', async (_, values, expected) => {
    expect((await operatorOf(values)).spec).toMatchObject(expected)
  })

  test('takes its variables from the values, after those of the chart', async () => {
    const values = { extraEnv: [{ name: 'NODE_EXTRA_CA_CERTS', value: '/ca/ca.crt' }] }
    expect(await environment(values)).toMatchObject({
      MILLHAND_LOG_LEVEL: 'info',
      NODE_EXTRA_CA_CERTS: '/ca/ca.crt',
    })
  })

  test('takes its affinity and spread from the values, in place of the chart’s', async () => {
    const affinity = { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: {} } }
    const spread = { maxSkew: 1, topologyKey: 'rack', whenUnsatisfiable: 'DoNotSchedule' }
    const { spec } = await operatorOf({ affinity, topologySpreadConstraints: [spread] })
    expect(spec.affinity).toEqual(affinity)
    expect(spec.topologySpreadConstraints).toEqual([spread])
  })

  test('takes its number, history, annotations and labels from the values', async () => {
    const values = {
      replicaCount: 1,
      revisionHistoryLimit: 1,
      deploymentAnnotations: { note: 'd' },
      podAnnotations: { note: 'p' },
      podLabels: { sidecar: 'no', 'app.kubernetes.io/component': 'other' },
    }
    const deployment = one(await render(values), 'Deployment')
    expect(deployment.spec).toMatchObject({ replicas: 1, revisionHistoryLimit: 1 })
    expect(deployment.metadata).toMatchObject({ annotations: { note: 'd' } })
    const { annotations, labels } = templateOf(deployment).metadata
    expect(annotations).toEqual({ note: 'p' })
    expect(labels).toMatchObject({ sidecar: 'no', 'app.kubernetes.io/component': 'operator' })
  })

  test('has a service account with annotations, or one that is there already', async () => {
    const annotations = { 'eks.amazonaws.com/role-arn': 'arn' }
    const account = one(await render({ serviceAccount: { name: 'own', annotations } }), 'ServiceAccount')
    expect(account.metadata).toMatchObject({ name: 'own', annotations })
    const resources = await render({ serviceAccount: { create: false, name: 'theirs' } })
    expect(ofKind(resources, 'ServiceAccount')).toEqual([])
    for (const binding of [one(resources, 'ClusterRoleBinding'), one(resources, 'RoleBinding')])
      expect(binding.subjects).toMatchObject([{ name: 'theirs' }])
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
  expect(given).toHaveLength(2)
  for (const { timeoutSeconds = 1, failureThreshold = 3, periodSeconds = 10 } of given) {
    expect(timeoutSeconds).toBeGreaterThanOrEqual(5)
    expect(failureThreshold * periodSeconds).toBeGreaterThanOrEqual(120)
  }
})

describe('its name', () => {
  const called = async (values: Values, name = 'try') => {
    const resources = await render(values, { name })
    const rules = rulesOf(one(resources, 'Role', '-leader'))
    return [one(resources, 'Deployment').metadata.name, rules[1]?.resourceNames?.[0]]
  }

  test('may be another one; the lease has millhand in it, as the alerts expect', async () => {
    expect(await called({ nameOverride: 'queues' })).toEqual(['try-queues', 'try-queues-millhand'])
    expect(await called({ fullnameOverride: 'jobs' })).toEqual(['jobs', 'jobs-millhand'])
    expect(await called({ fullnameOverride: 'millhand-a' })).toEqual(['millhand-a', 'millhand-a'])
  })

  test('and no other value changes a selector: Kubernetes refuses to update one', async () => {
    const selectors = async (values: Values) =>
      (await render({ redis: { embedded: { enabled: true } }, ...values })).flatMap(({ kind, spec }) =>
        ['Deployment', 'StatefulSet'].includes(kind) ? [(spec as { selector: object }).selector] : [],
      )
    const changes = {
      nameOverride: 'queues',
      fullnameOverride: 'jobs',
      commonLabels: { team: 'a', 'app.kubernetes.io/name': 'b' },
      podLabels: { 'app.kubernetes.io/instance': 'c' },
      image: { tag: '9' },
    }
    expect(await selectors(changes)).toEqual(await selectors({}))
    expect(await selectors({})).toHaveLength(2)
  })
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
      {
        apiGroups: [MILLHAND],
        resources: ['taskqueues', 'workerpools', 'schedules'],
        verbs: ['list', 'watch'],
      },
      {
        apiGroups: [MILLHAND],
        resources: ['taskqueues/status', 'workerpools/status', 'schedules/status'],
        verbs: ['patch'],
      },
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
    const values = { watch: { namespaces }, crds: { install: false }, rbac: { aggregateClusterRoles: false } }
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
  expect(ofKind(await render({ rbac: { aggregateClusterRoles: false } }), 'ClusterRole')).toHaveLength(1)
})

describe('the network policy', () => {
  // Whoever may read the metrics, `helm test` asks whether the operator is ready.
  const fromTestPod = {
    ports: [{ port: 'http', protocol: 'TCP' }],
    from: [
      {
        podSelector: {
          matchLabels: {
            'app.kubernetes.io/name': 'millhand',
            'app.kubernetes.io/instance': 'millhand',
            'app.kubernetes.io/component': 'test',
          },
        },
      },
    ],
  }

  test('lets the operator talk to DNS, the API server and Redis, and answer on one port', async () => {
    const resources = await render({ networkPolicy: { apiServerPorts: [6443], redisPorts: [6379, 6443] } })
    const tcp = (port: number) => ({ port, protocol: 'TCP' })
    expect(one(resources, 'NetworkPolicy').spec).toEqual({
      podSelector: (one(resources, 'Deployment').spec as { selector: object }).selector,
      policyTypes: ['Ingress', 'Egress'],
      ingress: [{ ports: [{ port: 'http', protocol: 'TCP' }] }, fromTestPod],
      egress: [
        { ports: [53, 5353].flatMap((port) => [{ port, protocol: 'UDP' }, tcp(port)]) },
        { ports: [tcp(6443), tcp(6379)] },
      ],
    })
  })

  test('may say who reads the metrics, has more rules, and may be left out', async () => {
    const peer = { namespaceSelector: { matchLabels: { team: 'monitoring' } } }
    const policy = one(await render({ networkPolicy: { metricsFrom: [peer] } }), 'NetworkPolicy')
    expect(policy.spec).toMatchObject({ ingress: [{ from: [peer] }, fromTestPod] })
    const more = { extraIngress: [{ from: [peer] }], extraEgress: [{ ports: [{ port: 3128 }] }] }
    const { ingress, egress } = one(await render({ networkPolicy: more }), 'NetworkPolicy').spec as {
      ingress: object[]
      egress: object[]
    }
    expect(ingress.slice(2)).toEqual(more.extraIngress)
    expect(egress.slice(2)).toEqual(more.extraEgress)
    expect(ofKind(await render({ networkPolicy: { enabled: false } }), 'NetworkPolicy')).toEqual([])
  })
})

describe('metrics with TLS', () => {
  const secure = (more: Values = {}, tlsSecretName = ''): Values => ({
    metrics: { secure: { enabled: true, tlsSecretName }, serviceMonitor: { enabled: true, ...more } },
  })
  const endpointOf = async (values: Values) => {
    const { spec } = one(await render(values), 'ServiceMonitor')
    return (spec as { endpoints: [{ port: string; tlsConfig?: object }] }).endpoints[0]
  }

  test('have a port of their own, which Service, policy and ServiceMonitor know', async () => {
    const resources = await render(secure())
    expect(await environment(secure())).toMatchObject({ MILLHAND_METRICS_PORT: '8443' })
    expect((await operatorOf(secure())).spec.containers[0].ports).toEqual([
      { name: 'http', containerPort: 8080 },
      { name: 'https-metrics', containerPort: 8443 },
    ])
    expect((one(resources, 'Service').spec as { ports: object[] }).ports).toContainEqual({
      name: 'https-metrics',
      port: 8443,
      targetPort: 'https-metrics',
    })
    expect(one(resources, 'NetworkPolicy').spec).toMatchObject({
      ingress: [{ ports: [{ port: 'https-metrics' }] }, { ports: [{ port: 'http' }] }],
    })
    expect(await endpointOf(secure())).toMatchObject({
      port: 'https-metrics',
      scheme: 'https',
      bearerTokenFile: expect.stringContaining('serviceaccount/token'),
      tlsConfig: { insecureSkipVerify: true },
    })
  })

  test('let the operator ask whose token it is, and say which role Prometheus needs', async () => {
    const resources = await render({ ...secure(), watch: { namespaces: ['shop'] } })
    expect(rulesOf(one(resources, 'ClusterRole', '-auth'))).toEqual([
      { apiGroups: ['authentication.k8s.io'], resources: ['tokenreviews'], verbs: ['create'] },
      { apiGroups: ['authorization.k8s.io'], resources: ['subjectaccessreviews'], verbs: ['create'] },
    ])
    expect(rulesOf(one(resources, 'ClusterRole', '-metrics-reader'))).toEqual([
      { nonResourceURLs: ['/metrics'], verbs: ['get'] },
    ])
  })

  test('may have the certificate of a Secret, which Prometheus verifies', async () => {
    const values = secure({}, 'millhand-tls')
    const { spec } = await operatorOf({
      ...values,
      extraVolumes: [{ name: 'ca', configMap: { name: 'ca' } }],
    })
    expect(spec.volumes).toEqual([
      { name: 'metrics-certificate', secret: { secretName: 'millhand-tls' } },
      { name: 'ca', configMap: { name: 'ca' } },
    ])
    const folder = (await environment(values)).MILLHAND_METRICS_CERTIFICATE
    expect(spec.containers[0].volumeMounts).toEqual([
      { name: 'metrics-certificate', mountPath: folder, readOnly: true },
    ])
    expect((await endpointOf(values)).tlsConfig).toEqual({
      serverName: 'millhand.millhand-system.svc',
      ca: { secret: { name: 'millhand-tls', key: 'ca.crt' } },
    })
    const tlsConfig = { serverName: 'x' }
    expect((await endpointOf(secure({ tlsConfig }, 'millhand-tls'))).tlsConfig).toEqual(tlsConfig)
  })

  test('are off by default', async () => {
    expect(await environment({})).not.toHaveProperty('MILLHAND_METRICS_PORT')
    expect((await operatorOf({ metrics: { secure: { tlsSecretName: 'x' } } })).spec.volumes).toBeUndefined()
  })
})

describe('the dashboard', () => {
  const on = (more: Values = {}): Values => ({ dashboard: { enabled: true, ...more } })
  const url = 'https://example.com/millhand'

  test('is off by default: no port, no Service, no Secret, no right', async () => {
    const text = JSON.stringify(await render())
    expect(text).not.toMatch(/DASHBOARD|jobs\/payload|tokenreviews/)
    expect(ofKind(await render(), 'Service')).toHaveLength(1)
  })

  test('is served by each operator, behind a Service of its own', async () => {
    const resources = await render(on())
    expect(await environment(on())).toMatchObject({
      MILLHAND_DASHBOARD_PORT: '8081',
      MILLHAND_DASHBOARD_MODE: 'kubernetes',
      MILLHAND_DASHBOARD_HOSTS:
        'millhand-dashboard,millhand-dashboard.millhand-system,millhand-dashboard.millhand-system.svc',
      MILLHAND_DASHBOARD_READ_ONLY: 'false',
      MILLHAND_DASHBOARD_REDACT: '{}',
    })
    const { spec } = await operatorOf(on())
    expect(spec.containers[0].ports).toContainEqual({ name: 'dashboard', containerPort: 8081 })
    const service = one(resources, 'Service', '-dashboard')
    expect(service.spec).toMatchObject({
      type: 'ClusterIP',
      selector: (one(resources, 'Deployment').spec as { selector: { matchLabels: object } }).selector
        .matchLabels,
      ports: [{ name: 'http', port: 80, targetPort: 'dashboard' }],
    })
    const policy = one(resources, 'NetworkPolicy').spec as { ingress: { ports: object[]; from?: object }[] }
    expect(policy.ingress).toContainEqual({ ports: [{ port: 'dashboard', protocol: 'TCP' }] })
  })

  test('is told all that the values say, and reads all that it is told', async () => {
    const proxy = { networks: ['10.0.0.0/8'], secretName: 'proxy', userHeader: 'X-User' }
    const values = on({
      mode: 'proxy',
      url,
      hosts: ['m.internal'],
      readOnly: true,
      proxy,
      tls: { enabled: true },
    })
    const redact = { SendMail: ['card.number'], '*': ['pin'] }
    const told = await environment({ dashboard: { ...(values.dashboard as Values), redact } })
    const config = readConfig(told).dashboard
    expect(config).toMatchObject({
      port: 8081,
      mode: 'proxy',
      tls: { certificateFolder: undefined },
      isReadOnly: true,
      publicUrl: new URL(url),
      redact,
      proxy: { networks: ['10.0.0.0/8'], userHeader: 'X-User', groupsHeader: 'X-Forwarded-Groups' },
    })
    expect(config?.hosts).toEqual(expect.arrayContaining(['m.internal', 'millhand-dashboard']))
  })

  test.each<[string, Values, object[]]>([
    ['kubernetes', {}, []],
    ['token', { token: { secretName: 'tokens' } }, [{ name: 'tokens', path: 'tokens' }]],
    [
      'proxy',
      { proxy: { secretName: 'theirs', networks: ['10.0.0.1'] } },
      [{ name: 'theirs', path: 'proxy-secret' }],
    ],
  ])('in the mode %s gets its Secrets as files, and no right to read them', async (mode, more, expected) => {
    const { spec } = await operatorOf(on({ mode, ...more }))
    const [volume] = spec.volumes as [{ projected: { sources: { secret: Source }[] } }]
    const sources = volume.projected.sources.map(({ secret: { name, items } }) => ({
      name,
      path: items[0].path,
    }))
    expect(sources).toEqual([{ name: 'millhand-dashboard', path: 'cookie-secret' }, ...expected])
    expect(spec.containers[0].volumeMounts).toEqual([
      { name: 'dashboard', mountPath: '/etc/millhand/dashboard', readOnly: true },
    ])
    const secrets = rulesOf(one(await render(on({ mode, ...more })), 'ClusterRole', 'millhand'))
    expect(secrets.find(({ resources }) => resources.includes('secrets'))?.resourceNames).toEqual([
      'millhand-redis',
    ])
  })

  test('keeps the key of its cookies in a Secret, its own or yours', async () => {
    const secret = one(await render(on()), 'Secret', '-dashboard')
    expect((secret.stringData as Record<string, string>)['cookie-secret']).toMatch(/^\w{32}$/)
    const resources = await render(on({ cookieSecretName: 'yours' }))
    expect(ofKind(resources, 'Secret')).toEqual([])
    expect(JSON.stringify(one(resources, 'Deployment'))).toContain('"name":"yours"')
  })

  test('asks the API server who may, unless it has tokens of its own', async () => {
    const asking = async (values: Values) =>
      ofKind(await render({ ...values, watch: { namespaces: ['shop'] } }), 'ClusterRole').filter(
        ({ metadata }) => metadata.name.endsWith('-auth'),
      ).length
    expect(await asking(on())).toBe(1)
    expect(await asking(on({ mode: 'proxy', proxy: { secretName: 'p', networks: ['10.0.0.1'] } }))).toBe(1)
    expect(await asking(on({ mode: 'token', token: { secretName: 't' } }))).toBe(0)
    expect(await asking({})).toBe(0)
  })

  test('who may view may look at jobs, who may edit also at payloads, and change them', async () => {
    const resources = await render(on())
    const allowed = (end: string) =>
      rulesOf(one(resources, 'ClusterRole', end)).flatMap((rule) =>
        rule.resources.flatMap((resource) => rule.verbs.map((verb) => `${verb} ${resource}`)),
      )
    const [view, edit] = [allowed('-view'), allowed('-edit')]
    expect(view).toEqual(expect.arrayContaining(['list jobs', 'get queues', 'list workers', 'get errors']))
    expect(view.filter((rule) => /payload|output|^(create|delete|retry|cancel|pause)/.test(rule))).toEqual([])
    // Every permission that a route may ask for can be had by one of the two.
    const all = RESOURCES.flatMap((resource) =>
      resource.includes('/')
        ? [`get ${resource}`]
        : [...READS, ...WRITES].map((verb) => `${verb} ${resource}`),
    )
    expect(all.filter((rule) => ![...view, ...edit].includes(rule))).toEqual([])
  })

  test('is reached by an Ingress or an HTTPRoute for the host and path of its address', async () => {
    const values = on({
      url,
      ingress: { enabled: true, className: 'nginx', tlsSecretName: 'tls', annotations: { a: 'b' } },
      httpRoute: { enabled: true, parentRefs: [{ name: 'gateway', namespace: 'infra' }] },
    })
    const resources = await render(values)
    expect(one(resources, 'Ingress')).toMatchObject({
      metadata: { annotations: { a: 'b' } },
      spec: {
        ingressClassName: 'nginx',
        tls: [{ hosts: ['example.com'], secretName: 'tls' }],
        rules: [
          {
            host: 'example.com',
            http: {
              paths: [
                {
                  path: '/millhand',
                  pathType: 'Prefix',
                  backend: { service: { name: 'millhand-dashboard', port: { number: 80 } } },
                },
              ],
            },
          },
        ],
      },
    })
    expect(one(resources, 'HTTPRoute').spec).toEqual({
      parentRefs: [{ name: 'gateway', namespace: 'infra' }],
      hostnames: ['example.com'],
      rules: [
        {
          matches: [{ path: { type: 'PathPrefix', value: '/millhand' } }],
          backendRefs: [{ name: 'millhand-dashboard', port: 80 }],
        },
      ],
    })
    const atRoot = on({ url: 'https://example.com:8443', ingress: { enabled: true } })
    const [rule] = (one(await render(atRoot), 'Ingress').spec as { rules: { host: string }[] }).rules
    expect(rule).toMatchObject({ host: 'example.com', http: { paths: [{ path: '/' }] } })
  })

  test('may have a certificate of a Secret, and be for some peers only', async () => {
    const peer = { namespaceSelector: { matchLabels: { a: 'b' } } }
    const values = {
      ...on({ tls: { enabled: true, secretName: 'tls' }, service: { port: 443, type: 'LoadBalancer' } }),
      networkPolicy: { dashboardFrom: [peer] },
    }
    const resources = await render(values)
    expect(await environment(values)).toMatchObject({ MILLHAND_DASHBOARD_TLS: '/etc/millhand/dashboard/tls' })
    expect(JSON.stringify(one(resources, 'Deployment'))).toContain('"path":"tls/tls.crt"')
    expect(one(resources, 'Service', '-dashboard').spec).toMatchObject({
      type: 'LoadBalancer',
      ports: [{ name: 'https', port: 443 }],
    })
    const { ingress } = one(resources, 'NetworkPolicy').spec as { ingress: object[] }
    expect(ingress).toContainEqual({ ports: [{ port: 'dashboard', protocol: 'TCP' }], from: [peer] })
  })

  test.each<[string, Values]>([
    ['dashboard.token.secretName', { mode: 'token' }],
    ['dashboard.proxy.networks', { mode: 'proxy', proxy: { secretName: 'p' } }],
    ['dashboard.proxy.secretName', { mode: 'proxy', proxy: { networks: ['10.0.0.1'] } }],
    ['dashboard.url', { ingress: { enabled: true } }],
    ['dashboard.url', { httpRoute: { enabled: true, parentRefs: [{ name: 'g' }] } }],
    ['dashboard.httpRoute.parentRefs', { url, httpRoute: { enabled: true } }],
    ['mode', { mode: 'none' }],
    ['url', { url: 'example.com' }],
    ['networks', { proxy: { networks: ['anywhere'] } }],
    ['hosts', { hosts: ['*'] }],
  ])('says that %s is missing or wrong in %j', async (said, values) => {
    await expect(render(on(values))).rejects.toThrow(said)
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

  test.each(['serviceMonitor', 'podMonitor'])('by a %s has the details of its values', async (name) => {
    const relabeling = { targetLabel: 'cluster', replacement: 'a' }
    const drop = { action: 'drop', sourceLabels: ['__name__'], regex: 'nodejs_.*' }
    const values = {
      namespace: 'monitoring',
      scrapeTimeout: '5s',
      annotations: { note: 'x' },
      relabelings: [relabeling],
      metricRelabelings: [drop],
    }
    const resources = await render(on(name, values))
    const { metadata, spec } = one(resources, name === 'podMonitor' ? 'PodMonitor' : 'ServiceMonitor')
    expect(metadata).toMatchObject({ namespace: 'monitoring', annotations: { note: 'x' } })
    const { endpoints, podMetricsEndpoints } = spec as Record<string, Record<string, unknown>[]>
    const [endpoint] = endpoints ?? podMetricsEndpoints ?? []
    expect(endpoint).toMatchObject({ scrapeTimeout: '5s', metricRelabelings: [drop] })
    const relabelings = endpoint?.relabelings as object[] | undefined
    expect(relabelings?.at(-1)).toEqual(relabeling)
    // In another namespace it would find nothing without.
    if (endpoints) expect(spec).toMatchObject({ namespaceSelector: { matchNames: ['millhand-system'] } })
  })

  test('brings a dashboard for Grafana’s sidecar', async () => {
    const map = one(await render(on('dashboard', { annotations: { grafana_folder: 'Queues' } })), 'ConfigMap')
    expect(map.metadata).toMatchObject({
      labels: { grafana_dashboard: '1' },
      annotations: { grafana_folder: 'Queues' },
    })
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
    const [{ password = '', url, ...files } = {}, ...others] = secrets.map(
      ({ stringData }) => stringData as Record<string, string>,
    )
    expect(password).toMatch(/^\w{32}$/)
    expect(files).toEqual({ 'redis.conf': `requirepass ${password}` })
    expect(url).toBe(`redis://:${password}@millhand-redis.millhand-system.svc:6379`)
    expect(others).toEqual([
      { password, url },
      { password, url },
    ])
    expect(one(resources, 'Service', '-redis').spec).toMatchObject({ ports: [{ port: 6379 }] })
  })

  test('has the password that the values say, the same in each rendering', async () => {
    const password = 'as-the-person-wants-it'
    const { stringData } = one(await render(on({ password })), 'Secret')
    expect(stringData).toMatchObject({ password, 'redis.conf': `requirepass ${password}` })
  })

  test('is told its password by a file: neither its command line nor its environment has it', async () => {
    const { spec } = templateOf(one(await render(on()), 'StatefulSet'))
    const [container] = spec.containers
    expect(container.args?.[0]).toBe('/etc/millhand/redis.conf')
    expect(container.args?.join(' ')).not.toContain('requirepass')
    expect(container.env).toBeUndefined()
    expect(container.volumeMounts).toContainEqual({
      name: 'config',
      mountPath: '/etc/millhand',
      readOnly: true,
    })
    expect(spec.volumes).toContainEqual({
      name: 'config',
      secret: {
        secretName: 'millhand-redis',
        defaultMode: 0o440,
        items: [{ key: 'redis.conf', path: 'redis.conf' }],
      },
    })
  })

  test('accepts connections of the namespaces with its Secret only, and opens none', async () => {
    const resources = await render(on({ secretNamespaces: ['shop'] }))
    const policy = one(resources, 'NetworkPolicy', '-redis')
    expect(policy.spec).toMatchObject({
      podSelector: (one(resources, 'StatefulSet').spec as { selector: object }).selector,
      policyTypes: ['Ingress', 'Egress'],
      ingress: [
        {
          from: [
            {
              namespaceSelector: {
                matchExpressions: [
                  {
                    key: 'kubernetes.io/metadata.name',
                    operator: 'In',
                    values: ['millhand-system', 'shop'],
                  },
                ],
              },
            },
          ],
        },
      ],
      egress: [],
    })
    const without = await render({ ...on(), networkPolicy: { enabled: false } })
    expect(ofKind(without, 'NetworkPolicy')).toEqual([])
  })

  test('never evicts a job, and keeps nothing on disk unless asked', async () => {
    const { spec } = templateOf(one(await render(on({ maxMemory: '64mb' })), 'StatefulSet'))
    const args = spec.containers[0].args?.join(' ')
    expect(args).toContain('--maxmemory 64mb --maxmemory-policy noeviction --appendonly no')
    expect(spec).toMatchObject({
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
    })
    expect(spec.volumes).toContainEqual({ name: 'data', emptyDir: {} })

    const persistence = { enabled: true, size: '5Gi', storageClassName: 'fast' }
    const kept = one(await render(on({ persistence })), 'StatefulSet')
    expect(templateOf(kept).spec.volumes).toHaveLength(1)
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
  const commonLabels = { team: 'platform', 'app.kubernetes.io/name': 'other' }
  const resources = await render({ commonLabels, redis: { embedded: { enabled: true } } })
  for (const resource of resources) {
    const expected = {
      team: 'platform',
      'app.kubernetes.io/name': 'millhand',
      'app.kubernetes.io/instance': 'millhand',
      'app.kubernetes.io/part-of': 'millhand',
      'app.kubernetes.io/version': '0.1.0',
    }
    expect(resource.metadata.labels).toMatchObject(expected)
    if (['Deployment', 'StatefulSet'].includes(resource.kind))
      expect(templateOf(resource).metadata.labels).toMatchObject(expected)
    if (!/^(Cluster|Custom)/.test(resource.kind)) expect(resource.metadata.namespace).toBe('millhand-system')
  }
  expect(resources.length).toBeGreaterThan(8)
})
