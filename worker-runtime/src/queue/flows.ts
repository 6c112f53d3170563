// The verbs of flows: jobs of any queues, some of which wait for others (lua/flow.lua). The queue that is asked is
// the flow's home.
import { randomBytes } from 'node:crypto'
import type { NewJob } from '../job.ts'
import { RedisUnavailable } from '../redis/connection.ts'
import {
  amountOf,
  listOf,
  numberOf,
  oneOf,
  optionalOf,
  pairsOf,
  RedisDataInvalid,
  textOf,
} from './answers.ts'
import { forwarding } from './outbox.ts'
import type { Verb } from './scripts.ts'
import type { Arguments, Verbs } from './verbs.ts'

export const FLOW_STATES = [
  ...(['running', 'failing', 'compensating', 'cancelling'] as const),
  ...(['completed', 'failed', 'cancelled'] as const),
] as const
/** The last three are ends; lua/flow.lua has the arrows between them. */
export type FlowState = (typeof FLOW_STATES)[number]

/** What will be enqueued: `<namespace>.<name>` of the queue, and the texts of an enqueue. */
export interface FlowCall {
  readonly queue: string
  readonly head: string
  readonly payload: string
}

export interface NewFlowJob extends FlowCall {
  readonly name: string
  /** The names of the jobs that it waits for. */
  readonly after: readonly string[]
  readonly compensate?: FlowCall | undefined
}

export const CALLBACKS = ['onSuccess', 'onFailure', 'onComplete'] as const
export type Callback = (typeof CALLBACKS)[number]

export interface NewFlow {
  readonly id: string
  readonly onFailure: 'stop' | 'continue' | 'batch'
  /** How long it is known after its end. */
  readonly keepMs: number
  /** What has not started then, from its start, expires. */
  readonly expiresInMs: number | undefined
  /** JSON text with references to results. */
  readonly returns: string
  readonly callbacks: Readonly<Partial<Record<Callback, FlowCall>>>
  readonly jobs: readonly NewFlowJob[]
}

/** The numbers of a flow and its state; the same cost for any number of jobs. */
export interface FlowFacts {
  readonly id: string
  readonly state: FlowState
  /** 1, and one more with each retry. */
  readonly run: number
  readonly startedAtMs: number
  readonly endedAtMs?: number
  /** What has not started by then expires. */
  readonly expiresAtMs?: number
  readonly jobs: number
  readonly waiting: number
  /** Enqueued and not ended: ready, delayed or held, or on their way to their queue. */
  readonly enqueued: number
  readonly completed: number
  /** Buried, cancelled, expired, deleted, lost, taken or too-large. */
  readonly failed: number
  /** They will not be enqueued, because of a failure or a cancellation. */
  readonly skipped: number
  /** Of a batch: an open one takes jobs, and does not end. */
  readonly batch?: (typeof BATCH_STATES)[number]
  /** Why it does not complete: the first job that failed, and how; no job where the flow was cancelled. */
  readonly because?: { readonly job?: string; readonly how: string }
}

export interface FlowJobFacts {
  readonly name: string
  /**
   * waiting, enqueued, completed, skipped, compensated; or how it failed: buried, cancelled, expired, deleted, lost
   * (its keys are not there), taken (its id is that of another job), too-large.
   */
  readonly state: string
  readonly queue: string
  readonly jobId: string
  /** The names of the jobs that it waits for, or waited for. */
  readonly after: readonly string[]
}

export interface FlowDetails extends FlowFacts {
  /** In the order of their names. */
  readonly flowJobs: readonly FlowJobFacts[]
}

/** Where one job stands in its flow. */
export interface FlowPlace {
  readonly flow: FlowFacts
  readonly job: Omit<FlowJobFacts, 'after'>
  /** The names of the jobs that wait for it, or waited. */
  readonly next: readonly string[]
}

export interface FlowsPage {
  readonly total: number
  readonly flows: readonly FlowFacts[]
  readonly cursor?: string
}

const BATCH_STATES = ['open', 'closed'] as const
const MAX_NAME = 512
const MOST_FLOWS_A_PAGE = 200
/** How many flows the pages had, the score of their last one, its id. */
const CURSOR = /^(\d{1,9}) (\d{1,16}|inf|-) (.{1,512})$/s

/**
 * Answers whether the flow is new; one whose id is known is left alone. One of many jobs is sent in pieces, and begins when
 * all of them are there.
 */
async function start(verbs: Verbs, flow: NewFlow): Promise<boolean> {
  const pieces = [...piecesOf(flow.jobs)]
  const stage = pieces.length > 1 ? randomBytes(8).toString('hex') : ''
  for (const piece of stage === '' ? [] : pieces)
    await verbs.write('flow-stage', [flow.id, stage, ...piece], (answer) => amountOf(answer, 'staged jobs'))
  const callbacks = CALLBACKS.map((when) => callText(flow.callbacks[when]))
  const facts = [flow.id, flow.onFailure, flow.keepMs, flow.expiresInMs ?? '', flow.returns, ...callbacks]
  const args = [...facts, flow.jobs.length, stage, ...(stage === '' ? pieces.flat() : [])]
  const [isNew] = await decided(verbs, 'flow-start', args)
  if (isNew === -1)
    throw new RedisUnavailable(`Redis has lost jobs of flow ${flow.id} before it was started`, {
      maybeDone: false,
    })
  return isNew === 1
}

const MOST_JOBS_A_CALL = 400
/** 20,000 jobs are at least 20 slices, and a table that grows may be walked more than once. */
const MOST_SLICES = 1_000
const MOST_BYTES_A_CALL = 1_000_000

/** What a script takes of each job, in pieces for one call each. */
function* piecesOf(jobs: readonly NewFlowJob[]): Generator<(string | number)[]> {
  const following = new Map<string, string[]>()
  for (const { name, after } of jobs)
    for (const before of after) {
      const known = following.get(before)
      if (known) known.push(name)
      else following.set(before, [name])
    }
  let piece: (string | number)[] = []
  let bytes = 0
  for (const { name, queue, head, payload, after, compensate } of jobs) {
    const texts = [
      queue,
      head,
      payload,
      after.length,
      following.get(name)?.join(' ') ?? '',
      callText(compensate),
    ]
    piece.push(name, ...texts)
    bytes += texts.reduce<number>((all, text) => all + String(text).length, 0)
    if (piece.length < MOST_JOBS_A_CALL * 7 && bytes < MOST_BYTES_A_CALL) continue
    yield piece
    piece = []
    bytes = 0
  }
  if (piece.length > 0) yield piece
}

/** Answers the state then: cancelling where jobs have to end first. */
async function cancel(verbs: Verbs, id: string): Promise<FlowState | 'unknown'> {
  return stateOf((await decided(verbs, 'flow-cancel', [id]))[0])
}

/**
 * Answers 'running', or the state in which a flow is not retried. From a job on: that one and all behind it run again, also
 * where they have completed, and in a flow that has completed. Throws TypeError where the flow has no such job.
 */
async function retry(
  verbs: Verbs,
  id: string,
  { from }: { from?: string } = {},
): Promise<FlowState | 'unknown'> {
  const again = from === undefined ? [] : await fromOn(verbs, id, from)
  return stateOf((await decided(verbs, 'flow-retry', [id, ...again]))[0])
}

/** A job and all that waits for it, directly or by others; none of an unknown flow. */
async function fromOn(verbs: Verbs, id: string, name: string): Promise<string[]> {
  const found = await details(verbs, id)
  if (!found) return []
  if (!found.flowJobs.some((job) => job.name === name)) throw new TypeError(`flow ${id} has no job ${name}`)
  const behind = new Map<string, string[]>(found.flowJobs.map((job) => [job.name, []]))
  for (const job of found.flowJobs) for (const before of job.after) behind.get(before)?.push(job.name)
  const names = new Set([name])
  for (const each of names) for (const next of behind.get(each) ?? []) names.add(next)
  return [...names]
}

/** For the job with this id, which runs. What waits for that one waits for the new one too. */
async function add(
  verbs: Verbs,
  by: string,
  { name, queue, head, payload, after }: NewFlowJob,
): Promise<Added> {
  const [became] = await decided(verbs, 'flow-add', [by, name, queue, head, payload, after.join(' '), ''])
  return oneOf(became, 'a job that was added to a flow', ADDED)
}
const ADDED = ['added', 'known', 'unknown', 'full', 'over'] as const
/** known: nothing was done; the last three: it was refused (lua/flow-add.lua). */
export type Added = (typeof ADDED)[number]

/** Jobs of this queue for an open batch, all or none, at most 1,000. Answers how many are new. */
async function addToBatch(verbs: Verbs, id: string, jobs: readonly NewJob[]): Promise<number> {
  const args = jobs.flatMap((job) => [job.id, flowHead(job, `/${id}`), job.payload])
  return verbs.write('batch-add', [id, ...args], (answer) => amountOf(answer, 'new jobs'))
}

async function closeBatch(verbs: Verbs, id: string): Promise<FlowState | 'unknown'> {
  return stateOf((await decided(verbs, 'batch-close', [id]))[0])
}

/** Undefined where it is not known, or no more. */
async function facts(verbs: Verbs, id: string): Promise<FlowFacts | undefined> {
  return factsIn(id, listOf(await verbs.run('flow-look', [id, '']), 'a flow')[0])
}

/** Of a flow of more than 1,000 jobs each is seen at another moment: Redis serves others between slices of them. */
async function details(verbs: Verbs, id: string): Promise<FlowDetails | undefined> {
  const jobs = new Map<string, JobText>()
  const facts = new Map<string, unknown>()
  const texts = new Map<string, JobText>()
  let [at, slices] = ['0', 0]
  do {
    const [slice, end] = listOf(await verbs.run('flow-look', [id, 'jobs', at]), 'a flow', 2)
    const fields = listOf(slice, 'a slice of a flow')
    for (let n = 0; n < fields.length; n += 2) {
      const name = nameIn(fields[n])
      if (name === undefined) facts.set(String(fields[n]), fields[n + 1])
      else jobs.set(name, jobTextOf(fields[n + 1], texts))
    }
    at = textOf(end, 'the end of a slice of a flow', 20)
    slices += 1
    if (slices === MOST_SLICES) throw new RedisDataInvalid('how many slices a flow has', slices)
  } while (at !== '0')
  const found = factsOf(id, facts)
  return found && { ...found, flowJobs: flowJobsOf(found, jobs) }
}

/** The name of a job whose field this is. */
const nameIn = (field: unknown): string | undefined =>
  typeof field === 'string' && field.startsWith('job:')
    ? textOf(field.slice(4), 'a job of a flow', MAX_NAME)
    : undefined

function flowJobsOf(flow: FlowFacts, jobs: ReadonlyMap<string, JobText>): FlowJobFacts[] {
  const names = [...jobs.keys()].sort()
  const after = new Map<string, string[]>()
  for (const name of names)
    for (const next of jobs.get(name)?.next ?? NOTHING) {
      const known = after.get(next)
      if (known) known.push(name)
      else after.set(next, [name])
    }
  const found: FlowJobFacts[] = []
  for (const name of names) {
    const job = jobs.get(name)
    if (job) found.push({ ...flowJobOf(flow, name, job), after: after.get(name) ?? NOTHING })
  }
  return found
}
const NOTHING: readonly string[] = []

/** What waits when its flow does not go on is skipped. */
const stateIn = (flow: FlowFacts, { state }: JobText): string =>
  state === 'waiting' && flow.state !== 'running' ? 'skipped' : state

const flowJobOf = (flow: FlowFacts, name: string, job: JobText): Omit<FlowJobFacts, 'after'> => ({
  ...{ name, state: stateIn(flow, job), queue: job.queue },
  jobId: `${flow.id}:${name}${job.run === '1' ? '' : `:${job.run}`}`,
})

/** Undefined where there is no such job or flow; costs the same for any number of jobs. */
async function place(verbs: Verbs, id: string, name: string): Promise<FlowPlace | undefined> {
  const [known, text] = listOf(await verbs.run('flow-look', [id, 'job', name]), 'a flow')
  const flow = factsIn(id, known)
  if (!flow || text === '') return undefined
  const job = jobTextIn(textOf(text, 'a job of a flow', Number.POSITIVE_INFINITY))
  return { flow, job: flowJobOf(flow, name, job), next: job.next }
}

/** The facts, and whether the client with this name will hear of the end. */
async function wait(
  verbs: Verbs,
  id: string,
  client: string,
): Promise<{ facts: FlowFacts; isNoted: boolean } | undefined> {
  const [known, noted] = listOf(await verbs.run('flow-look', [id, 'wait', client]), 'a flow')
  const found = factsIn(id, known)
  return found && { facts: found, isNoted: noted === 1 }
}

/** JSON text: what the flow returns, with the results that there are, and null for others. */
async function result(verbs: Verbs, id: string): Promise<string | undefined> {
  const [, json] = listOf(await verbs.run('flow-look', [id, 'result']), 'a flow')
  return json === undefined ? undefined : textOf(json, 'the result of a flow', Number.POSITIVE_INFINITY)
}

/**
 * Those that run, then those that ended last; at most 200 a page. The cursor of a page leads to the next one, and is
 * absent on the last. Throws TypeError for another text as cursor.
 */
async function list(
  verbs: Verbs,
  { limit = 50, cursor = '0 - -' }: { limit?: number; cursor?: string } = {},
): Promise<FlowsPage> {
  const [, before, score = '', last = ''] = CURSOR.exec(cursor) ?? []
  if (before === undefined) throw new TypeError('invalid cursor: use that of the last page')
  const most = Math.min(limit, MOST_FLOWS_A_PAGE)
  const [total, ...rest] = listOf(await verbs.run('flows', [most, before, last, score]), 'a list of flows')
  const found = Array.from({ length: Math.floor(rest.length / 3) }, (_, i) => rest.slice(3 * i, 3 * i + 3))
  const flows = found.map(([id, , known]) => factsIn(textOf(id, 'the id of a flow', MAX_NAME), known))
  const [id, itsScore] = found.at(-1) ?? []
  return {
    total: amountOf(total, 'flows'),
    flows: flows.filter((each) => each !== undefined),
    ...(found.length === most && { cursor: `${Number(before) + most} ${itsScore} ${id}` }),
  }
}

export const flowing = {
  start,
  cancel,
  retry,
  facts,
  details,
  place,
  wait,
  result,
  list,
  add,
  addToBatch,
  closeBatch,
}

/** A script that may have written something for other queues; where no worker takes it there, this process does. */
async function decided(verbs: Verbs, verb: Verb, args: Arguments): Promise<unknown[]> {
  const answer = await verbs.write(verb, args, (said) => listOf(said, 'what became of a flow', 2))
  if (answer[1] === 1) await forwarding.forward(verbs)
  return answer
}

/** As an enqueue has it (lua/enqueue.lua), and the home of the flow that the job belongs to. */
export function flowHead({ flags, lane, when, call }: NewJob, home: string): string {
  return `${String.fromCharCode(flags.charCodeAt(0) + FLOW)}${lane} ${when || '-'} ${call} f=${home}`
}
/** Said of a job by its flags (lua/text.lua). */
const FLOW = 32

/** How many references to results a text has (lua/flow.lua puts the results there). */
export const referencesIn = (json: string): number => json.match(REFERENCE)?.length ?? 0
const REFERENCE = /\{"millhand:(?:results?|added)":"[\w.-]+ ?\d*"\}/g

const callText = (call: FlowCall | undefined): string =>
  call ? `${call.queue} ${call.head}\n${call.payload}` : ''

const stateOf = (value: unknown): FlowState | 'unknown' => oneOf(value, 'a flow', [...FLOW_STATES, 'unknown'])

const factsIn = (id: string, flat: unknown): FlowFacts | undefined =>
  factsOf(id, new Map(pairsOf(flat).map(([name, value]) => [String(name), value])))

function factsOf(id: string, of: ReadonlyMap<string, unknown>): FlowFacts | undefined {
  if (of.size === 0) return undefined
  const amount = (name: string) => amountOf(of.get(name) ?? 0, `flow.${name}`)
  const jobs = amount('jobs')
  const enqueued = amount('enqueued')
  const ended = { completed: amount('completed'), failed: amount('failed'), skipped: amount('skipped') }
  const endedAtMs = optionalOf(of.get('endedMs'), 'flow.endedMs')
  const expiresAtMs = optionalOf(of.get('expiresMs'), 'flow.expiresMs')
  const because = of.get('because')
  const batch = of.get('batch')
  return {
    id,
    state: oneOf(of.get('state'), 'a flow', FLOW_STATES),
    run: amount('run'),
    startedAtMs: numberOf(of.get('startedMs'), 'flow.startedMs', { least: 0, most: Number.MAX_SAFE_INTEGER }),
    ...(endedAtMs !== undefined && { endedAtMs }),
    ...(expiresAtMs !== undefined && { expiresAtMs }),
    jobs,
    enqueued,
    ...ended,
    // A compensation runs beside the jobs of the flow.
    waiting: Math.max(0, jobs - enqueued - ended.completed - ended.failed - ended.skipped),
    ...(batch !== undefined && { batch: oneOf(batch, 'a batch', BATCH_STATES) }),
    ...(because !== undefined && { because: becauseOf(because) }),
  }
}

function becauseOf(value: unknown): { job?: string; how: string } {
  const [job = '-', how = ''] = textOf(value, 'flow.because', MAX_NAME).split(' ')
  return job === '-' ? { how } : { job, how }
}

/** What Redis has of a job. */
interface JobText {
  readonly state: string
  readonly queue: string
  readonly run: string
  /** The names of the jobs that wait for it. */
  readonly next: readonly string[]
}

/** Each text is read once: most jobs of a large flow have the same one. */
function jobTextOf(value: unknown, known: Map<string, JobText>): JobText {
  const text = textOf(value, 'a job of a flow', Number.POSITIVE_INFINITY)
  const read = known.get(text) ?? jobTextIn(text)
  known.set(text, read)
  return read
}

function jobTextIn(text: string): JobText {
  const [, state, queue, run, next] = FLOW_JOB.exec(text) ?? []
  if (state === undefined || queue === undefined || run === undefined || next === undefined)
    throw new RedisDataInvalid('a job of a flow', text)
  return {
    state: state === 'again' ? 'waiting' : state, // a retry has not come to it yet
    ...{ queue, run, next: next === '' ? NOTHING : next.trim().split(' ') },
  }
}
/** State, queue, run, how many jobs it waits for, those that wait for it (lua/flow.lua). */
const FLOW_JOB = /^(\S{1,512}) (\S{1,512}) (\d{1,9}) \d+u?((?: \S+)*)$/
