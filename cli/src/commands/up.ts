// millhand up: runs the queues and worker pools of manifests on this machine. It starts a Redis unless
// one is given.

import { type Command, InvalidArgumentError, Option } from 'commander'
import { CommandFailed, type Context } from '../context.ts'
import { eventLines, type UpEvent } from '../event-lines.ts'
import { type Local, type LocalOptions, PortTaken, startLocal } from '../local/index.ts'
import { examples, withJsonOption } from '../options.ts'
import { jsonLine, withoutPasswords } from '../printable.ts'
import { accessOf, checkedAccess, type ServerOptions } from '../server.ts'
import { durationText } from '../units.ts'

interface Options extends ServerOptions {
  file: string[]
  reload: boolean
  takeOver?: boolean
  dashboard: boolean
  dashboardPort?: number
  json?: boolean
}

const INTERRUPTED = 130

export function upCommand(parent: Command, context: Context): void {
  const command = parent
    .command('up')
    .summary('run queues and workers on this machine')
    .description(
      'Reads TaskQueues, Schedules and WorkerPools and does on this machine what the operator does in a cluster: it configures the queues and starts and stops worker processes as the queues need them. It serves a dashboard on this machine only, and prints its address. It starts a Redis of its own (data in .millhand/redis of the current folder) unless you give one, and starts new workers when code or manifests are saved. Other millhand commands in this folder or below find it by themselves. Ctrl-C lets the running jobs end; Ctrl-C again hands them back to the queue.',
    )
    .addOption(
      new Option('-f, --file <path...>', 'files, or folders with files, that hold the manifests').default(
        ['.'],
        'this folder',
      ),
    )
    .option('--redis <url>', 'a running Redis; default: MILLHAND_REDIS_URL, else one of its own')
    .option('--namespace <name>', 'for resources that name none; default: MILLHAND_NAMESPACE, else "default"')
    .option(
      '--take-over',
      'take over queues that have another owner in this Redis: that owner must be gone for good',
    )
    .option('--no-reload', 'keep the workers when files are saved')
    .option('--dashboard-port <port>', 'where the dashboard listens; default: a free port', portOf)
    .option('--no-dashboard', 'serve no dashboard')
  withJsonOption(command, 'one JSON object per event')
    .addHelpText(
      'after',
      examples(
        'millhand up',
        'millhand up -f examples/thumbnails',
        'millhand up -f queues.yaml pools.yaml --no-reload',
        'millhand up --redis redis://127.0.0.1:6379 --namespace dev',
      ),
    )
    .action((options: Options) => up(options, context))
}

async function up(options: Options, context: Context): Promise<void> {
  const log = eventLog(options, context)
  const stopping = stopRequests(context)
  const local = await startLocal({ ...localOptions(options, context), onEvent: log }).catch(
    (error: unknown) => {
      if (stopping.isAsked()) throw new CommandFailed('interrupted', { exitCode: INTERRUPTED })
      if (!(error instanceof PortTaken)) throw error
      throw new CommandFailed(`${error.message}; give another --dashboard-port, or leave it out`)
    },
  )
  stopping.stops(local)
  if (!stopping.isAsked()) log(readiness(local))
  await local.done
}

/**
 * The first request lets jobs end, the second hands them back. While nothing has started yet, the second one
 * ends the process at once.
 */
function stopRequests(context: Context) {
  let local: Local | undefined
  let asked = 0
  context.onStop((times) => {
    asked = times
    if (local) askToStop(times, local, context)
    else if (times === 1)
      context.note('stopping as soon as everything has started; Ctrl-C again leaves at once')
    else context.leave(INTERRUPTED)
  })
  return {
    isAsked: () => asked > 0,
    stops(started: Local) {
      local = started
      if (asked > 0) askToStop(asked, local, context)
    },
  }
}

function askToStop(times: number, local: Local, context: Context): void {
  const longestDrainMs = Math.max(0, ...local.pools.map(({ pool }) => pool.drainTimeoutMs))
  if (times === 1)
    context.note(
      `stopping: running jobs have up to ${durationText(longestDrainMs)} to end; Ctrl-C again hands them back to the queue`,
    )
  if (times === 2) context.note('stopping now: running jobs go back to the queue')
  void local.stop()
}

/**
 * Lines that do not fit into the buffer are dropped and counted; the count is printed before the next line
 * that fits.
 */
function eventLog({ json }: Options, context: Context): (event: UpEvent) => void {
  const linesOf = json ? jsonLines(context) : eventLines(context)
  let dropped = 0
  const log = (event: UpEvent) => {
    for (const line of linesOf(event)) if (!context.log(line)) dropped++
  }
  return (event) => {
    const lines = dropped
    dropped = 0
    if (lines > 0) log({ kind: 'lines-dropped', lines })
    // The line with the count was dropped too.
    if (dropped > 0) dropped = lines
    log(event)
  }
}

function jsonLines({ nowMs }: Context): (event: UpEvent) => string[] {
  return (event) => [withoutPasswords(jsonLine({ time: new Date(nowMs()).toISOString(), ...event }))]
}

function readiness({ redisUrl, dashboardUrl, namespace, queues, pools, objects }: Local): UpEvent {
  return {
    kind: 'ready',
    redisUrl,
    ...(dashboardUrl !== undefined && { dashboardUrl }),
    namespace,
    queues: queues.map(({ queueName }) => queueName),
    pools: pools.map(({ pool }) => pool.metadata.name),
    schedules: [...objects.list('Schedule')].map(({ metadata }) => metadata.name),
  }
}

function portOf(text: string): number {
  const port = Number(text)
  if (/^\d{1,5}$/.test(text) && port <= 65_535) return port
  throw new InvalidArgumentError('It is a port from 0 to 65535.')
}

function localOptions(options: Options, context: Context): LocalOptions {
  const redis = accessOf(options, context.config)
  const namespace = options.namespace ?? context.config.namespace
  return {
    paths: options.file,
    reload: options.reload,
    takeOver: options.takeOver === true,
    ...(options.dashboard && { dashboardPort: options.dashboardPort ?? 0 }),
    ...(redis !== undefined && { redis: checkedAccess(redis) }),
    ...(namespace !== undefined && { namespace }),
    outside: { env: context.config.environment, workingFolder: context.workingFolder },
  }
}
