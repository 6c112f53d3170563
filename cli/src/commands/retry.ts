// millhand retry: buried jobs get all their attempts again.
import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { buriedIds, checkedIds, sayWhatBecame, type Wanted } from '../named-jobs.ts'
import { examples, type ServerOptions, withJsonOption, withServer, withServerOptions } from '../server.ts'

interface Options extends ServerOptions {
  all?: boolean
  json?: boolean
}

const READY_AGAIN: Wanted = {
  states: ['ready'],
  one: 'is ready again',
  many: 'are ready again',
  rule: 'only buried jobs can be retried',
}

export function retryCommand(parent: Command, context: Context): void {
  const command = parent
    .command('retry')
    .summary('try buried jobs again')
    .description('Gives buried jobs all their attempts again. What is known of the earlier attempts is kept.')
    .argument('<queue>', 'the name of the TaskQueue')
    .argument('[id...]', 'ids of buried jobs')
    .option('--all', 'all buried jobs of the queue')
  withJsonOption(withServerOptions(command))
    .addHelpText('after', examples('millhand retry mail 0mfd1k2x3y4z', 'millhand retry mail --all'))
    .action((name: string, ids: string[], { all = false, json = false, ...options }: Options) => {
      const named = checkedIds(ids, all)
      return withServer(options, context, async (server) => {
        const queue = server.queue(name)
        const wantedIds = all ? await buriedIds(queue) : named
        const states = await queue.retry(wantedIds)
        const answers = wantedIds.map((id, index) => ({ id, state: states[index] ?? 'unknown' }))
        sayWhatBecame(queue, { answers, wanted: READY_AGAIN, all, json }, context)
      })
    })
}
