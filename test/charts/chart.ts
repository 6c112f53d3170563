// The chart as the tests of this folder need it: rendered by a real Helm, and parsed.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parse, parseAllDocuments } from 'yaml'
import { run } from '../cluster/run.ts'
import { helm3, helm4 } from '../cluster/tools.ts'

export const chart = fileURLToPath(new URL('../../charts/millhand', import.meta.url))
export const helms = { 'Helm 3': helm3, 'Helm 4': helm4 } as const

// A resource of any kind; tests reach into it by toMatchObject.
export interface Resource {
  apiVersion: string
  kind: string
  metadata: { name: string; namespace?: string; labels?: Record<string, string> } & Record<string, unknown>
  [field: string]: unknown
}

export type Values = Record<string, unknown>

interface Rendering {
  helm?: () => Promise<string>
  /** The release's name. */
  name?: string
  namespace?: string
}

export const readChart = (file: string) => readFileSync(`${chart}/${file}`, 'utf8')
export const defaults = parse(readChart('values.yaml')) as Values

/** What `helm template` prints. */
export async function renderText(
  values: Values = {},
  { helm = helm3, name = 'millhand', namespace = 'millhand-system' }: Rendering = {},
): Promise<string> {
  const args = ['template', name, chart, '--namespace', namespace, '--values', '-']
  return run([await helm(), ...args], { stdin: JSON.stringify(values) })
}

export async function render(values: Values = {}, rendering: Rendering = {}): Promise<Resource[]> {
  return resourcesIn(await renderText(values, rendering))
}

export function resourcesIn(text: string): Resource[] {
  return parseAllDocuments(text).flatMap((document) => {
    if (document.errors.length > 0) throw new Error(String(document.errors))
    const resource = document.toJS() as Resource | null
    return resource ? [resource] : []
  })
}

export const ofKind = (resources: Resource[], kind: string) =>
  resources.filter((resource) => resource.kind === kind)

/** The only one of its kind whose name ends so. */
export function one(resources: Resource[], kind: string, end = ''): Resource {
  const found = ofKind(resources, kind).filter(({ metadata }) => metadata.name.endsWith(end))
  const [first, second] = found
  if (!first || second)
    throw new Error(`${found.length} ${kind}s *${end} among ${resources.map(nameOf).join(', ')}`)
  return first
}

export const nameOf = ({ kind, metadata }: Resource) =>
  `${kind} ${metadata.namespace ? `${metadata.namespace}/` : ''}${metadata.name}`
