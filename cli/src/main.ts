// The millhand command: wires the commands to the terminal, to signals and to the end of the process.
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline/promises'
import { text } from 'node:stream/consumers'
import { styleText } from 'node:util'
import { Command, CommanderError } from 'commander'
import { reasonLines } from 'millhand/queue'
import { stopRequests } from 'millhand/stop-requests'
import { actionsCommand } from './commands/actions.ts'
import { cancelCommand } from './commands/cancel.ts'
import { deleteCommand } from './commands/delete.ts'
import { doctorCommand } from './commands/doctor.ts'
import { enqueueCommand } from './commands/enqueue.ts'
import { errorsCommand } from './commands/errors.ts'
import { eventsCommand } from './commands/events.ts'
import { flowsCommand } from './commands/flows.ts'
import { jobCommand } from './commands/job.ts'
import { jobsCommand } from './commands/jobs.ts'
import { limitCommand } from './commands/limit.ts'
import { pauseCommand, resumeCommand } from './commands/pause.ts'
import { purgeCommand } from './commands/purge.ts'
import { queuesCommand } from './commands/queues.ts'
import { retryCommand } from './commands/retry.ts'
import { scheduleCommand } from './commands/schedule.ts'
import { schedulesCommand } from './commands/schedules.ts'
import { statsCommand } from './commands/stats.ts'
import { topCommand } from './commands/top.ts'
import { upCommand } from './commands/up.ts'
import { whyCommand } from './commands/why.ts'
import { workerCommand } from './commands/worker.ts'
import { workersCommand } from './commands/workers.ts'
import { readConfig } from './config.ts'
import { CommandFailed, type Context } from './context.ts'
import { examples } from './options.ts'
import { openOutlet } from './outlet.ts'
import { manyLines, withoutPasswords } from './printable.ts'
import { openTerminal } from './top/terminal.ts'

const BAD_USAGE = 2
/** SIGHUP: the terminal was closed. */
const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

const config = readConfig()
const [output, notes] = [openOutlet(process.stdout), openOutlet(process.stderr)]
const context = terminalContext()

const exitCode = await run()
for (const signal of STOP_SIGNALS) process.removeAllListeners(signal)
await output.written()
if (output.failure) notes.print(saidByUs(`the output could not be written: ${output.failure}`))
await notes.written()
process.exit(exitCode === 0 && output.failure ? 1 : exitCode)

/** Answers the exit code. */
async function run(): Promise<number> {
  try {
    await program().parseAsync()
    return 0
  } catch (error) {
    // Commander has printed the message.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : BAD_USAGE
    complain(error)
    return error instanceof CommandFailed ? error.exitCode : 1
  }
}

function program(): Command {
  const millhand = new Command('millhand')
    .description('Runs queues and workers on a laptop, enqueues jobs, shows them, retries and cancels them.')
    .version(version(), '--version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [command]', 'show help for a command')
    .addHelpText(
      'after',
      examples(
        'millhand up -f examples/thumbnails      queues and workers on this machine, no cluster needed',
        'millhand enqueue mail send \'{"to":1}\'   in another terminal of the same folder',
        'millhand top                            watch all of it',
        'millhand queues                         what waits, runs and failed',
        'millhand job 0mfd1k2x3y4z               why it failed',
        'millhand retry mail --all               try all buried jobs again',
        'millhand doctor                         what is wrong, and what to do',
      ),
    )
    .configureOutput({
      writeOut: output.print,
      writeErr: notes.print,
      outputError: (message, write) => write(saidByUs(message.replace(/^error: /, ''))),
    })
    .exitOverride()
  upCommand(millhand, context)
  workerCommand(millhand, context)
  enqueueCommand(millhand, context)
  topCommand(millhand, context)
  queuesCommand(millhand, context)
  jobsCommand(millhand, context)
  jobCommand(millhand, context)
  whyCommand(millhand, context)
  retryCommand(millhand, context)
  cancelCommand(millhand, context)
  deleteCommand(millhand, context)
  actionsCommand(millhand, context)
  flowsCommand(millhand, context)
  purgeCommand(millhand, context)
  limitCommand(millhand, context)
  schedulesCommand(millhand, context)
  scheduleCommand(millhand, context)
  pauseCommand(millhand, context)
  resumeCommand(millhand, context)
  workersCommand(millhand, context)
  errorsCommand(millhand, context)
  statsCommand(millhand, context)
  eventsCommand(millhand, context)
  doctorCommand(millhand, context)
  return millhand
}

function terminalContext(): Context {
  const isColored = config.mayColor && process.stdout.isTTY
  const mayDraw = config.mayDraw && process.stdin.isTTY && process.stdout.isTTY
  return {
    config,
    workingFolder: process.cwd(),
    paint: (style, plain) => (isColored ? styleText(style, plain, { validateStream: false }) : plain),
    nowMs: () => Date.now(),
    print: (text) => output.print(`${text}\n`),
    log: (text) => output.offer(`${text}\n`),
    note: (text) => void notes.offer(`${text}\n`),
    readInput: () => text(process.stdin),
    ask: askInTerminal,
    terminal: {
      isColored,
      isAscii: config.isAscii,
      ...(mayDraw && { open: (listener) => openTerminal(process.stdin, process.stdout, listener) }),
    },
    onStop(asked) {
      const listener = stopRequests(asked)
      for (const signal of STOP_SIGNALS) process.on(signal, listener)
    },
    leave: (exitCode) => process.exit(exitCode),
    become(file, args, environment) {
      if (!process.execve) throw new CommandFailed('this system has no execve, which millhand worker needs')
      return process.execve(file, [file, ...args], environment)
    },
  }
}

async function askInTerminal(question: string): Promise<string | undefined> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return undefined
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  const closed = new Promise<string>((resolve) => terminal.on('close', () => resolve('')))
  try {
    return (await Promise.race([terminal.question(question), closed])).trim()
  } finally {
    terminal.close()
  }
}

function complain(error: unknown): void {
  const message = error instanceof CommandFailed ? error.message : reasonLines(error).join('\n')
  notes.print(saidByUs(message))
  if (!config.isDebug) return
  for (let at: unknown = error; at instanceof Error; at = at.cause)
    notes.print(`${withoutPasswords(manyLines(at.stack ?? ''))}\n`)
}

function saidByUs(message: string): string {
  return `millhand: ${withoutPasswords(manyLines(message.trimEnd()))}\n`
}

function version(): string {
  return String(JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version)
}
