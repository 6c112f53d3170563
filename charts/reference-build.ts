// Makes the table of values in the chart's README from values.yaml and the descriptions of values.schema.json: npm run reference.
import { readFileSync, writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { parse, stringify } from 'yaml'

const chart = new URL('millhand/', import.meta.url)
const read = (file: string) => readFileSync(new URL(file, chart), 'utf8')

export interface Schema {
  description?: string
  type?: string | string[]
  properties?: Record<string, Schema>
  additionalProperties?: boolean | Schema
  items?: Schema
  definitions?: Record<string, Schema>
  $ref?: string
}

export interface Value {
  path: string
  default: unknown
  description: string
}

/** A value is what has a description; objects without one only hold values. */
export function valuesOf(schema: Schema, defaults: unknown, path = ''): Value[] {
  const entries = Object.entries(schema.properties ?? {})
  const held = (defaults ?? {}) as Record<string, unknown>
  return entries.flatMap(([name, child]) => {
    const whole = path ? `${path}.${name}` : name
    if (child.description === undefined) return valuesOf(child, held[name], whole)
    return [{ path: whole, default: held[name], description: child.description }]
  })
}

/** The README with the table as it should be. */
export function readme(): string {
  const values = valuesOf(JSON.parse(read('values.schema.json')), parse(read('values.yaml')))
  const rows = values.filter(({ path }) => path !== 'global').map(rowOf)
  const table = ['| value | default | description |', '|---|---|---|', ...rows, ''].join('\n')
  return read('README.md').replace(/^\| value \|.*\n(\|.*\n)*/m, () => table)
}

function rowOf({ path, default: value, description }: Value): string {
  const text = stringify(value, { collectionStyle: 'flow', flowCollectionPadding: false, lineWidth: 0 })
  return `| \`${path}\` | \`${text.trim()}\` | ${description} |`
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  writeFileSync(new URL('README.md', chart), readme())
