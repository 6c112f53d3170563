// What a task adds to the flow of its job, through its worker (queue/flows.ts). calls.ts asks it.
import { CallRefused } from '../child/calls.ts'
import { fromEnvironment } from '../config.ts'
import { JOB_OPTIONS, type JobOptions, newJob } from '../job.ts'
import { checkOptions, type Rules, shown } from '../options.ts'
import { type Added, flowHead, type NewFlowJob, referencesIn } from '../queue/flows.ts'
import { queueName } from '../queue/keys.ts'
import { openQueue } from '../queue/queue.ts'
import type { ClaimedJob } from './observers.ts'
import { whileHeld } from './saving.ts'

interface Wanted {
  number: number
  queue: string
  task: string
  input?: unknown
  options: JobOptions & { after?: readonly string[] }
}

/** An id has room for the run of its flow. */
const MOST_ID = 128
const MOST_RUN = 999
const { id: _, unique: __, ...OF_A_JOB } = JOB_OPTIONS
const ADD_OPTIONS: Rules = {
  ...OF_A_JOB,
  after: { isValid: areNames, is: 'a list of names of jobs of the flow' },
}
const WHY: Readonly<Record<Exclude<Added, 'added' | 'known'>, string>> = {
  unknown: 'it waits for a job that its flow does not have',
  full: 'its flow has 20,000 jobs; use a batch',
  over: 'its flow does not run any more: a job has failed, or it was cancelled',
}

/** Answers the name of the new job, as JSON. */
export async function addToFlow(job: ClaimedJob, body: string): Promise<string> {
  const [, home] = / f=([^\s/]+)/.exec(job.claim.envelope.split('\n', 1)[0] ?? '') ?? []
  if (home === undefined)
    throw new CallRefused('NO_FLOW', 'this job belongs to no flow: job.add is for jobs of flows')
  const wanted = newFlowJob(job.claim.id, home, body)
  const became = await whileHeld(job, ({ redis }) => openQueue(redis, home).flows.add(job.claim.id, wanted))
  if (became !== 'added' && became !== 'known')
    throw new CallRefused('NOT_ADDED', `${wanted.name} was not added: ${WHY[became]}`)
  return JSON.stringify(wanted.name)
}

function newFlowJob(id: string, home: string, body: string): NewFlowJob {
  try {
    const { number, queue, task, input, options } = JSON.parse(body) as Wanted
    if (!Number.isSafeInteger(number) || number < 0) throw new TypeError(`invalid number ${shown(number)}`)
    checkOptions('option of an added job', options, ADD_OPTIONS)
    const { after = [], ...rest } = options
    const made = newJob(task, input, rest)
    if (referencesIn(made.payload) > 0)
      throw new TypeError(
        'the input of an added job has an object that would be taken for a reference to a result',
      )
    const [flow, by] = id.split(':')
    const name = `${by}.${number}`
    if (`${flow}:${name}:${MOST_RUN}`.length > MOST_ID)
      throw new TypeError(`the name ${name} is too long: jobs that add others need shorter names`)
    return {
      ...{ name, queue: queueName(fromEnvironment().namespace, queue), after },
      ...{ head: flowHead(made, home), payload: made.payload },
    }
  } catch (error) {
    throw new CallRefused('INVALID_CALL', error instanceof Error ? error.message : String(error))
  }
}

function areNames(value: unknown): boolean {
  return (
    Array.isArray(value) &&
    value.every((each) => typeof each === 'string' && /^[A-Za-z0-9._-]{1,80}$/.test(each))
  )
}
