// The worker process, PID 1 of its container: wires the parts, starts, waits for SIGTERM, stops. The only process.exit but for
// a child's.
import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { startChildren } from './child/children.ts'
import { type Config, ConfigError, readConfig } from './config.ts'
import { createLog, type Log } from './log.ts'
import { Membership } from './membership.ts'
import { queueName } from './queue/keys.ts'
import { openQueue } from './queue/queue.ts'
import { connectRedis } from './queue/redis.ts'
import { lookAtServer } from './queue/server.ts'
import { Waker } from './waker.ts'
import { Worker } from './worker.ts'

const HELP = `millhand-worker FILE...   runs the jobs of queues with the tasks that the files define

Settings come from the environment:
  MILLHAND_REDIS_URL               where the queues live, like redis://127.0.0.1:6379
  MILLHAND_QUEUES                  JSON, like [{"name":"mail","weight":1}]
  MILLHAND_NAMESPACE               default: default
  MILLHAND_SLOTS                   jobs at once; default: 1
  MILLHAND_ISOLATION               Fork, Spawn or Reuse; default: Fork
  MILLHAND_JOBS_PER_CHILD, MILLHAND_JOBS_AT_ONCE_PER_CHILD, MILLHAND_MAX_MEMORY_BYTES
  MILLHAND_DRAIN_TIMEOUT_SECONDS   how long jobs may go on after SIGTERM; default: 600
  MILLHAND_LOG_LEVEL               debug, info, warn or error; default: info

Example:
  MILLHAND_REDIS_URL=redis://127.0.0.1:6379 MILLHAND_QUEUES='[{"name":"mail"}]' millhand-worker tasks.ts
`
const BAD_CONFIG = 78
const BROKEN = 70

const version = String(JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version)

try {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { help: { type: 'boolean', short: 'h' }, version: { type: 'boolean' } },
  })
  if (values.help) process.stdout.write(HELP)
  else if (values.version) process.stdout.write(`${version}\n`)
  else await runWorker(readConfig(positionals))
} catch (error) {
  const isUsage =
    error instanceof ConfigError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS')
  process.stderr.write(
    `millhand-worker: ${isUsage ? (error as Error).message : ((error as Error).stack ?? error)}\n`,
  )
  process.exit(isUsage ? BAD_CONFIG : BROKEN)
}
process.exit(0)

async function runWorker(config: Config): Promise<void> {
  const log = createLog({
    level: config.logLevel,
    write: (line) => process.stdout.write(line),
    fields: { pod: config.pod.name },
  })
  const stopping = stopSignals(log)
  const children = await startChildren({
    ...config.isolation,
    modules: [...config.modules],
    slots: config.slots,
    env: config.childEnv,
    log,
  })
  const { mode: isolation, note: isolationNote } = children
  if (isolationNote)
    log.warn('isolation falls back', {
      from: config.isolation.mode,
      to: isolation,
      because: isolationNote,
    })
  const processName = randomBytes(6).toString('base64url').replaceAll(/[-_]/g, 'x')
  sayWhoWeAre(config, processName, log)

  // Short enough that a dead connection is replaced and the heartbeat renewed before it runs out.
  const connect = (name: string) =>
    connectRedis(config.redisUrl, { name: `millhand-${name}`, deadlineMs: 2_500 })
  const [commands, blocking, messages] = [connect('worker'), connect('wake'), connect('messages')]
  let ring = () => {}
  const onChange = () => ring()
  const broken = Promise.withResolvers<never>()
  const members = config.queues.map(
    ({ name, weight }) =>
      new Membership({
        queue: openQueue(commands, queueName(config.namespace, name)),
        weight,
        entry: {
          process: processName,
          pod: config.pod.name,
          podUid: config.pod.uid,
          poolUid: config.pod.poolUid,
          node: config.pod.node,
          slots: config.slots,
          isolation,
          isolationNote,
          version,
        },
        messages,
        log,
        onChange,
        onBroken: broken.reject,
      }),
  )
  const waker = new Waker(blocking, log, onChange)
  const worker = new Worker({ members, children, waker, slots: config.slots, log })
  ring = worker.ring

  const joined = Promise.all(members.map((member) => member.join()))
  await Promise.race([joined, stopping.asked, broken.promise])
  if (!stopping.isAsked()) {
    await sayWhichServer(commands, log)
    log.info('worker ready', {
      process: processName,
      queues: members.map(({ queue }) => queue.name),
      slots: config.slots,
      isolation,
      tasks: children.tasks,
    })
    const working = worker.work()
    await Promise.race([stopping.asked, working, broken.promise])
  }
  log.info('worker stopping', { running: worker.running, drainTimeoutMs: config.drainTimeoutMs })
  await worker.stop(config.drainTimeoutMs, stopping.askedTwice)
  await children.stop()
  for (const connection of [commands, blocking, messages]) connection.close()
  log.info('worker stopped')
}

function stopSignals(log: Log) {
  const once = Promise.withResolvers<void>()
  const twice = Promise.withResolvers<void>()
  let asked = 0
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      asked += 1
      log.info('told to stop', { signal, times: asked })
      if (asked === 1) once.resolve()
      else twice.resolve()
    })
  }
  return { asked: once.promise, askedTwice: twice.promise, isAsked: () => asked > 0 }
}

/** Whoever sees this process end reads here which workers it was, without comparing clocks. */
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

async function sayWhichServer(redis: ReturnType<typeof connectRedis>, log: Log): Promise<void> {
  try {
    const { version: server, warnings } = await lookAtServer(redis)
    log.info('connected', { server })
    for (const warning of warnings) log.warn(warning)
  } catch (error) {
    log.debug('could not ask the server about itself', { error })
  }
}
