// The chart's values: known, documented, and refused where they are wrong; and the chart passes Helm's own check.
import { jest } from '@jest/globals'
import { parse } from 'yaml'
import { readme, type Schema, valuesOf } from '../../charts/reference-build.ts'
import { run } from '../cluster/run.ts'
import { chart, defaults, helms, readChart, render, renderText, type Values } from './chart.ts'

jest.setTimeout(600_000) // the first call of a tool fetches it

const schema = JSON.parse(readChart('values.schema.json')) as Schema

describe.each(Object.entries(helms))('%s', (_, helm) => {
  test('finds nothing to say against the chart', async () => {
    await run([await helm(), 'lint', '--strict', chart, '--values', '-'], {
      stdin: JSON.stringify(everything),
    })
    await run([await helm(), 'lint', '--strict', chart])
  })

  test('says what is wrong with a value', async () => {
    const values = { image: { reposiory: 'x' }, replicaCount: 0 }
    const said = await renderText(values, { helm }).catch((error: Error) => error.message)
    expect(said).toContain('reposiory')
    expect(said).toMatch(/replicaCount.*(minimum|greater than or equal to) ?.*1/is)
  })
})

test('Helm 3 and Helm 4 render the same', async () => {
  const values = { ...everything, redis: {} }
  expect(await render(values, { helm: helms['Helm 4'] })).toEqual(await render(values))
})

/** Everything that can be switched on. */
const everything: Values = {
  dashboard: {
    enabled: true,
    url: 'https://example.com/millhand',
    // A Secret that is generated differs between two renderings.
    cookieSecretName: 'cookies',
    tls: { enabled: true, secretName: 'tls' },
    ingress: { enabled: true, tlsSecretName: 'tls' },
    httpRoute: { enabled: true, parentRefs: [{ name: 'gateway' }] },
  },
  redis: { embedded: { enabled: true, secretNamespaces: ['shop'], persistence: { enabled: true } } },
  metrics: Object.fromEntries(
    ['serviceMonitor', 'podMonitor', 'prometheusRule', 'dashboard'].map((name) => [name, { enabled: true }]),
  ),
}

describe('a value is refused', () => {
  const rows: [string, Values, string][] = [
    ['that nobody knows', { replicas: 3 }, 'replicas'],
    ['that nobody knows, deep inside', { redis: { embedded: { persistence: { sice: '1Gi' } } } }, 'sice'],
    ['of the wrong type', { crds: { keep: 'yes' } }, 'crds'],
    ['that is no log level', { logLevel: 'trace' }, 'logLevel'],
    ['that is no namespace', { watch: { namespaces: ['Shop'] } }, 'namespaces'],
    ['that names one namespace twice', { watch: { namespaces: ['a', 'a'] } }, 'namespaces'],
    ['that would let the operator read every Secret', { redis: { secretNames: [] } }, 'secretNames'],
    ['that is no name of a queue', { redis: { queueNames: ['Shop.*'] } }, 'queueNames'],
    ['that is no network', { redis: { networks: ['localhost'] } }, 'networks'],
    ['that is no duration', { leaderElection: { leaseDuration: '15' } }, 'leaseDuration'],
    ['that is too long for a name', { fullnameOverride: 'a'.repeat(47) }, 'fullnameOverride'],
    [
      'that is a password with what a URL cannot hold',
      { redis: { embedded: { password: 'a@b:c/d'.repeat(3) } } },
      'password',
    ],
    ['that no variable has', { extraEnv: [{ name: 'A', valeu: 'x' }] }, 'extraEnv'],
    ['that is no number of pods', { podDisruptionBudget: { maxUnavailable: 'one' } }, 'maxUnavailable'],
    ['that is no digest', { image: { digest: 'latest' } }, 'digest'],
    ['that is no port', { networkPolicy: { redisPorts: [0] } }, 'redisPorts'],
    ['that is a label but no text', { metrics: { dashboard: { labels: { a: 1 } } } }, 'labels'],
    ['that is no quantity', { resources: { limits: { memory: '1 GB' } } }, 'memory'],
    [
      'that hides the Secret of the embedded Redis',
      { redis: { embedded: { enabled: true }, secretNames: ['other'] } },
      'add that name to redis.secretNames',
    ],
  ]
  test.each(rows)('%s', async (_, values, said) => {
    await expect(renderText(values)).rejects.toThrow(said)
  })
})

/** Types of Kubernetes and the Prometheus operator with many fields: the API server checks them. */
const OPEN = [
  '.global',
  '.affinity.nodeAffinity',
  '.affinity.podAffinity',
  '.affinity.podAntiAffinity',
  '.volume',
  '.tlsConfig',
]

test('every object of the schema says which keys it may have', () => {
  const open = [...nodesOf(schema)].filter(
    ({ node }) => node.type === 'object' && (node.additionalProperties ?? true) === true,
  )
  expect(open.map(({ path }) => path)).toEqual(OPEN)
})

test('the schema describes the values of values.yaml, and no others but global', () => {
  const values = valuesOf(schema, defaults).filter(({ path }) => path !== 'global')
  expect(values.filter((value) => value.default === undefined)).toEqual([])
  const described = new Set(values.map(({ path }) => path))
  expect(undescribed(defaults, described)).toEqual([])
})

test('the README lists every value with its default (if this fails: npm run reference)', () => {
  expect(readChart('README.md')).toBe(readme())
  expect(readme().match(/^\| `/gm)).toHaveLength(valuesOf(schema, defaults).length - 1)
})

test('the chart says which Kubernetes it needs', async () => {
  const { kubeVersion } = parse(readChart('Chart.yaml'))
  expect(kubeVersion).toBe('>=1.29.0-0')
  const old = [await helms['Helm 3'](), 'template', 'millhand', chart, '--kube-version', '1.28.0']
  await expect(run(old)).rejects.toThrow('requires kubeVersion')
})

/** Paths of defaults that no description covers. */
function undescribed(values: Values, described: Set<string>, path = ''): string[] {
  return Object.entries(values).flatMap(([name, value]) => {
    const whole = path ? `${path}.${name}` : name
    if (described.has(whole)) return []
    const isBranch = typeof value === 'object' && value !== null && !Array.isArray(value)
    return isBranch ? undescribed(value as Values, described, whole) : [whole]
  })
}

function* nodesOf(node: Schema, path = ''): Generator<{ node: Schema; path: string }> {
  yield { node, path }
  for (const [name, child] of Object.entries({ ...node.properties, ...node.definitions }))
    yield* nodesOf(child, `${path}.${name}`)
  if (node.items) yield* nodesOf(node.items, `${path}[]`)
}
