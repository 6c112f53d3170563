// millhand stats: shows how many jobs of a queue ended in a period, and how long they waited and ran.
import { type Command, Option } from 'commander'
import type { History, HistorySeries, Queue } from 'millhand/queue'
import { CommandFailed, type Context } from '../context.ts'
import { durationOption, examples, withJsonOption } from '../options.ts'
import { jsonDocument } from '../printable.ts'
import { type ServerOptions, withServer, withServerOptions } from '../server.ts'
import { type Cell, table } from '../table.ts'
import { durationText } from '../units.ts'

interface Options extends ServerOptions {
  since: number
  by?: string
  json?: boolean
}

const HOUR_MS = 3_600_000
const MOST_MS = 100 * 24 * HOUR_MS
const TIMES = ['wait.p50', 'wait.p95', 'wait.p99', 'run.p50', 'run.p95', 'run.p99'] as const
const SERIES = ['completed', 'failed', ...TIMES] as const

export function statsCommand(parent: Command, context: Context): void {
  const command = parent
    .command('stats')
    .summary('show throughput, failures, waits and durations of a queue')
    .description(
      'Shows how many attempts at jobs of a queue were completed and how many failed in some time, and half, 95 and 99 % of the waits (from enqueued, or due, to the start) and durations, at most 7 % wrong. Workers tell their figures with their heartbeat, every 2 s. --json has them by time, too: null where nothing is known.',
    )
    .argument('<queue>', 'the name of the TaskQueue')
    .addOption(
      new Option('--since <duration>', 'how far to look back, up to 100d')
        .argParser(durationOption)
        .default(HOUR_MS, '1h'),
    )
    .option('--by <what>', 'task: a line for each task')
  withJsonOption(withServerOptions(command))
    .addHelpText(
      'after',
      examples(
        'millhand stats mail',
        'millhand stats mail --since 7d --by task',
        'millhand stats mail --json',
      ),
    )
    .action((name: string, options: Options) => {
      if (options.by !== undefined && options.by !== 'task')
        throw new CommandFailed(`invalid --by "${options.by}": the one choice is task`, { exitCode: 2 })
      if (options.since < 1 || options.since > MOST_MS)
        throw new CommandFailed('invalid --since: give 10s to 100d', { exitCode: 2 })
      return withServer(options, context, (server) => printStats(server.queue(name), options, context))
    })
}

async function printStats(queue: Queue, { since, by, json }: Options, context: Context): Promise<void> {
  const question = { series: SERIES, fromMs: context.nowMs() - since }
  const history = await queue.history(by === 'task' ? { ...question, by } : question)
  if (json) return context.print(jsonDocument({ queue: queue.name, ...history }))
  const rows = [...new Set(history.columns.map(({ task }) => task))].map((task) =>
    rowOf(history, task, since),
  )
  const isKnown = history.columns.some(({ total }) => total !== null)
  if (isKnown)
    context.print(
      table(HEAD, by === 'task' ? rows : rows.map((row) => [queue.name, ...row.slice(1)]), context.paint),
    )
  else context.print(`no attempt ended in ${queue.name} in the last ${durationText(since)}`)
  if (!(await queue.exists())) context.note(`note: there is no queue ${queue.name}; check its name`)
}

const HEAD = ['', 'COMPLETED', 'A SECOND', 'FAILED', 'WAIT P50', 'P95', 'P99', 'RUN P50', 'P95', 'P99']

function rowOf({ columns }: History, task: string | undefined, sinceMs: number): Cell[] {
  const total = (series: HistorySeries) =>
    columns.find((column) => column.series === series && column.task === task)?.total ?? null
  const [completed, failed] = [total('completed') ?? 0, total('failed') ?? 0]
  const rate = (1_000 * completed) / sinceMs
  return [
    task ?? '',
    completed,
    rate.toFixed(rate < 10 ? 2 : 0),
    failed > 0 ? { text: String(failed), style: 'red' } : failed,
    ...TIMES.map((series) => {
      const ms = total(series)
      return ms === null ? '-' : durationText(ms)
    }),
  ]
}
