// Retry, cancel and delete of named jobs: checks the ids, acts, prints the result of each.
import type { Command } from 'commander'
import { type ActionVerb, isJobId, type JobState, type Queue } from 'millhand/queue'
import { CommandFailed, type Context } from './context.ts'
import { actOnFilter, type FilterOptions } from './filtered-jobs.ts'
import { jsonDocument } from './printable.ts'
import { withServer } from './server.ts'

type State = 'cancelling' | 'deleted' | 'key-taken' | JobState

export interface Action {
  verb: ActionVerb
  /** Answers the states of the jobs, in the order of the ids. */
  act(queue: Queue, ids: readonly string[]): Promise<readonly State[]>
  /** The states of jobs to which it was done. */
  done: readonly State[]
  /** The result in the singular and the plural: `is ready again`, `are ready again`. */
  one: string
  many: string
  /** Why it was not done, like `only buried jobs can be retried`. */
  rule: string
}

export interface NamedJobs {
  queue: string
  ids: readonly string[]
  options: FilterOptions
}

interface Answer {
  id: string
  state: State
}

/** Throws CommandFailed when it failed for any named job. */
export function actOnJobs(named: NamedJobs, action: Action, context: Context): Promise<void> {
  if (named.options.all || named.options.filter !== undefined) {
    checkFiltered(named)
    const { verb, one, many } = action
    return actOnFilter({ queue: named.queue, verb, one, many }, named.options, context)
  }
  checkIds(named, action)
  return withServer(named.options, context, async (server) => {
    const queue = server.queue(named.queue)
    const ids = [...new Set(named.ids)]
    const states = await action.act(queue, ids)
    const answers = ids.map((id, index): Answer => ({ id, state: states[index] ?? 'unknown' }))
    const done = answers.filter(({ state }) => action.done.includes(state))
    if (named.options.json) context.print(jsonDocument({ queue: queue.name, jobs: answers }))
    else for (const answer of done) context.print(whatBecame(answer, action))
    const refused = answers.filter(({ state }) => !action.done.includes(state))
    if (refused.length > 0) throw refusal(queue, refused, action)
  })
}

/** The options of commands that act on named jobs or on a filter. */
export function withFilterOptions(command: Command): Command {
  return command
    .option('--filter <filter>', 'all jobs of a filter, as millhand jobs takes it')
    .option('--reason <text>', 'why, for the record of the action')
    .option('--dry-run', 'only count the jobs of the filter')
    .option('--yes [number]', 'do not ask; above 1,000 jobs give their number')
}

/** Checks all ids before it acts on the first job. */
function checkIds({ ids, options }: NamedJobs, { verb }: Action): void {
  const filters = verb === 'cancel' ? '--filter' : '--all or --filter'
  if (ids.length === 0)
    throw new CommandFailed(`name the jobs by their ids, or give ${filters}`, { exitCode: 2 })
  if (options.dryRun || options.yes !== undefined || options.reason !== undefined)
    throw new CommandFailed('--dry-run, --yes and --reason go with --filter', { exitCode: 2 })
  for (const id of ids) checkId(id)
}

function checkFiltered({ ids, options }: NamedJobs): void {
  if (ids.length > 0) throw new CommandFailed('give ids or a filter, not both', { exitCode: 2 })
  if (options.all && options.filter !== undefined)
    throw new CommandFailed('give --all or --filter, not both', { exitCode: 2 })
  if (!options.all && options.filter?.trim() === '')
    throw new CommandFailed('the filter is empty; to mean all jobs, name their states: state:buried', {
      exitCode: 2,
    })
}

export function checkId(id: string): void {
  if (isJobId(id)) return
  throw new CommandFailed(`invalid job id "${id}": use 1 to 128 of A-Z a-z 0-9 . : _ -`, { exitCode: 2 })
}

function whatBecame({ id, state }: Answer, { one }: Action): string {
  return `job ${id} ${state === 'cancelling' ? 'is being ended by its worker' : one}`
}

function refusal(queue: Queue, refused: readonly Answer[], { rule }: Action): CommandFailed {
  const lines = refused.map(({ id, state }) => {
    if (state === 'key-taken') return `job ${id} stays buried: another job has its unique key`
    return state === 'unknown' ? `job ${id} is not known in ${queue.name}` : `job ${id} is ${state}`
  })
  if (lines.length === 1) return new CommandFailed(`${lines[0]}; ${rule}`)
  return new CommandFailed(`${rule}:${lines.map((line) => `\n  ${line}`).join('')}`)
}
