// The dashboard as the operator serves it, over a real Redis; the API server is a table of two users.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Objects } from '../../control/src/objects.ts'
import { type DashboardConfig, readConfig } from '../../operator/src/config.ts'
import { serveDashboard } from '../../operator/src/dashboard.ts'
import type { ResourceAttributes, User } from '../../operator/src/kube/reviews.ts'
import { createLog } from '../../worker-runtime/src/log.ts'
import { openServers } from '../control/redis/open-servers.ts'
import { declare, taskQueue } from '../dashboard/served.ts'
import { freePort } from '../free-port.ts'
import { redisUrl } from '../redis.ts'

export const MAIL = `mail-${process.pid}`
export const folder = mkdtempSync(join(tmpdir(), 'millhand-dashboard-'))
const open: (() => void)[] = []
afterAll(() => {
  for (const close of open) close()
  rmSync(folder, { recursive: true })
})

export const secret = (file: string, text: string) => writeFileSync(join(folder, file), text)
/** Anna may look into the namespace shop, Ops may do all. */
const reviews = {
  userOf: async (token: string): Promise<User | undefined> =>
    token === 'of-anna' || token === 'of-ops' ? { username: token.slice(3), groups: ['people'] } : undefined,
  mayDo: async ({ username }: User, { group, verb, namespace }: ResourceAttributes) =>
    group === 'millhand.dev' &&
    (username === 'ops' || (namespace === 'shop' && (verb === 'get' || verb === 'list'))),
}

export async function serving(env: Record<string, string>, queues = ['shop', 'bank']) {
  const port = await freePort()
  const whole = { MILLHAND_DASHBOARD_PORT: String(port), MILLHAND_DASHBOARD_SECRETS: folder, ...env }
  const config = readConfig(whole).dashboard as DashboardConfig
  const { servers } = openServers({ 'millhand-redis': redisUrl() })
  const caches = new Objects({ look: () => {} })
  for (const namespace of queues) declare(caches, 'TaskQueue', taskQueue(MAIL, {}, namespace))
  const logged: Record<string, unknown>[] = []
  const log = createLog({ level: 'info', write: (line) => logged.push(JSON.parse(line)) })
  const times = { nowMs: () => performance.now(), wallMs: () => Date.now() }
  const served = await serveDashboard(config, { caches, servers, reviews, log, ...times })
  const close = () => {
    served.close()
    servers.close()
  }
  const call = (path: string, headers: Record<string, string> = {}, init: RequestInit = {}) =>
    fetch(`http://127.0.0.1:${port}${path}`, { ...init, headers })
  open.push(close)
  return { port, call, logged, close }
}

export const as = (token: string) => ({ Authorization: `Bearer ${token}` })
