// millhand actions: lists bulk actions with their progress; undoes, aborts or resumes one.
import type { Command } from 'commander'
import type { Action, Queue } from 'millhand/queue'
import { CommandFailed, type Context } from '../context.ts'
import { drive } from '../filtered-jobs.ts'
import { examples, wholeNumberOption, withJsonOption } from '../options.ts'
import { jsonDocument, oneLine } from '../printable.ts'
import { type ServerOptions, withServer, withServerOptions } from '../server.ts'
import { type Cell, facts, table } from '../table.ts'
import { counted, durationText, timeText } from '../units.ts'

interface Options extends ServerOptions {
  limit?: number
  cursor?: string
  undo?: boolean
  abort?: boolean
  resume?: boolean
  json?: boolean
}

export function actionsCommand(parent: Command, context: Context): void {
  const command = parent
    .command('actions')
    .summary('show what was done to many jobs at once')
    .description(
      'Lists retries, cancellations and deletions by filter, newest first; with an id, shows one with the jobs that were left out and why. A deletion can be undone for a minute. An action whose program was killed goes on with --resume.',
    )
    .argument('<queue>', 'the name of the TaskQueue')
    .argument('[id]', 'the id of an action')
    .option('--limit <number>', 'how many; default: 20', wholeNumberOption(1, 1_000))
    .option('--cursor <cursor>', 'show the next page: the cursor that the page before printed')
    .option('--undo', 'put back what it has deleted within the last minute')
    .option('--abort', 'stop the action; what is done stays done')
    .option('--resume', 'go on with an action that was stopped')
  withJsonOption(withServerOptions(command))
    .addHelpText(
      'after',
      examples(
        'millhand actions mail',
        'millhand actions mail 5b0d6f0e-8a34-4c6e-9a10-0c4b3f1d2e77',
        'millhand actions mail 5b0d6f0e-8a34-4c6e-9a10-0c4b3f1d2e77 --undo',
      ),
    )
    .action((name: string, id: string | undefined, options: Options) => {
      const asked = [options.undo, options.abort, options.resume].filter(Boolean).length
      if (asked > 1) throw new CommandFailed('give one of --undo, --abort and --resume', { exitCode: 2 })
      if (asked === 1 && id === undefined)
        throw new CommandFailed(`name the action by its id; millhand actions ${name} lists them`, {
          exitCode: 2,
        })
      return withServer(options, context, async (server) => {
        const queue = server.queue(name)
        if (id === undefined) return printAll(queue, options, context)
        const before = await queue.actions.get(id)
        if (!before)
          throw new CommandFailed(
            `there is no action ${id} in ${queue.name}; millhand actions ${name} lists them`,
          )
        if (options.undo) await undo(queue, before, context)
        if (options.abort) await queue.actions.abort(id)
        if (options.resume) await drive(queue, id, context)
        const action = (asked === 0 ? before : await queue.actions.get(id)) ?? before
        context.print(options.json ? jsonDocument({ queue: queue.name, action }) : described(action, context))
      })
    })
}

async function undo(queue: Queue, { id, verb, done }: Action, context: Context): Promise<void> {
  if (verb !== 'delete')
    throw new CommandFailed(`only a delete can be undone; this action is a ${verb}`, { exitCode: 2 })
  const restored = await queue.actions.undo(id)
  if (restored === 0 && done > 0)
    throw new CommandFailed('nothing could be put back: deleted jobs are kept for a minute')
  context.note(`${counted(restored, 'job')} put back`)
}

async function printAll(
  queue: Queue,
  { limit = 20, cursor, json }: Options,
  context: Context,
): Promise<void> {
  const actions = await queue.actions.list({ limit, after: cursor })
  const last = actions.length === limit ? actions.at(-1) : undefined
  const next = last && { cursor: last.id }
  if (json) return context.print(jsonDocument({ queue: queue.name, actions, ...next }))
  if (actions.length === 0)
    return context.print(`${queue.name} has no ${cursor === undefined ? '' : 'older '}actions`)
  const rows = actions.map((action): Cell[] => [
    action.id,
    durationText(context.nowMs() - action.createdAtMs),
    action.verb,
    action.state,
    `${action.done}${action.total === undefined ? '' : `/${action.total}`}`,
    action.skipped,
    action.failed,
    action.who,
    action.filter || 'named jobs',
    action.reason,
  ])
  const head = ['ID', 'AGE', 'VERB', 'STATE', 'DONE', 'SKIPPED', 'FAILED', 'WHO', 'FILTER', 'REASON']
  context.print(table(head, rows, context.paint))
  if (next) context.note(`there may be more; to go on: --cursor '${next.cursor}'`)
}

function described(action: Action, { paint }: Context): string {
  const { done, skipped, failed, restored, total, endedAtMs } = action
  const pairs: [string, Cell | undefined][] = [
    ['verb', action.verb],
    ['state', action.state],
    ['filter', action.filter || 'named jobs'],
    ['who', action.who],
    ['reason', action.reason],
    ['began', timeText(action.createdAtMs)],
    ['ended', endedAtMs && timeText(endedAtMs)],
    ['done', total === undefined ? done : `${done} of ${total}`],
    ['skipped', skipped || undefined],
    ['failed', failed || undefined],
    ['put back', restored || undefined],
  ]
  const reasons = action.reasons.map(({ id, reason }) => oneLine(`  job ${id}: ${reason}`))
  return [`action ${paint('bold', action.id)}`, facts(pairs, paint), ...reasons].join('\n')
}
