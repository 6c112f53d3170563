// Who may call which route, from the table of routes itself: each route × reader, writer, nobody, read-only. Behind
// the real server and a real Redis; what a route does with an allowed call is told elsewhere.
import { Objects } from '../../../control/src/objects.ts'
import type { Permission, User } from '../../../dashboard/src/server/access/access.ts'
import { READS, RESOURCES, WRITES } from '../../../dashboard/src/server/access/access.ts'
import { kubernetesAuthority } from '../../../dashboard/src/server/access/authorities.ts'
import { Gate } from '../../../dashboard/src/server/access/gate.ts'
import { type Listening, listenLocally } from '../../../dashboard/src/server/listen.ts'
import { routes } from '../../../dashboard/src/server/routes.ts'
import { dashboardServer } from '../../../dashboard/src/server/server.ts'
import { silent } from '../../../worker-runtime/src/log.ts'
import { openServers } from '../../control/redis/open-servers.ts'
import { redisUrl } from '../../redis.ts'
import { declare, taskQueue } from '../served.ts'

const NAME = `roles-${process.pid}`
const asked: string[] = []
const mayBy: Record<string, (permission: Permission, namespace: string | undefined) => boolean> = {
  writer: () => true,
  reader: ({ verb }) => READS.some((read) => read === verb),
  elsewhere: (_, namespace) => namespace === 'other',
  nothing: () => false,
}
const reviews = {
  userOf: async (token: string): Promise<User | undefined> =>
    token in mayBy ? { name: token, groups: [] } : undefined,
  may: async ({ name }: User, permission: Permission, namespace: string | undefined) => {
    asked.push(`${name} ${permission.verb} ${permission.resource} ${namespace}`)
    return mayBy[name]?.(permission, namespace) === true
  },
}

const { servers } = openServers({ 'millhand-redis': redisUrl() })
const listening: Listening[] = []
afterAll(() => {
  for (const each of listening) each.close()
  servers.close()
})

async function serving(isReadOnly: boolean): Promise<number> {
  const objects = new Objects({ look: () => {} })
  declare(objects, 'TaskQueue', taskQueue(NAME))
  const times = { nowMs: () => performance.now(), wallMs: () => Date.now() }
  const hosts = { names: [], anyAddress: false, remedy: '' }
  const access = new Gate({
    authority: kubernetesAuthority(reviews),
    hosts,
    isReadOnly,
    log: silent,
    ...times,
  })
  const plant = {
    kind: 'kubernetes' as const,
    get: objects.get.bind(objects),
    list: objects.list.bind(objects),
    find: objects.find.bind(objects),
    open: servers.open.bind(servers),
  }
  const server = await listenLocally(dashboardServer({ plant, access, log: silent, ...times }), 0)
  listening.push(server)
  return server.port
}

let port: number
let readOnlyPort: number
beforeAll(async () => {
  port = await serving(false)
  readOnlyPort = await serving(true)
})

/** With the values of a queue that exists and a job that does not. */
const placeOf = (path: string) =>
  path
    .replaceAll('{namespace}', 'test')
    .replaceAll('{name}', NAME)
    .replaceAll('{fingerprint}', 'v1:0123456789abcdef')
    .replaceAll(/\{\w+\}/g, '018f0000-0000-7000-8000-000000000000')

async function call(route: (typeof routes)[number], token: string | undefined, at = port) {
  const asking = new AbortController()
  const response = await fetch(`http://127.0.0.1:${at}/api/v1${placeOf(route.path)}`, {
    method: route.method,
    headers: { ...(token && { Authorization: `Bearer ${token}` }), 'Content-Type': 'application/json' },
    ...(route.method !== 'GET' && { body: '{}' }),
    signal: asking.signal,
  })
  const code = response.ok ? 'ok' : ((await response.json()) as { error: { code: string } }).error.code
  asking.abort()
  return { status: response.status, code }
}

const table = routes.map((route) => [`${route.method} ${route.path}`, route] as const)
const guarded = table.flatMap(([what, route]) =>
  route.permission === 'none' ? [] : [[what, route, route.permission] as const],
)

test.each(table)('%s is for nobody without a token', async (_, route) => {
  expect(await call(route, undefined)).toEqual({ status: 401, code: 'NOT_SIGNED_IN' })
  expect(await call(route, 'unknown')).toMatchObject({ status: 401 })
})

test.each(guarded)(
  '%s asks about its own permission, and refuses who has none',
  async (_, route, permission) => {
    expect(await call(route, 'nothing')).toEqual({ status: 403, code: 'FORBIDDEN' })
    const where = route.path.includes('{namespace}') ? 'test' : 'undefined'
    expect(asked).toContain(`nothing ${permission.verb} ${permission.resource} ${where}`)
    if (route.path.includes('{namespace}'))
      expect(await call(route, 'elsewhere')).toEqual({ status: 403, code: 'FORBIDDEN' })
  },
)

test.each(guarded)('%s is let through for who may', async (_, route) => {
  expect((await call(route, 'writer')).code).not.toMatch(/^(FORBIDDEN|NOT_SIGNED_IN|READ_ONLY)$/)
})

test.each(guarded)('%s is for readers if and only if it reads', async (_, route) => {
  const { code } = await call(route, 'reader')
  expect(code === 'FORBIDDEN').toBe(route.method !== 'GET')
})

test.each(guarded)('%s is there in a read-only dashboard if and only if it reads', async (_, route) => {
  const { code } = await call(route, 'writer', readOnlyPort)
  expect(code === 'READ_ONLY').toBe(route.method !== 'GET')
})

test('a GET needs a verb that reads, everything else one that writes', () => {
  for (const [what, route, { resource, verb }] of guarded) {
    const verbs: readonly string[] = route.method === 'GET' ? READS : WRITES
    expect([what, verbs.includes(verb), RESOURCES.includes(resource)]).toEqual([what, true, true])
  }
  expect(guarded.length).toBeGreaterThan(10)
})

test('only questions about oneself and the server need no permission', () => {
  const open = table.filter(([, { permission }]) => permission === 'none').map(([what]) => what)
  expect(open.sort()).toEqual(['GET /config', 'GET /me', 'GET /openapi.json'])
})
