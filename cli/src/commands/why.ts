// millhand why: says why a job does not run.
import type { Command } from 'commander'
import type { Cause, Why } from 'millhand/queue'
import { CommandFailed, type Context } from '../context.ts'
import { checkId } from '../named-jobs.ts'
import { examples, withJsonOption } from '../options.ts'
import { jsonDocument, oneLine } from '../printable.ts'
import { askEach, queuesThere } from '../queues-there.ts'
import { type Server, type ServerOptions, withServer, withServerOptions } from '../server.ts'
import { durationText } from '../units.ts'

export function whyCommand(parent: Command, context: Context): void {
  const command = parent
    .command('why')
    .summary('say why a job does not run')
    .description(
      'Says why a job does not run: a pause, a delay, a back-off, a limit, no worker, no free slot; of a job in a flow, what it waits for and why that does not run. What stops it first comes first. In a cluster, kubectl describe workerpool tells why there are no more pods.',
    )
    .argument('<queue>', 'the name of the TaskQueue')
    .argument('<id>', 'the id of the job')
  withJsonOption(withServerOptions(command))
    .addHelpText(
      'after',
      examples(
        'millhand why mail 0mfd1k2x3y4z',
        'millhand why mail report-1 --json',
        'millhand why billing order-42:pack',
      ),
    )
    .action((name: string, id: string, options: ServerOptions & { json?: boolean }) => {
      checkId(id)
      return withServer(options, context, async (server) => {
        const queue = server.queue(name)
        const found = (await queue.why(id)) ?? (await whyItWaits(server, id))
        if (!found)
          throw new CommandFailed(
            `job ${id} is not known in ${queue.name}: it was never enqueued, or its result has expired`,
          )
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

export function causeText({ text, sinceMs, untilMs }: Cause, nowMs: number): string {
  const since = sinceMs === undefined ? '' : ` (since ${durationText(nowMs - sinceMs)})`
  const until = untilMs === undefined ? '' : ` (for ${durationText(untilMs - nowMs)} more)`
  return oneLine(`${text}${since}${until}`)
}
