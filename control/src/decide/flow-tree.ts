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
  // Without recursion, as a chain may be long: the last one is the next to be shown.
  const lines: FlowLine[] = []
  const stack = inGroups(treeOf(jobs)).reverse()
  for (let group = stack.pop(); group; group = stack.pop()) {
    lines.push(lineOf(group))
    for (const { below } of group.toReversed())
      if (below.length > 0) for (const next of inGroups(below).reverse()) stack.push(next)
  }
  return lines
}

/** Of each line the lines that it waits for, by their number in `lines`, in order. */
export function linesBehind(lines: readonly FlowLine[]): number[][] {
  const lineOfJob = new Map<string, number>()
  for (const [n, { jobs }] of lines.entries()) for (const { name } of jobs) lineOfJob.set(name, n)
  return lines.map(({ jobs }, n) => {
    const found = new Set<number>()
    for (const { after } of jobs) for (const name of after) found.add(lineOfJob.get(name) ?? n)
    found.delete(n)
    return [...found].sort((a, b) => a - b)
  })
}

/** A job in the tree. */
interface Place {
  readonly job: FlowJobFacts
  /** How many jobs are one after the other before it. */
  depth: number
  /** How many of the jobs that it waits for have no depth yet. */
  waits: number
  /** The jobs that it waits for. */
  readonly before: Place[]
  /** The deepest of these. */
  parent: Place | undefined
  /** The jobs that wait for it. */
  readonly behind: Place[]
  readonly below: Place[]
}

/** The jobs that wait for none, and all others below them. */
function treeOf(jobs: readonly FlowJobFacts[]): Place[] {
  const places = placesOf(jobs)
  const roots = places.filter(({ waits }) => waits === 0)
  const known = [...roots]
  for (const place of known)
    for (const next of place.behind) {
      next.depth = Math.max(next.depth, place.depth + 1)
      next.waits -= 1
      if (next.waits === 0) known.push(next)
    }
  for (const place of places) {
    place.parent = deepest(place.before)
    place.parent?.below.push(place)
  }
  return roots
}

function placesOf(jobs: readonly FlowJobFacts[]): Place[] {
  const byName = new Map<string, Place>()
  for (const job of jobs)
    byName.set(job.name, {
      ...{ job, depth: 0, waits: job.after.length, parent: undefined },
      ...{ before: [], behind: [], below: [] },
    })
  const places = [...byName.values()]
  for (const place of places)
    for (const name of place.job.after) {
      const before = byName.get(name)
      if (!before) continue
      place.before.push(before)
      before.behind.push(place)
    }
  return places
}

function deepest(places: readonly Place[]): Place | undefined {
  let found: Place | undefined
  for (const place of places) if (!found || place.depth > found.depth) found = place
  return found
}

function lineOf(group: readonly Place[]): FlowLine {
  const [first] = group
  const { name = '', after = [] } = first?.job ?? {}
  const above = first?.parent?.job.name
  const jobs = group.map(({ job }) => job)
  const states = new Map<string, number>()
  for (const { state } of jobs) states.set(state, (states.get(state) ?? 0) + 1)
  return {
    depth: first?.depth ?? 0,
    name: group.length > 1 ? `${groupOf(name)}.*` : name,
    ...{ states, jobs, also: after.filter((each) => each !== above) },
  }
}

const groupOf = (name: string): string => /^(.*)\.\d+$/.exec(name)?.[1] ?? name

/** Members of a large group that nothing tells apart are together. */
function inGroups(places: readonly Place[]): Place[][] {
  const groups = [...Map.groupBy(places, ({ job }) => groupOf(job.name)).values()]
  const nameOf = ([first]: readonly Place[]) => first?.job.name ?? ''
  return groups
    .flatMap((group) => (group.length > MOST_SHOWN ? [group] : group.map((place) => [place])))
    .sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))
}
