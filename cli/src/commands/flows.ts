// millhand flows: lists the flows of a queue, shows one as a tree with why its jobs do not run, cancels or
// retries one.
import { setTimeout as pause } from 'node:timers/promises'
import { type FlowLine, flowTree } from '@millhand/control/decide/flow-tree'
import type { Command } from 'commander'
import { type FlowDetails, type FlowFacts, type FlowJobFacts, openQueue, type Queue } from 'millhand/queue'
import { CommandFailed, type Context } from '../context.ts'
import { alsoText, stateText } from '../flow-text.ts'
import { examples, wholeNumberOption, withJsonOption } from '../options.ts'
import { jsonDocument, jsonLine, oneLine } from '../printable.ts'
import { type ServerOptions, withServer, withServerOptions } from '../server.ts'
import { type Cell, facts, table } from '../table.ts'
import { counted, durationText, timeText } from '../units.ts'
import { causeText } from './why.ts'

interface Options extends ServerOptions {
  limit?: number
  cursor?: string
  follow?: boolean
  cancel?: boolean
  retry?: boolean
  from?: string
  json?: boolean
}

const LOOK_EVERY_MS = 500
/** The most jobs for which it asks why they do not run. */
const MOST_ASKED = 10
const STYLES: Readonly<Record<string, 'green' | 'red' | 'yellow' | 'dim'>> = {
  ...{
    completed: 'green',
    buried: 'red',
    failed: 'red',
    deleted: 'red',
    expired: 'red',
    'too-large': 'red',
    taken: 'red',
  },
  ...{ cancelled: 'yellow', cancelling: 'yellow', compensated: 'yellow', failing: 'yellow' },
  ...{ skipped: 'dim', waiting: 'dim' },
}

export function flowsCommand(parent: Command, context: Context): void {
  const command = parent
    .command('flows')
    .summary('show flows, cancel them, retry what failed')
    .description(
      'Lists the flows that are kept in a queue, those that run first; with an id, shows one as a tree: each job below what it waits for, with its state and why it does not run.',
    )
    .argument('<queue>', 'the name of the TaskQueue that is the home of the flow')
    .argument('[id]', 'the id of a flow')
    .option('--limit <number>', 'how many; default: 20', wholeNumberOption(1, 200))
    .option('--cursor <cursor>', 'show the next page: the cursor that the page before printed')
    .option('--follow', 'print its numbers as they change, until it has ended')
    .option('--cancel', 'cancel it: what waits never starts, what runs is ended')
    .option('--retry', 'run again what has not completed')
    .option('--from <job>', 'with --retry: run that job of the flow and all behind it again too')
  withJsonOption(withServerOptions(command))
    .addHelpText(
      'after',
      examples(
        'millhand flows billing',
        'millhand flows billing order-42',
        'millhand flows billing order-42 --follow',
        'millhand flows billing order-42 --retry',
        'millhand flows billing order-42 --retry --from pack',
      ),
    )
    .action((name: string, id: string | undefined, options: Options) => {
      const asked = [options.follow, options.cancel, options.retry].filter(Boolean).length
      if (asked > 1) throw new CommandFailed('give one of --follow, --cancel and --retry', { exitCode: 2 })
      if (asked === 1 && id === undefined)
        throw new CommandFailed(`name the flow by its id; millhand flows ${name} lists them`, { exitCode: 2 })
      if (options.from !== undefined && !options.retry)
        throw new CommandFailed('--from belongs to --retry', { exitCode: 2 })
      return withServer(options, context, async (server) => {
        const queue = server.queue(name)
        if (id === undefined) return printAll(queue, options, context)
        if (options.cancel) await act(queue, id, 'cancel')
        if (options.retry) await act(queue, id, 'retry', options)
        if (options.follow) return followFlow(queue, id, options, context)
        const flow = await queue.flows.details(id)
        if (!flow) throw unknown(queue, id)
        context.print(
          options.json ? jsonDocument({ queue: queue.name, flow }) : await described(queue, flow, context),
        )
      })
    })
}

const unknown = (queue: Queue, id: string) =>
  new CommandFailed(
    `flow ${id} is not known in ${queue.name}: it is kept in another queue, or was kept for its time`,
  )

/** By verb: the states in which it was done, and of which flows it can be done. */
const ACTS: Readonly<Record<'cancel' | 'retry', { done: readonly string[]; only: string }>> = {
  cancel: { done: ['cancelling', 'cancelled'], only: 'runs can be cancelled' },
  retry: { done: ['running'], only: 'failed or was cancelled can be retried' },
}

async function act(
  queue: Queue,
  id: string,
  verb: keyof typeof ACTS,
  { from }: Pick<Options, 'from'> = {},
): Promise<void> {
  if (from !== undefined && !(await queue.flows.place(id, from)))
    throw new CommandFailed(`flow ${id} of ${queue.name} has no job ${from}`)
  const state = await queue.flows[verb](id, from === undefined ? {} : { from })
  if (state === 'unknown') throw unknown(queue, id)
  const { done, only } = ACTS[verb]
  if (!done.includes(state)) throw new CommandFailed(`flow ${id} is ${state}: only a flow that ${only}`)
}

async function printAll(
  queue: Queue,
  { limit = 20, cursor, json }: Options,
  context: Context,
): Promise<void> {
  const page = await queue.flows.list({ limit, ...(cursor !== undefined && { cursor }) })
  const { total, flows } = page
  if (json) return context.print(jsonDocument({ queue: queue.name, ...page }))
  if (total === 0) return context.print(`${queue.name} is the home of no flows`)
  const rows = flows.map((flow): Cell[] => [
    flow.id,
    durationText(context.nowMs() - flow.startedAtMs),
    painted(flow.state),
    flow.jobs,
    ...[flow.completed, flow.enqueued, flow.waiting, flow.failed, flow.skipped],
    becauseText(flow),
  ])
  const head = [
    'ID',
    'AGE',
    'STATE',
    'JOBS',
    'COMPLETED',
    'ENQUEUED',
    'WAITING',
    'FAILED',
    'SKIPPED',
    'BECAUSE',
  ]
  if (flows.length > 0) context.print(table(head, rows, context.paint))
  if (page.cursor !== undefined && total > flows.length)
    context.note(`${flows.length} of ${counted(total, 'flow')}; to go on: --cursor '${page.cursor}'`)
}

async function followFlow(queue: Queue, id: string, { json }: Options, context: Context): Promise<void> {
  const stopping = new AbortController()
  context.onStop(() => stopping.abort())
  let last = ''
  while (!stopping.signal.aborted) {
    const flow = await queue.flows.facts(id)
    if (!flow) throw unknown(queue, id)
    const line = json ? jsonLine({ queue: queue.name, ...flow }) : progressText(flow)
    if (line !== last) context.print(line)
    last = line
    if (flow.endedAtMs !== undefined) return
    await pause(LOOK_EVERY_MS, undefined, { signal: stopping.signal }).catch(() => {})
  }
}

function progressText({ state, jobs, completed, enqueued, ...flow }: FlowFacts): string {
  const { waiting, failed, skipped } = flow
  const parts = Object.entries({ enqueued, waiting, failed, skipped }).filter(([, count]) => count > 0)
  return [
    `${state}: ${completed} of ${jobs} completed`,
    ...parts.map(([what, count]) => `${count} ${what}`),
  ].join(', ')
}

export async function described(
  queue: Queue,
  flow: FlowDetails,
  context: Pick<Context, 'paint' | 'nowMs'>,
): Promise<string> {
  const { paint } = context
  const ago = (atMs: number) => `${timeText(atMs)} (${durationText(context.nowMs() - atMs)} ago)`
  const pairs: [string, Cell | undefined][] = [
    ['state', painted(flow.state)],
    ['because', becauseText(flow)],
    ['started', ago(flow.startedAtMs)],
    ['ended', flow.endedAtMs && ago(flow.endedAtMs)],
    ['run', flow.run > 1 ? flow.run : undefined],
    ['jobs', progressText(flow).replace(/^\S+ /, '')],
  ]
  const whys = await whysOf(queue, flow, context)
  const lines = flowTree(flow.flowJobs)
  const nameOf = ({ depth, name }: FlowLine) => `${'  '.repeat(depth)}${name}`
  const width = Math.max(...lines.map((line) => nameOf(line).length))
  const tree = lines.map((line) => {
    const [first] = line.jobs
    const style = line.states.size === 1 ? STYLES[first?.state ?? ''] : undefined
    const found = line.jobs.flatMap(({ name }) => whys.get(name) ?? [])
    const [only] = line.jobs.length === 1 ? found : []
    const state = only?.state ?? stateText(line)
    const notes = [first?.queue, alsoText(line), ...found.map(({ text }) => text)].filter(Boolean)
    const text = oneLine(nameOf(line)).padEnd(width)
    return `  ${text}  ${style ? paint(style, state) : state}  ${paint('dim', oneLine(notes.join('; ')))}`.trimEnd()
  })
  return [`flow ${paint('bold', flow.id)} of ${queue.name}`, facts(pairs, paint), '', ...tree].join('\n')
}

interface WhyOfJob {
  /** The job's own state; undefined while it is on its way to its queue. */
  state?: string
  text: string
}

/** Why jobs that are enqueued do not run, by their names. */
async function whysOf(
  queue: Queue,
  flow: FlowDetails,
  context: Pick<Context, 'nowMs'>,
): Promise<Map<string, WhyOfJob>> {
  const enqueued = flow.flowJobs.filter(({ state }) => state === 'enqueued').slice(0, MOST_ASKED)
  const found = enqueued.map(async (job) => [job.name, await whyOf(queue, job, context)] as const)
  return new Map(await Promise.all(found))
}

async function whyOf(
  queue: Queue,
  { queue: where, jobId }: FlowJobFacts,
  { nowMs }: Pick<Context, 'nowMs'>,
): Promise<WhyOfJob> {
  const found = await openQueue(queue.redis, where).why(jobId)
  if (!found || found.state === 'waiting') return { text: 'on its way to its queue' }
  const [first] = found.causes
  return { state: found.state, text: first ? causeText(first, nowMs()) : '' }
}

export const becauseText = ({ because }: FlowFacts): string =>
  because ? [because.job, because.how].filter(Boolean).join(' is ') : ''

export const painted = (state: string): Cell => {
  const style = STYLES[state]
  return style ? { text: state, style } : state
}
