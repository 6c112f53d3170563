// What retry, cancel and delete have in common: which jobs are meant, and what became of each.
import { isJobId, type JobState, type Queue } from 'millhand/queue'
import { CommandFailed, type Context } from './context.ts'
import { jsonDocument } from './printable.ts'
import { counted } from './units.ts'

export interface Answer {
  id: string
  state: 'cancelling' | 'deleted' | JobState
}

export interface Wanted {
  /** States that mean that it was done. */
  states: readonly Answer['state'][]
  /** What became of one, and of several: `is ready again`, `are ready again`. */
  one: string
  many: string
  /** Why it was not done: `only buried jobs can be retried`. */
  rule: string
}

const PAGE = 1_000

/** Checked before anything is done to the first of them. */
export function checkedIds(ids: readonly string[], all: boolean): readonly string[] {
  if (all && ids.length > 0) throw new CommandFailed('give ids or --all, not both', { exitCode: 2 })
  if (!all && ids.length === 0)
    throw new CommandFailed('name the jobs by their ids, or give --all', { exitCode: 2 })
  for (const id of ids)
    if (!isJobId(id))
      throw new CommandFailed(`invalid job id "${id}": 1 to 128 of A-Z a-z 0-9 . : _ -`, { exitCode: 2 })
  return [...new Set(ids)]
}

/** All are read before the first one is touched: a job that is retried may be buried again at once. */
export async function buriedIds(queue: Queue): Promise<string[]> {
  const ids = new Set<string>()
  for (let offset = 0; ; offset += PAGE) {
    const page = await queue.jobs('buried', { offset, limit: PAGE })
    for (const { id } of page) ids.add(id)
    if (page.length < PAGE) return [...ids]
  }
}

/** Throws CommandFailed when it could not be done to each of the jobs that were named. */
export function sayWhatBecame(
  queue: Queue,
  { answers, wanted, all, json }: { answers: readonly Answer[]; wanted: Wanted; all: boolean; json: boolean },
  context: Context,
): void {
  const isDone = ({ state }: Answer) => wanted.states.includes(state)
  const done = answers.filter(isDone)
  const refused = answers.filter((answer) => !isDone(answer))
  if (json) context.print(jsonDocument({ queue: queue.name, jobs: answers }))
  else if (all) context.print(summary(queue, done.length, wanted))
  else
    for (const { id, state } of done)
      context.print(`job ${id} ${state === 'cancelling' ? 'is being ended by its worker' : wanted.one}`)
  // With --all, others may have been faster; that is no failure.
  if (all || refused.length === 0) return
  const [first] = refused
  const what =
    refused.length === 1 && first
      ? refusal(first, queue)
      : refused.map((answer) => `\n  ${refusal(answer, queue)}`).join('')
  throw new CommandFailed(refused.length === 1 ? `${what}; ${wanted.rule}` : `${wanted.rule}:${what}`)
}

function summary(queue: Queue, count: number, { one, many }: Wanted): string {
  if (count === 0) return `${queue.name} has no buried jobs`
  return `${counted(count, 'job')} of ${queue.name} ${count === 1 ? one : many}`
}

function refusal({ id, state }: Answer, queue: Queue): string {
  return state === 'unknown' ? `job ${id} is not known in ${queue.name}` : `job ${id} is ${state}`
}
