// millhand jobs: lists the jobs of a queue, a few of each state or a page of one.
import { type Command, Option } from 'commander'
import type { Depth, JobSummary, Queue } from 'millhand/queue'
import type { Context } from '../context.ts'
import { jsonDocument, shortened } from '../printable.ts'
import {
  examples,
  type ServerOptions,
  wholeNumberOption,
  withJsonOption,
  withServer,
  withServerOptions,
} from '../server.ts'
import { type Cell, table } from '../table.ts'
import { durationText } from '../units.ts'

const STATES = ['held', 'ready', 'delayed', 'buried', 'completed'] as const
type State = (typeof STATES)[number]

interface Options extends ServerOptions {
  state?: State
  limit?: number
  offset?: number
  json?: boolean
}

interface Listing {
  depth: Depth
  jobs: JobSummary[]
}

const FEW = 5
const MAX_WHY = 100
const PAGE = 50

export function jobsCommand(parent: Command, context: Context): void {
  const command = parent
    .command('jobs')
    .summary('list the jobs of a queue')
    .description(
      `Lists jobs of a queue. Without --state: a few running jobs (held), the next ones (ready, delayed), and the last buried ones. --state completed lists completed and cancelled jobs.`,
    )
    .argument('<queue>', 'the name of the TaskQueue')
    .addOption(new Option('--state <state>', 'a page of the jobs in this state').choices(STATES))
    .option(
      '--limit <number>',
      `how many, of each state; default: ${FEW}, with --state ${PAGE}`,
      wholeNumberOption(1, 1_000),
    )
    .option('--offset <number>', 'how many to skip', wholeNumberOption(0))
  withJsonOption(withServerOptions(command))
    .addHelpText(
      'after',
      examples(
        'millhand jobs mail',
        'millhand jobs mail --state buried --limit 100 --offset 100',
        "millhand jobs mail --state buried --json | jq -r '.jobs[].id'",
      ),
    )
    .action((name: string, options: Options) =>
      withServer(options, context, async (server) => {
        const queue = server.queue(name)
        const listing = await list(queue, options)
        if (options.json) return context.print(jsonDocument({ queue: queue.name, ...listing }))
        context.print(headline(queue, listing.depth))
        if (listing.jobs.length > 0) context.print(`\n${tableOf(listing.jobs, context)}`)
        if (!(await queue.exists())) context.note(`note: there is no queue ${queue.name}; check its name`)
      }),
    )
}

async function list(queue: Queue, { state, limit, offset = 0 }: Options): Promise<Listing> {
  const states = state ? [state] : STATES.filter((each) => each !== 'completed')
  const page = { offset, limit: limit ?? (state ? PAGE : FEW) }
  const depth = await queue.depth()
  const pages = await Promise.all(states.map((each) => queue.jobs(each, page)))
  return { depth, jobs: pages.flat() }
}

function headline(queue: Queue, { ready, delayed, busy, buried, counts, paused, suspended }: Depth): string {
  const numbers = [
    `${busy} held`,
    `${ready} ready`,
    `${delayed} delayed`,
    `${buried} buried`,
    `${counts.completed} completed so far`,
  ]
  const stopped = [paused && '; paused', suspended && '; suspended'].filter(Boolean).join('')
  return `${queue.name}: ${numbers.join(', ')}${stopped}`
}

function tableOf(jobs: readonly JobSummary[], { paint, nowMs }: Context): string {
  const rows = jobs.map((job): Cell[] => [
    job.state === 'buried' ? { text: job.state, style: 'red' } : job.state,
    job.id,
    job.task,
    job.enqueuedAtMs > 0 ? durationText(nowMs() - job.enqueuedAtMs) : '',
    whatBelongs(job, nowMs()),
  ])
  return table(['STATE', 'ID', 'TASK', 'AGE', ''], rows, paint)
}

function whatBelongs(job: JobSummary, nowMs: number): string {
  const { lane, worker, dueAtMs, buriedAtMs, endedAtMs, why } = job
  if (worker !== undefined) return `by ${worker}`
  if (dueAtMs !== undefined) return dueAtMs > nowMs ? `due in ${durationText(dueAtMs - nowMs)}` : 'due'
  if (buriedAtMs !== undefined)
    return `buried ${durationText(nowMs - buriedAtMs)} ago${why ? `: ${shortened(why, MAX_WHY)}` : ''}`
  if (endedAtMs !== undefined) return `ended ${durationText(nowMs - endedAtMs)} ago`
  return lane === undefined || lane === 'normal' ? '' : lane
}
