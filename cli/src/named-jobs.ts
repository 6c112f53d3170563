// Common to retry, cancel and delete: which jobs are meant, what is done to them, and what became of each.
import { isJobId, type JobState, MOST_JOBS_A_PAGE, parseFilter, type Queue } from 'millhand/queue'
import { CommandFailed, type Context } from './context.ts'
import { jsonDocument } from './printable.ts'
import { type ServerOptions, withServer } from './server.ts'
import { counted } from './units.ts'

type State = 'cancelling' | 'deleted' | JobState

export interface Action {
  /** Answers the states of the jobs, in the order of the ids. */
  act(queue: Queue, ids: readonly string[]): Promise<readonly State[]>
  /** States that mean that it was done. */
  done: readonly State[]
  /** The result in the singular and the plural: `is ready again`, `are ready again`. */
  one: string
  many: string
  /** Why it was not done: `only buried jobs can be retried`. */
  rule: string
}

export interface NamedJobs {
  queue: string
  ids: readonly string[]
  options: ServerOptions & { all?: boolean; json?: boolean }
}

interface Answer {
  id: string
  state: State
}

const BURIED = parseFilter('state:buried', 0)

/** Throws CommandFailed when it could not be done to each of the jobs that were named. */
export function actOnJobs(named: NamedJobs, action: Action, context: Context): Promise<void> {
  const { all = false } = named.options
  checkIds(named)
  return withServer(named.options, context, async (server) => {
    const queue = server.queue(named.queue)
    const ids = all ? await buriedIds(queue) : [...new Set(named.ids)]
    const states = await action.act(queue, ids)
    const answers = ids.map((id, index): Answer => ({ id, state: states[index] ?? 'unknown' }))
    const done = answers.filter(({ state }) => action.done.includes(state))
    if (named.options.json) context.print(jsonDocument({ queue: queue.name, jobs: answers }))
    else if (all) context.print(summary(queue, done.length, action))
    else for (const answer of done) context.print(whatBecame(answer, action))
    // With --all, another person may have acted on a job first: no failure.
    const refused = answers.filter(({ state }) => !action.done.includes(state))
    if (!all && refused.length > 0) throw refusal(queue, refused, action)
  })
}

/** Checked before anything is done to the first of them. */
function checkIds({ ids, options: { all = false } }: NamedJobs): void {
  if (all && ids.length > 0) throw new CommandFailed('give ids or --all, not both', { exitCode: 2 })
  if (!all && ids.length === 0)
    throw new CommandFailed('name the jobs by their ids, or give --all', { exitCode: 2 })
  for (const id of ids) checkId(id)
}

export function checkId(id: string): void {
  if (isJobId(id)) return
  throw new CommandFailed(`invalid job id "${id}": use 1 to 128 of A-Z a-z 0-9 . : _ -`, { exitCode: 2 })
}

/** All are read before the first one is touched: a job that is retried may be buried again at once. */
async function buriedIds(queue: Queue): Promise<string[]> {
  const ids = new Set<string>()
  let cursor: string | undefined
  do {
    const page = await queue.find(BURIED, { cursor, limit: MOST_JOBS_A_PAGE })
    for (const { id } of page.jobs) ids.add(id)
    cursor = page.cursor
  } while (cursor !== undefined)
  return [...ids]
}

function whatBecame({ id, state }: Answer, { one }: Action): string {
  return `job ${id} ${state === 'cancelling' ? 'is being ended by its worker' : one}`
}

function summary(queue: Queue, count: number, { one, many }: Action): string {
  if (count === 0) return `${queue.name} has no buried jobs`
  return `${counted(count, 'job')} of ${queue.name} ${count === 1 ? one : many}`
}

function refusal(queue: Queue, refused: readonly Answer[], { rule }: Action): CommandFailed {
  const lines = refused.map(({ id, state }) =>
    state === 'unknown' ? `job ${id} is not known in ${queue.name}` : `job ${id} is ${state}`,
  )
  if (lines.length === 1) return new CommandFailed(`${lines[0]}; ${rule}`)
  return new CommandFailed(`${rule}:${lines.map((line) => `\n  ${line}`).join('')}`)
}
