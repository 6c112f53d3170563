// The verbs of people and of programs that look: numbers, jobs, workers; cancel, retry, delete, purge, pause.
import { amountOf, isDone, listOf, MAX_TEXT, oneOf } from './answers.ts'
import {
  COUNT_FIELDS,
  type Depth,
  depthOf,
  JOB_STATES,
  type JobDetails,
  type JobState,
  jobOf,
  MOST_WORKERS,
  WORKERS_A_PAGE,
  type WorkerEntry,
  type WorkersPage,
  workersOf,
} from './reads.ts'
import type { Verb } from './scripts.ts'
import type { Verbs } from './verbs.ts'

/** Held jobs are cancelled, and outcomes expire. */
export const PURGEABLE = ['ready', 'delayed', 'buried'] as const
export type Purgeable = (typeof PURGEABLE)[number]

const SLICE = 500

/** 'cancelling': it runs, and its worker ends it. Another state: it cannot be cancelled in it. */
async function cancel(verbs: Verbs, id: string): Promise<'cancelling' | JobState> {
  return verbs.write('cancel', [id], (answer) => oneOf(answer, 'a job', ['cancelling', ...JOB_STATES]))
}

/**
 * Buried jobs get all their attempts again. Answers the state of each; 'key-taken': another job has its
 * unique key, and it stays buried.
 */
async function retry(verbs: Verbs, ids: readonly string[]): Promise<('key-taken' | JobState)[]> {
  return inSlices(verbs, { verb: 'retry', ids }, ['key-taken', ...JOB_STATES])
}

/**
 * Buried and ended jobs are deleted for good; their ids are free. Answers 'deleted', or the state of those
 * that are neither.
 */
async function deleteJobs(verbs: Verbs, ids: readonly string[]): Promise<('deleted' | JobState)[]> {
  return inSlices(verbs, { verb: 'delete', ids }, ['deleted', ...JOB_STATES])
}

/** Deletes at most 500 jobs in these states for good. Call it again while there may be more. */
async function purge(
  verbs: Verbs,
  states: readonly Purgeable[],
): Promise<{ deleted: number; isMore: boolean }> {
  const [deleted, isMore] = await verbs.write('purge', states, (answer) => listOf(answer, 'what was deleted'))
  return { deleted: amountOf(deleted, 'what was deleted'), isMore: amountOf(isMore, 'what is left') > 0 }
}

async function pause(verbs: Verbs): Promise<void> {
  await verbs.write('pause', ['1'], isDone)
}

async function resume(verbs: Verbs): Promise<void> {
  await verbs.write('pause', ['0'], isDone)
}

async function depth(verbs: Verbs): Promise<Depth> {
  return depthOf(await verbs.run('depth', COUNT_FIELDS))
}

/**
 * At most 10,000; throws RedisDataInvalid where there are more. Each worker's entry is of one moment, and not
 * all of the same.
 */
export async function workers(verbs: Verbs): Promise<WorkerEntry[]> {
  const { workers, rest } = await someWorkers(verbs, WORKERS_A_PAGE)
  return [...workers, ...(await namedWorkers(verbs, rest))]
}

/**
 * A page of them by name, `limit` at most behind the name `after`; `next` to go on behind, where there are
 * more.
 */
async function workersPage(
  verbs: Verbs,
  { after = '', limit }: { after?: string; limit: number },
): Promise<{ workers: WorkerEntry[]; total: number; next?: string }> {
  const { rest: all } = await someWorkers(verbs, 0)
  const behind = all.filter((name) => name > after).sort()
  const names = behind.slice(0, limit)
  const next = behind.length > limit ? names.at(-1) : undefined
  const workers = await namedWorkers(verbs, names)
  return { workers, total: all.length, ...(next !== undefined && { next }) }
}

async function namedWorkers(verbs: Verbs, names: readonly string[]): Promise<WorkerEntry[]> {
  const found: WorkerEntry[] = []
  for (let i = 0; i < names.length; i += WORKERS_A_PAGE)
    found.push(...(await someWorkers(verbs, 0, names.slice(i, i + WORKERS_A_PAGE))).workers)
  return found
}

/** The first so many and the names of the others; or those with these names. */
async function someWorkers(verbs: Verbs, first: number, names: readonly string[] = []): Promise<WorkersPage> {
  return workersOf(await verbs.run('workers', [first, MOST_WORKERS, MAX_TEXT, ...names]))
}

async function job(verbs: Verbs, id: string): Promise<JobDetails | undefined> {
  return jobOf(id, await verbs.run('job', [id]))
}

async function inSlices<T extends string>(
  verbs: Verbs,
  { verb, ids }: { verb: Verb; ids: readonly string[] },
  words: readonly T[],
): Promise<T[]> {
  const answers: T[] = []
  for (let i = 0; i < ids.length; i += SLICE) {
    const slice = ids.slice(i, i + SLICE)
    const states = (answer: unknown) =>
      listOf(answer, 'the states of jobs').map((each) => oneOf(each, 'a job', words))
    answers.push(...(await verbs.write(verb, slice, states)))
  }
  return answers
}

/**
 * Whether it was declared, has or had jobs, or has a worker; where none of that is so its name is most likely
 * misspelt.
 */
async function exists({ redis, key }: Verbs): Promise<boolean> {
  return (await redis.call('EXISTS', ...['counts', 'config', 'workers'].map(key))) !== 0
}

async function hasWorkers({ redis, key }: Verbs): Promise<boolean> {
  return (await redis.call('EXISTS', key('workers'))) === 1
}

/** The most jobs that may wait, where a TaskQueue declares it. */
async function maxLength({ redis, key }: Verbs): Promise<number | undefined> {
  const answer = await redis.call('HGET', key('config'), 'maxLength')
  return answer === null ? undefined : amountOf(answer, 'config.maxLength')
}

export const looking = {
  ...{ depth, workers, workersPage, job, exists, hasWorkers, maxLength },
  ...{ cancel, retry, delete: deleteJobs, purge, pause, resume },
}
