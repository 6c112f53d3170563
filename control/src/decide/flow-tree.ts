// A flow as a tree: each job below the one that it waits for longest, jobs of a group in one line (pure). The
// dashboard and `millhand flows` show it.
import type { FlowJobFacts } from 'millhand/queue'

export interface FlowLine {
  readonly depth: number
  readonly name: string
  /** The states of its jobs; of a line for one job one. */
  readonly states: ReadonlyMap<string, number>
  readonly jobs: readonly FlowJobFacts[]
  /** What it waits for besides the job above. */
  readonly also: readonly string[]
}

/** Groups of fewer jobs are shown job by job. */
const MOST_SHOWN = 8

export function flowTree(jobs: readonly FlowJobFacts[]): FlowLine[] {
  const depths = depthsOf(jobs)
  const depthOf = (name: string) => depths.get(name) ?? 0
  const parents = new Map(jobs.map(({ name, after }) => [name, deepest(after, depthOf)]))
  const below = Map.groupBy(jobs, ({ name }) => parents.get(name))
  const linesBelow = (parent: string | undefined, depth: number) =>
    inGroups(below.get(parent) ?? []).map((members) => lineOf(members, depth, parent))
  // Without recursion, as a chain may be long: the last one is the next to be shown.
  const lines: FlowLine[] = []
  const stack = linesBelow(undefined, 0).reverse()
  for (let line = stack.pop(); line; line = stack.pop()) {
    lines.push(line)
    const { jobs: members, depth } = line
    stack.push(...members.flatMap(({ name }) => linesBelow(name, depth + 1)).reverse())
  }
  return lines
}

/** Of each line the lines that it waits for, by their number in `lines`, in order. */
export function linesBehind(lines: readonly FlowLine[]): number[][] {
  const lineOfJob = new Map(lines.flatMap(({ jobs }, n) => jobs.map(({ name }) => [name, n] as const)))
  return lines.map(({ jobs }, n) => {
    const found = new Set(jobs.flatMap(({ after }) => after.map((name) => lineOfJob.get(name) ?? n)))
    found.delete(n)
    return [...found].sort((a, b) => a - b)
  })
}

function lineOf(jobs: readonly FlowJobFacts[], depth: number, parent: string | undefined): FlowLine {
  const [first] = jobs
  const name = jobs.length > 1 && first ? `${groupOf(first)}.*` : (first?.name ?? '')
  const states = new Map(
    [...Map.groupBy(jobs, ({ state }) => state)].map(([state, of]) => [state, of.length]),
  )
  return { depth, name, states, jobs, also: first?.after.filter((each) => each !== parent) ?? [] }
}

/** How many jobs are one after the other before it. */
function depthsOf(jobs: readonly FlowJobFacts[]): Map<string, number> {
  const depths = new Map<string, number>()
  const waits = new Map(jobs.map(({ name, after }) => [name, after.length]))
  const behind = new Map<string, string[]>()
  for (const { name, after } of jobs)
    for (const each of after) {
      const known = behind.get(each)
      if (known) known.push(name)
      else behind.set(each, [name])
    }
  const free = jobs.filter(({ after }) => after.length === 0).map(({ name }) => name)
  for (const name of free) {
    const depth = depths.get(name) ?? 0
    depths.set(name, depth)
    for (const next of behind.get(name) ?? []) {
      depths.set(next, Math.max(depths.get(next) ?? 0, depth + 1))
      const left = (waits.get(next) ?? 0) - 1
      waits.set(next, left)
      if (left === 0) free.push(next)
    }
  }
  return depths
}

function deepest(names: readonly string[], depthOf: (name: string) => number): string | undefined {
  return names.reduce<string | undefined>(
    (found, name) => (found === undefined || depthOf(name) > depthOf(found) ? name : found),
    undefined,
  )
}

const groupOf = ({ name }: FlowJobFacts): string | undefined => /^(.*)\.\d+$/.exec(name)?.[1]

/** Members of a large group that nothing tells apart are together. */
function inGroups(jobs: readonly FlowJobFacts[]): FlowJobFacts[][] {
  const groups = [...Map.groupBy(jobs, (job) => groupOf(job) ?? job.name).values()]
  return groups
    .flatMap((group) => (group.length > MOST_SHOWN ? [group] : group.map((job) => [job])))
    .sort(([a], [b]) => ((a?.name ?? '') < (b?.name ?? '') ? -1 : 1))
}
