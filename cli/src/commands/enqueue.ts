// millhand enqueue: enqueues one job, and prints its result with --wait. Through millhand/client, as a
// program would.
import { Argument, type Command, InvalidArgumentError, Option } from 'commander'
import { connect, type EnqueueOptions, type JobHandle, type Priority, ResultTimeout } from 'millhand/client'
import { DURABILITIES, type Durability, failureText, LANES, ON_DUPLICATE } from 'millhand/queue'
import { CommandFailed, type Context } from '../context.ts'
import { parseJson } from '../json-input.ts'
import {
  durationOption,
  examples,
  listOption,
  positiveDurationOption,
  wholeNumberOption,
  withJsonOption,
} from '../options.ts'
import { jsonDocument } from '../printable.ts'
import { unserved } from '../queues-there.ts'
import { addressOf, DEADLINE_MS, type ServerOptions, withServer, withServerOptions } from '../server.ts'
import { durationMs, durationText } from '../units.ts'

interface Options extends ServerOptions {
  delay?: number
  id?: string
  key?: string
  tag?: string[]
  unique?: string
  uniqueWhile?: 'waiting' | 'unfinished' | { forMs: number }
  onDuplicate?: (typeof ON_DUPLICATE)[number]
  priority?: Priority
  maxAttempts?: number
  timeout?: number
  expiresIn?: number
  durability?: Durability
  failIfKnown?: boolean
  wait?: number | true
  json?: boolean
}

export function enqueueCommand(parent: Command, context: Context): void {
  const command = parent
    .command('enqueue')
    .summary('enqueue a job')
    .description('Enqueues a job. When the command exits with 0, Redis has the job.')
    .argument('<queue>', 'the name of the TaskQueue')
    .argument('<task>', 'the name of the task')
    .addArgument(
      new Argument('[json]', 'the input of the task as JSON; - reads standard input').default('null'),
    )
  withJsonOption(withServerOptions(withJobOptions(command)))
    .addHelpText(
      'after',
      examples(
        `millhand enqueue mail send '{"to":"ann@example.com"}'`,
        `millhand enqueue thumbnails thumbnail '{"file":"cat.png","width":200,"out":"cat.webp"}' --wait=30s`,
        'millhand enqueue reports build --delay 10m --id report-2026-11',
        'millhand enqueue mail send --tag order:42 --tag vip',
        'millhand enqueue index build --delay 5s --unique shop-7 --on-duplicate replace',
        'jq -c .order order.json | millhand enqueue orders ship -',
      ),
    )
    .action((queue: string, task: string, json: string, options: Options) =>
      enqueue({ queue, task, json, options }, context),
    )
}

function withJobOptions(command: Command): Command {
  return command
    .option('--delay <duration>', 'how long it waits before it may start, like 10s, 5m, 2h', durationOption)
    .option('--id <id>', 'an id of your own: a job with a known id is not enqueued again')
    .option('--key <key>', 'a key that it shares with other jobs, like a tenant: keys are served in turn')
    .option('--tag <tag>', 'a name to find it by; may be given five times', listOption)
    .option('--unique <key>', 'enqueue nothing while another job of the queue has this unique key')
    .option(
      '--unique-while <time>',
      'how long it has the key: waiting, unfinished (the default), or a duration from its enqueue',
      uniqueWhileOption,
    )
    .addOption(
      new Option(
        '--on-duplicate <what>',
        'what happens while another job has the key: that one stays alone, or is replaced while it waits, or runs again when it has ended',
      ).choices(ON_DUPLICATE),
    )
    .option(
      '--fail-if-known',
      'exit with 1 when nothing is enqueued: the id is known, or the unique key taken',
    )
    .addOption(new Option('--priority <priority>', 'which lane it waits in').choices(LANES))
    .option(
      '--max-attempts <number>',
      'how many times it may be tried; default: as the queue says',
      wholeNumberOption(1),
    )
    .option(
      '--timeout <duration>',
      'how long one attempt may run; default: as the queue says',
      positiveDurationOption,
    )
    .option(
      '--expires-in <duration>',
      'how long after it is due it may still start; later it ends as expired; default: as the queue says',
      positiveDurationOption,
    )
    .addOption(
      new Option(
        '--durability <promise>',
        'when it counts as enqueued: in memory, on disk too (fsync), or with a replica too',
      ).choices(DURABILITIES),
    )
    .option(
      '--wait [duration]',
      'print the result as JSON when the job has ended, or fail with the reason; write --wait=30s, or --wait last',
      durationOption,
    )
}

function uniqueWhileOption(text: string): NonNullable<Options['uniqueWhile']> {
  if (text === 'waiting' || text === 'unfinished') return text
  const forMs = durationMs(text)
  if (forMs !== undefined) return { forMs }
  throw new InvalidArgumentError('It is waiting, unfinished or a duration like 30s, 5m or 2h.')
}

interface Request {
  queue: string
  task: string
  json: string
  options: Options
}

async function enqueue({ queue, task, json, options }: Request, context: Context): Promise<void> {
  const isInput = json === '-'
  const input = parseJson(
    isInput ? await context.readInput() : json,
    isInput ? 'standard input' : 'the input',
  )
  checkUnique(options)
  const { redis, namespace } = addressOf(options, context)
  const client = connect({ redis, namespace, deadlineMs: DEADLINE_MS })
  try {
    const clientQueue = client.queue(queue)
    const job = await clientQueue.enqueue(task, input as never, jobOptions(options))
    const known = knownText(job, clientQueue.name)
    const isLeftOut = job.enqueued !== 'replaced' && job.enqueued !== 'runs-again'
    if (known !== undefined && isLeftOut && options.failIfKnown) throw new CommandFailed(known)
    if (options.wait === undefined) {
      sayEnqueued(job, clientQueue.name, options, context)
    } else if (known !== undefined) {
      context.note(`note: ${known}; this is the result of that job`)
    }
    if (known === undefined) await noteUnserved(queue, options, context)
    if (options.wait === undefined) return
    const result = await resultOf(job, options.wait)
    const { id, enqueued } = job
    context.print(jsonDocument(options.json ? { id, queue: clientQueue.name, enqueued, result } : result))
  } finally {
    client.close()
  }
}

function checkUnique({ unique, uniqueWhile, onDuplicate }: Options): void {
  if (unique === undefined && (uniqueWhile !== undefined || onDuplicate !== undefined))
    throw new CommandFailed('--unique-while and --on-duplicate go with --unique', { exitCode: 2 })
}

function jobOptions({
  delay,
  id,
  key,
  tag,
  unique,
  uniqueWhile,
  onDuplicate,
  priority,
  maxAttempts,
  timeout,
  expiresIn,
  durability,
}: Options): EnqueueOptions {
  return {
    ...(delay !== undefined && { delayMs: delay }),
    ...(id !== undefined && { id }),
    ...(key !== undefined && { key }),
    ...(tag !== undefined && { tags: tag }),
    ...(unique !== undefined && { unique: { key: unique, while: uniqueWhile, onDuplicate } }),
    ...(priority !== undefined && { priority }),
    ...(maxAttempts !== undefined && { maxAttempts }),
    ...(timeout !== undefined && { timeoutMs: timeout }),
    ...(expiresIn !== undefined && { expiresInMs: expiresIn }),
    ...(durability !== undefined && { durability }),
  }
}

/** Undefined where the job was created. */
function knownText({ id, enqueued }: JobHandle, queue: string): string | undefined {
  if (enqueued === 'created') return undefined
  if (enqueued === 'duplicate') return `job ${id} of ${queue} has the unique key: nothing was enqueued`
  if (enqueued === 'replaced')
    return `job ${id} of ${queue} has the unique key and waits: it has the new input now`
  if (enqueued === 'runs-again')
    return `job ${id} of ${queue} has the unique key and runs: a job with the new input follows it`
  return `job ${id} is already known in ${queue}: it is ${enqueued}; nothing was enqueued`
}

/** A misspelt queue takes jobs like any other. A user without the rights to look gets no note. */
async function noteUnserved(name: string, options: Options, context: Context): Promise<void> {
  try {
    await withServer(options, context, async (server) => {
      const queue = server.queue(name)
      const { isUnserved, near } = await unserved(queue, server)
      if (!isUnserved) return
      const hint = near === undefined ? '' : `; did you mean ${near}?`
      context.note(`note: no TaskQueue declares ${queue.name}, and no worker serves it now${hint}`)
    })
  } catch {
    // The job is enqueued.
  }
}

function sayEnqueued(job: JobHandle, queue: string, { json, delay }: Options, context: Context): void {
  const { id, enqueued } = job
  if (json) context.print(jsonDocument({ id, queue, enqueued }))
  else
    context.print(
      knownText(job, queue) ??
        `job ${id} enqueued in ${queue}${delay ? `, due in ${durationText(delay)}` : ''}`,
    )
}

async function resultOf(job: JobHandle, wait: number | true): Promise<unknown> {
  try {
    return await job.result(wait === true ? {} : { timeoutMs: wait })
  } catch (error) {
    if (!(error instanceof ResultTimeout)) throw error
    throw new CommandFailed(await whereItIs(job, wait), { cause: error })
  }
}

/** The wait is over; the failures so far may tell why. */
async function whereItIs(job: JobHandle, wait: number | true): Promise<string> {
  const details = await job.details()
  const patience = wait === true ? '' : ` within ${durationText(wait)}`
  const start = `job ${job.id} has not ended${patience}; it is ${details?.state ?? 'not known any more'}`
  const last = details?.failures.at(-1)
  if (!last) return start
  return `${start}; its last attempt failed: ${failureText(last)}`
}
