// The OpenAPI 3.1 document, from the table of routes and the schemas of api.ts. Pure.
import { API, ErrorAnswer } from '../api.ts'
import { type Json, namedIn, reference, type Schema } from '../schema.ts'
import { PATH_FIELDS, type Route } from './route.ts'

export function openApiOf(routes: readonly Route[], version: string) {
  const paths: Record<string, Record<string, unknown>> = {}
  for (const route of routes) {
    const path = `${API}${route.path}`
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(route) }
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Millhand', version, description: 'Queues, jobs and workers. Times are ms UTC.' },
    paths,
    components: { schemas: schemasOf(routes) },
  }
}

function schemasOf(routes: readonly Route[]): Record<string, Json> {
  const used = routes.flatMap((route) => [
    ...(route.body ? [route.body] : []),
    ...(route.kind === 'answer' ? [route.answer] : Object.values(route.events)),
  ])
  const found = namedIn([...used, ErrorAnswer])
  return Object.fromEntries([...found].sort().map(([name, { json }]) => [name, json]))
}

function operationOf(route: Route) {
  const { permission, summary, body } = route
  const needs =
    permission === 'none'
      ? 'For everybody who is signed in.'
      : `Needs ${permission.verb} on ${permission.resource}.millhand.dev.`
  return {
    operationId: idOf(route),
    summary,
    description: needs,
    parameters: parametersOf(route),
    ...(body && { requestBody: { required: true, content: jsonOf(body) } }),
    responses: {
      200: route.kind === 'answer' ? answerOf(route.answer) : streamOf(route.events),
      default: { description: 'Why not', content: jsonOf(ErrorAnswer) },
    },
  }
}

/** `GET /queues/{namespace}/{name}/jobs` is `getQueueJobs`. */
function idOf({ method, path }: Route): string {
  const words = path.split('/').filter((word) => word !== '' && !word.startsWith('{'))
  const isOne = (word: string) => path.includes(`/${word}/{`) && word.endsWith('s')
  const parts = words.map((word) => (isOne(word) ? word.slice(0, -1) : word).replace(/\W.*$/, ''))
  return method.toLowerCase() + parts.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('')
}

function parametersOf({ path, query }: Route) {
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name)
  const { properties = {}, required = [] } = query?.json ?? {}
  return [
    ...names.map((name) => ({ name, in: 'path', required: true, schema: PATH_FIELDS[name]?.json })),
    ...Object.entries(properties).map(([name, schema]) => ({
      name,
      in: 'query',
      required: required.includes(name),
      schema,
    })),
  ]
}

const jsonOf = (schema: Schema) => ({ 'application/json': { schema: reference(schema) } })

const answerOf = (schema: Schema) => ({ description: schema.json.description ?? '', content: jsonOf(schema) })

function streamOf(events: Readonly<Record<string, Schema>>) {
  const names = Object.keys(events).join(', ')
  const description = `Server-sent events: ${names}; the last one is end, which says why`
  const data = Object.fromEntries(Object.entries(events).map(([name, schema]) => [name, reference(schema)]))
  // OpenAPI has no words for the events of a stream.
  return { description, content: { 'text/event-stream': { schema: { type: 'string' }, 'x-events': data } } }
}
