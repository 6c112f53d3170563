// A flow that was started: its state, its result, cancel and retry. Made by client.ts.
import { startDeadline } from '../deadline.ts'
import { checkOptions } from '../options.ts'
import type { FlowDetails, FlowFacts, FlowState } from '../queue/flows.ts'
import type { Queue } from '../queue/queue.ts'
import { askUntilDeadline } from './asking.ts'
import type { FlowPlan } from './flow.ts'
import { type HandleParts, RESULT_OPTIONS, type ResultOptions } from './job-handle.ts'
import {
  ASK_AGAIN_MS,
  closedError,
  LOOK_AGAIN_MS,
  LOOK_AGAIN_UNNOTED_MS,
  mayPass,
  ResultTimeout,
} from './result.ts'

interface ClientParts extends HandleParts {
  fullName: (queue: string) => string
}

/**
 * `result()` of a flow. FLOW_FAILED: a job failed for good (`facts.because`). FLOW_CANCELLED. FLOW_NOT_FOUND:
 * no flow has this id in this queue, or it was kept for its time.
 */
export class FlowFailed extends Error {
  override readonly name = 'FlowFailed'
  readonly code: 'FLOW_FAILED' | 'FLOW_CANCELLED' | 'FLOW_NOT_FOUND'
  /** Absent where no flow was found. */
  readonly facts: FlowFacts | undefined
  constructor(code: FlowFailed['code'], message: string, facts?: FlowFacts) {
    super(message)
    this.code = code
    this.facts = facts
  }
}

/** Starts a flow that is kept in this queue. */
export async function startFlow<R>(flow: FlowPlan, queue: Queue, client: ClientParts): Promise<FlowRun<R>> {
  const plan = flow.plan(queue.name, client.fullName)
  const isNew = await askUntilDeadline(() => queue.flows.start(plan), queue, client)
  return new FlowRun<R>(plan.id, queue, client, isNew)
}

/** One flow, by its id and its home. */
export class FlowRun<R = unknown> {
  readonly id: string
  /** Whether this call started it; false where the id was known, undefined on a handle of `client.flow`. */
  readonly isNew: boolean | undefined
  readonly #queue: Queue
  readonly #client: HandleParts

  constructor(id: string, queue: Queue, client: HandleParts, isNew?: boolean) {
    this.id = id
    this.isNew = isNew
    this.#queue = queue
    this.#client = client
  }

  /** `<namespace>.<name>` of the queue in which the flow is kept. */
  get home(): string {
    return this.#queue.name
  }

  /** 'unknown' where no flow has this id, or it was kept for its time. Throws RedisUnavailable. */
  async state(): Promise<FlowState | 'unknown'> {
    return (await this.facts())?.state ?? 'unknown'
  }

  /**
   * Its state and how many of its jobs are in which; costs the same for any number of jobs. Throws
   * RedisUnavailable.
   */
  facts(): Promise<FlowFacts | undefined> {
    return this.#ask(() => this.#queue.flows.facts(this.id))
  }

  /** The facts, and each job with its state. Throws RedisUnavailable. */
  details(): Promise<FlowDetails | undefined> {
    return this.#ask(() => this.#queue.flows.details(this.id))
  }

  /**
   * Cancels the flow: jobs that wait never start, others are cancelled. Answers 'cancelling' while some have
   * to end, else the state then. Throws RedisUnavailable.
   */
  cancel(): Promise<FlowState | 'unknown'> {
    return this.#ask(() => this.#queue.flows.cancel(this.id))
  }

  /**
   * Runs again what has not completed, or was compensated, in a flow that failed or was cancelled; what has
   * completed stays. `from` names a job: that one and all behind it run again too, also in a flow that has
   * completed. Answers 'running', or the state in which a flow is not retried. Throws RedisUnavailable, and TypeError
   * where the flow has no such job.
   */
  retry({ from }: { from?: string } = {}): Promise<FlowState | 'unknown'> {
    return this.#ask(() => this.#queue.flows.retry(this.id, from === undefined ? {} : { from }))
  }

  /**
   * Waits for the end, and answers what the flow returns (`flow.returns`), as it comes through JSON. Waits
   * also while Redis is away. Throws FlowFailed, ResultTimeout after `timeoutMs`, and RedisUnavailable when
   * Redis refuses the credentials or the client is closed.
   */
  async result(options: ResultOptions = {}): Promise<R> {
    const facts = await this.ended(options)
    if (facts.state === 'cancelled')
      throw new FlowFailed('FLOW_CANCELLED', `flow ${this.id} was cancelled`, facts)
    if (facts.state === 'failed') {
      const { job = 'a job', how = 'failed' } = facts.because ?? {}
      throw new FlowFailed('FLOW_FAILED', `flow ${this.id} failed: job ${job} is ${how}`, facts)
    }
    const json = await this.#ask(() => this.#queue.flows.result(this.id))
    if (json === undefined) throw this.#notFound()
    return JSON.parse(json)
  }

  /**
   * Waits for the end, whatever it is, and answers the facts. Throws as `result`, but where the flow failed.
   */
  async ended(options: ResultOptions = {}): Promise<FlowFacts> {
    checkOptions('option of result', options, RESULT_OPTIONS)
    const { timeoutMs = Number.POSITIVE_INFINITY } = options
    const { messages, isClosed, onClose } = this.#client
    const waiting = new Bell()
    const id = `flow/${this.id}`
    messages.add(id, waiting)
    const stopHearing = onClose(() => waiting.ring())
    let isOver = false
    const end = () => {
      isOver = true
      waiting.ring()
    }
    const stopDeadline = timeoutMs < Number.POSITIVE_INFINITY ? startDeadline(timeoutMs, end) : () => {}
    void messages.listen().then(() => waiting.ring())
    try {
      for (let known: FlowFacts | undefined; ; ) {
        if (isClosed()) throw closedError(this.#queue.name)
        const look = await this.#look()
        if (look.facts?.endedAtMs !== undefined) return look.facts
        known = look.facts ?? known
        if (isOver)
          throw new ResultTimeout(
            `flow ${this.id} has not ended within ${timeoutMs} ms; its state is ${known?.state ?? 'not known'}`,
          )
        await waiting.rings(look.againInMs)
      }
    } finally {
      stopDeadline()
      stopHearing()
      messages.remove(id, waiting)
    }
  }

  async #look(): Promise<{ facts?: FlowFacts; againInMs: number }> {
    const { messages } = this.#client
    try {
      const said = await this.#queue.flows.wait(this.id, messages.client)
      if (!said) throw this.#notFound()
      const isSure = said.isNoted && messages.isListening
      return { facts: said.facts, againInMs: isSure ? LOOK_AGAIN_MS : LOOK_AGAIN_UNNOTED_MS }
    } catch (error) {
      if (!mayPass(error)) throw error
      return { againInMs: ASK_AGAIN_MS }
    }
  }

  #notFound(): FlowFailed {
    return new FlowFailed('FLOW_NOT_FOUND', `flow ${this.id} is not known in ${this.#queue.name}`)
  }

  #ask<T>(ask: () => Promise<T>): Promise<T> {
    return askUntilDeadline(ask, this.#queue, this.#client)
  }
}

/** Rung before somebody waits, it is not waited for. */
class Bell {
  #isRung = false
  #wake = () => {}

  ring(): void {
    this.#isRung = true
    this.#wake()
  }

  /** A message with an outcome is about a job, never about a flow. */
  settle(): void {}

  async rings(withinMs: number): Promise<void> {
    if (!this.#isRung)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, withinMs)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    this.#isRung = false
  }
}
