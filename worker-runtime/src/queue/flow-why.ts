// Why a job of a flow is not enqueued: what it waits for, what holds that up, and so on (why.ts asks, of the home of the flow).
import type { Cause, Why } from './cause.ts'
import { type FlowDetails, type FlowFacts, type FlowJobFacts, flowing } from './flows.ts'
import { isQueueName } from './keys.ts'
import type { Verbs } from './verbs.ts'

type AskWhy = (verbs: Verbs, id: string) => Promise<Why | undefined>

const JOB_OF_FLOW = /^([^:]+):([^:]+)/
/** Of a long chain so many links are told. */
const MOST_LINKS = 10
const MOST_NAMED = 3

/** Undefined where this queue is the home of no flow with such a job, or the job was enqueued and has ended. */
export async function whyInFlow(home: Verbs, id: string, ask: AskWhy): Promise<Why | undefined> {
  const [, flow, name] = JOB_OF_FLOW.exec(id) ?? []
  const found = flow === undefined ? undefined : await flowing.details(home, flow)
  const job = found?.flowJobs.find((each) => each.name === name)
  if (!found || !job) return undefined
  if (job.state === 'skipped') return { id, state: 'skipped', causes: [whySkipped(found)] }
  if (job.state === 'waiting' || job.state === 'enqueued')
    return { id, state: 'waiting', causes: await chainOf(job, found, (queue, of) => ask(home.of(queue), of)) }
  return undefined
}

function whySkipped({ because }: FlowFacts): Cause {
  const why = because?.job === undefined ? 'its flow was cancelled' : `job ${because.job} is ${because.how}`
  return { code: 'skipped', text: `it will not run: ${why}` }
}

/** From the job to one that is enqueued, and why that one does not run. */
async function chainOf(
  job: FlowJobFacts,
  { flowJobs }: FlowDetails,
  ask: (queue: string, id: string) => Promise<Why | undefined>,
): Promise<Cause[]> {
  const jobs = new Map(flowJobs.map((each) => [each.name, each]))
  const causes: Cause[] = []
  let at = job
  while (at.state === 'waiting' && causes.length < MOST_LINKS) {
    const before = at.after
      .toSorted()
      .flatMap((name) => jobs.get(name) ?? [])
      .filter(isUnfinished)
    const first = before.find(({ state }) => state === 'enqueued') ?? before[0]
    if (!first) break
    const text = `${at === job ? 'it' : at.name} waits for ${namesOf(before)}`
    causes.push({ code: 'waits-for', text, subject: first.name })
    at = first
  }
  const isCutOff = at.state === 'waiting' && causes.length === MOST_LINKS
  return isCutOff ? causes : [...causes, ...(await whyEnqueued(at, ask))]
}

async function whyEnqueued(
  { name, state, queue, jobId }: FlowJobFacts,
  ask: (queue: string, id: string) => Promise<Why | undefined>,
): Promise<Cause[]> {
  const found = state === 'enqueued' && isQueueName(queue) ? await ask(queue, jobId) : undefined
  if (found)
    return found.causes.map((cause) => ({ ...cause, text: `${name} is ${found.state}: ${cause.text}` }))
  return [{ code: 'on-its-way', text: `${name} is on its way to the queue ${queue}`, subject: name }]
}

const isUnfinished = ({ state }: FlowJobFacts): boolean => state === 'waiting' || state === 'enqueued'

function namesOf(jobs: readonly FlowJobFacts[]): string {
  const named = jobs.slice(0, MOST_NAMED).map(({ name }) => name)
  const others = jobs.length - named.length
  return others > 0 ? `${named.join(', ')} and ${others} more` : named.join(' and ')
}
