// millhand limit: shows, sets and removes the limits of a queue and its keys that people have set.
import { type Command, InvalidArgumentError, Option } from 'commander'
import {
  type KeyLimits,
  type KeyState,
  type Queue,
  type Rate,
  type Rests,
  WHEN_AT_LIMIT,
  type WhenAtLimit,
} from 'millhand/queue'
import { CommandFailed, type Context } from '../context.ts'
import { examples, wholeNumberOption, withJsonOption } from '../options.ts'
import { jsonDocument } from '../printable.ts'
import { partsOf } from '../queues-there.ts'
import { type ServerOptions, withServer, withServerOptions } from '../server.ts'
import { table } from '../table.ts'
import { durationMs, durationText, timeText } from '../units.ts'

const MOST_RESTS = 20

interface Options extends ServerOptions {
  key?: string
  maxBusy?: number
  rate?: Rate
  burst?: number
  maxLength?: number
  whenAtLimit?: WhenAtLimit
  remove?: boolean
  json?: boolean
}

export function limitCommand(parent: Command, context: Context): void {
  const command = parent
    .command('limit')
    .summary('show or change the limits of a queue and of its keys, while jobs run')
    .description(
      'Without a limit it shows what holds back the queue, or the key, and the limits that were given by this command. With limits it gives them: they win over those of the TaskQueue, at once, until --remove.',
    )
    .argument('<queue>', 'the name of the TaskQueue')
  withJsonOption(withServerOptions(withLimits(command)))
    .addHelpText(
      'after',
      examples(
        'millhand limit mail',
        'millhand limit mail --key acme --max-busy 10 --rate 100/s',
        'millhand limit mail --rate 600/m --burst 20',
        'millhand limit mail --key acme --remove',
      ),
    )
    .action((name: string, options: Options) =>
      withServer(options, context, async (server) => {
        const queue = server.queue(name)
        const isUnknown = !(await queue.exists())
        await limit(queue, options, context)
        if (isUnknown) context.note(`note: there was no queue ${queue.name} before; check its name`)
      }),
    )
}

function withLimits(command: Command): Command {
  return command
    .option('--key <key>', 'the key that is meant; without it the whole queue')
    .option('--max-busy <number>', 'how many of its jobs may run at once', wholeNumberOption(0))
    .option(
      '--rate <jobs/time>',
      'how many of its jobs may start in a time, like 100/s, 600/m, 5/10s',
      rateOption,
    )
    .option(
      '--burst <number>',
      'how many of a rate may start at once; default: a tenth',
      wholeNumberOption(1),
    )
    .option('--max-length <number>', 'how many of its jobs may be ready; of a key only', wholeNumberOption(0))
    .addOption(
      new Option('--when-at-limit <what>', 'what an enqueue does at the limit; of a key only').choices(
        WHEN_AT_LIMIT,
      ),
    )
    .option('--remove', 'take away what was given by this command')
}

/** `100/s`, `600/m`, `5/10s`. */
function rateOption(text: string): Rate {
  const [, jobs, time = ''] = /^(\d+)\/(\S+)$/.exec(text.trim()) ?? []
  const periodMs = durationMs(/^\d/.test(time) ? time : `1${time}`)
  if (jobs === undefined || !periodMs || Number(jobs) === 0)
    throw new InvalidArgumentError('It is a number of jobs and a time, like 100/s, 600/m or 5/10s.')
  return { jobs: Number(jobs), periodMs }
}

async function limit(queue: Queue, options: Options, context: Context): Promise<void> {
  const { key, remove } = options
  const limits = limitsOf(options)
  const isGiven = Object.keys(limits).length > 0
  if (remove && isGiven) throw new CommandFailed('give limits or --remove, not both')
  if (remove) await queue.removeLimits(key)
  else if (isGiven) await queue.setLimits(key, limits)
  const state = await queue.keyState(key)
  const given = await queue.listLimits()
  const resting = key === undefined ? await queue.rests({ limit: MOST_RESTS }) : undefined
  if (options.json)
    return context.print(
      jsonDocument({ queue: queue.name, ...(key && { key }), ...state, given, ...(resting && { resting }) }),
    )
  context.print([stateText(queue.name, key, state), ...tableOf(given, context)].join('\n'))
  if (resting) noteRests(queue, resting, context)
}

function noteRests(queue: Queue, { rests, total }: Rests, context: Context): void {
  const keys = rests.flatMap(({ key, untilMs }) =>
    key === undefined ? [] : [`${key} for ${durationText(untilMs - context.nowMs())} more`],
  )
  if (keys.length === 0) return
  const others = total > rests.length ? `, and ${total - rests.length} more` : ''
  const how = `millhand resume ${partsOf(queue.name).name} --key KEY`
  context.note(`keys that rest (RetryAfter): ${keys.join(', ')}${others}; to end one: ${how}`)
}

function limitsOf({ maxBusy, rate, burst, maxLength, whenAtLimit }: Options): KeyLimits {
  if (burst !== undefined && !rate) throw new CommandFailed('--burst belongs to a rate: give --rate too')
  return {
    ...(maxBusy !== undefined && { maxBusy }),
    ...(rate && { rate: { ...rate, ...(burst !== undefined && { burst }) } }),
    ...(maxLength !== undefined && { maxLength }),
    ...(whenAtLimit && { whenAtLimit }),
  }
}

function stateText(queue: string, key: string | undefined, state: KeyState): string {
  const what = key === undefined ? queue : `key ${key} of ${queue}`
  const until =
    state.untilMs === undefined ? 'until one of its jobs ends' : `until ${timeText(state.untilMs)}`
  const now = `${state.busy} running, ${state.waiting} ready${state.isBlocked ? `; blocked ${until}` : ''}`
  return `${what}: ${now}\nits limits: ${limitsText(state.limits) || 'none'}`
}

function limitsText({ maxBusy, rate, maxLength, whenAtLimit }: KeyLimits): string {
  return [
    maxBusy !== undefined && `${maxBusy} running`,
    rate && `${rate.jobs} in ${durationText(rate.periodMs)}${rate.burst ? `, ${rate.burst} at once` : ''}`,
    maxLength !== undefined && `${maxLength} ready`,
    whenAtLimit,
  ]
    .filter(Boolean)
    .join('; ')
}

function tableOf(given: readonly { key?: string; limits: KeyLimits }[], { paint }: Context): string[] {
  if (given.length === 0) return []
  const rows = given.map(({ key, limits }) => [key ?? '(the queue)', limitsText(limits)])
  return ['', table(['KEY', 'GIVEN LIMITS'], rows, paint)]
}
