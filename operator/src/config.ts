// Environment → Config, once. The only file of the operator that reads process.env, except for the client of
// the API server.
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { blockListOf } from '@millhand/control/redis/denied'
import { DEFAULT_REDIS_SECRET } from '@millhand/control/resources/task-queue'
import { LEVELS, type Level } from 'millhand/queue'
import type { LeaderDurations } from './kube/leader.ts'

/** A wrong setting, in one sentence, with the remedy. */
export class ConfigError extends Error {
  readonly code = 'CONFIG'
  override name = 'ConfigError'
}

export interface Config {
  /** The namespace of the lease. */
  readonly namespace: string
  readonly leaseName: string
  readonly leaseDurations: LeaderDurations
  /** The identity in the lease and in Events. */
  readonly identity: string
  /** Empty: all. */
  readonly watchNamespaces: readonly string[]
  readonly redisSecrets: readonly string[]
  /** Allowed names in Redis besides <namespace>.…, or prefixes that end in a dot; * is every name. */
  readonly queueNames: readonly string[]
  /** Allowed CIDRs; empty: all but the denied addresses (redis/denied.ts). */
  readonly redisNetworks: readonly string[]
  /** Host of the embedded Redis of the chart. */
  readonly chartRedis: string | undefined
  readonly httpPort: number
  /** Metrics with TLS and authentication; undefined: at httpPort, without. */
  readonly secureMetrics: SecureMetrics | undefined
  /** Undefined: the dashboard is not served. */
  readonly dashboard: DashboardConfig | undefined
  readonly logLevel: Level
  /** host:port of the API server as pods see it, besides that of the client's configuration. */
  readonly apiServers: readonly string[]
}

export interface SecureMetrics {
  readonly port: number
  /** Of tls.crt and tls.key; undefined: the operator signs its own certificate. */
  readonly certificateFolder: string | undefined
}

/** Who may use the dashboard, and how it is reached. */
export interface DashboardConfig {
  readonly port: number
  readonly mode: DashboardMode
  /** HTTPS by a self-signed certificate, or by tls.crt and tls.key of a folder; undefined: HTTP. */
  readonly tls: { readonly certificateFolder: string | undefined } | undefined
  readonly isReadOnly: boolean
  /** As browsers see it; its path is the base path. */
  readonly publicUrl: URL | undefined
  /** Names in the Host header besides localhost and addresses. */
  readonly hosts: readonly string[]
  /** Of the files cookie-secret, tokens and proxy-secret. */
  readonly secretsFolder: string
  /** Paths that are hidden, by task; * is every task. */
  readonly redact: Readonly<Record<string, readonly string[]>>
  /** Of the mode proxy. */
  readonly proxy: {
    readonly networks: readonly string[]
    readonly secretHeader: string
    readonly userHeader: string
    readonly groupsHeader: string
  }
}

const DASHBOARD_MODES = ['kubernetes', 'proxy', 'token'] as const
export type DashboardMode = (typeof DASHBOARD_MODES)[number]

type Environment = Readonly<Record<string, string | undefined>>

const QUEUE_NAME = /^([a-z0-9][a-z0-9._-]{0,126}|\*)$/
const HOST = /^(\*\.)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/i
const HEADER = /^[A-Za-z0-9-]{1,64}$/
const NAME = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/

/** Throws ConfigError. */
export function readConfig(env: Environment = process.env): Config {
  const host = env.KUBERNETES_SERVICE_HOST
  return {
    namespace: name(env, 'MILLHAND_OPERATOR_NAMESPACE', 'millhand-system'),
    leaseName: name(env, 'MILLHAND_LEASE_NAME', 'millhand'),
    leaseDurations: leaseDurations(env),
    identity: env.MILLHAND_POD_NAME || `${hostname()}-${randomBytes(4).toString('hex')}`,
    watchNamespaces: names(env, 'MILLHAND_WATCH_NAMESPACES'),
    redisSecrets: names(env, 'MILLHAND_REDIS_SECRETS', { otherwise: [DEFAULT_REDIS_SECRET] }),
    queueNames: names(env, 'MILLHAND_QUEUE_NAMES', { form: QUEUE_NAME }),
    redisNetworks: networks(env, 'MILLHAND_REDIS_NETWORKS'),
    chartRedis: env.MILLHAND_CHART_REDIS || undefined,
    httpPort: integer(env, 'MILLHAND_HTTP_PORT', { otherwise: 8080, most: 65_535, what: 'a port' }),
    secureMetrics: secureMetrics(env),
    dashboard: dashboard(env),
    logLevel: level(env),
    apiServers: host ? [`${host}:${env.KUBERNETES_SERVICE_PORT || 443}`] : [],
  }
}

function name(env: Environment, variable: string, otherwise: string): string {
  const text = env[variable] || otherwise
  if (NAME.test(text)) return text
  throw new ConfigError(`invalid ${variable} ${JSON.stringify(text)}: write a name like ${otherwise}`)
}

function names(
  env: Environment,
  variable: string,
  { otherwise = [], form = NAME }: { otherwise?: readonly string[]; form?: RegExp } = {},
): readonly string[] {
  const text = env[variable]
  if (!text) return otherwise
  const found = text.split(',').map((part) => part.trim())
  const bad = found.find((part) => !form.test(part))
  if (bad === undefined) return found
  throw new ConfigError(
    `invalid name ${JSON.stringify(bad)} in ${variable}: write names with commas, like a,b`,
  )
}

function networks(env: Environment, variable: string): readonly string[] {
  const found = (env[variable] ?? '').split(',').flatMap((part) => part.trim() || [])
  try {
    blockListOf(found)
  } catch (error) {
    throw new ConfigError(`${(error as Error).message}, in ${variable}`)
  }
  return found
}

function secureMetrics(env: Environment): SecureMetrics | undefined {
  if (!env.MILLHAND_METRICS_PORT) return undefined
  return {
    port: integer(env, 'MILLHAND_METRICS_PORT', { otherwise: 8443, most: 65_535, what: 'a port' }),
    certificateFolder: env.MILLHAND_METRICS_CERTIFICATE || undefined,
  }
}

function dashboard(env: Environment): DashboardConfig | undefined {
  if (!env.MILLHAND_DASHBOARD_PORT) return undefined
  const mode = DASHBOARD_MODES.find((known) => known === env.MILLHAND_DASHBOARD_MODE)
  if (!mode)
    throw new ConfigError(
      `invalid MILLHAND_DASHBOARD_MODE ${JSON.stringify(env.MILLHAND_DASHBOARD_MODE)}: nobody could sign in; ` +
        `write one of ${DASHBOARD_MODES.join(', ')}`,
    )
  const networksOfProxy = networks(env, 'MILLHAND_DASHBOARD_PROXY_NETWORKS')
  if (mode === 'proxy' && networksOfProxy.length === 0)
    throw new ConfigError('invalid MILLHAND_DASHBOARD_PROXY_NETWORKS "": write the CIDRs of the proxy')
  const tls = env.MILLHAND_DASHBOARD_TLS
  return {
    port: integer(env, 'MILLHAND_DASHBOARD_PORT', { otherwise: 8081, most: 65_535, what: 'a port' }),
    mode,
    tls: tls ? { certificateFolder: tls === 'self-signed' ? undefined : tls } : undefined,
    isReadOnly: isTrue(env, 'MILLHAND_DASHBOARD_READ_ONLY'),
    publicUrl: publicUrl(env, 'MILLHAND_DASHBOARD_URL'),
    hosts: names(env, 'MILLHAND_DASHBOARD_HOSTS', { form: HOST }),
    secretsFolder: env.MILLHAND_DASHBOARD_SECRETS || '/etc/millhand/dashboard',
    redact: hiddenPaths(env, 'MILLHAND_DASHBOARD_REDACT'),
    proxy: {
      networks: networksOfProxy,
      secretHeader: header(env, 'MILLHAND_DASHBOARD_SECRET_HEADER', 'X-Millhand-Proxy-Secret'),
      userHeader: header(env, 'MILLHAND_DASHBOARD_USER_HEADER', 'X-Forwarded-User'),
      groupsHeader: header(env, 'MILLHAND_DASHBOARD_GROUPS_HEADER', 'X-Forwarded-Groups'),
    },
  }
}

function isTrue(env: Environment, variable: string): boolean {
  const text = env[variable] || 'false'
  if (text === 'true' || text === 'false') return text === 'true'
  throw new ConfigError(`invalid ${variable} ${JSON.stringify(text)}: write true or false`)
}

function header(env: Environment, variable: string, otherwise: string): string {
  const text = env[variable] || otherwise
  if (HEADER.test(text)) return text
  throw new ConfigError(`invalid ${variable} ${JSON.stringify(text)}: write a header like ${otherwise}`)
}

function publicUrl(env: Environment, variable: string): URL | undefined {
  const text = env[variable]
  if (!text) return undefined
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isPlain = url && !url.username && !url.password && !url.search && !url.hash
  if (isPlain && /^https?:$/.test(url.protocol)) return url
  const like = 'https://millhand.example.com or https://example.com/millhand'
  throw new ConfigError(`invalid ${variable} ${JSON.stringify(text)}: write an address like ${like}`)
}

function hiddenPaths(env: Environment, variable: string): Readonly<Record<string, readonly string[]>> {
  const text = env[variable] || '{}'
  try {
    const found: unknown = JSON.parse(text)
    const lists = Object.values(Object(found))
    const isPath = (path: unknown) => typeof path === 'string' && path !== ''
    if (!Array.isArray(found) && lists.every((list) => Array.isArray(list) && list.every(isPath)))
      return found as Record<string, string[]>
  } catch {}
  throw new ConfigError(
    `invalid ${variable} ${JSON.stringify(text)}: write paths by task like {"SendMail":["customer.card"]}`,
  )
}

/** A leader must notice that it cannot renew the lease before another one may take it. */
function leaseDurations(env: Environment): LeaderDurations {
  const seconds = (variable: string, otherwise: number) =>
    integer(env, `MILLHAND_LEASE_${variable}_SECONDS`, { otherwise, most: 3600, what: 'seconds' })
  const [lease, renew, retry] = [
    seconds('DURATION', 15),
    seconds('RENEW_DEADLINE', 10),
    seconds('RETRY_PERIOD', 2),
  ]
  if (lease > renew && renew > retry)
    return { leaseMs: lease * 1000, renewDeadlineMs: renew * 1000, retryMs: retry * 1000 }
  throw new ConfigError(
    `invalid lease durations ${lease}, ${renew} and ${retry} s: each must be shorter than the one before: ` +
      'MILLHAND_LEASE_DURATION_SECONDS > MILLHAND_LEASE_RENEW_DEADLINE_SECONDS > MILLHAND_LEASE_RETRY_PERIOD_SECONDS',
  )
}

interface IntegerOptions {
  otherwise: number
  most: number
  what: string
}

function integer(env: Environment, variable: string, { otherwise, most, what }: IntegerOptions): number {
  const text = env[variable]
  const value = text ? Number(text) : otherwise
  if (Number.isInteger(value) && value >= 1 && value <= most) return value
  throw new ConfigError(`invalid ${variable} ${JSON.stringify(text)}: write ${what}, 1 to ${most}`)
}

function level(env: Environment): Level {
  const text = env.MILLHAND_LOG_LEVEL || 'info'
  const found = LEVELS.find((known) => known === text)
  if (found) return found
  throw new ConfigError(
    `invalid MILLHAND_LOG_LEVEL ${JSON.stringify(text)}: write one of ${LEVELS.join(', ')}`,
  )
}
