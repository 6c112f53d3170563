// millhand workers: shows the workers of the queues.
import type { Command } from 'commander'
import type { Queue, WorkerEntry } from 'millhand/queue'
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

interface Found {
  queue: Queue
  worker: WorkerEntry
}

export function workersCommand(parent: Command, context: Context): void {
  const command = parent
    .command('workers')
    .summary('show the workers of the queues')
    .description(
      'Shows the workers of each queue: their pods, slots and held jobs, and how they isolate jobs. A worker that serves several queues is shown for each. Without names it looks for queues through all keys of the Redis (SCAN), as millhand queues does.',
    )
    .argument('[queue...]', 'names of TaskQueues; default: all')
  withJsonOption(withServerOptions(command))
    .addHelpText(
      'after',
      examples('millhand workers', 'millhand workers mail', 'millhand workers mail --json'),
    )
    .action((names: string[], options: Options) =>
      withServer(options, context, async (server) => {
        const queues = await queuesThere(server, names)
        const asked = await askEach(queues, workersOf)
        const found = asked.answers.flat()
        if (options.json) context.print(jsonDocument(found.map(plain)))
        else if (found.length > 0) context.print(tableOf(found, context))
        else if (asked.refused.length === 0)
          context.print(`no worker serves ${queues.length === 1 ? queues[0]?.name : 'any of these queues'}`)
        complainOf(asked)
      }),
    )
}

async function workersOf(queue: Queue): Promise<Found[]> {
  return (await queue.workers()).map((worker) => ({ queue, worker }))
}

function plain({ queue, worker }: Found) {
  return { queue: queue.name, ...worker }
}

function tableOf(found: readonly Found[], { paint, nowMs }: Context): string {
  const rows = found.map(({ queue, worker }): Cell[] => {
    const { name, pod, slots, held, isolation, isolationNote, startedAtMs } = worker
    return [
      partsOf(queue.name).name,
      name,
      pod,
      slots,
      held,
      stateOf(worker),
      startedAtMs > 0 ? durationText(nowMs() - startedAtMs) : '',
      isolation + (isolationNote ? ` (${isolationNote})` : ''),
    ]
  })
  return table(['QUEUE', 'WORKER', 'POD', 'SLOTS', 'HELD', 'STATE', 'AGE', 'ISOLATION'], rows, paint)
}

export function stateOf({ alive, draining }: WorkerEntry): Cell {
  if (!alive) return { text: 'silent', style: 'red' }
  return draining ? { text: 'draining', style: 'yellow' } : { text: 'alive', style: 'green' }
}
