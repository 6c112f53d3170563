// The dashboard as the operator serves it: on every replica, over the watched resources and the queues in
// Redis. Who may use it is asked of the API server, or written in a file. main.ts starts it.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Servers } from '@millhand/control/redis/servers'
import type { Permission, User } from '@millhand/dashboard/server/access/access'
import {
  kubernetesAuthority,
  proxyAuthority,
  tokenAuthority,
} from '@millhand/dashboard/server/access/authorities'
import { type Authority, Gate } from '@millhand/dashboard/server/access/gate'
import { redactor } from '@millhand/dashboard/server/access/redact'
import { tokensIn } from '@millhand/dashboard/server/access/token-file'
import { ownAssets } from '@millhand/dashboard/server/assets'
import { dashboardServer } from '@millhand/dashboard/server/server'
import { type Log, reasonOf } from 'millhand/queue'
import type { ClusterCaches } from './caches.ts'
import { ConfigError, type DashboardConfig } from './config.ts'
import { certificateIn, ownCertificate } from './http/certificates.ts'
import { type Listening, listenHttp, listenHttps } from './http/listen.ts'
import type { User as KubeUser, ResourceAttributes, Reviews } from './kube/reviews.ts'

export interface Served {
  caches: Pick<ClusterCaches, 'get' | 'list' | 'find'>
  servers: Pick<Servers, 'open'>
  reviews: Pick<Reviews, 'userOf' | 'mayDo'>
  log: Log
  nowMs: () => number
  wallMs: () => number
}

const GROUP = 'millhand.dev'

/** Resolves when it listens; throws ConfigError. */
export async function serveDashboard(config: DashboardConfig, served: Served): Promise<Listening> {
  const { port, publicUrl, tls } = config
  const { caches, servers, log, nowMs, wallMs } = served
  const basePath = publicUrl?.pathname ?? '/'
  const dashboard = dashboardServer({
    plant: {
      kind: 'kubernetes',
      get: (kind, key) => caches.get(kind, key),
      list: (kind) => caches.list(kind),
      find: (kind, index, name) => caches.find(kind, index, name),
      open: (queueName, place) => servers.open(queueName, place),
    },
    access: await accessOf(config, served),
    assets: await ownAssets(basePath),
    redact: redactor({ paths: config.redact }),
    basePath,
    log,
    nowMs,
    wallMs,
  })
  const handle = dashboard.handle.bind(dashboard)
  const folder = tls?.certificateFolder
  const certificates = folder ? certificateIn(folder) : ownCertificate(wallMs)
  const listening = await (tls
    ? listenHttps(port, handle, { certificates, of: 'dashboard', log })
    : listenHttp(port, handle)
  ).catch((error) => {
    throw new ConfigError(`the dashboard cannot be served on port ${port}: ${reasonOf(error)}`)
  })
  log.info('dashboard served', { port, mode: config.mode, isReadOnly: config.isReadOnly })
  return {
    close: () => {
      dashboard.close()
      listening.close()
    },
  }
}

async function accessOf(config: DashboardConfig, served: Served): Promise<Gate> {
  const { publicUrl, hosts, isReadOnly } = config
  const { log, nowMs, wallMs } = served
  return new Gate({
    authority: await authorityOf(config, served),
    hosts: {
      names: publicUrl ? [publicUrl.hostname, ...hosts] : hosts,
      anyAddress: true,
      remedy: 'open the address in dashboard.url of the chart, or add this name to dashboard.hosts',
    },
    isReadOnly,
    publicUrl,
    cookieSecret: await secretIn(config, 'cookie-secret'),
    log,
    nowMs,
    wallMs,
  })
}

async function authorityOf(config: DashboardConfig, { reviews, log }: Served): Promise<Authority> {
  const ofCluster = {
    userOf: async (token: string) => userOf(await reviews.userOf(token)),
    may: ({ name, ...user }: User, permission: Permission, namespace: string | undefined) =>
      reviews.mayDo({ username: name, ...user }, attributesOf(permission, namespace)),
  }
  if (config.mode === 'kubernetes') return kubernetesAuthority(ofCluster)
  if (config.mode === 'proxy') {
    const secret = await secretIn(config, 'proxy-secret')
    if (secret === undefined)
      throw new ConfigError(
        `${join(config.secretsFolder, 'proxy-secret')} is missing: mount the secret of the proxy`,
      )
    return proxyAuthority({ ...config.proxy, secret }, ofCluster)
  }
  const path = join(config.secretsFolder, 'tokens')
  const grants = await tokensIn(path, log).catch((error) => {
    throw new ConfigError(`the tokens of the dashboard cannot be used: ${reasonOf(error)}`)
  })
  return tokenAuthority(grants)
}

/** A short secret could be guessed, and an empty one would be everybody's. */
const SHORTEST_SECRET = 16

/** Undefined where there is no such file. */
async function secretIn({ secretsFolder }: DashboardConfig, file: string): Promise<string | undefined> {
  const path = join(secretsFolder, file)
  const text = await readFile(path, 'utf8').catch((error) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new ConfigError(`a secret of the dashboard cannot be read: ${reasonOf(error)}`)
  })
  if (text === undefined || text.trim().length >= SHORTEST_SECRET) return text?.trim()
  throw new ConfigError(`${path} is too short: write at least ${SHORTEST_SECRET} characters`)
}

function userOf(user: KubeUser | undefined): User | undefined {
  if (!user?.username) return undefined
  const { username: name, uid, groups = [], extra } = user
  return { name, groups, ...(uid !== undefined && { uid }), ...(extra && { extra }) }
}

function attributesOf(
  { resource: whole, verb }: Permission,
  namespace: string | undefined,
): ResourceAttributes {
  const [resource = '', subresource] = whole.split('/')
  return { group: GROUP, resource, subresource, verb, namespace }
}
