// millhand errors: shows why jobs of a queue fail, failures of one kind as one group.
import type { Command } from 'commander'
import type { ErrorGroup, ErrorGroupDetails, Queue } from 'millhand/queue'
import { CommandFailed, type Context } from '../context.ts'
import { examples, wholeNumberOption, withJsonOption } from '../options.ts'
import { jsonDocument, manyLines, shortened } from '../printable.ts'
import { partsOf } from '../queues-there.ts'
import { type ServerOptions, withServer, withServerOptions } from '../server.ts'
import { type Cell, facts, table } from '../table.ts'
import { counted, durationText, timeText } from '../units.ts'

interface Options extends ServerOptions {
  all?: boolean
  mute?: boolean
  unmute?: boolean
  limit: number
  json?: boolean
}

const FEW = 50
const MAX_MESSAGE = 100

export function errorsCommand(parent: Command, context: Context): void {
  const command = parent
    .command('errors')
    .summary('show why jobs of a queue fail')
    .description(
      'Shows the failures of a queue in groups, the last seen first: attempts that ended with the same kind of error, whatever ids, numbers and paths its message has. With a group: all that is known of it, and its buried jobs.',
    )
    .argument('<queue>', 'the name of the TaskQueue')
    .argument('[group]', 'a group, like v1:0123456789abcdef')
    .option('--all', 'show muted groups too')
    .option('--mute', 'leave the group out of the list; its errors are still counted')
    .option('--unmute', 'show the group in the list again')
    .option('--limit <number>', 'how many groups, or jobs of a group', wholeNumberOption(1, 1_000), FEW)
  withJsonOption(withServerOptions(command))
    .addHelpText(
      'after',
      examples(
        'millhand errors mail',
        'millhand errors mail v1:0123456789abcdef',
        'millhand errors mail v1:0123456789abcdef --mute',
        "millhand errors mail v1:0123456789abcdef --json | jq -r '.jobs[]' | xargs millhand retry mail",
      ),
    )
    .action((name: string, group: string | undefined, options: Options) => {
      if ((options.mute || options.unmute) && group === undefined)
        throw new CommandFailed('name the group to mute or unmute, like v1:0123456789abcdef', { exitCode: 2 })
      return withServer(options, context, (server) =>
        group === undefined
          ? printGroups(server.queue(name), options, context)
          : printGroup(server.queue(name), group, options, context),
      )
    })
}

async function printGroups(queue: Queue, { all, limit, json }: Options, context: Context): Promise<void> {
  const { groups, total } = await queue.errors.list({ limit: 1_000 })
  const wanted = groups.filter(({ isMuted }) => all || !isMuted)
  const shown = wanted.slice(0, limit)
  if (json) return context.print(jsonDocument({ queue: queue.name, total, groups: shown }))
  if (shown.length > 0) context.print(tableOf(shown, context))
  else context.print(total > 0 ? 'all error groups are muted; --all shows them' : 'no attempt has failed')
  if (wanted.length > shown.length)
    context.note(`${wanted.length - shown.length} more: --limit ${wanted.length}`)
  const muted = groups.filter(({ isMuted }) => isMuted).length
  if (muted > 0 && !all && shown.length > 0) context.note(`note: ${muted} more muted; --all shows them`)
  if (!(await queue.exists())) context.note(`note: there is no queue ${queue.name}; check its name`)
}

function tableOf(groups: readonly ErrorGroup[], { paint, nowMs }: Context): string {
  const rows = groups.map(({ group, count, buried, lastMs, isMuted, ...error }): Cell[] => [
    group,
    count,
    buried > 0 ? { text: String(buried), style: 'red' } : buried,
    `${durationText(nowMs() - lastMs)} ago`,
    Object.keys(error.tasks).filter(Boolean).slice(0, 2).join(', '),
    shortened(`${isMuted ? '(muted) ' : ''}${headOf(error)}`, MAX_MESSAGE),
  ])
  return table(['GROUP', 'COUNT', 'BURIED', 'LAST', 'TASKS', 'ERROR'], rows, paint)
}

export const headOf = ({
  outcome,
  type,
  message,
}: Pick<ErrorGroup, 'outcome' | 'type' | 'message'>): string =>
  `${type || outcome}${message && `: ${message}`}`

async function printGroup(queue: Queue, group: string, options: Options, context: Context): Promise<void> {
  if (!/^v\d:[0-9a-f]{16}$/.test(group))
    throw new CommandFailed(`invalid group "${group}": a group is like v1:0123456789abcdef`, { exitCode: 2 })
  if (options.mute) await queue.errors.mute(group)
  else if (options.unmute) await queue.errors.unmute(group)
  const found = await queue.errors.get(group, { limit: options.limit })
  if (!found) throw new CommandFailed(`there is no group ${group} in ${queue.name}: it was not seen for long`)
  context.print(
    options.json ? jsonDocument({ queue: queue.name, ...found }) : described(queue, found, context),
  )
}

function described({ name }: Queue, found: ErrorGroupDetails, { paint, nowMs }: Context): string {
  const { group, count, buried, firstMs, lastMs, tasks, version, isMuted, jobs } = found
  const ago = (atMs: number) => `${timeText(atMs)} (${durationText(nowMs() - atMs)} ago)`
  const byTask = Object.entries(tasks).map(([task, n]) => `${task || 'others'} ${n}`)
  const lines = [
    `error group ${paint('bold', group)} of ${name}${isMuted ? ', muted' : ''}`,
    `  ${paint('red', manyLines(headOf(found)).replaceAll('\n', '\n  '))}`,
    facts(
      [
        ['attempts', `${count} (${byTask.join(', ')})`],
        ['first', `${ago(firstMs)}${version && `, by Millhand ${version}`}`],
        ['last', ago(lastMs)],
        ['buried', counted(buried, 'job')],
      ],
      paint,
    ),
  ]
  if (jobs.length > 0) lines.push(`\nburied jobs, the last first:`, ...jobs.map((id) => `  ${manyLines(id)}`))
  if (buried > jobs.length)
    lines.push(`  and ${buried - jobs.length} more: millhand jobs ${partsOf(name).name} error:${group}`)
  return lines.join('\n')
}
