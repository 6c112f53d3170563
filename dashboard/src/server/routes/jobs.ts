// Jobs: pages of them, one of them with payload and result, enqueue, retry, cancel, delete.
import { whyWithPools } from '@millhand/control/decide/why'
import {
  failureText,
  type JobDetails,
  type JobOptions,
  newJob,
  parseFilter,
  type Queue,
} from 'millhand/queue'
import {
  Enqueued,
  EnqueueRequest,
  Job,
  JobDone,
  JobsPage,
  JsonText,
  MOST_ROWS,
  Reason,
  RestEnded,
  Result,
  Why,
} from '../../api.ts'
import { optional, text, whole } from '../../schema.ts'
import { badRequest, Refused } from '../refused.ts'
import { type Call, type Route, route } from '../route.ts'
import { flowOfJob } from './flows.ts'
import { jobOf, jsonTextOf, rowOf } from './job-shapes.ts'
import { jobNotFound, queueOf, taskQueueOf } from './resources.ts'

const JOB = '/queues/{namespace}/{name}/jobs/{id}'
const MAX_ENQUEUE_BYTES = 17 * 1024 * 1024
const MAX_WAIT_MS = 30_000

export const jobRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/queues/{namespace}/{name}/jobs',
    summary: 'A page of the jobs that match a filter',
    permission: { resource: 'jobs', verb: 'list' },
    query: {
      filter: optional(
        text('Like: state:failed task:Send* since:2h; docs/commands.md has the language', { max: 1_000 }),
      ),
      cursor: optional(text('The cursor of the page before', { max: 8_000 })),
      limit: optional(whole('Jobs of this page; default: 50', { min: 1, max: MOST_ROWS })),
    },
    answer: JobsPage,
    handle: jobsPage,
  }),
  route({
    method: 'POST',
    path: '/queues/{namespace}/{name}/jobs',
    summary: 'Enqueues a job',
    permission: { resource: 'jobs', verb: 'create' },
    body: EnqueueRequest,
    maxBodyBytes: MAX_ENQUEUE_BYTES,
    answer: Enqueued,
    handle: enqueue,
  }),
  route({
    method: 'GET',
    path: JOB,
    summary: 'All that is known of a job, without payload and result',
    permission: { resource: 'jobs', verb: 'get' },
    answer: Job,
    handle: async (call) => {
      const details = await detailsOf(call)
      const flow = await flowOfJob(call, details)
      return { ...jobOf(details, taskQueueOf(call), call.parts.redact), ...(flow && { flow }) }
    },
  }),
  route({
    method: 'GET',
    path: `${JOB}/payload`,
    summary: 'The payload of a job, at most its first 64 KB',
    permission: { resource: 'jobs/payload', verb: 'get' },
    answer: JsonText,
    handle: async (call) => {
      const { envelope, task } = await detailsOf(call)
      if (!envelope)
        throw new Refused(404, 'NO_PAYLOAD', `job ${call.path.id} has ended: its payload is not kept`)
      return jsonTextOf(envelope.payload, task, call.parts.redact)
    },
  }),
  route({
    method: 'GET',
    path: `${JOB}/result`,
    summary: 'How a job ended; waits for its end where waitMs is given',
    permission: { resource: 'jobs/payload', verb: 'get' },
    query: { waitMs: optional(whole('How long to wait; ms', { max: MAX_WAIT_MS })) },
    answer: Result,
    handle: resultOf,
  }),
  route({
    method: 'GET',
    path: `${JOB}/why`,
    summary: 'Why a job does not run: the first cause first, those of its pools too',
    permission: { resource: 'jobs', verb: 'get' },
    answer: Why,
    handle: whyOf,
  }),
  route({
    method: 'POST',
    path: `${JOB}/retry`,
    summary: 'Gives a buried job all its attempts again',
    permission: { resource: 'jobs', verb: 'retry' },
    answer: JobDone,
    handle: (call) => changed(call, retry, ['buried']),
  }),
  route({
    method: 'POST',
    path: `${JOB}/cancel`,
    summary: 'Cancels a job that has not ended',
    permission: { resource: 'jobs', verb: 'cancel' },
    answer: JobDone,
    handle: (call) => changed(call, (queue, id) => queue.cancel(id), ['ready', 'delayed', 'held']),
  }),
  route({
    method: 'POST',
    path: `${JOB}/resume`,
    summary: 'Ends the rest that its task asked for (RetryAfter): the job is ready now',
    permission: { resource: 'jobs', verb: 'retry' },
    body: Reason,
    answer: RestEnded,
    handle: async (call) => {
      call.note({ ...call.body, ids: [idOf(call)] })
      return { wasResting: await (await queueOf(call)).endRest({ job: idOf(call) }) }
    },
  }),
  route({
    method: 'DELETE',
    path: JOB,
    summary: 'Deletes a job that has ended or is buried',
    permission: { resource: 'jobs', verb: 'delete' },
    answer: JobDone,
    handle: (call) => changed(call, remove, ['buried', 'completed', 'cancelled', 'expired']),
  }),
]

async function jobsPage(call: Call<{ filter?: string; cursor?: string; limit?: number }>): Promise<JobsPage> {
  const { filter = '', ...page } = call.query
  const parsed = parseFilter(filter, call.parts.wallMs())
  const queue = await queueOf(call)
  const { jobs, ...rest } = await queue.find(parsed, page)
  return { jobs: jobs.map((job) => rowOf(job, call.parts.redact)), ...rest }
}

async function enqueue(call: Call<unknown, EnqueueRequest>): Promise<Enqueued> {
  const { task, input, atMs, unique, ...options } = call.body
  const job = checkedJob(task, input, {
    ...options,
    ...(atMs !== undefined && { at: new Date(atMs) }),
    ...(unique && { unique: uniqueOf(unique) }),
  })
  call.note({ ids: [job.id] })
  const queue = await queueOf(call)
  const [answer = 'created'] = await queue.enqueue([job])
  return typeof answer === 'object' ? answer : { id: job.id, enqueued: answer }
}

function uniqueOf({
  forMs,
  ...unique
}: NonNullable<EnqueueRequest['unique']>): NonNullable<JobOptions['unique']> {
  if (forMs === undefined) return unique
  if (unique.while !== undefined) throw badRequest('invalid unique: give while or forMs, not both')
  return { ...unique, while: { forMs } }
}

function checkedJob(...args: Parameters<typeof newJob>): ReturnType<typeof newJob> {
  try {
    return newJob(...args)
  } catch (error) {
    throw error instanceof TypeError ? badRequest(error.message) : error
  }
}

async function detailsOf(call: Call): Promise<JobDetails> {
  const queue = await queueOf(call)
  const details = await queue.job(idOf(call))
  if (!details) throw jobNotFound(call)
  return details
}

const idOf = ({ path }: Call): string => path.id ?? ''

/** Looks again after longer and longer pauses; a look costs no payload. */
async function resultOf(call: Call<{ waitMs?: number }>): Promise<Result> {
  const { query, signal, parts } = call
  const queue = await queueOf(call)
  const id = idOf(call)
  const untilMs = parts.wallMs() + (query.waitMs ?? 0)
  for (let pauseMs = 20; ; pauseMs = Math.min(1_000, pauseMs * 1.5)) {
    const said = await queue.unwait(id, '')
    if (typeof said === 'object') {
      const { state, result, task } = said
      return { id, state, ...(state === 'completed' && { result: jsonTextOf(result, task, parts.redact) }) }
    }
    if (said === 'unknown') throw jobNotFound(call)
    if (said === 'buried') return { id, state: said, ...(await whyBuried(queue, id)) }
    const leftMs = untilMs - parts.wallMs()
    if (leftMs <= 0 || signal.aborted) return { id, state: said }
    await pause(Math.min(pauseMs, leftMs), signal)
  }
}

async function whyBuried(queue: Queue, id: string): Promise<{ why?: string }> {
  const last = (await queue.job(id))?.failures.at(-1)
  return last ? { why: failureText(last) } : {}
}

async function whyOf(call: Call): Promise<Why> {
  const { namespace, name } = call.path
  const queue = await queueOf(call)
  const why = await queue.why(idOf(call))
  if (!why) throw jobNotFound(call)
  const pools = [...call.parts.plant.find('WorkerPool', 'queue', `${namespace}/${name}`)]
  // What holds up a job that waits in a flow may be a job of another queue.
  const causes = why.state === 'waiting' ? why.causes : whyWithPools(why.causes, name ?? '', pools)
  return { ...why, causes: causes.map((cause) => ({ ...cause, text: call.parts.redact.text(cause.text) })) }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done, { once: true })
    function done() {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
  })
}

type Verb = (queue: Queue, id: string) => Promise<string>

const retry: Verb = async (queue, id) => (await queue.retry([id]))[0] ?? 'unknown'
const remove: Verb = async (queue, id) => (await queue.delete([id]))[0] ?? 'unknown'

/** A verb answers the state of a job that it leaves alone; some of them are also what becomes of one. */
async function changed(call: Call, verb: Verb, states: readonly string[]): Promise<JobDone> {
  const id = idOf(call)
  call.note({ ids: [id] })
  const queue = await queueOf(call)
  const said = await queue.unwait(id, '')
  const before = typeof said === 'object' ? said.state : said
  if (before === 'unknown') throw jobNotFound(call)
  if (!states.includes(before)) throw conflict(id, before, states)
  const state = await verb(queue, id)
  if (state === 'unknown') throw jobNotFound(call)
  if (state === 'key-taken')
    throw new Refused(409, 'KEY_TAKEN', `job ${id} stays buried: another job has its unique key`)
  return { id, state: state as JobDone['state'] }
}

function conflict(id: string, state: string, states: readonly string[]): Refused {
  const message = `job ${id} is ${state}; this can be done with a job that is ${states.join(' or ')}`
  return new Refused(409, 'WRONG_STATE', message, { state })
}
