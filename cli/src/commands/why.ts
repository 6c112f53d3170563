// millhand why: says why a job does not run.
import type { Command } from 'commander'
import type { Cause, Why } from 'millhand/queue'
import { type PoolOptions, withPools } from '../asking-pools.ts'
import { CommandFailed, type Context } from '../context.ts'
import { checkId } from '../named-jobs.ts'
import { examples, withJsonOption } from '../options.ts'
import { jsonDocument, oneLine } from '../printable.ts'
import { askEach, queuesThere } from '../queues-there.ts'
import { type Server, withServer, withServerOptions } from '../server.ts'
import { durationText } from '../units.ts'

export function whyCommand(parent: Command, context: Context): void {
  const command = parent
    .command('why')
    .summary('say why a job does not run')
    .description(
      'Says why a job does not run: a pause, a delay, a back-off, a limit, no worker, no free slot; of a job in a flow, what it waits for and why that does not run. What stops it first comes first. Where a worker is missing it says what the WorkerPools of the queue say, if it can ask them: those of a running millhand up, of a cluster by --context, or of the API of a dashboard by --api (with a token in MILLHAND_API_TOKEN).',
    )
    .argument('<queue>', 'the name of the TaskQueue')
    .argument('<id>', 'the id of the job')
    .option('--context [name]', 'ask the WorkerPools of a cluster with kubectl; default: its current context')
    .option('--api <url>', 'ask the API of a dashboard; default: MILLHAND_API, else that of millhand up')
  withJsonOption(withServerOptions(command))
    .addHelpText(
      'after',
      examples(
        'millhand why mail 0mfd1k2x3y4z',
        'millhand why mail report-1 --json',
        'millhand why billing order-42:pack',
        'millhand why mail report-1 --context production',
        'millhand why mail report-1 --api https://millhand.example/',
      ),
    )
    .action((name: string, id: string, options: PoolOptions & { json?: boolean }) => {
      checkId(id)
      return withServer(options, context, async (server) => {
        const queue = server.queue(name)
        const own = (await queue.why(id)) ?? (await whyItWaits(server, id))
        if (!own)
          throw new CommandFailed(
            `job ${id} is not known in ${queue.name}: it was never enqueued, or its result has expired`,
          )
        const asked = { namespace: server.namespace, queue: name, id }
        const found = await withPools(own, asked, options, context)
        if (options.json) return context.print(jsonDocument({ queue: queue.name, ...found }))
        context.print(`job ${context.paint('bold', id)} of ${queue.name} is ${found.state}`)
        for (const cause of found.causes) context.print(`  ${causeText(cause, context.nowMs())}`)
      })
    })
}

/** A job that waits in a flow is known in the home of the flow, which may be any queue. */
async function whyItWaits(server: Server, id: string): Promise<Why | undefined> {
  if (!id.includes(':')) return undefined
  const { answers } = await askEach(await queuesThere(server, []), (queue) => queue.why(id))
  return answers.find((found) => found?.state === 'waiting' || found?.state === 'skipped')
}

export function causeText({ text, sinceMs, untilMs }: Omit<Cause, 'code'>, nowMs: number): string {
  const since = sinceMs === undefined ? '' : ` (since ${durationText(nowMs - sinceMs)})`
  const until = untilMs === undefined ? '' : ` (for ${durationText(untilMs - nowMs)} more)`
  return oneLine(`${text}${since}${until}`)
}
