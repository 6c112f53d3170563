// Good and bad TaskQueues, WorkerPools and Schedules, from manifests/, for crds-on-cluster.test.ts: a real API server and local mode must judge
// them alike.
import { readdirSync, readFileSync } from 'node:fs'
import { parse, parseAllDocuments } from 'yaml'
import { KINDS, type Kind } from '../../../control/src/resources/schemas.ts'

export interface Manifest {
  apiVersion: string
  kind: Kind
  metadata: { name: string; [field: string]: unknown }
  spec?: unknown
}

export interface Bad {
  rule: string
  manifest: Manifest
  /** The kubectl command by which it is tried. */
  with: 'apply' | 'create'
  /** A part of what the API server says. */
  server: string
  /** A part of what local mode says. */
  local: string
}

interface GoodRow {
  shows: string
  kind: Manifest['kind']
  spec?: object
}

interface BadRow {
  rule: string
  at: string
  to?: unknown
  with?: Bad['with']
  server: string
  local?: string
}

export const queue = (spec: object = {}) => manifest('TaskQueue', 'mail', spec)
export const pool = (spec: object = {}) => manifest('WorkerPool', 'mailers', { ...LEAST, ...spec })
export const schedule = (spec: object = {}) =>
  manifest('Schedule', 'digest', { queue: 'mail', cron: '0 8 * * 1-5', task: 'digest', ...spec })

const LEAST = {
  queues: [{ name: 'mail' }],
  template: { spec: { containers: [{ name: 'worker', image: 'example/mail:1' }] } },
}

export const good: { shows: string; manifest: Manifest }[] = [
  ...inPage('README.md'),
  ...readdirSync(new URL('../../../docs', import.meta.url))
    .filter((name) => name.endsWith('.md'))
    .flatMap((name) => inPage(`docs/${name}`)),
  ...inText('examples/thumbnails', read('../../../examples/thumbnails/thumbnails.yaml')),
  ...inText('the chart’s notes', notes()),
  ...chartExamples(),
  ...(parse(read('manifests/good.yaml')) as GoodRow[]).map(({ shows, kind, spec }) => ({
    shows,
    manifest: manifest(kind, 'good', spec),
  })),
  { shows: 'a name of 63 characters', manifest: changed(queue(), 'metadata.name', 'q'.repeat(63)) },
]

const tooLarge: Record<Manifest['kind'], BadRow[]> = {
  TaskQueue: [
    row('a name that is longer than a label may be', 'metadata.name', 'q'.repeat(64), 63),
    row('a name in Redis that is too long', 'spec.queueName', 'q'.repeat(128), 127),
  ],
  WorkerPool: [
    row('too many queues', 'spec.queues', namedItems(17), 16),
    row('too many policies', 'spec.scaling.behavior.scaleUp.policies', policies(9), 8),
    row('too many labels', 'spec.template.metadata.labels', labels(65), 64),
    row('a variable longer than Linux takes', 'spec.template.spec.containers.0.env', [env(131_073)], 131_072),
    row('1 MB of variables', 'spec.template.spec.containers.0.env', namedItems(1000, env(1000)), 512),
    row(
      '1 MB in one annotation',
      'spec.template.metadata.annotations',
      { note: 'x'.repeat(2 ** 20) },
      262_144,
    ),
  ],
  Schedule: [
    row('a cron that is too long', 'spec.cron', `0 ${'1,'.repeat(60)}1 * * *`, 100),
    row('a zone that is too long', 'spec.timeZone', `Europe/${'x'.repeat(60)}`, 64),
  ],
}

const LEAST_OF = { TaskQueue: queue, WorkerPool: pool, Schedule: schedule }
const fromFile = parse(read('manifests/bad.yaml')) as Record<Manifest['kind'], BadRow[]>

export const bad: Bad[] = KINDS.flatMap((kind) =>
  [...fromFile[kind], ...tooLarge[kind]].map(
    ({ rule, at, to, with: command = 'apply', server, local = server }): Bad => ({
      rule: `${kind}: ${rule}`,
      manifest: changed(LEAST_OF[kind](), at, to),
      with: command,
      server,
      local,
    }),
  ),
)

/** A copy with one place changed, or without it; `0` in a path is the first item of a list. */
function changed(whole: Manifest, path: string, value: unknown): Manifest {
  const copy = structuredClone(whole)
  const steps = path.split('.')
  const last = steps.pop() ?? ''
  let place = copy as unknown as Record<string, unknown>
  for (const step of steps) {
    place[step] ??= {}
    place = place[step] as Record<string, unknown>
  }
  if (value === undefined) delete place[last]
  else place[last] = value
  return copy
}

function manifest(kind: Manifest['kind'], name: string, spec: object | undefined): Manifest {
  return { apiVersion: 'millhand.dev/v1beta1', kind, metadata: { name }, ...(spec && { spec }) }
}

/** What a page shows of Millhand's kinds. */
function inPage(page: string): typeof good {
  const blocks = [...read(`../../../${page}`).matchAll(/```yaml\n([\s\S]*?)```/g)]
  return blocks
    .flatMap(([, text = '']) => inText(page, text))
    .filter(({ manifest: { apiVersion } }) => apiVersion?.startsWith('millhand.dev/'))
}

function inText(what: string, text: string): typeof good {
  return parseAllDocuments(text).map((document) => {
    const found = document.toJS() as Manifest
    return { shows: `${found.kind} ${found.metadata?.name} of ${what}`, manifest: found }
  })
}

/** What the chart tells to apply after its installation. */
function notes(): string {
  const text = read('../../../charts/millhand/templates/NOTES.txt')
  return /<<'END'\n([\s\S]*?)END\n/.exec(text)?.[1] ?? ''
}

/** What Artifact Hub shows beside the chart. */
function chartExamples(): typeof good {
  const { annotations } = parse(read('../../../charts/millhand/Chart.yaml'))
  const found = parse(annotations['artifacthub.io/crdsExamples']) as Manifest[]
  return found.map((manifest) => ({ shows: `${manifest.kind} of Chart.yaml`, manifest }))
}

function read(file: string): string {
  return readFileSync(new URL(file, import.meta.url), 'utf8')
}

/** For a value that is beyond a bound: both say the bound. */
function row(rule: string, at: string, to: unknown, most: number): BadRow {
  const server =
    typeof to === 'string' || most > 1000 ? 'Too long: may not be more than' : 'must have at most'
  return { rule, at, to, server: `${server} ${most}`, local: `it may have ${most} at most` }
}

function namedItems(count: number, like: object = {}): object[] {
  return Array.from({ length: count }, (_, index) => ({ ...like, name: `n${index}` }))
}

function policies(count: number): object[] {
  return Array.from({ length: count }, () => ({ type: 'Pods', value: 1, periodSeconds: 1 }))
}

function labels(count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`n${index}`, '']))
}

function env(length: number): object {
  return { name: 'A', value: 'x'.repeat(length) }
}
