// Retry, cancel and delete with a filter: count the jobs, ask, act page by page, print the result. The filter
// language is that of millhand/queue (filter.ts).
import { userInfo } from 'node:os'
import {
  type Action,
  type ActionVerb,
  type Counted,
  type Filter,
  FilterInvalid,
  parseFilter,
  type Queue,
} from 'millhand/queue'
import { CommandFailed, type Context } from './context.ts'
import { jsonDocument, oneLine } from './printable.ts'
import { type ServerOptions, withServer } from './server.ts'
import { counted, durationText } from './units.ts'

export interface FilterOptions extends ServerOptions {
  filter?: string
  all?: boolean
  reason?: string
  dryRun?: boolean
  yes?: string | true
  json?: boolean
}

export interface Wanted {
  queue: string
  verb: ActionVerb
  /** `is ready again`, `are ready again`. */
  one: string
  many: string
}

/** For more jobs than this, the confirmation is their number. */
const MANY = 1_000
const SAY_EVERY_MS = 1_000
const SHOWN = 10

/** Throws CommandFailed for wrong use. */
export function filterOf(words: readonly string[], { nowMs }: Context): Filter {
  try {
    return parseFilter(words.join(' '), nowMs())
  } catch (error) {
    if (error instanceof FilterInvalid) throw new CommandFailed(error.message, { exitCode: 2 })
    throw error
  }
}

/** `--all` means all buried jobs. */
export function actOnFilter(wanted: Wanted, options: FilterOptions, context: Context): Promise<void> {
  const filter = filterOf([options.all ? 'state:buried' : (options.filter ?? '')], context)
  return withServer(options, context, async (server) => {
    const queue = server.queue(wanted.queue)
    const found = await queue.actions.count({ verb: wanted.verb, filter }).catch(asWrongUse)
    const { verb } = wanted
    const asked = { queue, verb, found, ...options }
    if (options.dryRun) return printDry(asked, context)
    if (found.count === 0) return printNone(queue, options, context)
    await confirm(asked, context)
    const { reason = '' } = options
    const id = await queue.actions.create({ verb, filter, who: whoami(), reason, total: found.count })
    const action = await drive(queue, id, context)
    if (options.json) context.print(jsonDocument({ queue: queue.name, action }))
    else context.print(summaryOf(queue, action, wanted))
    for (const { id: job, reason: why } of action.reasons.slice(0, SHOWN))
      context.note(oneLine(`  job ${job}: ${why}`))
    if (verb === 'delete' && action.done > 0)
      context.note(`to undo this within a minute: millhand actions ${wanted.queue} ${id} --undo`)
    if (action.state !== 'done') throw new CommandFailed(whyNotDone(action, wanted.queue))
  })
}

/**
 * Ctrl-C aborts the action after the current page. A second Ctrl-C ends the command; the action stays as it
 * is.
 */
export async function drive(queue: Queue, id: string, context: Context): Promise<Action> {
  let isStopped = false
  context.onStop((times) => {
    if (times > 1) context.leave(1)
    isStopped = true
    context.note('stopping after this page; once more to leave the action as it is')
  })
  let saidAtMs = context.nowMs()
  const action = await queue.actions.run(id, {
    isStopped: () => isStopped,
    onProgress({ done, skipped, failed, total }) {
      if (context.nowMs() - saidAtMs < SAY_EVERY_MS) return
      saidAtMs = context.nowMs()
      context.note(`${done + skipped + failed} of ${total ?? 'an unknown number of'} jobs`)
    },
  })
  return isStopped && action.state === 'running' ? ((await queue.actions.abort(id)) ?? action) : action
}

export function countsOf({ skipped, failed }: Action): string {
  return [skipped > 0 && `${skipped} skipped`, failed > 0 && `${failed} failed`]
    .filter(Boolean)
    .map((part) => `; ${part}`)
    .join('')
}

function summaryOf(queue: Queue, action: Action, { one, many }: Wanted): string {
  return `${counted(action.done, 'job')} of ${queue.name} ${action.done === 1 ? one : many}${countsOf(action)}`
}

function whyNotDone({ state, driver, id }: Action, queue: string): string {
  if (state === 'running' && driver !== undefined)
    return `another program goes on with the action: millhand actions ${queue} ${id}`
  return `the action was ${state} before its end`
}

/** The question to the user: what to do, and to how many jobs. */
interface Asked extends Pick<FilterOptions, 'json' | 'yes'> {
  queue: Queue
  verb: ActionVerb
  found: Counted
}

function printDry({ queue, verb, found, json }: Asked, context: Context): void {
  if (json) {
    context.print(jsonDocument({ queue: queue.name, verb, ...found }))
    return
  }
  context.print(`${verb} would be done to ${numberOf(found)} of ${queue.name}`)
  for (const { id, state, task, enqueuedAtMs } of found.samples)
    context.print(oneLine(`  ${id}  ${state}  ${task}  ${durationText(context.nowMs() - enqueuedAtMs)}`))
}

function printNone(queue: Queue, { json, all }: FilterOptions, context: Context): void {
  const text = all ? `${queue.name} has no buried jobs` : `no job of ${queue.name} matches the filter`
  context.print(json ? jsonDocument({ queue: queue.name, action: null }) : text)
}

const numberOf = ({ count, isExact }: Counted): string =>
  `${isExact ? '' : 'at least '}${counted(count, 'job')}`

/** Up to 1,000 jobs the confirmation is `yes`, or --yes; above, it is the number of jobs. */
async function confirm({ queue, verb, found, yes }: Asked, context: Context): Promise<void> {
  const number = String(found.count)
  const expected = found.count > MANY ? number : 'yes'
  if (yes === number || (yes === true && expected === 'yes')) return
  const about = `${verb}: ${numberOf(found)} of ${queue.name}`
  const remedy = `to do it without a question: --yes${found.count > MANY ? ` ${number}` : ''}`
  if (yes !== undefined) throw new CommandFailed(`${about}; nothing was done; ${remedy}`, { exitCode: 2 })
  const answer = await context.ask(`${about}. Type ${expected} to go on: `)
  if (answer === undefined) throw new CommandFailed(`${about}; ${remedy}`, { exitCode: 2 })
  if (answer !== expected) throw new CommandFailed('nothing was done')
}

function asWrongUse(error: unknown): never {
  if (error instanceof FilterInvalid) throw new CommandFailed(error.message, { exitCode: 2 })
  throw error
}

/** A container may run as a user without a name. */
export function whoami(): string {
  try {
    return userInfo().username
  } catch {
    return ''
  }
}
