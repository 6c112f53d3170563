// millhand pause and resume: a person stops the claims of a queue and starts them again, or ends a rest that a task
// asked for. The operator undoes neither.
import type { Command } from 'commander'
import type { Queue } from 'millhand/queue'
import { CommandFailed, type Context } from '../context.ts'
import { checkId } from '../named-jobs.ts'
import { examples, withJsonOption } from '../options.ts'
import { jsonDocument } from '../printable.ts'
import { type ServerOptions, withServer, withServerOptions } from '../server.ts'

interface Options extends ServerOptions {
  key?: string
  job?: string
  json?: boolean
}

interface Said {
  json: object
  text: string
}

export function pauseCommand(parent: Command, context: Context): void {
  const command = parent
    .command('pause')
    .summary('let no worker claim jobs of a queue')
    .description(
      'No worker claims jobs of the queue until millhand resume. Running jobs go on, and so does enqueueing.',
    )
    .addHelpText('after', examples('millhand pause mail', 'millhand pause mail --namespace shop'))
  toQueue(command, context, async (queue) => {
    await queue.pause()
    const { busy } = await queue.depth()
    return {
      json: { paused: true, busy },
      text: `${queue.name} is paused${busy > 0 ? `; ${busy} of its jobs still run` : ''}`,
    }
  })
}

export function resumeCommand(parent: Command, context: Context): void {
  const command = parent
    .command('resume')
    .summary('let workers claim jobs of a paused queue again, end a rest')
    .description(
      'Workers claim jobs of the queue again, also where a task asked for a rest (RetryAfter). A queue that its TaskQueue suspends (spec.suspend) stays suspended. With --key or --job it ends only the rest that a task asked for of that key or of that job.',
    )
    .option('--key <key>', 'end the rest of this key only')
    .option('--job <id>', 'end the rest of this job only')
    .addHelpText(
      'after',
      examples(
        'millhand resume mail',
        'millhand resume mail --namespace shop',
        'millhand resume mail --key acme',
        'millhand resume mail --job 0mfd1k2x3y4z',
      ),
    )
  toQueue(command, context, async (queue, { key, job }) => {
    if (key !== undefined && job !== undefined)
      throw new CommandFailed('give one of --key and --job', { exitCode: 2 })
    if (job !== undefined) checkId(job)
    if (key !== undefined || job !== undefined) return endRest(queue, job === undefined ? { key } : { job })
    // Read before the resume: workers claim the waiting jobs at once.
    const { ready, suspended } = await queue.depth()
    await queue.resume()
    return {
      json: { paused: false, suspended, ready },
      text: suspended
        ? `${queue.name} is no longer paused, but its TaskQueue suspends it (spec.suspend)`
        : `${queue.name} is no longer paused; ready jobs: ${ready}`,
    }
  })
}

async function endRest(queue: Queue, of: { key: string | undefined } | { job: string }): Promise<Said> {
  const wasResting = await queue.endRest(of)
  const what = 'job' in of ? `job ${of.job}` : `key ${of.key}`
  return {
    json: { ...of, wasResting },
    text: `${what} of ${queue.name} ${wasResting ? 'rests no longer' : 'did not rest'}`,
  }
}

/** Runs it on the named queue; warns when the name is most likely misspelt. */
function toQueue(
  command: Command,
  context: Context,
  act: (queue: Queue, options: Options) => Promise<Said>,
): void {
  command.argument('<queue>', 'the name of the TaskQueue')
  withJsonOption(withServerOptions(command)).action((name: string, options: Options) =>
    withServer(options, context, async (server) => {
      const queue = server.queue(name)
      const isUnknown = !(await queue.exists())
      const { json, text } = await act(queue, options)
      context.print(options.json ? jsonDocument({ queue: queue.name, ...json }) : text)
      if (isUnknown) context.note(`note: there was no queue ${queue.name} before; check its name`)
    }),
  )
}
