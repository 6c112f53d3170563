// The chart's values: known, documented, and refused where they are wrong; and the chart passes Helm's own check.
import { jest } from '@jest/globals'
import { parse } from 'yaml'
import { run } from '../cluster/run.ts'
import { chart, defaults, helms, readChart, render, renderText, type Values } from './chart.ts'

jest.setTimeout(600_000) // the first call of a tool fetches it

interface Node {
  type?: string
  properties?: Record<string, Node>
  additionalProperties?: boolean | Node
  items?: Node
  definitions?: Record<string, Node>
  $ref?: string
}
const schema = JSON.parse(readChart('values.schema.json')) as Node

describe.each(Object.entries(helms))('%s', (_, helm) => {
  test('finds nothing to say against the chart', async () => {
    await run([await helm(), 'lint', '--strict', chart, '--values', '-'], {
      stdin: JSON.stringify(everything),
    })
    await run([await helm(), 'lint', '--strict', chart])
  })

  test('says what is wrong with a value', async () => {
    const values = { image: { reposiory: 'x' }, replicas: 0 }
    const said = await renderText(values, { helm }).catch((error: Error) => error.message)
    expect(said).toContain('reposiory')
    expect(said).toMatch(/replicas.*(minimum|greater than or equal to) ?.*1/is)
  })
})

test('Helm 3 and Helm 4 render the same', async () => {
  const values = { ...everything, redis: {} }
  expect(await render(values, { helm: helms['Helm 4'] })).toEqual(await render(values))
})

/** Everything that can be switched on. */
const everything: Values = {
  redis: { embedded: { enabled: true, secretNamespaces: ['shop'], persistence: { enabled: true } } },
  metrics: Object.fromEntries(
    ['serviceMonitor', 'podMonitor', 'prometheusRule', 'dashboard'].map((name) => [name, { enabled: true }]),
  ),
}

describe('a value is refused', () => {
  const rows: [string, Values, string][] = [
    ['that nobody knows', { replicaCount: 3 }, 'replicaCount'],
    ['that nobody knows, deep inside', { redis: { embedded: { persistence: { sice: '1Gi' } } } }, 'sice'],
    ['of the wrong type', { crds: { keep: 'yes' } }, 'crds'],
    ['that is no log level', { logLevel: 'trace' }, 'logLevel'],
    ['that is no namespace', { watch: { namespaces: ['Shop'] } }, 'namespaces'],
    ['that names one namespace twice', { watch: { namespaces: ['a', 'a'] } }, 'namespaces'],
    ['that would let the operator read every Secret', { redis: { secretNames: [] } }, 'secretNames'],
    ['that is no name of a queue', { redis: { queueNames: ['Shop.*'] } }, 'queueNames'],
    ['that is no network', { redis: { networks: ['localhost'] } }, 'networks'],
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

test('every object of the schema says which keys it may have', () => {
  const open = [...nodesOf(schema)].filter(
    ({ node, path }) =>
      node.type === 'object' && path !== '.global' && (node.additionalProperties ?? true) === true,
  )
  expect(open.map(({ path }) => path)).toEqual([])
})

test('the schema knows the values of values.yaml, and no others but global', () => {
  expect(
    leavesOf(schema)
      .filter((path) => path !== 'global')
      .sort(),
  ).toEqual([...valuesOf(defaults).keys()].sort())
})

test('the README lists every value with its default', () => {
  const rows = [...readChart('README.md').matchAll(/^\| `(\S+)` \| `(.+?)` \| (\S.*) \|$/gm)]
  const listed = new Map(rows.map(([, name = '', value = '']) => [name, parse(value)]))
  expect(listed).toEqual(valuesOf(defaults))
})

test('the chart says which Kubernetes it needs', async () => {
  const { kubeVersion } = parse(readChart('Chart.yaml'))
  expect(kubeVersion).toBe('>=1.29.0-0')
  const old = [await helms['Helm 3'](), 'template', 'millhand', chart, '--kube-version', '1.28.0']
  await expect(run(old)).rejects.toThrow('requires kubeVersion')
})

/** Resources, labels and lists count as one value. */
function valuesOf(values: Values, path = ''): Map<string, unknown> {
  return new Map(
    Object.entries(values).flatMap(([name, value]) => {
      const whole = path ? `${path}.${name}` : name
      const isBranch = typeof value === 'object' && value !== null && hasChildren(whole)
      return isBranch ? [...valuesOf(value as Values, whole)] : [[whole, value] as const]
    }),
  )
}

function hasChildren(path: string): boolean {
  return leavesOf(schema).some((leaf) => leaf.startsWith(`${path}.`))
}

function leavesOf(node: Node, path = ''): string[] {
  const target = resolved(node)
  const isBranch = target.properties && (!node.$ref || !/\/resources$/.test(node.$ref))
  if (!isBranch) return [path]
  return Object.entries(target.properties ?? {}).flatMap(([name, child]) =>
    leavesOf(child, path ? `${path}.${name}` : name),
  )
}

function resolved(node: Node): Node {
  const name = node.$ref?.replace('#/definitions/', '')
  return name ? (schema.definitions?.[name] ?? {}) : node
}

function* nodesOf(node: Node, path = ''): Generator<{ node: Node; path: string }> {
  yield { node, path }
  for (const [name, child] of Object.entries({ ...node.properties, ...node.definitions }))
    yield* nodesOf(child, `${path}.${name}`)
  if (node.items) yield* nodesOf(node.items, `${path}[]`)
}
