// A job as the client sees it after the enqueue: its state, its result, cancel and delete. Made by client.ts.
import { checkOptions, type Rules } from '../options.ts'
import type { Enqueued } from '../queue/enqueue.ts'
import type { Queue } from '../queue/queue.ts'
import type { JobDetails, JobState } from '../queue/reads.ts'
import { askUntilDeadline } from './asking.ts'
import { type EndMessages, resultOf } from './result.ts'

/** The options of `result()`. */
export interface ResultOptions {
  /** How long to wait before ResultTimeout; ms, default: for ever. */
  timeoutMs?: number
}

export const RESULT_OPTIONS: Rules = {
  timeoutMs: {
    isValid: (value) => typeof value === 'number' && value >= 0,
    is: 'a number of at least 0; without it the wait is endless',
  },
}

/** The parts of a client that its handles use. */
export interface HandleParts {
  messages: EndMessages
  isClosed: () => boolean
  onClose: (listener: () => void) => () => void
  deadlineMs: number
}

/** One job, by its id. */
export class JobHandle<R = unknown> {
  /** 20 characters in the order of time, or the id that was given. */
  readonly id: string
  /**
   * 'created', or the state of the job that had this id already: then nothing was enqueued. Where another job
   * has the unique key, the handle is of that job: 'duplicate' (nothing was enqueued), 'replaced' (it waits,
   * and has the new input), or 'runs-again' (it runs, and another one with the new input follows it).
   * undefined on a handle of `queue.job(id)`.
   */
  readonly enqueued: Enqueued | undefined
  readonly #queue: Queue
  readonly #client: HandleParts

  constructor(id: string, queue: Queue, client: HandleParts, enqueued?: Enqueued) {
    this.id = id
    this.enqueued = enqueued
    this.#queue = queue
    this.#client = client
  }

  /** 'unknown' where no job has this id, or its result was kept for its time. Throws RedisUnavailable. */
  async state(): Promise<JobState> {
    return (await this.details())?.state ?? 'unknown'
  }

  /**
   * Attempts, failures with error and output, times, progress; undefined where the state is 'unknown'. Throws
   * RedisUnavailable.
   */
  async details(): Promise<JobDetails | undefined> {
    return this.#ask(() => this.#queue.job(this.id))
  }

  /**
   * Cancels the job. Answers 'cancelled' for a job that waited, 'cancelling' for one that runs (its worker
   * ends it within a moment), else the state in which it cannot be cancelled. Throws RedisUnavailable.
   */
  async cancel(): Promise<'cancelling' | JobState> {
    return this.#ask(() => this.#queue.cancel(this.id))
  }

  /**
   * Deletes a job that has ended or is buried: its id is free. Answers 'deleted', or the state of a job that
   * stays. Throws RedisUnavailable.
   */
  async delete(): Promise<'deleted' | JobState> {
    const [answer = 'unknown'] = await this.#ask(() => this.#queue.delete([this.id]))
    return answer
  }

  /**
   * Waits for the result: what the task returned, as it comes through JSON. Waits also while Redis is away.
   * Throws JobBuried when the job failed for good, JobCancelled, JobExpired, JobNotFound, ResultTimeout after
   * `timeoutMs`, and RedisUnavailable when Redis refuses the credentials or the client is closed.
   */
  async result(options: ResultOptions = {}): Promise<R> {
    checkOptions('option of result', options, RESULT_OPTIONS)
    return JSON.parse(await resultOf(this.id, this.#queue, { ...this.#client, ...options }))
  }

  #ask<T>(ask: () => Promise<T>): Promise<T> {
    return askUntilDeadline(ask, this.#queue, this.#client)
  }
}
