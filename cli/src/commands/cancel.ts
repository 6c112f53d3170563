// millhand cancel: waiting jobs end at once, running jobs are ended by their workers.
import type { Command } from 'commander'
import type { JobState } from 'millhand/queue'
import type { Context } from '../context.ts'
import { type Action, actOnJobs, type NamedJobs, withFilterOptions } from '../named-jobs.ts'
import { examples, withJsonOption } from '../options.ts'
import { withServerOptions } from '../server.ts'

const CANCEL: Action = {
  verb: 'cancel',
  async act(queue, ids) {
    const states: ('cancelling' | JobState)[] = []
    for (const id of ids) states.push(await queue.cancel(id))
    return states
  },
  done: ['cancelled', 'cancelling'],
  one: 'is cancelled',
  many: 'are cancelled',
  rule: 'only a job that waits or runs can be cancelled',
}

export function cancelCommand(parent: Command, context: Context): void {
  const command = parent
    .command('cancel')
    .summary('cancel jobs that wait or run')
    .description(
      'Cancels jobs. A waiting job ends at once; its worker ends a running job within a moment. With a filter it counts them first, asks, and writes a record (millhand actions).',
    )
    .argument('<queue>', 'the name of the TaskQueue')
    .argument('[id...]', 'ids of jobs')
  withJsonOption(withServerOptions(withFilterOptions(command)))
    .addHelpText(
      'after',
      examples(
        'millhand cancel mail 0mfd1k2x3y4z',
        'millhand cancel mail report-1 report-2 --json',
        "millhand cancel mail --filter 'state:ready,delayed task:Newsletter'",
      ),
    )
    .action((queue: string, ids: string[], options: NamedJobs['options']) =>
      actOnJobs({ queue, ids, options }, CANCEL, context),
    )
}
