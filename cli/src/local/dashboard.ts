// The dashboard of `millhand up`: it listens on loopback and shows the resources and Redis of this `up`.
// Started by index.ts.
import type { Objects } from '@millhand/control/objects'
import type { Servers } from '@millhand/control/redis/servers'
import { localAccess } from '@millhand/dashboard/server/access/local'
import { ownAssets } from '@millhand/dashboard/server/assets'
import { listenLocally } from '@millhand/dashboard/server/listen'
import { dashboardServer } from '@millhand/dashboard/server/server'
import { type Facts, type Log, reasonOf } from 'millhand/queue'
import type { OnEvent } from './events.ts'

export interface LocalDashboard {
  /** For a browser: with the token that signs in. */
  readonly url: string
  close(): void
}

interface Shown {
  objects: Objects
  servers: Servers
}

interface DashboardOptions {
  /** 0: any free port. */
  port: number
  onEvent: OnEvent
  wallMs: () => number
}

/** Throws PortTaken. */
export async function serveDashboard(
  { objects, servers }: Shown,
  { port, onEvent, wallMs }: DashboardOptions,
): Promise<LocalDashboard> {
  const common = { log: logTo(onEvent), nowMs: () => performance.now(), wallMs }
  const { access, token } = localAccess(common)
  const dashboard = dashboardServer({
    ...common,
    access,
    assets: await ownAssets(),
    plant: {
      kind: 'up',
      get: (kind, key) => objects.get(kind, key),
      list: (kind) => objects.list(kind),
      find: (kind, index, name) => objects.find(kind, index, name),
      open: (queueName, place) => servers.open(queueName, place),
    },
  })
  const listening = await listenLocally(dashboard, port)
  return { url: `http://127.0.0.1:${listening.port}/?token=${token}`, close: listening.close }
}

/** Reports writes, not sign-ins. */
function logTo(onEvent: OnEvent): Log {
  return {
    debug: () => {},
    info: (_, facts = {}) => {
      const write = writeIn(facts)
      if (write) onEvent({ kind: 'dashboard-write', ...write })
    },
    warn: (message) => onEvent({ kind: 'warning', message }),
    error: (message, { error } = {}) =>
      onEvent({ kind: 'warning', message: error === undefined ? message : `${message}: ${reasonOf(error)}` }),
  }
}

function writeIn({ verb, resource, queue, outcome, ids }: Facts) {
  const texts = [verb, resource, queue, outcome].map((fact) => (typeof fact === 'string' ? fact : ''))
  if (texts.includes('')) return undefined
  const [v = '', r = '', q = '', o = ''] = texts
  const jobs = Array.isArray(ids) ? { ids: ids.map(String) } : {}
  return { verb: v, resource: r, queue: q, outcome: o, ...jobs }
}
