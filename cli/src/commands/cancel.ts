// millhand cancel: jobs that wait end now, those that run are ended by their workers.
import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { type Answer, checkedIds, sayWhatBecame, type Wanted } from '../named-jobs.ts'
import { examples, type ServerOptions, withJsonOption, withServer, withServerOptions } from '../server.ts'

interface Options extends ServerOptions {
  json?: boolean
}

const CANCELLED: Wanted = {
  states: ['cancelled', 'cancelling'],
  one: 'is cancelled',
  many: 'are cancelled',
  rule: 'only a job that waits or runs can be cancelled',
}

export function cancelCommand(parent: Command, context: Context): void {
  const command = parent
    .command('cancel')
    .summary('cancel jobs that wait or run')
    .description(
      'Cancels jobs. One that waits ends now; one that runs is ended by its worker within a moment.',
    )
    .argument('<queue>', 'the name of the TaskQueue')
    .argument('<id...>', 'ids of jobs')
  withJsonOption(withServerOptions(command))
    .addHelpText(
      'after',
      examples('millhand cancel mail 0mfd1k2x3y4z', 'millhand cancel mail report-1 report-2 --json'),
    )
    .action((name: string, ids: string[], { json = false, ...options }: Options) => {
      const named = checkedIds(ids, false)
      return withServer(options, context, async (server) => {
        const queue = server.queue(name)
        const answers: Answer[] = []
        for (const id of named) answers.push({ id, state: await queue.cancel(id) })
        sayWhatBecame(queue, { answers, wanted: CANCELLED, all: false, json }, context)
      })
    })
}
