// millhand job: shows all that is known of one job, above all why it failed.
import type { Command } from 'commander'
import { type AttemptRecord, type Cause, errorLines, type JobDetails, type Queue } from 'millhand/queue'
import { CommandFailed, type Context } from '../context.ts'
import { follow } from '../follow.ts'
import { reprinted } from '../json-input.ts'
import { checkId } from '../named-jobs.ts'
import { examples, withJsonOption } from '../options.ts'
import { jsonDocument, manyLines } from '../printable.ts'
import { askEach, complainOf, queuesThere } from '../queues-there.ts'
import { type Server, type ServerOptions, withServer, withServerOptions } from '../server.ts'
import { type Cell, facts } from '../table.ts'
import { bytesText, counted, durationText, timeText } from '../units.ts'
import { causeText } from './why.ts'

interface Options extends ServerOptions {
  json?: boolean
  follow?: boolean
}

interface Found {
  queue: Queue
  job: JobDetails
}

const INDENT = '      '
/** The file that calls tasks, in the repository and as published. */
const RUNNER = /(worker-runtime\/src|millhand\/dist)\/child\/inside\/entry\.[jt]s/

export function jobCommand(parent: Command, context: Context): void {
  const command = parent
    .command('job')
    .summary('show all that is known of one job')
    .description(
      'Shows a job: its state, input, progress and result, and for each failed attempt the reason, the stack, the output, the exit code or signal, the largest memory and the CPU time. The last five failed attempts are kept.\nWithout a queue, the command searches all queues (as millhand queues finds them).',
    )
    .usage('[options] [queue] <id>')
    .argument('<queue-or-id>', 'the name of the TaskQueue, or the id')
    .argument('[id]', 'the id of the job')
    .option('--follow', 'print the output of the running job as it comes, until the job has ended')
  withJsonOption(withServerOptions(command))
    .addHelpText(
      'after',
      examples(
        'millhand job 0mfd1k2x3y4z',
        'millhand job mail 0mfd1k2x3y4z',
        'millhand job mail report-1 --follow',
        'millhand job mail report-1 --json | jq .result',
      ),
    )
    .action((first: string, second: string | undefined, options: Options) => {
      const [name, id] = second === undefined ? [undefined, first] : [first, second]
      checkId(id)
      return withServer(options, context, async (server) => {
        const found = await find(id, name, server)
        if (options.follow) return follow({ queue: found.queue, id, json: options.json }, server, context)
        const causes = await whyNot(found)
        context.print(
          options.json
            ? jsonDocument({ ...plain(found), ...(causes && { why: causes }) })
            : described(found, causes ?? [], context),
        )
      })
    })
}

async function find(id: string, name: string | undefined, server: Server): Promise<Found> {
  const queues = await queuesThere(server, name === undefined ? [] : [name])
  const asked = await askEach(queues, async (queue) => ({ queue, job: await queue.job(id) }))
  const found = asked.answers.flatMap(({ queue, job }) => (job ? [{ queue, job }] : []))
  const [first, ...others] = found
  if (first && others.length === 0) return first
  if (first) {
    const where = found.map(({ queue }) => queue.name).join(', ')
    throw new CommandFailed(
      `there is a job ${id} in several queues (${where}): name the queue too, and its --namespace`,
    )
  }
  complainOf(asked)
  const where = name === undefined ? `any of ${counted(queues.length, 'queue')}` : queues[0]?.name
  throw new CommandFailed(
    `job ${id} is not known in ${where}: it was never enqueued, or its result has expired`,
  )
}

/** Of a job that waits. */
export async function whyNot({ queue, job }: Found): Promise<readonly Cause[] | undefined> {
  if (job.state !== 'ready' && job.state !== 'delayed') return undefined
  return (await queue.why(job.id))?.causes
}

function plain({ queue, job }: Found) {
  const { envelope, ended, progress, ...rest } = job
  return {
    queue: queue.name,
    ...rest,
    ...(envelope && {
      priority: envelope.lane,
      timeoutMs: envelope.timeoutMs,
      ...(envelope.expiresAtMs !== undefined && { expiresAtMs: envelope.expiresAtMs }),
      tags: envelope.tags,
      ...(envelope.uniqueKey !== undefined && { uniqueKey: envelope.uniqueKey }),
      input: parsed(envelope.payload),
    }),
    ...(progress !== undefined && { progress: parsed(progress) }),
    ...(ended && {
      endedAtMs: ended.endedAtMs,
      ...ended.facts,
      result: parsed(ended.result),
      output: ended.output,
    }),
  }
}

/** Many lines. */
export function described(
  { queue, job }: Found,
  causes: readonly Cause[],
  context: Pick<Context, 'paint' | 'nowMs'>,
): string {
  const { paint, nowMs } = context
  const title = `job ${paint('bold', job.id)} of ${queue.name}`
  const why = causes.map((cause, at): [string, Cell] => [at === 0 ? 'why' : '', causeText(cause, nowMs())])
  return [
    title,
    facts([...mainFacts(job, nowMs()), ...why], paint),
    ...outputOf(job.ended?.output, '  '),
    ...failuresOf(job, context),
  ].join('\n')
}

function mainFacts(job: JobDetails, nowMs: number): [string, Cell | undefined][] {
  const { envelope, ended, dueAtMs, buriedAtMs, crashes } = job
  const ago = (atMs: number) => `${timeText(atMs)} (${durationText(nowMs - atMs)} ago)`
  return [
    ['state', stateOf(job)],
    ['task', job.task],
    ['priority', envelope?.lane],
    ['tags', envelope?.tags.join(' ')],
    ['unique key', envelope?.uniqueKey],
    ['enqueued', ago(job.enqueuedAtMs)],
    ['expires', envelope?.expiresAtMs && timeText(envelope.expiresAtMs)],
    ['due', dueAtMs && `${timeText(dueAtMs)} (in ${durationText(dueAtMs - nowMs)})`],
    ['escalated to', job.escalatedTo],
    ['buried', buriedAtMs && ago(buriedAtMs)],
    ['ended', ended && ago(ended.endedAtMs)],
    [
      'attempts',
      `${job.attempts}${crashes > 0 ? `, and ${counted(crashes, 'crash').replace(/hs$/, 'hes')} of its workers` : ''}`,
    ],
    ['worker', job.worker],
    ['timeout', envelope?.timeoutMs && durationText(envelope.timeoutMs)],
    ['progress', job.progress],
    ['input', envelope?.payload],
    ['result', ended?.state === 'completed' ? ended.result : undefined],
    ['took', ended && costOf(ended.facts)],
  ]
}

function stateOf({ state, cancelling }: JobDetails): Cell {
  if (cancelling && state === 'held') return { text: 'held, being cancelled', style: 'yellow' }
  if (state === 'buried') return { text: state, style: 'red' }
  return state === 'completed' ? { text: state, style: 'green' } : state
}

function failuresOf({ failures }: JobDetails, context: Pick<Context, 'paint'>): string[] {
  if (failures.length === 0) return []
  const title = failures.length === 1 ? 'failed attempt' : 'failed attempts, oldest first'
  return [`\n${title}:`, ...failures.map((failure) => failureOf(failure, context))]
}

function failureOf(record: AttemptRecord, { paint }: Pick<Context, 'paint'>): string {
  const { error, message, outcome, endedAtMs, exitCode, signal, worker, pod, node, group } = record
  const why = error ? errorLines(error).join('\n') : (message ?? '')
  const how = [
    exitCode !== undefined && `exit code ${exitCode}`,
    signal !== undefined && `signal ${signal}`,
    costOf(record),
    worker !== undefined && `worker ${worker}`,
    pod !== undefined && `pod ${pod}`,
    node !== undefined && `node ${node}`,
    group !== undefined && `error group ${group}`,
  ]
  const title = `${endedAtMs === undefined ? '' : `${timeText(endedAtMs)}  `}${outcome}`
  return [
    `  ${paint('red', manyLines(title))}  ${indented(why, INDENT).trimStart()}`,
    ...stackOf(record),
    paint('dim', indented(how.filter(Boolean).join(', '), '    ')),
    ...outputOf(record.output, '    '),
  ]
    .filter((line) => line.trim() !== '')
    .join('\n')
}

/**
 * The frames of each stack without the last ones, which are Millhand's and Node's own. Names and messages
 * stand above.
 */
function stackOf({ error }: AttemptRecord): string[] {
  const stacks = (error?.stack ?? '').split('\ncaused by: ').map(framesOf)
  const shown = stacks.flatMap((frames, at) =>
    frames.length > 0 && at > 0 ? ['of the cause:', ...frames] : frames,
  )
  return shown.length === 0 ? [] : [indented(shown.join('\n'), INDENT)]
}

function framesOf(stack: string): string[] {
  const frames = stack.split('\n').filter((line) => /^\s+at /.test(line))
  const ours = frames.findIndex((line) => RUNNER.test(line))
  return (ours > 0 ? frames.slice(0, ours) : frames).map((line) => line.trim())
}

function outputOf(output: string | undefined, indent: string): string[] {
  return output ? [`${indent}output:`, indented(output.trimEnd(), `${indent}  `)] : []
}

function costOf({
  durationMs,
  cpuUserMs,
  cpuSystemMs,
  maxRssBytes,
}: AttemptRecord | NonNullable<JobDetails['ended']>['facts']): string {
  const cpuMs =
    cpuUserMs === undefined && cpuSystemMs === undefined ? undefined : (cpuUserMs ?? 0) + (cpuSystemMs ?? 0)
  const parts = [
    durationMs !== undefined && durationText(durationMs),
    cpuMs !== undefined && `CPU ${durationText(cpuMs)}`,
    maxRssBytes !== undefined && `memory ${bytesText(maxRssBytes)}`,
  ]
  return parts.filter(Boolean).join(', ')
}

function indented(text: string, indent: string): string {
  return manyLines(text)
    .split('\n')
    .map((line) => indent + line)
    .join('\n')
}

function parsed(json: string): unknown {
  try {
    return reprinted(json)
  } catch {
    return json
  }
}
