// millhand resume: undoes millhand pause.
import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { jsonDocument } from '../printable.ts'
import { examples, type ServerOptions, withJsonOption, withServer, withServerOptions } from '../server.ts'

interface Options extends ServerOptions {
  json?: boolean
}

export function resumeCommand(parent: Command, context: Context): void {
  const command = parent
    .command('resume')
    .summary('let workers claim jobs of a paused queue again')
    .description(
      'Workers claim jobs of the queue again. A queue that its TaskQueue suspends (spec.suspend) stays so.',
    )
    .argument('<queue>', 'the name of the TaskQueue')
  withJsonOption(withServerOptions(command))
    .addHelpText('after', examples('millhand resume mail', 'millhand resume mail --namespace shop'))
    .action((name: string, options: Options) =>
      withServer(options, context, async ({ queue: open }) => {
        const queue = open(name)
        const isUnheardOf = !(await queue.exists())
        // Workers are fast: asked later, it would tell less of what was waiting.
        const { ready, suspended } = await queue.depth()
        await queue.resume()
        if (options.json) context.print(jsonDocument({ queue: queue.name, paused: false, suspended, ready }))
        else if (suspended)
          context.print(`${queue.name} is not paused; but its TaskQueue suspends it (spec.suspend)`)
        else context.print(`${queue.name} is not paused; ready jobs: ${ready}`)
        if (isUnheardOf)
          context.note(`note: nothing else is known of a queue ${queue.name}; is its name right?`)
      }),
    )
}
