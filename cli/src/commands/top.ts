// millhand top: a dashboard in the terminal.
import { type Command, InvalidArgumentError, Option } from 'commander'
import { addressText, parseAddress } from 'millhand/queue'
import type { Context } from '../context.ts'
import { durationOption, examples, withJsonOption } from '../options.ts'
import { jsonDocument } from '../printable.ts'
import { addressOf, type Server, type ServerOptions, withServer, withServerOptions } from '../server.ts'
import { table } from '../table.ts'
import { Top } from '../top/app.ts'
import { overview } from '../top/overview.ts'
import { reachOf } from '../top/reach.ts'

interface Options extends ServerOptions {
  refresh: number
  readOnly?: boolean
  once?: boolean
  json?: boolean
}

const REFRESH_MS = 2_000
const LEAST_REFRESH_MS = 250
/** For --once: all queues with their workers. */
const ALL = { from: 0, count: Number.POSITIVE_INFINITY }

export function topCommand(parent: Command, context: Context): void {
  const command = parent
    .command('top')
    .summary('watch queues, jobs, workers and errors, and act on them')
    .description(
      'Shows queues, their jobs, workers and errors in the terminal, as they change. Keys: enter opens, esc goes back, / filters, : goes to another view, ? shows the keys of a view, q quits. Upper-case keys change something (R retry, C cancel, D delete, P pause) and ask first.\nColumns: AGE is that of the oldest ready job; IN/S and OUT/S are jobs enqueued and completed a second, over the last ten. Without a terminal it prints one picture, as with --once.',
    )
    .argument('[queue...]', 'names of TaskQueues; default: all')
    .addOption(
      new Option('--refresh <duration>', 'how often it looks')
        .argParser(refreshOption)
        .default(REFRESH_MS, '2s'),
    )
    .option('--read-only', 'refuse the keys that change something')
    .option('--once', 'print one picture of all queues')
  withJsonOption(withServerOptions(command), 'one JSON document, with --once')
    .addHelpText(
      'after',
      examples(
        'millhand top',
        'millhand top mail thumbnails --refresh 5s',
        'millhand top --read-only',
        "millhand top --once --json | jq '.[] | select(.buried > 0)'",
      ),
    )
    .action((names: string[], options: Options) => {
      const { open } = context.terminal
      return options.once || options.json || !open
        ? withServer(options, context, (server) => printOnce(server, { names, ...options }, context))
        : withServer(options, context, (server) => watch(server, { names, options, open }, context))
    })
}

interface Watched {
  names: readonly string[]
  options: Options
  open: NonNullable<Context['terminal']['open']>
}

async function watch(server: Server, { names, options, open }: Watched, context: Context): Promise<void> {
  const reach = reachOf(server, names, context.nowMs)
  const top = new Top({
    reach,
    root: overview(reach),
    look: context.terminal,
    refreshMs: options.refresh,
    isReadOnly: options.readOnly ?? false,
    where: addressText(parseAddress(addressOf(options, context).redis)),
  })
  context.onStop((times) => (times > 1 ? context.leave(1) : top.quit()))
  await top.run(open)
}

async function printOnce(
  server: Server,
  { names, json }: { names: readonly string[]; json?: boolean },
  context: Context,
): Promise<void> {
  const view = overview(reachOf(server, names, context.nowMs))
  await view.load(ALL)
  if (json) return context.print(jsonDocument(view.plain()))
  context.print(view.summary())
  const rows = view.rows().map(({ cells }) => cells)
  const titles = view.columns.map(({ title }) => title)
  if (rows.length > 0) context.print(`\n${table(titles, rows, context.paint)}`)
}

function refreshOption(text: string): number {
  const ms = durationOption(text)
  if (ms >= LEAST_REFRESH_MS) return ms
  throw new InvalidArgumentError(`It is ${LEAST_REFRESH_MS}ms or more.`)
}
