// millhand schedules: lists the schedules of a queue.
import type { Command } from 'commander'
import { type ScheduleState, whenText } from 'millhand/queue'
import type { Context } from '../context.ts'
import { examples, wholeNumberOption, withJsonOption } from '../options.ts'
import { jsonDocument } from '../printable.ts'
import { type ServerOptions, withServer, withServerOptions } from '../server.ts'
import { type Cell, table } from '../table.ts'
import { counted, durationText } from '../units.ts'

interface Options extends ServerOptions {
  limit?: number
  cursor?: string
  json?: boolean
}

const MOST_A_PAGE = 200

export function schedulesCommand(parent: Command, context: Context): void {
  const command = parent
    .command('schedules')
    .summary('list the schedules of a queue')
    .description(
      'Lists schedules, next due first: when they are due, what became of the last run. millhand schedule sets, runs, pauses and deletes one.',
    )
    .argument('<queue>', 'the name of the TaskQueue')
    .option('--limit <number>', 'how many; default: 50', wholeNumberOption(1, MOST_A_PAGE))
    .option('--cursor <cursor>', 'show the next page: the cursor that the page before printed')
  withJsonOption(withServerOptions(command))
    .addHelpText('after', examples('millhand schedules mail', 'millhand schedules mail --json'))
    .action((name: string, options: Options) =>
      withServer(options, context, async (server) => {
        const queue = server.queue(name)
        const { limit = 50, cursor } = options
        const page = await queue.schedules.list({ limit, ...(cursor !== undefined && { cursor }) })
        if (options.json) return context.print(jsonDocument({ queue: queue.name, ...page }))
        context.print(`${queue.name}: ${counted(page.total, 'schedule')}`)
        if (page.schedules.length > 0) context.print(`\n${tableOf(page.schedules, context)}`)
        if (page.cursor !== undefined) context.note(`there are more; to go on: --cursor '${page.cursor}'`)
        if (!(await queue.exists())) context.note(`note: there is no queue ${queue.name}; check its name`)
      }),
    )
}

function tableOf(schedules: readonly ScheduleState[], { paint, nowMs }: Context): string {
  const rows = schedules.map((schedule): Cell[] => {
    const { name, spec, last } = schedule
    const [at, outcome] = last
      ? [`${durationText(nowMs() - last.firedAtMs)} ago`, stateCell(last.state)]
      : ['-', '-']
    return [name, spec.task, whenText(spec), nextText(schedule, nowMs()), at, outcome]
  })
  return table(['NAME', 'TASK', 'WHEN', 'NEXT', 'LAST', 'OUTCOME'], rows, paint)
}

export function nextText({ spec, isPaused, nextAtMs }: ScheduleState, nowMs: number): string {
  if (isPaused) return 'paused'
  if (spec.suspend) return 'suspended'
  if (nextAtMs === undefined) return 'never'
  return nextAtMs > nowMs ? `in ${durationText(nextAtMs - nowMs)}` : 'due'
}

/** For a last job that Redis has forgotten. */
export const stateCell = (state: string): Cell => {
  if (state === 'unknown') return 'deleted'
  return state === 'buried' ? { text: state, style: 'red' } : state
}
