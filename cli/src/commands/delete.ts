// millhand delete: buried jobs are forgotten.
import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { buriedIds, checkedIds, sayWhatBecame, type Wanted } from '../named-jobs.ts'
import { examples, type ServerOptions, withJsonOption, withServer, withServerOptions } from '../server.ts'

interface Options extends ServerOptions {
  all?: boolean
  json?: boolean
}

const DELETED: Wanted = {
  states: ['deleted'],
  one: 'is deleted',
  many: 'are deleted',
  rule: 'only buried and ended jobs can be deleted (a waiting or running one can be cancelled)',
}

export function deleteCommand(parent: Command, context: Context): void {
  const command = parent
    .command('delete')
    .summary('delete buried or ended jobs for good')
    .description(
      'Deletes buried or ended jobs with all that is known of them; their ids are free again. This cannot be undone.',
    )
    .argument('<queue>', 'the name of the TaskQueue')
    .argument('[id...]', 'ids of buried or ended jobs')
    .option('--all', 'all buried jobs of the queue')
  withJsonOption(withServerOptions(command))
    .addHelpText('after', examples('millhand delete mail 0mfd1k2x3y4z', 'millhand delete mail --all'))
    .action((name: string, ids: string[], { all = false, json = false, ...options }: Options) => {
      const named = checkedIds(ids, all)
      return withServer(options, context, async (server) => {
        const queue = server.queue(name)
        const wantedIds = all ? await buriedIds(queue) : named
        const states = await queue.delete(wantedIds)
        const answers = wantedIds.map((id, index) => ({ id, state: states[index] ?? 'unknown' }))
        sayWhatBecame(queue, { answers, wanted: DELETED, all, json }, context)
      })
    })
}
