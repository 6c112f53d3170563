// millhand pause: a person stops the claims of a queue. The operator never undoes it; millhand resume does.
import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { jsonDocument } from '../printable.ts'
import { examples, type ServerOptions, withJsonOption, withServer, withServerOptions } from '../server.ts'

interface Options extends ServerOptions {
  json?: boolean
}

export function pauseCommand(parent: Command, context: Context): void {
  const command = parent
    .command('pause')
    .summary('let no worker claim jobs of a queue')
    .description(
      'No worker claims jobs of the queue until millhand resume. Jobs that run go on to their end, and enqueueing goes on.',
    )
    .argument('<queue>', 'the name of the TaskQueue')
  withJsonOption(withServerOptions(command))
    .addHelpText('after', examples('millhand pause mail', 'millhand pause mail --namespace shop'))
    .action((name: string, options: Options) =>
      withServer(options, context, async ({ queue: open }) => {
        const queue = open(name)
        const isUnheardOf = !(await queue.exists())
        await queue.pause()
        const { busy } = await queue.depth()
        if (options.json) context.print(jsonDocument({ queue: queue.name, paused: true, busy }))
        else context.print(`${queue.name} is paused${busy > 0 ? `; ${busy} of its jobs still run` : ''}`)
        if (isUnheardOf)
          context.note(`note: nothing else is known of a queue ${queue.name}; is its name right?`)
      }),
    )
}
