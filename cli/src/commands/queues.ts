// millhand queues: shows the numbers of all queues, or of some.
import type { Command } from 'commander'
import type { Depth, Queue } from 'millhand/queue'
import type { Context } from '../context.ts'
import { examples, withJsonOption } from '../options.ts'
import { jsonDocument } from '../printable.ts'
import { askEach, complainOf, partsOf, queuesThere } from '../queues-there.ts'
import { type ServerOptions, withServer, withServerOptions } from '../server.ts'
import { type Cell, table } from '../table.ts'
import { durationText } from '../units.ts'

interface Options extends ServerOptions {
  json?: boolean
}

interface QueueDepth {
  queue: Queue
  depth: Depth
}

export function queuesCommand(parent: Command, context: Context): void {
  const command = parent
    .command('queues')
    .summary('show what waits, runs and failed in each queue')
    .description(
      'Shows the numbers of each queue: jobs that are ready, held by workers (busy), not due yet (delayed), out of attempts (buried), held back by a limit of their key (blocked, a part of ready), and completed since the queue began. Without names it looks for queues through all keys of the Redis (SCAN), which takes a moment with millions of jobs.',
    )
    .argument('[queue...]', 'names of TaskQueues; default: all')
  withJsonOption(withServerOptions(command))
    .addHelpText(
      'after',
      examples(
        'millhand queues',
        'millhand queues mail thumbnails',
        "millhand queues --json | jq '.[] | select(.buried > 0)'",
      ),
    )
    .action((names: string[], options: Options) =>
      withServer(options, context, async (server) => {
        const queues = await queuesThere(server, names)
        const asked = await askEach(queues, async (queue) => ({ queue, depth: await queue.depth() }))
        const found = asked.answers
        if (options.json) context.print(jsonDocument(found.map(plain)))
        else if (queues.length === 0) context.print('there is no queue yet')
        else if (found.length > 0) context.print(tableOf(found, context))
        complainOf(asked)
      }),
    )
}

function plain({ queue, depth }: QueueDepth) {
  return { queue: queue.name, ...partsOf(queue.name), ...depth }
}

function tableOf(found: readonly QueueDepth[], { paint }: Context): string {
  const rows = found.map(({ queue, depth }): Cell[] => {
    const { namespace, name } = partsOf(queue.name)
    const { ready, blocked, busy, delayed, buried, oldestReadyMs, counts } = depth
    return [
      namespace,
      name,
      ready,
      blocked,
      busy,
      delayed,
      buried > 0 ? { text: String(buried), style: 'red' } : '0',
      counts.completed,
      oldestReadyMs === undefined ? '' : durationText(oldestReadyMs),
      { text: stateOf(depth), style: 'yellow' },
    ]
  })
  const head = [
    'NAMESPACE',
    'QUEUE',
    'READY',
    'BLOCKED',
    'BUSY',
    'DELAYED',
    'BURIED',
    'COMPLETED',
    'OLDEST',
    'CLAIMS',
  ]
  return table(head, rows, paint)
}

export function stateOf({ paused, suspended, restsMs }: Depth): string {
  const rests = restsMs !== undefined && `rests ${durationText(restsMs)}`
  return [paused && 'paused', suspended && 'suspended', rests].filter(Boolean).join(', ')
}
