// Who asks, and what the server is and can do.
import { Config, Me } from '../../api.ts'
import { anything, object } from '../../schema.ts'
import type { Permission } from '../access/access.ts'
import { openApiOf } from '../openapi.ts'
import { type Call, type Route, route } from '../route.ts'

/** Each one may be a question to the API server. */
const MOST_NAMESPACES = 20

/** `all` is asked late: the table has these routes too. */
export function sessionRoutes(all: () => readonly Route[]): readonly Route[] {
  return [
    route({
      method: 'GET',
      path: '/me',
      summary: 'Who asks, and what is allowed',
      permission: 'none',
      answer: Me,
      handle: (call) => whoAsks(call, permissionsIn(all())),
    }),
    route({
      method: 'GET',
      path: '/config',
      summary: 'What the server is',
      permission: 'none',
      answer: Config,
      handle: async ({ parts }) => parts.config(),
    }),
    route({
      method: 'GET',
      path: '/openapi.json',
      summary: 'This API as an OpenAPI 3.1 document',
      permission: 'none',
      answer: object('The document', {
        openapi: anything('3.1.0'),
        info: anything('Title and version'),
        paths: anything('The routes'),
        components: anything('The schemas'),
      }),
      handle: async ({ parts }) => openApiOf(all(), parts.config().version),
    }),
  ]
}

function permissionsIn(routes: readonly Route[]): Permission[] {
  const found = new Map<string, Permission>()
  for (const { permission } of routes) if (permission !== 'none') found.set(nameOf(permission), permission)
  return [...found.values()]
}

const nameOf = ({ resource, verb }: Permission): string => `${resource} ${verb}`

async function whoAsks({ parts, session }: Call, permissions: readonly Permission[]): Promise<Me> {
  const all = [...parts.plant.list('TaskQueue'), ...parts.plant.list('WorkerPool')]
  const namespaces = [...new Set(all.map(({ metadata }) => metadata.namespace ?? ''))].sort()
  const can: Record<string, string[]> = {}
  const allow = (namespace: string, permission: Permission) => {
    const allowed = can[namespace] ?? []
    can[namespace] = allowed
    allowed.push(nameOf(permission))
  }
  const ask = async (permission: Permission) => {
    if (!(await session.refusalOf(permission, undefined))) return allow('*', permission)
    const some = await session.namespacesOf(permission, namespaces.slice(0, MOST_NAMESPACES))
    for (const namespace of some) allow(namespace, permission)
  }
  await Promise.all(permissions.map(ask))
  const { user, mode } = session
  return { user: user.name, groups: user.groups, mode, isReadOnly: parts.access.isReadOnly, can }
}
