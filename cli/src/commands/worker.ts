// millhand worker: replaces itself with the worker process that a pod runs. Options of the command line
// become its environment.
import { fileURLToPath } from 'node:url'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { accessVariables, MOST_SLOTS } from 'millhand/queue'
import type { Context } from '../context.ts'
import { examples, wholeNumberOption } from '../options.ts'
import { addressOf, type ServerOptions, withServerOptions } from '../server.ts'

interface WeightedQueue {
  name: string
  weight: number
}

interface Options extends ServerOptions {
  queue?: WeightedQueue[]
  slots?: number
  isolation?: string
}

const RUNS_FROM_SOURCE = import.meta.url.endsWith('.ts')

export function workerCommand(parent: Command, context: Context): void {
  const command = parent
    .command('worker')
    .summary('run one worker process')
    .description(
      'Runs one worker, as in a pod: it claims jobs of the queues and runs the tasks that the files define. It writes its log as JSON lines. Ctrl-C or SIGTERM lets the running jobs end; a second one hands them back. Other settings of the worker come from the environment: MILLHAND_MAX_MEMORY_BYTES, MILLHAND_DRAIN_TIMEOUT_SECONDS, MILLHAND_LOG_LEVEL, … millhand up starts and stops workers as the queues need them, and again when files change.',
    )
    .argument('<file...>', 'the files that define tasks')
    .option('--queue <name[:weight]>', 'a queue to work on; repeat for more', weightedQueue)
    .option('--slots <number>', 'how many jobs at once; default: 1', wholeNumberOption(1, MOST_SLOTS))
    .addOption(
      new Option('--isolation <mode>', 'how jobs are isolated; default: Fork').choices([
        'Fork',
        'Spawn',
        'Reuse',
      ]),
    )
  withServerOptions(command)
    .addHelpText(
      'after',
      examples(
        'millhand worker tasks.ts --queue mail',
        'millhand worker tasks.ts --queue urgent:3 --queue mail --slots 4 --isolation Reuse',
        'millhand worker mail.ts reports.ts --queue mail --redis redis://127.0.0.1:6379 --namespace shop',
      ),
    )
    .action((files: string[], options: Options) => {
      if (!options.queue) command.error('error: no queue is given: name one with --queue')
      const worker = fileURLToPath(import.meta.resolve('millhand/worker'))
      const conditions = RUNS_FROM_SOURCE ? ['--conditions=millhand-source'] : []
      context.become(process.execPath, [...conditions, worker, ...files], environmentOf(options, context))
    })
}

function environmentOf(options: Options, context: Context): Record<string, string> {
  const { redis, namespace } = addressOf(options, context)
  const { slots, isolation } = options
  const environment: Record<string, string | undefined> = {
    ...context.config.environment,
    ...accessVariables(redis),
    MILLHAND_NAMESPACE: namespace,
    MILLHAND_QUEUES: JSON.stringify(options.queue),
    ...(slots !== undefined && { MILLHAND_SLOTS: String(slots) }),
    ...(isolation !== undefined && { MILLHAND_ISOLATION: isolation }),
  }
  return Object.fromEntries(
    Object.entries(environment).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )
}

function weightedQueue(text: string, earlier: WeightedQueue[] = []): WeightedQueue[] {
  const [, name, weight = '1'] = /^([a-z0-9][a-z0-9._-]*)(?::(\d+))?$/.exec(text) ?? []
  if (name === undefined || Number(weight) < 1) throw new InvalidArgumentError('It is like mail or mail:3.')
  return [...earlier, { name, weight: Number(weight) }]
}
