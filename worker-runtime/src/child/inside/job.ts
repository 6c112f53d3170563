// The `job` of a task (task.ts), made of an attempt in this child. entry.ts runs the task with it.
import { format } from 'node:util'
import { scheduleOf } from '../../scheduled-run.ts'
import type { Job } from '../../task.ts'
import { type FromChild, MAX_CALL_BYTES, type Stream, type ToChild } from '../messages.ts'
import { Adding } from './adding.ts'
import type { Calls } from './calls.ts'
import type { LateSignal } from './late-signal.ts'
import { Progress } from './progress.ts'
import { Steps } from './steps.ts'
import { encodeValue } from './values.ts'

export type Order = Extract<ToChild, { kind: 'attempt' }>

/** An attempt with the features that its task has used. */
export interface Performed {
  readonly id: number
  readonly order: Order
  readonly ending: LateSignal // job.signal
  readonly draining: LateSignal
  progress?: Progress // made at the first use
  adding?: Adding // made at the first use
  steps?: Steps // made at the first use
}

/** To the worker. */
export interface Ways {
  readonly calls: Calls
  isRunning(id: number): boolean
  send(message: FromChild): void
  sendOutput(attempt: Performed, stream: Stream, output: Buffer): void
}

export function jobOf(attempt: Performed, ways: Ways): Job {
  const { jobId, queue, task, enqueuedAtMs, headers = {}, attempt: number } = attempt.order
  return {
    id: jobId,
    queue,
    task,
    attempt: number,
    enqueuedAtMs,
    headers,
    get schedule() {
      return scheduleOf(jobId)
    },
    get signal() {
      return attempt.ending.signal
    },
    get draining() {
      return attempt.draining.signal
    },
    progress: (value) => report(attempt, ways, value),
    step: (name, work) => stepsOf(attempt, ways).step(name, work) as Promise<never>,
    checkpoint: (value) => stepsOf(attempt, ways).checkpoint(value),
    lastCheckpoint: () => stepsOf(attempt, ways).lastCheckpoint(),
    add: (queue: string, name: string, input?: unknown, options = {}) => {
      attempt.adding ??= new Adding((verb, body) => ways.calls.ask(attempt.id, verb, body))
      return attempt.adding.add(queue, name, input, options)
    },
    enqueue: (queue, task, input?: unknown, options?: object) =>
      enqueue(attempt, ways, { queue, task, input, options }),
    log: (...parts) => ways.sendOutput(attempt, 'stdout', Buffer.from(`${format(...parts)}\n`)),
  }
}

function report(attempt: Performed, { calls, isRunning, send }: Ways, value: unknown): Promise<void> {
  const { id } = attempt
  attempt.progress ??= new Progress({
    send: (progress) => isRunning(id) && send({ kind: 'progress', id, progress }),
    isInRedis: () => calls.ask(id, 'progress'),
  })
  try {
    return attempt.progress.report(value)
  } catch (error) {
    return Promise.reject(error)
  }
}

function stepsOf(attempt: Performed, { calls }: Ways): Steps {
  attempt.steps ??= new Steps((verb, body) => calls.ask(attempt.id, verb, body))
  return attempt.steps
}

/** A larger frame would end the child. */
async function enqueue({ id }: Performed, { calls }: Ways, job: object): Promise<string> {
  const body = encodeValue(job, 'the job to enqueue')
  const bytes = Buffer.byteLength(body)
  if (bytes > MAX_CALL_BYTES)
    throw new RangeError(
      `the job to enqueue has ${bytes} bytes; a task may send ${MAX_CALL_BYTES}: store the data elsewhere and enqueue where it is`,
    )
  return JSON.parse(await calls.ask(id, 'enqueue', body))
}
