// docs/operate.md, docs/metrics.md and docs/troubleshooting.md against the chart and the code: values that the chart takes, rights and ports
// that it gives, bounds that the operator keeps, and reasons, alerts and error codes that there are.
import { readFileSync } from 'node:fs'
import { jest } from '@jest/globals'
import { parse } from 'yaml'
import { POOLS_AT_ONCE, QUEUES_AT_ONCE } from '../../control/src/engine/controller.ts'
import { deploymentOf } from '../../operator/src/fleet/deployment.ts'
import { one, type Resource, render, type Values } from '../charts/chart.ts'
import { workerPool } from '../control/resources/crds.ts'

jest.setTimeout(600_000) // the first call of a tool fetches it

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const operate = read('docs/operate.md')
const rowsOf = (text: string) =>
  text.split('\n').flatMap((line) => (line.startsWith('| ') ? [line.slice(2, -2).split(' | ')] : []))
const section = (page: string, title: string) => page.split(`\n## ${title}\n`)[1]?.split('\n## ')[0] ?? ''

describe.each(['docs/operate.md', 'docs/metrics.md'])('the values of %s', (page) => {
  const blocks = [...read(page).matchAll(/```yaml\n(# values of the chart\n[\s\S]*?)```/g)].map(
    ([, text = '']) => [parse(text) as Values],
  )

  test('are there', () => expect(blocks.length).toBeGreaterThan(0))

  test.each(blocks)('are taken by the chart (%#)', async (values) => {
    expect(one(await render(values), 'Deployment').metadata.name).toBe('millhand')
  })
})

describe('security', () => {
  const [, ...told] = rowsOf(section(operate, 'Security').split('It deletes nothing')[0] ?? '').filter(
    ([first]) => first !== '---',
  )

  test('names every right that the chart gives, and no other', async () => {
    const resources = await render()
    const rights = [one(resources, 'ClusterRole', 'millhand'), one(resources, 'Role', '-leader')].flatMap(
      rulesOf,
    )
    const given = new Map<string, Set<string>>()
    for (const { resources: names, verbs } of rights)
      for (const name of names) given.set(name, new Set([...(given.get(name) ?? []), ...verbs]))
    const listed = told.flatMap(([names = '', verbs = '']) =>
      names
        .replace(/, (by name|in its own namespace)$/, '')
        .split(', ')
        .map((name) => [name, verbs.split(', ').sort()]),
    )
    expect(Object.fromEntries(listed)).toEqual(
      Object.fromEntries([...given].map(([name, verbs]) => [name, [...verbs].sort()])),
    )
  })
})

describe('the network', () => {
  const told = rowsOf(section(operate, 'Network')).map(([from, , ports = '']) => ({
    from,
    ports: ports.match(/\d+/g)?.map(Number) ?? [],
  }))
  const portsFrom = (who: string) =>
    told.flatMap(({ from, ports }) => (from === who ? ports : [])).sort((a, b) => a - b)

  test('says where the operator connects to', async () => {
    const policy = one(await render(), 'NetworkPolicy').spec as { egress: { ports: { port: number }[] }[] }
    const open = policy.egress.flatMap(({ ports }) => ports.map(({ port }) => port))
    expect(portsFrom('operator')).toEqual([...new Set(open)].sort((a, b) => a - b))
  })

  test('says where operator and workers are asked', async () => {
    const { spec } = one(await render(), 'Deployment') as unknown as Templated
    const manifest = deploymentOf({ pool: workerPool(), queues: [], secretName: 'millhand-redis' })
    const ports = [spec, manifest.spec as Templated['spec']].flatMap(({ template }) =>
      template.spec.containers.flatMap((container) =>
        container.ports.map(({ containerPort }) => containerPort),
      ),
    )
    expect(portsFrom('kubelet')).toEqual(ports)
    expect(portsFrom('Prometheus')).toEqual(ports)
  })
})

test('several teams: the turns that a namespace gets', () => {
  const pools = POOLS_AT_ONCE.perNamespace
  const queues = QUEUES_AT_ONCE.perNamespace
  expect(operate).toContain(
    `of one namespace ${pools} WorkerPools and ${queues} TaskQueues are reconciled at a time`,
  )
})

describe('troubleshooting', () => {
  const page = read('docs/troubleshooting.md')
  const words = [...page.matchAll(/`([A-Z]\w+)`/g)].map(([, word = '']) => word)

  test('names only reasons, alerts, error codes and words of Kubernetes that there are', () => {
    const known = [
      read('docs/conditions.md'),
      read('charts/millhand/files/alerts.yaml'),
      read('docs/client.md'),
      'Terminating OOMKilled',
    ].join('\n')
    expect(words.length).toBeGreaterThan(30)
    expect(words.filter((word) => !new RegExp(`\\b${word}\\b`).test(known))).toEqual([])
  })

  test('explains every error code of an enqueue', () => {
    const codes = /\| `code` \| `([^`]*PAYLOAD_TOO_LARGE[^`]*)`/.exec(read('docs/client.md'))?.[1] ?? ''
    const told = section(page, 'Enqueueing fails')
    const missing = (codes.match(/[A-Z_]+/g) ?? []).filter((code) => !told.includes(code))
    expect(missing).toEqual([])
  })
})

interface Templated {
  spec: { template: { spec: { containers: { ports: { containerPort: number }[] }[] } } }
}

function rulesOf({ rules }: Resource): { resources: string[]; verbs: string[] }[] {
  return rules as { resources: string[]; verbs: string[] }[]
}
