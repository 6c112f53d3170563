// millhand delete: Redis forgets jobs that are buried or have ended.
import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { type Action, actOnJobs, type NamedJobs, withFilterOptions } from '../named-jobs.ts'
import { examples, withJsonOption } from '../options.ts'
import { withServerOptions } from '../server.ts'

const DELETE: Action = {
  verb: 'delete',
  act: (queue, ids) => queue.delete(ids),
  done: ['deleted'],
  one: 'is deleted',
  many: 'are deleted',
  rule: 'only buried and ended jobs can be deleted (a waiting or running one can be cancelled)',
}

export function deleteCommand(parent: Command, context: Context): void {
  const command = parent
    .command('delete')
    .summary('delete buried or ended jobs')
    .description(
      'Deletes buried or ended jobs with all that is known of them; their ids are free again. Jobs that are named by id are gone for good. With --all or a filter it counts them first, asks, writes a record, and can be undone for a minute (millhand actions).',
    )
    .argument('<queue>', 'the name of the TaskQueue')
    .argument('[id...]', 'ids of buried or ended jobs')
    .option('--all', 'all buried jobs of the queue')
  withJsonOption(withServerOptions(withFilterOptions(command)))
    .addHelpText(
      'after',
      examples(
        'millhand delete mail 0mfd1k2x3y4z',
        'millhand delete mail --all',
        "millhand delete mail --filter 'state:buried until:30d' --dry-run",
      ),
    )
    .action((queue: string, ids: string[], options: NamedJobs['options']) =>
      actOnJobs({ queue, ids, options }, DELETE, context),
    )
}
