// millhand schedule: sets one schedule of a queue, shows it, runs it now, pauses it, deletes it.
import { Argument, type Command, Option } from 'commander'
import {
  dueTimes,
  LANES,
  OVERLAPS,
  type Overlap,
  type Priority,
  type Queue,
  type ScheduleSpec,
  type ScheduleState,
  whenText,
} from 'millhand/queue'
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
import { type ServerOptions, withServer, withServerOptions } from '../server.ts'
import { facts } from '../table.ts'
import { durationText, timeText } from '../units.ts'
import { nextText, stateCell } from './schedules.ts'

interface Options extends ServerOptions {
  json?: boolean
}

interface SetOptions extends Options {
  cron?: string
  every?: number
  timeZone?: string
  overlap?: Overlap
  missedRuns?: number
  missedWithin?: number
  jitter?: number
  suspend?: boolean
  key?: string
  tag?: string[]
  priority?: Priority
  maxAttempts?: number
  timeout?: number
}

const SHOWN_RUNS = 10

export function scheduleCommand(parent: Command, context: Context): void {
  const schedule = parent
    .command('schedule')
    .summary('set, show, run, pause, resume or delete a schedule')
    .description(
      'Sets, shows, runs, pauses, resumes or deletes a schedule, which enqueues a job at each due time. millhand schedules lists those of a queue.',
    )
    .addHelpText(
      'after',
      examples(
        `millhand schedule set reports nightly build '{"kind":"nightly"}' --cron '0 3 * * *' --time-zone Europe/Berlin`,
        'millhand schedule set mail poll fetch --every 10m --overlap Forbid',
        'millhand schedule show reports nightly',
        'millhand schedule run reports nightly',
      ),
    )
  setCommand(schedule, context)
  one(
    schedule,
    context,
    {
      name: 'show',
      summary: 'show when it is due next, and what became of its last run',
      description: 'Shows when a schedule is due next, and what became of its last run.',
    },
    show,
  )
  one(
    schedule,
    context,
    {
      name: 'run',
      summary: 'enqueue its job now, besides its due times',
      description: 'Enqueues the job of a schedule now, besides its due times.',
    },
    async (queue, name) => {
      const id = await queue.schedules.run(name)
      return id === undefined ? undefined : { json: { id }, text: `job ${id} enqueued in ${queue.name}` }
    },
  )
  one(
    schedule,
    context,
    {
      name: 'pause',
      summary: 'let it not fire until it is resumed',
      description: 'Pauses a schedule: it does not fire until it is resumed.',
    },
    async (queue, name) => {
      const isThere = await queue.schedules.pause(name)
      return isThere ? { json: { paused: true }, text: `schedule ${name} is paused` } : undefined
    },
  )
  one(
    schedule,
    context,
    {
      name: 'resume',
      summary: 'let it fire again from its next due time on',
      description: 'Resumes a paused schedule: it goes on with its next due time.',
    },
    async (queue, name) => {
      await queue.schedules.resume(name)
      const state = await queue.schedules.get(name)
      if (!state) return undefined
      const next = nextText(state, context.nowMs())
      return {
        json: { paused: false, nextAtMs: state.nextAtMs },
        text: `schedule ${name} is no longer paused; next: ${next}`,
      }
    },
  )
  one(
    schedule,
    context,
    {
      name: 'delete',
      summary: 'delete it; its jobs stay',
      description: 'Deletes a schedule. Its jobs stay.',
    },
    async (queue, name) => {
      const answer = await queue.schedules.delete(name)
      if (answer === 'name-taken') throw await ownedBy(queue, name)
      return answer === 'none' ? undefined : { json: { deleted: true }, text: `schedule ${name} is deleted` }
    },
  )
}

interface Said {
  json: object
  text: string
}

/** A command about one schedule that exists. */
interface Verb {
  name: string
  summary: string
  description: string
}

function one(
  parent: Command,
  context: Context,
  verb: Verb,
  act: (queue: Queue, name: string, context: Context) => Promise<Said | undefined>,
): void {
  const command = parent
    .command(verb.name)
    .summary(verb.summary)
    .description(verb.description)
    .argument('<queue>', 'the name of the TaskQueue')
    .argument('<name>', 'the name of the schedule')
  withJsonOption(withServerOptions(command)).action((queueName: string, name: string, options: Options) =>
    withServer(options, context, async (server) => {
      const queue = server.queue(queueName)
      const said = await act(queue, name, context)
      if (!said)
        throw new CommandFailed(
          `there is no schedule ${name} in ${queue.name}; millhand schedules ${queueName} lists them`,
        )
      context.print(options.json ? jsonDocument({ queue: queue.name, name, ...said.json }) : said.text)
    }),
  )
}

function setCommand(parent: Command, context: Context): void {
  const command = parent
    .command('set')
    .summary('set or change it')
    .description(
      'Sets a schedule, or changes the one that has this name. A schedule that says the same already stays as it is.',
    )
    .argument('<queue>', 'the name of the TaskQueue')
    .argument('<name>', 'the name of the schedule')
    .argument('<task>', 'the name of the task')
    .addArgument(
      new Argument('[json]', 'the input of each job as JSON; - reads standard input').default('null'),
    )
    .option('--cron <expression>', 'when: five fields in quotes, or @hourly, @daily, @weekly, @monthly')
    .option('--every <duration>', 'in place of --cron: an interval, like 30s, 10m, 6h', durationOption)
    .option('--time-zone <zone>', 'the zone of --cron, like Europe/Berlin; default: UTC')
    .addOption(
      new Option(
        '--overlap <what>',
        'what a run does while the last job has not ended; default: Allow',
      ).choices(OVERLAPS),
    )
    .option(
      '--missed-runs <number>',
      'how many late runs are made up for; default: 1',
      wholeNumberOption(1, 100),
    )
    .option('--missed-within <duration>', 'how late a run may be; default: 1h', durationOption)
    .option('--jitter <duration>', 'how much later a run may start; default: 0s', durationOption)
    .option('--suspend', 'set it without letting it fire')
    .option('--key <key>', 'the key of its jobs, like a tenant')
    .option('--tag <tag>', 'a name to find its jobs by; may be given five times', listOption)
    .addOption(new Option('--priority <priority>', 'which lane its jobs wait in').choices(LANES))
    .option('--max-attempts <number>', 'how many times a job may be tried', wholeNumberOption(1))
    .option('--timeout <duration>', 'how long one attempt may run', positiveDurationOption)
  withJsonOption(withServerOptions(command)).action(
    (queueName: string, name: string, task: string, json: string, options: SetOptions) => {
      if ((options.cron === undefined) === (options.every === undefined))
        throw new CommandFailed('give either --cron or --every', { exitCode: 2 })
      return withServer(options, context, async (server) => {
        const queue = server.queue(queueName)
        const isInput = json === '-'
        const input = parseJson(
          isInput ? await context.readInput() : json,
          isInput ? 'standard input' : 'the input',
        )
        const isUnknown = !(await queue.exists())
        const answer = await queue.schedules.set(name, { ...specOf(options), task, input })
        if (answer === 'name-taken') throw await ownedBy(queue, name)
        const state = await queue.schedules.get(name)
        if (!state) throw new CommandFailed(`schedule ${name} of ${queue.name} was deleted meanwhile`)
        const text = `schedule ${name} of ${queue.name}: ${whenText(state.spec)}; next: ${nextText(state, context.nowMs())}`
        context.print(options.json ? jsonDocument({ queue: queue.name, answer, ...state }) : text)
        if (isUnknown) context.note(`note: there was no queue ${queue.name} before; check its name`)
      })
    },
  )
}

function specOf(given: SetOptions): Omit<ScheduleSpec, 'task'> {
  const { cron, every, timeZone, overlap, missedRuns, missedWithin, jitter, suspend } = given
  const { key, tag, priority, maxAttempts, timeout } = given
  const options = withoutUndefined({ key, tags: tag, priority, maxAttempts, timeoutMs: timeout })
  const missed = withoutUndefined({ maxRuns: missedRuns, withinMs: missedWithin })
  return {
    ...withoutUndefined({ cron, everyMs: every, timeZone, overlap, jitterMs: jitter, suspend }),
    ...(Object.keys(options).length > 0 && { options }),
    ...(Object.keys(missed).length > 0 && { missed }),
  }
}

function withoutUndefined<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never
}

async function ownedBy(queue: Queue, name: string): Promise<CommandFailed> {
  const { owner = '' } = (await queue.schedules.get(name)) ?? {}
  const whose = owner === '' ? 'a resource' : `the resource ${owner}`
  return new CommandFailed(`schedule ${name} of ${queue.name} belongs to ${whose}: change or delete it there`)
}

async function show(queue: Queue, name: string, context: Context): Promise<Said | undefined> {
  const state = await queue.schedules.get(name)
  if (!state) return undefined
  const { spec, nextAtMs } = state
  const next = nextAtMs === undefined ? [] : dueTimes(spec, { afterMs: nextAtMs - 1, count: SHOWN_RUNS })
  return {
    json: { ...state, when: whenText(spec), nextRuns: next },
    text: textOf(queue.name, state, next, context),
  }
}

function textOf(
  queue: string,
  state: ScheduleState,
  next: readonly number[],
  { paint, nowMs }: Context,
): string {
  const { name, spec, owner, last, fired, skipped } = state
  const { maxRuns = 1, withinMs = 3_600_000 } = spec.missed ?? {}
  const table = facts(
    [
      ['task', spec.task],
      ['input', spec.input === undefined ? undefined : JSON.stringify(spec.input)],
      ['options', spec.options === undefined ? undefined : JSON.stringify(spec.options)],
      ['when', whenText(spec)],
      ['cron', spec.cron],
      ['jitter', spec.jitterMs ? `up to ${durationText(spec.jitterMs)}` : undefined],
      ['overlap', spec.overlap],
      ['missed', `${maxRuns} at most, within ${durationText(withinMs)}`],
      ['owner', owner],
      ['runs', `${fired} fired, ${skipped} left out`],
      ['last', last && `${timeText(last.dueAtMs)}, ${durationText(last.lateMs)} late, job ${last.id}`],
      ['outcome', last && stateCell(last.state)],
      ['next', nextText(state, nowMs())],
      ...next.map((ms) => ['', timeText(ms)] as const),
    ],
    paint,
  )
  return `schedule ${paint('bold', name)} of ${queue}\n${table}`
}
