// millhand up: the queues and worker pools of manifests on this machine, with a Redis of its own unless it is given one.
import { type Local, type LocalOptions, type OnEvent, startLocal } from '@millhand/operator/local'
import type { Command } from 'commander'
import { CommandFailed, type Context } from '../context.ts'
import { eventLines } from '../event-lines.ts'
import { jsonLine, withoutPasswords } from '../printable.ts'
import { accessOf, checkedAccess, examples, type ServerOptions, withJsonOption } from '../server.ts'
import { counted, durationText } from '../units.ts'

interface Options extends ServerOptions {
  file: string[]
  reload: boolean
  json?: boolean
}

const INTERRUPTED = 130

export function upCommand(parent: Command, context: Context): void {
  const command = parent
    .command('up')
    .summary('run queues and workers on this machine')
    .description(
      'Reads TaskQueues and WorkerPools and does on this machine what the operator does in a cluster: it configures the queues and starts and stops worker processes as the queues need them. It brings a Redis of its own (data in .millhand/redis of the current folder) unless it is given one, and starts new workers when code or manifests are saved. Other millhand commands, run in this folder or below it, find it by themselves. Ctrl-C lets the running jobs end; Ctrl-C again hands them back to the queue.',
    )
    .option('-f, --file <path...>', 'files, or folders with files, that hold the manifests', ['.'])
    .option('--redis <url>', 'a Redis that runs already; default: MILLHAND_REDIS_URL, else one of its own')
    .option('--namespace <name>', 'for resources that name none; default: MILLHAND_NAMESPACE, else "default"')
    .option('--no-reload', 'keep the workers when files are saved')
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
  const print = eventPrinter(options, context)
  const stopping = stopRequests(context)
  const local = await startLocal({ ...localOptions(options, context), onEvent: print }).catch(
    (error: unknown) => {
      throw stopping.isAsked() ? new CommandFailed('interrupted', { exitCode: INTERRUPTED }) : error
    },
  )
  stopping.stops(local)
  if (!stopping.isAsked()) sayReady(local, options, context)
  await local.done
}

/** The first request lets jobs end, the second hands them back; before there is anything to stop, the second leaves at once. */
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

function eventPrinter({ json }: Options, context: Context): OnEvent {
  const linesOf = eventLines(context)
  const { print } = context
  if (json) return (event) => print(withoutPasswords(jsonLine({ time: timeOf(context), ...event })))
  return (event) => {
    for (const line of linesOf(event)) print(line)
  }
}

function sayReady({ redisUrl, namespace, queues, pools }: Local, { json }: Options, context: Context): void {
  if (json) {
    const event = {
      time: timeOf(context),
      kind: 'ready',
      redisUrl,
      namespace,
      queues: queues.map(({ queueName }) => queueName),
    }
    context.print(withoutPasswords(jsonLine(event)))
    return
  }
  const [queue] = pools.flatMap(({ pool }) => pool.queues)
  context.print(
    `ready: ${counted(queues.length, 'queue')}, ${counted(pools.length, 'pool')}; Ctrl-C stops. In another terminal, here:  millhand enqueue ${queue?.name} TASK '{…}'`,
  )
}

function localOptions(options: Options, context: Context): LocalOptions {
  const redis = accessOf(options, context.config)
  const namespace = options.namespace ?? context.config.namespace
  return {
    paths: options.file,
    reload: options.reload,
    ...(redis !== undefined && { redis: checkedAccess(redis) }),
    ...(namespace !== undefined && { namespace }),
    outside: { env: context.config.environment, workingFolder: context.workingFolder },
  }
}

const timeOf = (context: Context): string => new Date(context.nowMs()).toISOString()
