// A batch: up to a million jobs of one queue that are counted together. Made by client.ts.
import { callsOf } from '../queue/enqueue.ts'
import type { FlowFacts, FlowState } from '../queue/flows.ts'
import type { Queue } from '../queue/queue.ts'
import type { AnyTask, TaskResult } from '../task.ts'
import { askUntilDeadline } from './asking.ts'
import { type BeforeEnqueue, checkingFor } from './before-enqueue.ts'
import { type BatchOptions, planBatch } from './flow.ts'
import { FlowRun } from './flow-run.ts'
import { type HandleParts, JobHandle, type ResultOptions } from './job-handle.ts'
import { type EnqueueRequest, jobOfBatch } from './requests.ts'

interface BatchParts extends HandleParts {
  readonly beforeEnqueue: BeforeEnqueue | undefined
}

/** Opens it where it is not known. */
export async function openBatch(
  id: string,
  options: BatchOptions,
  queue: Queue,
  client: BatchParts & { fullName: (queue: string) => string },
): Promise<JobBatch> {
  const plan = planBatch(id, options, { home: queue.name, fullName: client.fullName })
  await askUntilDeadline(() => queue.flows.start(plan), queue, client)
  return new JobBatch(new FlowRun(id, queue, client), queue, client)
}

/** More of them would keep Redis from others for more than 10 ms. */
const MOST_A_CALL = 500

/** Jobs of one queue whose ends are counted together; of 1,000,000 as of ten. */
export class JobBatch {
  readonly id: string
  readonly #run: FlowRun
  readonly #queue: Queue
  readonly #client: BatchParts

  constructor(run: FlowRun, queue: Queue, client: BatchParts) {
    this.id = run.id
    this.#run = run
    this.#queue = queue
    this.#client = client
  }

  /**
   * Enqueues jobs of the batch, in calls of up to 500 jobs or 1 MB, each done as a whole or not at all. Throws as
   * `enqueueMany`, and QueueRefused with the code BATCH_CLOSED when the batch was closed. Give ids where a program may
   * add the same jobs again: a known id is neither enqueued nor counted again.
   */
  async add<T extends AnyTask>(requests: readonly EnqueueRequest<T>[]): Promise<JobHandle<TaskResult<T>>[]> {
    const check = checkingFor(this.#queue.name, this.#client.beforeEnqueue)
    const jobs = requests.map((request, index) => jobOfBatch(request, index, check))
    for (const part of callsOf(jobs, MOST_A_CALL))
      await this.#ask(() => this.#queue.flows.addToBatch(this.id, part))
    return jobs.map(({ id }) => new JobHandle<TaskResult<T>>(id, this.#queue, this.#client))
  }

  /** No more jobs come: the batch ends with its last one. Answers its state. Throws RedisUnavailable. */
  close(): Promise<FlowState | 'unknown'> {
    return this.#ask(() => this.#queue.flows.closeBatch(this.id))
  }

  /** How many jobs there are, run or wait (`enqueued`), completed and failed. Throws RedisUnavailable. */
  facts(): Promise<FlowFacts | undefined> {
    return this.#run.facts()
  }

  /** Waits for the end, and answers the numbers: `failed` jobs are buried, cancelled or deleted. Throws as `FlowRun.ended`. */
  ended(options: ResultOptions = {}): Promise<FlowFacts> {
    return this.#run.ended(options)
  }

  #ask<T>(ask: () => Promise<T>): Promise<T> {
    return askUntilDeadline(ask, this.#queue, this.#client)
  }
}
