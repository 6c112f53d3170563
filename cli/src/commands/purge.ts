// millhand purge: empties a queue, slice by slice.
import { type Command, Option } from 'commander'
import { PURGEABLE, type Purgeable, type Queue } from 'millhand/queue'
import { CommandFailed, type Context } from '../context.ts'
import { examples, withJsonOption } from '../options.ts'
import { jsonDocument } from '../printable.ts'
import { type ServerOptions, withServer, withServerOptions } from '../server.ts'
import { counted } from '../units.ts'

interface Options extends ServerOptions {
  state?: Purgeable[]
  yes?: boolean
  json?: boolean
}

const SAY_EVERY = 10_000

export function purgeCommand(parent: Command, context: Context): void {
  const command = parent
    .command('purge')
    .summary('delete all jobs that wait or are buried')
    .description(
      'Empties a queue: deletes ready, delayed and buried jobs for good, with all that is known of them. A program that waits for such a job gets JobNotFound. Running jobs go on (millhand cancel ends one), and results stay as long as the queue keeps them. The command asks for the name of the queue first; scripts give --yes. It deletes in small steps, so that workers and producers go on. Jobs that are enqueued meanwhile are deleted too: stop producers first.',
    )
    .argument('<queue>', 'the name of the TaskQueue')
    .addOption(new Option('--state <state...>', 'only jobs in these states').choices(PURGEABLE))
    .option('--yes', 'do not ask')
  withJsonOption(withServerOptions(command))
    .addHelpText(
      'after',
      examples(
        'millhand purge mail',
        'millhand purge mail --state buried',
        'millhand purge mail --yes --json',
      ),
    )
    .action((name: string, { state: states = [...PURGEABLE], ...options }: Options) =>
      withServer(options, context, async (server) => {
        const queue = server.queue(name)
        if (!(await queue.exists()))
          throw new CommandFailed(`there is no queue ${queue.name}; check its name: millhand queues`)
        if (!options.yes) await confirm(name, { queue, states }, context)
        const deleted = await purge({ queue, states }, context)
        const { busy } = await queue.depth()
        if (options.json) return context.print(jsonDocument({ queue: queue.name, deleted, states, busy }))
        const left = busy === 0 ? '' : `; ${counted(busy, 'job')} of it still run`
        context.print(`${counted(deleted, 'job')} of ${queue.name} deleted${left}`)
      }),
    )
}

interface Request {
  queue: Queue
  states: readonly Purgeable[]
}

async function confirm(name: string, { queue, states }: Request, context: Context): Promise<void> {
  const depth = await queue.depth()
  const counts = { ready: depth.ready - depth.due, delayed: depth.delayed + depth.due, buried: depth.buried }
  const what = states.map((state) => `${counts[state]} ${state}`).join(', ')
  const question = `This deletes for good in ${queue.name}: ${what}. Type the name of the queue to go on: `
  const answer = await context.ask(question)
  if (answer === undefined)
    throw new CommandFailed(`${queue.name} has ${what}; to delete them without a question: --yes`, {
      exitCode: 2,
    })
  if (answer !== name && answer !== queue.name) throw new CommandFailed('nothing was deleted')
}

async function purge({ queue, states }: Request, context: Context): Promise<number> {
  let deleted = 0
  for (let said = 0; ; ) {
    const step = await queue.purge(states)
    deleted += step.deleted
    if (!step.isMore) return deleted
    if (deleted - said < SAY_EVERY) continue
    said = deleted
    context.note(`${deleted} deleted`)
  }
}
