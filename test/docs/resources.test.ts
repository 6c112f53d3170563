// docs/resources.md is what the CRDs make of it: every field of every kind is there.
import { readFileSync } from 'node:fs'
import { RESOURCES, resources } from '../../operator/reference-build.ts'
import { crds } from '../control/resources/crds.ts'

const page = readFileSync(RESOURCES, 'utf8')

test('docs/resources.md is what npm run reference makes', () => {
  expect(page).toBe(resources())
})

test('every field is in a row with a description', () => {
  const fields = Object.values(crds).flatMap(({ properties = {} }) => [
    ...pathsOf('spec', properties.spec),
    ...pathsOf('status', properties.status),
  ])
  expect(fields.length).toBeGreaterThan(150)
  const rows = new Map(
    [...page.matchAll(/^\| `((?:spec|status)[^`]*)` \|.* \| (.*) \|$/gm)].map(([, path, about]) => [
      path,
      about,
    ]),
  )
  expect(fields.filter((path) => !rows.get(path))).toEqual([])
  expect([...rows.keys()].filter((path) => !fields.includes(path ?? ''))).toEqual([])
})

interface Node {
  properties?: Record<string, Node>
  items?: Node
}

/** Found in another way than the script does. */
function pathsOf(path: string, node: Node = {}): string[] {
  const inside = node.items ? pathsOf(`${path}[]`, node.items) : []
  const fields = Object.entries(node.properties ?? {}).flatMap(([name, child]) => [
    `${path}.${name}`,
    ...pathsOf(`${path}.${name}`, child),
  ])
  return [...inside, ...fields]
}
