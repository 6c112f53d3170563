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
  readonly logLevel: Level
  /** host:port of the API server as pods see it, besides that of the client's configuration. */
  readonly apiServers: readonly string[]
}

export interface SecureMetrics {
  readonly port: number
  /** Of tls.crt and tls.key; undefined: the operator signs its own certificate. */
  readonly certificateFolder: string | undefined
}

type Environment = Readonly<Record<string, string | undefined>>

const QUEUE_NAME = /^([a-z0-9][a-z0-9._-]{0,126}|\*)$/
const NAME = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/

/** Throws ConfigError. */
export function readConfig(env: Environment = process.env): Config {
  const host = env.KUBERNETES_SERVICE_HOST
  return {
    namespace: name(env, 'MILLHAND_OPERATOR_NAMESPACE', 'millhand-system'),
    leaseName: name(env, 'MILLHAND_LEASE_NAME', 'millhand'),
    leaseDurations: leaseDurations(env),
    identity: env.MILLHAND_POD_NAME || `${hostname()}-${randomBytes(4).toString('hex')}`,
    watchNamespaces: names(env, 'MILLHAND_WATCH_NAMESPACES', []),
    redisSecrets: names(env, 'MILLHAND_REDIS_SECRETS', [DEFAULT_REDIS_SECRET]),
    queueNames: names(env, 'MILLHAND_QUEUE_NAMES', [], QUEUE_NAME),
    redisNetworks: networks(env, 'MILLHAND_REDIS_NETWORKS'),
    chartRedis: env.MILLHAND_CHART_REDIS || undefined,
    httpPort: integer(env, 'MILLHAND_HTTP_PORT', { otherwise: 8080, most: 65_535, what: 'a port' }),
    secureMetrics: secureMetrics(env),
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
  otherwise: readonly string[],
  form = NAME,
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
