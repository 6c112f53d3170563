// millhand retry: buried jobs get all their attempts again.
import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { type Action, actOnJobs, type NamedJobs } from '../named-jobs.ts'
import { examples, withJsonOption, withServerOptions } from '../server.ts'

const RETRY: Action = {
  act: (queue, ids) => queue.retry(ids),
  done: ['ready'],
  one: 'is ready again',
  many: 'are ready again',
  rule: 'only buried jobs can be retried',
}

export function retryCommand(parent: Command, context: Context): void {
  const command = parent
    .command('retry')
    .summary('try buried jobs again')
    .description('Gives buried jobs all their attempts again. The records of earlier attempts are kept.')
    .argument('<queue>', 'the name of the TaskQueue')
    .argument('[id...]', 'ids of buried jobs')
    .option('--all', 'all buried jobs of the queue')
  withJsonOption(withServerOptions(command))
    .addHelpText('after', examples('millhand retry mail 0mfd1k2x3y4z', 'millhand retry mail --all'))
    .action((queue: string, ids: string[], options: NamedJobs['options']) =>
      actOnJobs({ queue, ids, options }, RETRY, context),
    )
}
