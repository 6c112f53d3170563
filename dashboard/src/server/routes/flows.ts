// Flows of a queue: the list, one of them as a tree of its jobs, cancel, retry.
import { flowTree, type FlowLine as Line, linesBehind } from '@millhand/control/decide/flow-tree'
import { hasItsName } from '@millhand/control/resources/task-queue'
import { FLOW_JOB_ID, type FlowFacts, type FlowJobFacts, type JobDetails } from 'millhand/queue'
import {
  type FLOW_VERBS,
  FlowDetails,
  FlowDone,
  type FlowLine,
  FlowPlace,
  FlowRetry,
  Flows,
  type Job,
  MOST_BEHIND,
  MOST_FLOW_LINES,
  MOST_NAMES,
  MOST_ROWS,
  Reason,
} from '../../api.ts'
import { optional, text, whole } from '../../schema.ts'
import { Refused } from '../refused.ts'
import { type Call, type Route, route } from '../route.ts'
import { queueOf } from './resources.ts'

type Verb = (typeof FLOW_VERBS)[number]

const FLOWS = '/queues/{namespace}/{name}/flows'
const FLOW = `${FLOWS}/{flow}`
const CURSOR = '^[0-9]{1,9} ([0-9]{1,16}|inf) [\\s\\S]{1,512}$'

export const flowRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: FLOWS,
    summary: 'A page of the flows that are kept in a queue: those that run, then those that ended last',
    permission: { resource: 'flows', verb: 'list' },
    query: {
      cursor: optional(text('The cursor of the page before', { max: 540, pattern: CURSOR })),
      limit: optional(whole('Flows of this page; default: 50', { min: 1, max: MOST_ROWS })),
    },
    answer: Flows,
    handle: async (call) => (await queueOf(call)).flows.list(call.query),
  }),
  route({
    method: 'GET',
    path: FLOW,
    summary: 'A flow and its jobs as a tree, or those in one state; at most 500 lines a page',
    permission: { resource: 'flows', verb: 'get' },
    query: {
      state: optional(text('Only jobs in this state, each in a line', { max: 20, pattern: '^[a-z-]+$' })),
      cursor: optional(text('The cursor of the page before', { max: 5, pattern: '^[0-9]+$' })),
    },
    version: versionOf,
    answer: FlowDetails,
    handle: detailsOf,
  }),
  route({
    method: 'GET',
    path: `${FLOW}/jobs/{job}`,
    summary: 'Where a job stands in its flow',
    permission: { resource: 'flows', verb: 'get' },
    answer: FlowPlace,
    handle: placeOf,
  }),
  route({
    method: 'POST',
    path: `${FLOW}/cancel`,
    summary: 'Cancels a flow: its jobs that wait never start, others are cancelled',
    permission: { resource: 'flows', verb: 'cancel' },
    body: Reason,
    answer: FlowDone,
    handle: (call) => changed(call, 'cancel', ['cancelling', 'cancelled']),
  }),
  route({
    method: 'POST',
    path: `${FLOW}/retry`,
    summary: 'Runs again what has not completed in a flow that failed or was cancelled, or from a job on',
    permission: { resource: 'flows', verb: 'retry' },
    body: FlowRetry,
    answer: FlowDone,
    handle: (call) => changed(call, 'retry', ['running']),
  }),
]

/** A job of a flow never changes without its numbers, but where one compensation follows another. */
async function versionOf(call: Call): Promise<string | undefined> {
  const facts = await (await queueOf(call)).flows.facts(idOf(call))
  if (!facts || facts.state === 'compensating' || facts.state === 'cancelling') return undefined
  return JSON.stringify([facts, [...taskQueuesByName(call)]])
}

async function detailsOf(call: Call<{ state?: string; cursor?: string }>): Promise<FlowDetails> {
  const { state, cursor = '0' } = call.query
  const queue = await queueOf(call)
  const found = await queue.flows.details(idOf(call))
  if (!found) throw notFound(call)
  const { flowJobs, ...facts } = found
  const completed = new Set<string>()
  for (const { name, state: its } of flowJobs) if (its === 'completed') completed.add(name)
  const known = { completed, taskQueues: taskQueuesByName(call) }
  const all =
    state === undefined ? flowTree(flowJobs) : flowJobs.filter((job) => job.state === state).map(alone)
  const end = Number(cursor) + MOST_FLOW_LINES
  const page = all.slice(Number(cursor), end).map((line) => lineOf(line, known))
  return {
    ...{ ...facts, states: statesOf(flowJobs), can: verbsOf(found) },
    lines: page.length === all.length && state === undefined ? withBehind(page, all) : page,
    linesLeftOut: Math.max(0, all.length - end),
    ...(all.length > end && { cursor: String(end) }),
  }
}

function statesOf(jobs: readonly FlowJobFacts[]): FlowDetails['states'] {
  const counts = new Map<string, number>()
  for (const { state } of jobs) counts.set(state, (counts.get(state) ?? 0) + 1)
  return statesIn(counts)
}

const statesIn = (counts: ReadonlyMap<string, number>): FlowDetails['states'] =>
  [...counts].map(([state, jobs]) => ({ state, jobs }))

const alone = (job: FlowJobFacts): Line => ({
  ...{ depth: 0, name: job.name, jobs: [job], also: [] },
  states: new Map([[job.state, 1]]),
})

function withBehind(lines: readonly FlowLine[], tree: readonly Line[]): FlowLine[] {
  const behind = linesBehind(tree)
  return lines.map((line, n) => ({ ...line, behind: behind[n]?.slice(0, MOST_BEHIND) ?? [] }))
}

async function placeOf(call: Call): Promise<FlowPlace> {
  const found = await (await queueOf(call)).flows.place(idOf(call), call.path.job ?? '')
  if (!found) throw notFound(call)
  const { flow, job, next } = found
  return { flow, name: job.name, state: job.state, next: next.slice(0, MOST_NAMES), nextAll: next.length }
}

/** The flow of a job: what has ended says none, but is known to a flow that is at home in its queue. */
export async function flowOfJob(call: Call, { id, flow, ended }: JobDetails): Promise<Job['flow']> {
  const own = `${call.path.namespace}/${call.path.name}`
  if (flow) {
    const queue = flow.home === undefined ? own : taskQueuesByName(call).get(flow.home)
    return {
      id: flow.id,
      ...(flow.job !== undefined && { job: flow.job }),
      ...(queue !== undefined && { queue }),
    }
  }
  const [, flowId, job] = (ended && FLOW_JOB_ID.exec(id)) ?? []
  if (flowId === undefined || job === undefined) return undefined
  const queue = await queueOf(call)
  const place = await queue.flows.place(flowId, job)
  const isIts = place?.job.queue === queue.name && place.job.jobId === id
  return isIts ? { id: flowId, job, queue: own } : undefined
}

const idOf = ({ path: { flow = '' } }: Call): string => flow

function notFound({ path }: Call): Refused {
  const message = `there is no flow ${path.flow} in ${path.namespace}/${path.name}: it is kept in another queue, or was kept for its time`
  return new Refused(404, 'FLOW_NOT_FOUND', message)
}

const noSuchJob = ({ path }: Call, job: string) =>
  new Refused(404, 'FLOW_NOT_FOUND', `flow ${path.flow} has no job ${job}`)

/** `namespace/name` by the name in Redis. */
function taskQueuesByName({ parts }: Call): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  for (const object of parts.plant.list('TaskQueue')) {
    const { metadata, status } = object
    if (status?.queueName !== undefined && hasItsName(object))
      found.set(status.queueName, `${metadata.namespace}/${metadata.name}`)
  }
  return found
}

interface Known {
  /** The names of these jobs. */
  completed: ReadonlySet<string>
  taskQueues: ReadonlyMap<string, string>
}

const HAS_NO_JOB = ['waiting', 'skipped']

function lineOf({ name, depth, jobs, states }: Line, { completed, taskQueues }: Known): FlowLine {
  const [first] = jobs
  const { queue: queueName = '', jobId = '', state = '', after = [] } = first ?? {}
  const queue = taskQueues.get(queueName)
  const open: string[] = []
  const done: string[] = []
  for (const each of after) (completed.has(each) ? done : open).push(each)
  const names = [...open.slice(0, MOST_NAMES), ...done.slice(0, MOST_NAMES)]
  return {
    ...{ name, depth, jobs: jobs.length, queueName },
    states: statesIn(states),
    ...(queue !== undefined && { queue }),
    ...(jobs.length === 1 && !HAS_NO_JOB.includes(state) && { id: jobId }),
    ...{ after: names.slice(0, MOST_NAMES), afterAll: after.length, afterOpen: open.length },
  }
}

/** A batch has neither: its jobs are cancelled and retried as others are. */
function verbsOf({ state, batch }: FlowFacts): Verb[] {
  if (batch !== undefined) return []
  if (state === 'running' || state === 'failing') return ['cancel']
  return state === 'failed' || state === 'cancelled' ? ['retry'] : []
}

async function changed(
  call: Call<unknown, FlowRetry>,
  verb: Verb,
  done: readonly string[],
): Promise<FlowDone> {
  const id = idOf(call)
  const { reason, from } = call.body
  call.note({ ids: [from === undefined ? id : `${id}:${from}`], ...(reason !== undefined && { reason }) })
  const { flows } = await queueOf(call)
  const before = await flows.facts(id)
  if (!before) throw notFound(call)
  const mayBegin = verbsOf(before).includes(verb) || (from !== undefined && before.state === 'completed')
  if (!mayBegin) throw conflict(before, verb)
  if (from !== undefined && !(await flows.place(id, from))) throw noSuchJob(call, from)
  const state = await flows[verb](id, from === undefined ? {} : { from })
  if (state === 'unknown') throw notFound(call)
  if (!done.includes(state)) throw conflict({ ...before, state }, verb)
  return { id, state }
}

function conflict({ id, state, batch }: FlowFacts, verb: Verb): Refused {
  const remedy =
    batch === undefined
      ? `a flow that ${verb === 'cancel' ? 'runs can be cancelled' : 'failed or was cancelled can be retried'}`
      : `${verb} the jobs of a batch, by their tag`
  return new Refused(409, 'WRONG_STATE', `flow ${id} is ${state}: ${remedy}`, { state })
}
