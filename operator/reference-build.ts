// Makes docs/resources.md, every field of the kinds, from the CRDs: npm run reference.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parse } from 'yaml'

export const RESOURCES = fileURLToPath(new URL('../docs/resources.md', import.meta.url))
const CRDS = new URL('../crds/', import.meta.url)
const HEAD = [
  '# Resources\n',
  'Every field of every kind. This page is made from the CRDs in [crds](../crds); `npm run reference` makes it again.',
  '`kubectl explain workerpool.spec.scaling --recursive` says the same of the CRDs that your cluster has.\n',
  'A default is written into the object by the API server. A field that is not in these tables is dropped by the API server, and refused',
  'by `millhand up`. `status` is written by the operator only.\n',
].join('\n')

interface Schema {
  type?: string
  format?: string
  description?: string
  default?: unknown
  enum?: unknown[]
  pattern?: string
  minimum?: number
  maximum?: number
  minItems?: number
  maxItems?: number
  maxLength?: number
  required?: string[]
  properties?: Record<string, Schema>
  additionalProperties?: Schema
  items?: Schema
  'x-kubernetes-int-or-string'?: boolean
  'x-kubernetes-validations'?: { message: string }[]
}

interface Column {
  name: string
  description: string
  priority?: number
}

interface Crd {
  spec: {
    group: string
    names: { kind: string; shortNames: string[] }
    versions: {
      name: string
      storage: boolean
      additionalPrinterColumns: Column[]
      schema: { openAPIV3Schema: Schema }
    }[]
  }
}

interface Field {
  path: string
  schema: Schema
  isRequired: boolean
}

export function resources(): string {
  const crds = readdirSync(CRDS)
    .sort()
    .map((name) => parse(readFileSync(new URL(name, CRDS), 'utf8')) as Crd)
  return [HEAD, ...crds.map(pageOf)].join('\n')
}

function pageOf({ spec: { group, names, versions } }: Crd): string {
  const version = versions.find(({ storage }) => storage)
  if (!version) throw new Error(`the CRD of ${names.kind} stores no version`)
  const { openAPIV3Schema: schema } = version.schema
  const { maxLength } = schema.properties?.metadata?.properties?.name ?? {}
  const about = [
    `\`apiVersion: ${group}/${version.name}\`, short name \`${names.shortNames.join('`, `')}\`.`,
    `\`metadata.name\` has at most ${maxLength} characters.`,
  ]
  return [
    `## ${names.kind}\n`,
    `${inText(schema.description)} ${about.join(' ')}\n`,
    ...['spec', 'status'].flatMap((part) => sectionsOf(part, schema.properties?.[part] ?? {}, names.kind)),
    `### Columns of ${names.kind}\n`,
    table(['column of `kubectl get`', ''], version.additionalPrinterColumns.map(columnRow)),
  ].join('\n')
}

function columnRow({ name, description, priority = 0 }: Column): string[] {
  return [name, `${inText(description)}${priority > 0 ? ' Only with `-o wide`.' : ''}`]
}

/** The fields without fields of their own, and then a section for each of the others. */
function sectionsOf(part: string, schema: Schema, kind: string): string[] {
  const children = childrenOf(schema, part)
  const isGroup = (field: Field) => childrenOf(field.schema, field.path).length > 0
  return [
    `### ${kind} ${part}\n`,
    `${inText(schema.description)}\n`,
    fieldTable(children.filter((field) => !isGroup(field))),
    ...rulesOf([{ path: part, schema, isRequired: true }]),
    ...children.filter(isGroup).flatMap((field) => {
      const fields = [field, ...descendantsOf(field)]
      return [`#### ${kind} ${field.path}\n`, fieldTable(fields), ...rulesOf(fields)]
    }),
  ]
}

function childrenOf(schema: Schema, path: string): Field[] {
  const { properties, required = [] } = schema.items ?? schema
  const parent = schema.items ? `${path}[]` : path
  return Object.entries(properties ?? {}).map(([name, child]) => {
    return { path: `${parent}.${name}`, schema: child, isRequired: required.includes(name) }
  })
}

function descendantsOf({ path, schema }: Field): Field[] {
  return childrenOf(schema, path).flatMap((field) => [field, ...descendantsOf(field)])
}

function fieldTable(fields: Field[]): string {
  const isStatus = fields[0]?.path.startsWith('status') === true
  return table(
    ['field', 'type', ...(isStatus ? [] : ['default']), ''],
    fields.map(({ path, schema, isRequired }) => [
      `\`${path}\``,
      typeOf(schema),
      ...(isStatus ? [] : [isRequired ? '*required*' : defaultOf(schema)]),
      inText(schema.description),
    ]),
  )
}

/** What the API server refuses beside wrong types and bounds. */
function rulesOf(fields: Field[]): string[] {
  const rules = fields.flatMap(({ path, schema }) =>
    (schema['x-kubernetes-validations'] ?? []).map(({ message }) => `- \`${path}\`: ${inText(message)}`),
  )
  return rules.length > 0 ? [`Rules:\n\n${rules.join('\n')}\n`] : []
}

function typeOf(schema: Schema): string {
  if (schema.enum) return schema.enum.map((value) => `\`${value}\``).join(' · ')
  if (schema['x-kubernetes-int-or-string'])
    return schema.pattern?.includes('%') ? 'integer or percentage' : 'quantity'
  if (schema.items) return `list${bounds(schema.minItems, schema.maxItems)}`
  if (schema.additionalProperties) return 'map of text'
  if (schema.format === 'date-time') return 'time'
  if (schema.type === 'string') return `text${bounds(undefined, schema.maxLength)}`
  return `${schema.type}${bounds(schema.minimum, schema.maximum)}`
}

function bounds(least: number | undefined, most: number | undefined): string {
  const [from, to] = [least, most].map((value) => value?.toLocaleString('en'))
  if (from && to) return `, ${from} to ${to}`
  if (to) return `, at most ${to}`
  return from ? `, at least ${from}` : ''
}

function defaultOf({ default: value }: Schema): string {
  const isObject = typeof value === 'object'
  return value === undefined || isObject ? '' : `\`${value}\``
}

function table(head: string[], rows: string[][]): string {
  const lines = [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`)
  return `${lines.join('\n')}\n`
}

/** As Markdown shows it: neither a cell ends in it, nor is `<name>` taken for a tag. */
function inText(text = ''): string {
  return text.replaceAll(/\s+/g, ' ').replaceAll('|', '\\|').replaceAll('<', '\\<')
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) writeFileSync(RESOURCES, resources())
