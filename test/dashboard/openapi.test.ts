// The OpenAPI document and the table of routes say the same.

import { readFileSync } from 'node:fs'
import { type Json, namedIn } from '../../dashboard/src/schema.ts'
import { READS } from '../../dashboard/src/server/access/access.ts'
import { openApiOf } from '../../dashboard/src/server/openapi.ts'
import { PATH_FIELDS } from '../../dashboard/src/server/route.ts'
import { routes } from '../../dashboard/src/server/routes.ts'
import { redisUrl } from '../redis.ts'
import { serve } from './served.ts'

const document = openApiOf(routes, '1.2.3')
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, ...(operation as Operation) })),
)

interface Operation {
  operationId: string
  summary: string
  description: string
  parameters: { name: string; in: string; schema: Json }[]
  requestBody?: unknown
  responses: Record<string, unknown>
}

test('each route is in the document once, and nothing else is', () => {
  const inTable = routes.map(({ method, path }) => `${method} /api/v1${path}`).sort()
  const inDocument = operations.map(({ method, path }) => `${method.toUpperCase()} ${path}`).sort()
  expect(inDocument).toEqual(inTable)
  expect(new Set(inTable).size).toBe(inTable.length)
})

test('docs/api.md lists each route, with its summary', () => {
  const page = readFileSync(new URL('../../docs/api.md', import.meta.url), 'utf8')
  const listed = [...page.matchAll(/^\| `((?:GET|POST|DELETE) [^`]+)` \| (.+) \|$/gm)].map(
    ([, route, what]) => [route, what],
  )
  expect(listed).toEqual(routes.map(({ method, path, summary }) => [`${method} ${path}`, summary]))
})

test('operations have names of their own, and say what they need', () => {
  const ids = operations.map(({ operationId }) => operationId)
  expect(new Set(ids).size).toBe(ids.length)
  for (const { operationId, summary, description } of operations) {
    expect(operationId).toMatch(/^(get|post|delete)[A-Za-z]+$/)
    expect(summary).not.toBe('')
    expect(description).toMatch(
      /^Needs [a-z]+ on [a-z/]+\.millhand\.dev\.$|^For everybody who is signed in\.$/,
    )
  }
})

test('every parameter has a schema with bounds', () => {
  for (const { parameters, path } of operations)
    for (const { schema, name } of parameters) {
      const isBounded =
        schema.maxLength !== undefined ||
        schema.maximum !== undefined ||
        schema.enum ||
        schema.type === 'boolean'
      expect({ path, name, isBounded: Boolean(isBounded) }).toEqual({ path, name, isBounded: true })
    }
})

test('every reference leads somewhere, and every schema is used', () => {
  const text = JSON.stringify(document)
  const used = new Set([...text.matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name))
  expect([...used].sort()).toEqual(Object.keys(document.components.schemas).sort())
})

test('no route is without a permission, and a GET has a verb that reads', () => {
  for (const { method, path, permission } of routes) {
    if (permission === 'none') {
      expect(['/me', '/config', '/openapi.json']).toContain(path)
      continue
    }
    expect({ path, isRead: READS.some((verb) => verb === permission.verb) }).toEqual({
      path,
      isRead: method === 'GET',
    })
  }
})

test('every name in a path has a rule', () => {
  for (const { path } of routes)
    for (const [, name = ''] of path.matchAll(/\{(\w+)\}/g)) expect(PATH_FIELDS[name]).toBeDefined()
})

test('a schema with a name is one schema', () => {
  const all = routes.flatMap((route) => [
    ...(route.body ? [route.body] : []),
    ...(route.kind === 'answer' ? [route.answer] : Object.values(route.events)),
  ])
  const byName = new Map<string, string>()
  for (const [name, { json }] of all.flatMap((schema) => [...namedIn([schema])])) {
    const text = JSON.stringify(json)
    expect(byName.get(name) ?? text).toBe(text)
    byName.set(name, text)
  }
})

test('the server gives it', async () => {
  const served = await serve({ redisUrl: redisUrl(), queues: [] })
  try {
    const given = await served.get<typeof document>('openapi.json')
    expect(given.openapi).toBe('3.1.0')
    expect(given.paths).toEqual(JSON.parse(JSON.stringify(document.paths)))
  } finally {
    served.stop()
  }
})
