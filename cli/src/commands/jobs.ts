// millhand jobs: lists jobs of a queue: a few of each state, or those that match a filter.
import type { Command } from 'commander'
import { type Depth, type FoundJobs, type JobSummary, MOST_JOBS_A_PAGE, type Queue } from 'millhand/queue'
import type { Context } from '../context.ts'
import { filterOf } from '../filtered-jobs.ts'
import { examples, wholeNumberOption, withJsonOption } from '../options.ts'
import { jsonDocument, shortened } from '../printable.ts'
import { type ServerOptions, withServer, withServerOptions } from '../server.ts'
import { type Cell, table } from '../table.ts'
import { durationText } from '../units.ts'
import { stateOf } from './queues.ts'

const SHOWN = ['held', 'ready', 'delayed', 'buried'] as const

interface Options extends ServerOptions {
  limit?: number
  cursor?: string
  json?: boolean
}

type Found = Pick<FoundJobs, 'jobs'> & Partial<FoundJobs>

const FEW = 5
const MAX_WHY = 100

export function jobsCommand(parent: Command, context: Context): void {
  const command = parent
    .command('jobs')
    .summary('list the jobs of a queue')
    .description(
      `Lists jobs of a queue. Without a filter: a few running jobs (held), the next ones (ready, delayed), and the last buried ones.\nA filter has terms like state:buried, task:Send*, tag:order:42, id:A,B, worker:W, error:FINGERPRINT, key:K, since:2h, until:2026-01-31, attempt:>=3, and "text in the payload". All must hold; - in front of a term negates it. Waiting jobs are listed next first, others newest first. One call looks at no more than 5,000 jobs and says how to go on.`,
    )
    .argument('<queue>', 'the name of the TaskQueue')
    .argument('[filter...]', 'which jobs; put it in quotes')
    .option(
      '--limit <number>',
      `how many; default: ${FEW} of each state, with a filter 50`,
      wholeNumberOption(1, MOST_JOBS_A_PAGE),
    )
    .option('--cursor <cursor>', 'show the next page: the cursor that the page before printed')
  withJsonOption(withServerOptions(command))
    .addHelpText(
      'after',
      examples(
        'millhand jobs mail',
        "millhand jobs mail 'state:buried task:Send* since:2h'",
        'millhand jobs mail \'"jane@example.com" -state:completed\'',
        "millhand jobs mail state:buried --json | jq -r '.jobs[].id'",
      ),
    )
    .action((name: string, words: string[], options: Options) => {
      const filter = words.length === 0 && options.cursor === undefined ? undefined : filterOf(words, context)
      return withServer(options, context, async (server) => {
        const queue = server.queue(name)
        const { limit, cursor } = options
        const few = async () => ({ jobs: await fewOfEach(queue, limit ?? FEW) })
        const found: Found = filter ? await queue.find(filter, { limit, cursor }) : await few()
        const depth = await queue.depth()
        if (options.json) return context.print(jsonDocument({ queue: queue.name, depth, ...found }))
        context.print(headline(queue, depth))
        if (found.jobs.length > 0) context.print(`\n${tableOf(found.jobs, context)}`)
        if (filter) noteMore(found, context)
        else noteOthers(found.jobs, depth, context)
        if (!(await queue.exists())) context.note(`note: there is no queue ${queue.name}; check its name`)
      })
    })
}

async function fewOfEach(queue: Queue, limit: number): Promise<JobSummary[]> {
  const pages = await Promise.all(SHOWN.map((state) => queue.jobs(state, { limit })))
  return pages.flat()
}

/** Of states with more jobs than are shown. */
function noteOthers(jobs: readonly JobSummary[], depth: Depth, context: Context): void {
  const shown = (state: string) => jobs.filter((job) => job.state === state).length
  const totals = { held: depth.busy, ready: depth.ready, delayed: depth.delayed, buried: depth.buried }
  const [state] = SHOWN.filter((state) => totals[state] > shown(state))
  if (state) context.note(`there are more; to list all of a state: a filter like state:${state}`)
}

/** How to list the next page: options for the same command. */
function noteMore({ jobs, scanned, cursor, total }: Found, context: Context): void {
  if (jobs.length === 0 && cursor === undefined) context.note('no job matches the filter')
  if (cursor === undefined) return
  const of = total === undefined ? '' : ` of ${total}`
  context.note(`looked at ${scanned}${of} jobs; to go on: --cursor '${cursor}'`)
}

function headline(queue: Queue, depth: Depth): string {
  const { ready, delayed, busy, buried, counts } = depth
  const numbers = [
    `${busy} held`,
    `${ready} ready`,
    `${delayed} delayed`,
    `${buried} buried`,
    `${counts.completed} completed so far`,
  ]
  const state = stateOf(depth)
  return `${queue.name}: ${numbers.join(', ')}${state && `; ${state}`}`
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

/** Of a state: who runs it, when it is due, why it was buried. */
export function whatBelongs(job: JobSummary, nowMs: number): string {
  const { lane, worker, dueAtMs, buriedAtMs, endedAtMs, why } = job
  if (worker !== undefined) return `by ${worker}`
  if (dueAtMs !== undefined) return dueAtMs > nowMs ? `due in ${durationText(dueAtMs - nowMs)}` : 'due'
  if (buriedAtMs !== undefined)
    return `buried ${durationText(nowMs - buriedAtMs)} ago${why ? `: ${shortened(why, MAX_WHY)}` : ''}`
  if (endedAtMs !== undefined) return `ended ${durationText(nowMs - endedAtMs)} ago`
  return lane === undefined || lane === 'normal' ? '' : lane
}
