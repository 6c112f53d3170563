// The operator's process: wires the parts, starts, waits for SIGTERM, stops. Every instance keeps its caches
// filled; only the leader reconciles. The only process.exit.
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { type Controllers, startControllers } from '@millhand/control/controllers'
import type { Fence } from '@millhand/control/engine/fence'
import type { QueuePlace } from '@millhand/control/redis/problems'
import { Secrets } from '@millhand/control/redis/secrets'
import { Servers } from '@millhand/control/redis/servers'
import type { TaskQueue } from '@millhand/control/resources/task-queue'
import { copyError, type Log, logTo, reasonOf } from 'millhand/queue'
import { ClusterCaches } from './caches.ts'
import { type Config, ConfigError, readConfig } from './config.ts'
import { serveDashboard } from './dashboard.ts'
import { serve } from './http/server.ts'
import { connectKube, type Kube } from './kube/client.ts'
import { Events } from './kube/events.ts'
import { LeaderElection } from './kube/leader.ts'
import { reviewsBy } from './kube/reviews.ts'
import { readSecret } from './kube/secrets.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import { KubeWorld } from './world.ts'

const HELP = `millhand-operator   reconciles the TaskQueues, WorkerPools and Schedules of a Kubernetes cluster

The API server comes from KUBECONFIG, or from the service account of the pod. Settings are environment variables:
  MILLHAND_OPERATOR_NAMESPACE   namespace of the lease; default: millhand-system
  MILLHAND_LEASE_NAME           name of the lease; default: millhand
  MILLHAND_LEASE_DURATION_SECONDS, MILLHAND_LEASE_RENEW_DEADLINE_SECONDS, MILLHAND_LEASE_RETRY_PERIOD_SECONDS   default: 15, 10, 2
  MILLHAND_POD_NAME             identity in the lease; default: hostname and a random suffix
  MILLHAND_WATCH_NAMESPACES     comma-separated namespaces; default: all
  MILLHAND_REDIS_SECRETS        comma-separated names of Secrets that it may read; default: millhand-redis
  MILLHAND_QUEUE_NAMES          allowed names of queues in Redis besides <namespace>.…, or prefixes like legacy.; default: none
  MILLHAND_REDIS_NETWORKS       CIDRs of the allowed Redis servers; default: all but loopback, link-local, metadata services
  MILLHAND_CHART_REDIS          host of the embedded Redis of the chart, so that remedies name values of the chart
  MILLHAND_HTTP_PORT            port of /healthz, /readyz, /metrics; default: 8080
  MILLHAND_METRICS_PORT         port of /metrics with TLS and authorization; default: /metrics is on MILLHAND_HTTP_PORT, without
  MILLHAND_METRICS_CERTIFICATE  folder with tls.crt and tls.key; default: a self-signed certificate
  MILLHAND_DASHBOARD_PORT       port of the dashboard; default: it is not served
  MILLHAND_DASHBOARD_MODE       who may use it: kubernetes, proxy or token; needed with the port
  MILLHAND_DASHBOARD_TLS        self-signed, or a folder with tls.crt and tls.key; default: HTTP
  MILLHAND_DASHBOARD_READ_ONLY  true: nothing can be changed; default: false
  MILLHAND_DASHBOARD_URL        address that browsers open, like https://example.com/millhand
  MILLHAND_DASHBOARD_HOSTS      comma-separated names in the Host header besides that of the address; localhost and IPs always
  MILLHAND_DASHBOARD_SECRETS    folder with cookie-secret, tokens and proxy-secret; default: /etc/millhand/dashboard
  MILLHAND_DASHBOARD_REDACT     hidden paths by task, like {"SendMail":["customer.card"],"*":["pin"]}; default: {}
  MILLHAND_DASHBOARD_PROXY_NETWORKS   CIDRs of the proxy in the mode proxy
  MILLHAND_DASHBOARD_SECRET_HEADER, MILLHAND_DASHBOARD_USER_HEADER, MILLHAND_DASHBOARD_GROUPS_HEADER
                                its headers; default: X-Millhand-Proxy-Secret, X-Forwarded-User, X-Forwarded-Groups
  MILLHAND_LOG_LEVEL            debug, info, warn or error; default: info
`
const BAD_CONFIG = 78
const BROKEN = 70

const version = String(JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version)

try {
  const options = { help: { type: 'boolean', short: 'h' }, version: { type: 'boolean' } } as const
  const { values } = parseArgs({ options })
  if (values.help) process.stdout.write(HELP)
  else if (values.version) process.stdout.write(`${version}\n`)
  else await runOperator(readConfig())
} catch (error) {
  const isUsage =
    error instanceof ConfigError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS')
  const said = isUsage ? reasonOf(error) : (copyError(error).stack ?? reasonOf(error))
  process.stderr.write(`millhand-operator: ${said}\n`)
  process.exit(isUsage ? BAD_CONFIG : BROKEN)
}
process.exit(0)

async function runOperator(config: Config): Promise<void> {
  const log = logTo(process.stdout, { level: config.logLevel, fields: { operator: config.identity } })
  const stopping = stopSignal(log)
  let leading: Controllers | undefined
  const metrics = createMetrics({
    leaseName: config.leaseName,
    namespaces: () => caches.namespaces,
    servers: () => leading && servers,
    taskQueueOf: ({ place }) => caches.taskQueueOf(place),
    wallMs,
  })
  let election: LeaderElection | undefined
  const fence: Fence = {
    get isOpen() {
      return election?.isLeader === true
    },
  }
  const kube = connectKube({ onRequest: metrics.onRequest, fence })
  const caches = new ClusterCaches({
    kube,
    namespaces: config.watchNamespaces,
    look: (kind, key) => leading?.look(kind, key),
    log,
    nowMs: monotonicMs,
  })
  const servers = serversOf({ config, kube, caches, fence, log })
  const reviews = reviewsBy(kube)
  const times = { nowMs: monotonicMs, wallMs }
  const http = await serve(config, {
    isReady: () => caches.isSynced,
    metrics: metrics.read,
    reviews,
    log,
    ...times,
  })
  const dashboard =
    config.dashboard && (await serveDashboard(config.dashboard, { caches, servers, reviews, log, ...times }))
  log.info('operator started', { version, server: kube.server, namespaces: config.watchNamespaces })
  const watching = caches.run(stopping.signal)
  await Promise.race([caches.synced, stopping.asked])

  election = new LeaderElection({
    identity: config.identity,
    store: kube.leases(config.namespace, config.leaseName),
    durations: config.leaseDurations,
    log,
    onStarted: () => {
      leading = startLeading({ config, kube, caches, servers, metrics, log })
      metrics.setLeading(true)
    },
    onStopped: async () => {
      const ended = leading
      leading = undefined
      await ended?.stop()
      metrics.setLeading(false)
    },
  })
  await Promise.all([election.run(stopping.signal), watching])
  dashboard?.close()
  http.close()
  servers.close()
  kube.close()
  log.info('operator stopped')
}

interface Parts {
  config: Config
  kube: Kube
  caches: ClusterCaches
  servers: Servers
  metrics: Metrics
  log: Log
}

function startLeading({ config, kube, caches, servers, metrics, log }: Parts): Controllers {
  const events = new Events({ kube, instance: config.identity, log, nowMs: wallMs })
  const world = new KubeWorld({
    kube,
    caches,
    events,
    log,
    // Not the same if it leads again: what it wrote before may still be on its way.
    leader: `${config.identity} since ${new Date().toISOString()}`,
    nowMs: monotonicMs,
    onStatusRefused: metrics.onStatusRefused,
  })
  const { onPlanned, onDecision, forgetPool: onGone, onSchedule, controllers: observer } = metrics
  const ownerName = ({ metadata: { namespace, name } }: TaskQueue) =>
    `TaskQueue ${namespace}/${name} of a cluster`
  const context = {
    world,
    servers,
    ownerName,
    log,
    nowMs: monotonicMs,
    wallMs,
    onPlanned,
    onDecision,
    onGone,
    onSchedule,
    onScheduleGone: metrics.forgetSchedule,
  }
  const controllers = startControllers(context, { observer })
  setImmediate(() => caches.lookAtAll())
  return controllers
}

function serversOf({
  config,
  kube,
  caches,
  fence,
  log,
}: Omit<Parts, 'servers' | 'metrics'> & { fence: Fence }): Servers {
  const secrets = new Secrets({
    readSecret: (namespace, name) => readSecret(kube, namespace, name),
    secretNames: config.redisSecrets,
    denials: { servers: [...config.apiServers, kube.server], networks: config.redisNetworks },
    nowMs: monotonicMs,
  })
  const onStirred = (place: QueuePlace) => caches.lookAtQueue(place)
  return new Servers({
    reach: secrets,
    name: 'millhand-operator',
    queueNames: config.queueNames,
    chartRedis: config.chartRedis,
    onStirred,
    fence,
    log,
    nowMs: monotonicMs,
    wallMs,
  })
}

function stopSignal(log: Log): { signal: AbortSignal; asked: Promise<void> } {
  const controller = new AbortController()
  const asked = Promise.withResolvers<void>()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const early = process.listeners(signal)
    process.on(signal, () => {
      log.info('stopping', { signal })
      controller.abort()
      asked.resolve()
    })
    // That of bin/millhand-operator.js goes last: without any listener a signal that is on its way would be
    // lost.
    for (const listener of early) process.removeListener(signal, listener)
  }
  return { signal: controller.signal, asked: asked.promise }
}

function monotonicMs(): number {
  return performance.now()
}

function wallMs(): number {
  return Date.now()
}
