// millhand events: prints what happened in a queue, and with --follow what happens.
import type { Command } from 'commander'
import type { Change, ChangedJob, Queue, QueueEvent } from 'millhand/queue'
import type { Context } from '../context.ts'
import { examples, wholeNumberOption, withJsonOption } from '../options.ts'
import { jsonLine, oneLine } from '../printable.ts'
import { type ServerOptions, withServer, withServerOptions } from '../server.ts'
import { counted, durationText, timeText } from '../units.ts'

interface Options extends ServerOptions {
  follow?: boolean
  after?: string
  limit: number
  json?: boolean
}

const FEW = 50
const RED = new Set(['buried', 'reaped'])
const YELLOW = new Set(['retried', 'escalated', 'rested', 'cancelled', 'expired', 'paused', 'suspended'])

export function eventsCommand(parent: Command, context: Context): void {
  const command = parent
    .command('events')
    .summary('print what happens in a queue')
    .description(
      'Prints what happened in a queue: attempts that failed, deaths of workers, beginnings and ends of flows, and acts of people. With --follow it goes on with what happens from now on, until Ctrl-C; meanwhile enqueues, claims and completed jobs are written too. One event is all that one call did.',
    )
    .argument('<queue>', 'the name of the TaskQueue')
    .option('--follow', 'go on until Ctrl-C, also through an outage of Redis')
    .option(
      '--after <id>',
      'begin behind this event (its id is in the JSON); 0: with the oldest that is kept',
    )
    .option(
      '--limit <number>',
      'without --follow: how many of the last events',
      wholeNumberOption(1, 1e6),
      FEW,
    )
  withJsonOption(withServerOptions(command), 'a JSON line for each event')
    .addHelpText(
      'after',
      examples(
        'millhand events mail',
        'millhand events mail --follow',
        'millhand events mail --follow --json | jq -c \'.changes[] | select(.kind == "buried")\'',
      ),
    )
    .action((name: string, options: Options) =>
      withServer(options, context, (server) => printEvents(server.queue(name), options, context)),
    )
}

async function printEvents(queue: Queue, options: Options, context: Context): Promise<void> {
  const { follow = false, after, limit, json } = options
  const linesOf = (event: QueueEvent) =>
    json ? [jsonLine({ queue: queue.name, ...event })] : linesOfEvent(event, context)
  if (!(await queue.exists())) context.note(`note: there is no queue ${queue.name}; check its name`)
  if (follow) {
    const stopping = new AbortController()
    context.onStop(() => stopping.abort())
    for await (const event of queue.events({ after, signal: stopping.signal }))
      for (const line of linesOf(event)) context.log(line)
    return
  }
  const last: QueueEvent[] = []
  let earlier = 0
  for await (const event of queue.events({ after, follow: false }))
    if (last.push(event) > limit) {
      last.shift()
      earlier += 1
    }
  for (const event of last) for (const line of linesOf(event)) context.print(line)
  if (last.length === 0 && !json) context.print('there are no events; --follow waits for the next')
  if (earlier > 0) context.note(`${earlier} earlier: --limit ${earlier + last.length}`)
}

function linesOfEvent(event: QueueEvent, { paint }: Context): string[] {
  const time = paint('dim', timeText(event.atMs).slice(-8))
  const gap = event.isBehindGap ? [`${time}  ${paint('yellow', 'events are missing here')}`] : []
  return [
    ...gap,
    ...event.changes.flatMap((change) =>
      linesOfChange(change, event.worker).map((what) => {
        const kind = change.kind.padEnd(12)
        const style = RED.has(change.kind) ? 'red' : YELLOW.has(change.kind) ? 'yellow' : undefined
        return `${time}  ${style ? paint(style, kind) : kind}  ${what}`.trimEnd()
      }),
    ),
  ]
}

function linesOfChange({ count, jobs }: Change, worker = ''): string[] {
  const by = worker && `by ${worker}`
  if (count === 0) return [oneLine(worker)]
  const lines = jobs.map((job) => oneLine([job.id, job.task, factsOf(job), by].filter(Boolean).join('  ')))
  return count > jobs.length ? [...lines, `and ${counted(count - jobs.length, 'more job')}`] : lines
}

function factsOf({ attempt, durationMs, outcome, group }: ChangedJob): string {
  const facts = [
    durationMs !== undefined && `in ${durationText(durationMs)}`,
    attempt !== undefined && (outcome !== undefined || attempt > 1) && `attempt ${attempt}`,
    outcome,
    group,
  ]
  return facts.filter(Boolean).join(', ')
}
