// What went wrong in the dashboards of others, each as a test of this one: the name of the report, and what it taught.
import type { Json } from '../../../dashboard/src/schema.ts'
import { routes } from '../../../dashboard/src/server/routes.ts'
import { redisUrl } from '../../redis.ts'
import { type Served, serve } from '../served.ts'

const NAME = `lessons-${process.pid}`
let served: Served
let statusOf: (path: string, headers?: Record<string, string>, init?: RequestInit) => Promise<number>
beforeAll(async () => {
  served = await serve({ redisUrl: redisUrl(), queues: [NAME] })
  statusOf = async (path, headers = {}, init = {}) => {
    const response = await fetch(`${served.url}${path}`, { ...init, headers })
    await response.body?.cancel()
    return response.status
  }
})
afterAll(() => served.stop())

const queue = `/api/v1/queues/test/${NAME}`
const bearer = () => ({ Authorization: `Bearer ${served.token}` })

test('CVE-2022-30034 (Flower), CVE-2023-48022 (Ray): nothing of the API is open, and signing in does not close it', async () => {
  for (const { method, path } of routes) {
    const place = path.replace('{namespace}', 'test').replace('{name}', NAME)
    expect([path, await statusOf(`/api/v1${place}`, {}, { method })]).toEqual([path, 401])
  }
  expect(await statusOf(queue, bearer())).toBe(200)
})

test('CVE-2025-62593 (Ray): a browser is not known by its User-Agent', async () => {
  const sent = { 'Content-Type': 'application/json', 'Sec-Fetch-Site': 'cross-site', ...bearer() }
  const body = { method: 'POST', body: '{}' }
  for (const agent of ['curl/8', 'python-requests', 'Mozilla/5.0'])
    expect(await statusOf(`${queue}/pause`, { ...sent, 'User-Agent': agent }, body)).toBe(403)
})

test('CVE-2026-27482 (Ray): DELETE is guarded as POST is', async () => {
  const deletions = routes.filter(({ method }) => method === 'DELETE')
  for (const { permission } of deletions) expect(permission).not.toBe('none')
  const headers = { ...bearer(), 'Sec-Fetch-Site': 'cross-site' }
  expect(await statusOf(`${queue}/jobs/x`, headers, { method: 'DELETE' })).toBe(403)
})

test('CVE-2024-32887 (Sidekiq): what stands in a parameter comes back as JSON only', async () => {
  const hostile = encodeURIComponent('"><img src=x onerror=alert(1)>')
  for (const path of [`${queue}/jobs?filter=${hostile}`, `${queue}/jobs/${hostile}`, `/api/v1/${hostile}`]) {
    const response = await fetch(`${served.url}${path}`, { headers: bearer() })
    expect(response.headers.get('content-type')).toContain('application/json')
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
    await response.json()
  }
})

/** With its path, everything that a caller may say in a number. */
function* numbersIn(json: Json | undefined, path: string): Generator<[string, Json]> {
  if (!json) return
  if (json.type === 'integer' || json.type === 'number') yield [path, json]
  for (const [name, child] of Object.entries(json.properties ?? {}))
    yield* numbersIn(child, `${path}.${name}`)
  if (json.items) yield* numbersIn(json.items, `${path}[]`)
  for (const child of json.anyOf ?? []) yield* numbersIn(child, path)
}
/** With its path, every text without a bound. */
function* textsIn(json: Json | undefined, path: string): Generator<[string, Json]> {
  if (!json) return
  if (json.type === 'string' && !json.enum) yield [path, json]
  for (const [name, child] of Object.entries(json.properties ?? {})) yield* textsIn(child, `${path}.${name}`)
  if (json.items) yield* textsIn(json.items, `${path}[]`)
  for (const child of json.anyOf ?? []) yield* textsIn(child, path)
}

describe('CVE-2022-23837, CVE-2023-26141 (Sidekiq): a number of a caller is bounded', () => {
  const queries = routes.flatMap((route) => [...numbersIn(route.query?.json, route.path)])

  test('each one in a query has a least and a most', () => {
    expect(queries.length).toBeGreaterThan(0)
    const open = queries.filter(([, { minimum, maximum }]) => minimum === undefined || maximum === undefined)
    expect(open.map(([path]) => path)).toEqual([])
  })

  test('each text in a query has a longest', () => {
    const texts = routes.flatMap((route) => [...textsIn(route.query?.json, route.path)])
    expect(texts.filter(([, { maxLength }]) => maxLength === undefined).map(([path]) => path)).toEqual([])
  })

  test.each(['-1', '0', '201', '1e9', 'NaN', 'Infinity', '0x10', '1.5', '99999999999999999999', ''])(
    'limit=%s is refused',
    async (limit) => {
      expect(await statusOf(`${queue}/jobs?limit=${limit}`, bearer())).toBe(400)
    },
  )
})

test('GHSA-vg6x-rcgg-rjx6 (Vite): no origin may read an answer, also where it asks before', async () => {
  for (const method of ['GET', 'OPTIONS']) {
    const headers = { ...bearer(), Origin: 'https://evil.example', 'Access-Control-Request-Method': 'POST' }
    const response = await fetch(`${served.url}${queue}`, { method, headers })
    const allowed = [...response.headers.keys()].filter((name) => name.startsWith('access-control'))
    expect(allowed).toEqual([])
    await response.body?.cancel()
  }
})

test('rq-dashboard: a GET changes nothing', async () => {
  const before = await (await fetch(`${served.url}${queue}`, { headers: bearer() })).text()
  for (const verb of ['pause', 'resume', 'retry', 'jobs/x/retry', 'jobs/x/cancel'])
    expect([404, 405]).toContain(await statusOf(`${queue}/${verb}`, bearer()))
  const after = await (await fetch(`${served.url}${queue}`, { headers: bearer() })).text()
  const plain = (text: string) => /"isPaused":(true|false)/.exec(text)?.[1]
  expect(plain(after)).toBe(plain(before))
})
