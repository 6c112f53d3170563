// millhand retry: buried jobs get all their attempts again.
import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { type Action, actOnJobs, type NamedJobs, withFilterOptions } from '../named-jobs.ts'
import { examples, withJsonOption } from '../options.ts'
import { withServerOptions } from '../server.ts'

const RETRY: Action = {
  verb: 'retry',
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
    .description(
      'Gives buried jobs all their attempts again. The records of earlier attempts are kept. With a filter it counts them first, asks, and writes a record (millhand actions).',
    )
    .argument('<queue>', 'the name of the TaskQueue')
    .argument('[id...]', 'ids of buried jobs')
    .option('--all', 'all buried jobs of the queue')
  withJsonOption(withServerOptions(withFilterOptions(command)))
    .addHelpText(
      'after',
      examples(
        'millhand retry mail 0mfd1k2x3y4z',
        'millhand retry mail --all',
        "millhand retry mail --filter 'task:Send* since:2h' --reason 'mail server is back'",
      ),
    )
    .action((queue: string, ids: string[], options: NamedJobs['options']) =>
      actOnJobs({ queue, ids, options }, RETRY, context),
    )
}
