// Recounts the flows that are at home in a queue (lua/flow.lua): each counter from the states of its jobs, what each job waits
// for from the edges, and what is kept for how long. Part of census.ts.
import type { Connection } from 'millhand/queue'

interface Place {
  redis: Connection
  prefix: string
  /** All keys of the queue, without the prefix. */
  names: readonly string[]
}

interface FlowJob {
  state: string
  waits: number
  next: string[]
}

const PARTS = ['', ':calls', ':results', ':undo', ':failures', ':todo']
const UNFAILED = new Set(['waiting', 'again', 'enqueued', 'completed', 'compensated', 'skipped'])

export async function problemsOfFlows({ redis, prefix, names }: Place): Promise<string[]> {
  const problems: string[] = []
  for (const name of names.filter((each) => /^flow:[^:]+$/.test(each))) {
    const id = name.slice(5)
    const fields = recordOf(await redis.call('HGETALL', prefix + name))
    const { true: jobs = [], false: others = [] } = Object.groupBy(Object.entries(fields), ([field]) =>
      String(field.startsWith('job:')),
    )
    const facts = Object.fromEntries(others)
    const hasEnded = facts.endedMs !== undefined
    for (const part of PARTS.filter((part) => names.includes(name + part))) {
      const hasTime = Number(await redis.call('PTTL', prefix + name + part)) >= 0
      if (hasTime !== hasEnded) problems.push(`${name}${part} ${hasTime ? 'has a' : 'has no'} time to live`)
    }
    const score = await redis.call('ZSCORE', `${prefix}flows`, id)
    if ((score === 'inf') === hasEnded) problems.push(`flows has ${id} at ${score}`)
    const todo = Number(await redis.call('LLEN', `${prefix + name}:todo`))
    const failures = Number(await redis.call('HLEN', `${prefix + name}:failures`))
    const found =
      facts.batch === undefined
        ? problemsOfJobs(
            facts,
            new Map(jobs.map(([field, text]) => [field.slice(4), parsed(text)])),
            todo === 0,
          )
        : problemsOfBatch(facts, failures)
    problems.push(...found.map((problem) => `${name}: ${problem}`))
  }
  return problems
}

function problemsOfBatch(facts: Record<string, string>, failures: number): string[] {
  const { enqueued = 0, completed = 0, failed = 0, jobs = 0 } = facts
  const problems: string[] = []
  if (Number(failed) !== failures) problems.push(`failed is ${failed}, a recount gives ${failures}`)
  if (Number(enqueued) + Number(completed) + Number(failed) !== Number(jobs))
    problems.push(`${enqueued} enqueued, ${completed} completed, ${failed} failed: ${jobs} in all`)
  return problems
}

/** isSettled: no call has left anything to the next one. */
function problemsOfJobs(
  facts: Record<string, string>,
  all: ReadonlyMap<string, FlowJob>,
  isSettled: boolean,
): string[] {
  const jobs = [...all].filter(([name]) => !name.endsWith('.undo'))
  const amount = (is: (state: string) => boolean, of = jobs) => of.filter(([, { state }]) => is(state)).length
  const isOver = facts.state !== 'running'
  const recount: Record<string, number> = {
    jobs: jobs.length,
    enqueued: amount((state) => state === 'enqueued', [...all]),
    completed: amount((state) => state === 'completed' || state === 'compensated'),
    compensated: amount((state) => state === 'compensated'),
    failed: amount((state) => !UNFAILED.has(state)),
    skipped: amount((state) => state === 'skipped' || (isOver && (state === 'waiting' || state === 'again'))),
  }
  const problems: string[] = []
  // What a retry has not come to yet is counted as if it had.
  for (const [fact, expected] of isSettled ? Object.entries(recount) : [])
    if (Number(facts[fact] ?? 0) !== expected)
      problems.push(`${fact} is ${facts[fact]}, a recount gives ${expected}`)
  const waitsFor = new Map<string, number>()
  for (const [, { state, next }] of jobs)
    for (const each of state === 'completed' ? [] : next) waitsFor.set(each, (waitsFor.get(each) ?? 0) + 1)
  for (const [name, { state, waits }] of facts.state === 'running' && isSettled ? jobs : []) {
    if (state !== 'waiting') continue
    if (waits !== waitsFor.get(name))
      problems.push(`${name} waits for ${waits}, a recount gives ${waitsFor.get(name) ?? 'none'}`)
  }
  return problems
}

function parsed(text: string): FlowJob {
  const [state = '', , , waits = '', ...next] = text.split(' ')
  return { state, waits: Number.parseInt(waits, 10), next }
}

function recordOf(flat: unknown): Record<string, string> {
  const values = flat as string[]
  return Object.fromEntries(
    Array.from({ length: values.length / 2 }, (_, i) => [values[2 * i], values[2 * i + 1]]),
  )
}
