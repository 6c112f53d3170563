// The worker process, PID 1 of its container: wires the parts, starts, waits for SIGTERM, stops. The only
// process.exit but for a child's.
import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { type Children, checkModules, startChildren } from './child/children.ts'
import { endOrphans } from './child/orphans.ts'
import { hideFromJobs } from './child/source/fork/native.ts'
import { type Config, ConfigError, type QueueEntry, readConfig, readModules } from './config.ts'
import { examineServer } from './doctor/facts.ts'
import { isAtLeast } from './doctor/finding.ts'
import { serverText } from './doctor/findings.ts'
import { copyError, reasonOf } from './errors.ts'
import {
  answersAnybody,
  type Health,
  type HttpServer,
  healthPage,
  livePage,
  readyPage,
  serveHttp,
} from './http.ts'
import { type Log, logTo } from './log.ts'
import type { Metrics } from './metrics.ts'
import { checkedQueueName, queueName } from './queue/keys.ts'
import { openQueue } from './queue/queue.ts'
import { QueueRefused } from './queue/refused.ts'
import { parseAddress, type RedisAccess } from './redis/address.ts'
import type { Connection, ConnectionOptions } from './redis/connection.ts'
import { connectRedis } from './redis/reconnect.ts'
import { ReplyError } from './redis/resp.ts'
import { stopRequests } from './stop-requests.ts'
import { Consumer } from './worker/consumer.ts'
import { LiveOutput } from './worker/live-output.ts'
import { Waker } from './worker/waker.ts'
import { Worker } from './worker/worker.ts'
import { letYoungGenerationGrow } from './young-generation.ts'

const HELP = `millhand-worker FILE...           runs the jobs of queues with the tasks that the files define
millhand-worker --check FILE...   loads the files and names their tasks, or says why they do not load

Settings come from the environment:
  MILLHAND_REDIS_URL               address of Redis, like redis://127.0.0.1:6379,
                                   redis+sentinel://host:26379,host/name or redis+cluster://host,host; rediss for TLS
  MILLHAND_REDIS_CA, MILLHAND_REDIS_CERT, MILLHAND_REDIS_KEY
                                   PEM texts, for TLS with a private authority or client certificates
  MILLHAND_QUEUES                  JSON, like [{"name":"mail","weight":1}]
  MILLHAND_NAMESPACE               default: default
  MILLHAND_SLOTS                   jobs at once; default: 1
  MILLHAND_ISOLATION               Fork, Spawn or Reuse; default: Fork
  MILLHAND_JOBS_PER_CHILD, MILLHAND_JOBS_AT_ONCE_PER_CHILD, MILLHAND_MAX_MEMORY_BYTES
  MILLHAND_FORK_SHARES             packages and files, with commas: all forks may share what these drew or opened at load
  MILLHAND_DRAIN_TIMEOUT_SECONDS   time that jobs have to end after SIGTERM; default: 600
  MILLHAND_LOAD_TIMEOUT_SECONDS    time that the files have to load; default: 60
  MILLHAND_HTTP_PORT               port of /readyz, /livez, /healthz and /metrics; default: no port
  MILLHAND_LOG_LEVEL               debug, info, warn or error; default: info

Example:
  MILLHAND_REDIS_URL=redis://127.0.0.1:6379 MILLHAND_QUEUES='[{"name":"mail"}]' millhand-worker tasks.ts
`
const BAD_CONFIG = 78
const BROKEN = 70
const MAX_NOTE = 200

const version = String(JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version)

try {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      check: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
      version: { type: 'boolean' },
    },
  })
  if (values.help) process.stdout.write(HELP)
  else if (values.version) process.stdout.write(`${version}\n`)
  else if (values.check) await tellTasks(readModules(positionals))
  else await runWorker(readConfig(positionals))
} catch (error) {
  const isUsage =
    error instanceof ConfigError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS')
  // A refusal is a sentence for people: a stack adds nothing.
  const isSaid = isUsage || error instanceof QueueRefused
  const words = isSaid ? reasonOf(error) : (copyError(error).stack ?? reasonOf(error))
  process.stderr.write(`millhand-worker: ${error instanceof ReplyError ? refusal(error) : words}\n`)
  process.exit(isUsage ? BAD_CONFIG : BROKEN)
}
process.exit(0)

async function tellTasks({
  modules,
  childEnv,
  loadTimeoutMs,
}: ReturnType<typeof readModules>): Promise<void> {
  const tasks = await checkModules({ modules: [...modules], env: childEnv, loadTimeoutMs })
  process.stdout.write(`tasks: ${tasks.join(', ')}\n`)
}

function refusal(error: ReplyError): string {
  return `Redis refuses a command that a worker needs (${reasonOf(error)}): millhand doctor names the missing right`
}

async function runWorker(config: Config): Promise<void> {
  hideFromJobs()
  const log = logTo(process.stdout, { level: config.logLevel, fields: { pod: config.pod.name } })
  const stopping = stopSignals(log)
  const queues = namedInRedis(config)
  let consumers: Consumer[] = []
  let phase: Health['phase'] = 'starting'
  const health = () => ({
    phase,
    queues: consumers.map(({ queue, silentMs }) => ({ name: queue.name, silentMs })),
  })
  let isRegistered = false
  const http = await answerHttp(config, queues, { health, isRegistered: () => isRegistered })
  if (config.isolation.mode === 'Reuse') letYoungGenerationGrow()
  const stopEndingOrphans = endOrphans()
  const children = await prepareChildren(config, log, http?.metrics.forked)
  const processName = randomBytes(6).toString('base64url').replaceAll(/[-_]/g, 'x')
  sayWhoWeAre(config, processName, log)

  const redis = connectAll(config, () => {
    for (const consumer of consumers) consumer.messagesLost()
  })
  let ring = () => {}
  let given: Worker['given'] = () => {}
  const live = new LiveOutput(log)
  const onChange = () => ring()
  const broken = Promise.withResolvers<never>()
  consumers = queues.map(
    ({ inRedis, weight }) =>
      new Consumer({
        queue: openQueue(redis.commands, inRedis),
        weight,
        entry: { ...registrationOf(config, children), process: processName },
        messages: redis.messages,
        log,
        onGiven: queues.length === 1 ? (consumer, claim) => given(consumer, claim) : undefined,
        onFollowed: (consumer, id) => live.follow(consumer, id),
        onChange,
        onDismissed: stopping.dismiss,
        onBroken: broken.reject,
        onRefused: http?.metrics.refused,
      }),
  )
  const wakers = wakersFor(config, { consumers, log, onWake: onChange })
  const worker = new Worker({
    consumers,
    children,
    wakers,
    slots: config.slots,
    log,
    live,
    recorder: http?.metrics,
  })
  http?.metrics.watch({
    busySlots: () => worker.running,
    isRedisUp: () => consumers.every(({ isSure }) => isSure),
    zygoteRssBytes: () => children.zygoteRssBytes(),
  })
  ring = worker.ring
  given = worker.given

  const joined = Promise.all(consumers.map((consumer) => consumer.join()))
  await Promise.race([joined, stopping.asked, broken.promise])
  isRegistered = !stopping.isAsked()
  if (!stopping.isAsked()) {
    await sayWhichServer(redis.commands, log)
    log.info('worker ready', {
      process: processName,
      queues: consumers.map(({ queue }) => queue.name),
      slots: config.slots,
      isolation: children.mode,
      tasks: children.tasks,
    })
    phase = 'working'
    worker.work()
    await Promise.race([stopping.asked, broken.promise])
  }
  phase = 'stopping'
  log.info('worker stopping', { running: worker.running, drainTimeoutMs: config.drainTimeoutMs })
  await Promise.race([worker.stop(config.drainTimeoutMs, stopping.askedTwice), broken.promise])
  await children.stop()
  stopEndingOrphans()
  for (const connection of Object.values(redis)) connection.close()
  await http?.server.stop()
  log.info('worker stopped')
}

async function prepareChildren(
  { isolation, modules, slots, loadTimeoutMs, childEnv }: Config,
  log: Log,
  onForked: Metrics['forked'] | undefined,
): Promise<Children> {
  const children = await startChildren({
    ...isolation,
    modules: [...modules],
    slots,
    loadTimeoutMs,
    env: childEnv,
    log,
    onForked,
  })
  const { mode, note } = children
  if (note) log.warn('isolation falls back', { from: isolation.mode, to: mode, because: note })
  return children
}

/**
 * The deadline is short enough that a dead connection is replaced and the heartbeat renewed before it runs
 * out.
 */
function connectTo(redis: RedisAccess, name: string, onState?: ConnectionOptions['onState']) {
  return connectRedis(redis, { name: `millhand-${name}`, deadlineMs: 2_500, ...(onState && { onState }) })
}

function connectAll({ redis }: Config, onMessagesLost: () => void) {
  const onState = (state: string) => {
    if (state === 'away') onMessagesLost()
  }
  return { commands: connectTo(redis, 'worker'), messages: connectTo(redis, 'messages', onState) }
}

interface Woken {
  consumers: readonly Consumer[]
  log: Log
  onWake: () => void
}

/** One for all queues; in a Cluster one for each. */
function wakersFor({ redis }: Config, { consumers, log, onWake }: Woken): Waker[] {
  const groups = parseAddress(redis).form === 'cluster' ? consumers.map((each) => [each]) : [consumers]
  return groups.map((queues) => new Waker({ redis: connectTo(redis, 'wake'), queues, log, onWake }))
}

function registrationOf({ pod, slots }: Config, { mode, note }: Children) {
  const { name, uid: podUid, poolUid, node } = pod
  // It stands beside the words of all other workers in the pool's status: the whole of it is in this worker's
  // log.
  const isolationNote = note && [...note].slice(0, MAX_NOTE).join('')
  return { pod: name, podUid, poolUid, node, slots, isolation: mode, isolationNote, version }
}

/** Answers from now on. prom-client is loaded only where there is a port. */
async function answerHttp(
  { httpPort, slots, redis }: Config,
  queues: readonly NamedQueue[],
  { health, isRegistered }: { health: () => Health; isRegistered: () => boolean },
): Promise<{ metrics: Metrics; server: HttpServer } | undefined> {
  if (httpPort === undefined) return
  const { createMetrics } = await import('./metrics.ts')
  const labels = new Map(queues.map(({ name, inRedis }) => [inRedis, name]))
  const metrics = createMetrics({ slots, queues: labels, nowMs: () => Date.now() })
  const pages = {
    '/readyz': () => readyPage(isRegistered(), [...labels.keys()]),
    '/livez': () => livePage(health(), () => answersAnybody(redis)),
    '/healthz': () => healthPage(health()),
    '/metrics': () => metrics.page(),
  }
  return { metrics, server: await serveHttp(httpPort, pages) }
}

type NamedQueue = QueueEntry & { readonly inRedis: string }

function namedInRedis({ namespace, queues }: Config): NamedQueue[] {
  const named = queues.map((entry) => ({ ...entry, inRedis: nameInRedis(namespace, entry) }))
  for (const [at, { inRedis }] of named.entries())
    if (named.findIndex((other) => other.inRedis === inRedis) !== at)
      throw new ConfigError(
        `duplicate queueName ${inRedis} in MILLHAND_QUEUES: give each queue a queueName of its own`,
      )
  return named
}

function nameInRedis(namespace: string, { name, queueName: given }: QueueEntry): string {
  try {
    return given === undefined ? queueName(namespace, name) : checkedQueueName(given)
  } catch (error) {
    throw new ConfigError(`MILLHAND_QUEUES: ${(error as Error).message}`)
  }
}

function stopSignals(log: Log) {
  const once = Promise.withResolvers<void>()
  const twice = Promise.withResolvers<void>()
  let asked = 0
  const ask = (times: number) => {
    asked += times
    once.resolve()
    if (asked > 1) twice.resolve()
  }
  const listener = stopRequests((times, signal: NodeJS.Signals) => {
    ask(1)
    log.info('told to stop', { signal, times })
  })
  // SIGHUP: the terminal was closed.
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    const early = process.listeners(signal)
    process.on(signal, listener)
    // The listener of bin/millhand-worker.js is removed last: a signal in between would find no listener.
    for (const listener of early) process.removeListener(signal, listener)
  }
  return {
    asked: once.promise,
    askedTwice: twice.promise,
    isAsked: () => asked > 0,
    dismiss: () => ask(2),
  }
}

/**
 * The operator reads here, after the process has ended, which workers it was: no clocks have to be compared.
 */
function sayWhoWeAre(config: Config, processName: string, log: Log): void {
  if (!config.terminationLog) return
  try {
    writeFileSync(config.terminationLog, processName)
  } catch (error) {
    log.warn('could not write the termination log; after a crash jobs come back by the heartbeat only', {
      file: config.terminationLog,
      error,
    })
  }
}

async function sayWhichServer(redis: Connection, log: Log): Promise<void> {
  try {
    const { servers, findings } = await examineServer(redis, { nowMs: () => Date.now() })
    log.info('connected', { server: [...new Set(servers.map(serverText))].join(', ') })
    for (const { severity, message: found, ...facts } of findings)
      if (isAtLeast(severity, 'warning'))
        log[severity === 'problem' ? 'error' : 'warn']('Redis does not suit a queue', { found, ...facts })
  } catch (error) {
    log.debug('could not examine the server', { error })
  }
}
