// One flow as a small reference model: what lua/flow.lua must do, said a second time and much more simply.
export type FlowJobEnd = 'completed' | 'buried' | 'cancelled' | 'expired' | 'deleted'

interface ModelJob {
  state: string
  after: Set<string>
  hasUndo: boolean
  run: number
  isHeld: boolean
  hasBegun: boolean
  isCancelling: boolean
}

export interface ModelFlowOptions {
  policy: 'stop' | 'continue'
  expiresInMs: number | undefined
}

export class FlowModel {
  nowMs: number
  state = 'none'
  run = 1
  hasFailed = false
  readonly jobs = new Map<string, ModelJob>()
  /** Those that are enqueued: the ids. */
  readonly callbacks: string[] = []
  #policy: 'stop' | 'continue' = 'stop'
  #expiresInMs: number | undefined
  #expiresAtMs = Number.POSITIVE_INFINITY
  #undo: string[] = []

  constructor(nowMs: number) {
    this.nowMs = nowMs
  }

  start(
    { policy, expiresInMs }: ModelFlowOptions,
    jobs: Record<string, { after: string[]; hasUndo: boolean }>,
  ) {
    this.#policy = policy
    this.#expiresInMs = expiresInMs
    for (const [name, { after, hasUndo }] of Object.entries(jobs)) this.#put(name, new Set(after), hasUndo)
    this.#begin()
  }

  /** For a job that runs; what waits for that one waits for the new one too. */
  add(by: string, name: string): 'added' | 'over' {
    const adder = this.jobs.get(by)
    if (this.state !== 'running' || adder?.state !== 'enqueued') return 'over'
    for (const { after } of this.jobs.values()) if (after.has(by)) after.add(name)
    this.#put(name, new Set(), false)
    this.#goOn()
    return 'added'
  }

  ended(name: string, how: FlowJobEnd): void {
    this.#end(name, how)
    this.#goOn()
  }

  cancel(): void {
    if (this.state !== 'running' && this.state !== 'failing') return
    this.state = 'cancelling'
    this.hasFailed = true
    this.#skip(() => true)
    for (const [name, job] of this.jobs) {
      if (job.state === 'enqueued' && job.isHeld) job.isCancelling = true
      else if (job.state === 'enqueued') this.#end(name, 'cancelled')
    }
    this.#goOn()
  }

  /** From a job on: that one and all behind it run again, completed or not. */
  retry(from?: string): boolean {
    const isOver = from !== undefined && this.state === 'completed'
    if (this.state !== 'failed' && this.state !== 'cancelled' && !isOver) return false
    const again = from === undefined ? new Set() : this.#fromOn(from)
    this.run += 1
    this.hasFailed = false
    this.#undo = this.#undo.filter((name) => !again.has(name))
    for (const [name, job] of this.jobs)
      if (name.endsWith('.undo')) this.jobs.delete(name)
      else if (job.state !== 'completed' || again.has(name))
        Object.assign(job, { state: 'waiting', run: this.run, isCancelling: false, hasBegun: false })
    this.#begin()
    return true
  }

  /** A renewal: what has not begun by then has expired. */
  expire(): void {
    if (this.#expiresAtMs > this.nowMs) return
    for (const [name, job] of this.jobs)
      if (job.state === 'enqueued' && !job.hasBegun && !name.endsWith('.undo')) this.#end(name, 'expired')
    this.#goOn()
  }

  enqueued(): string[] {
    return [...this.jobs].flatMap(([name, { state, isHeld }]) =>
      state === 'enqueued' && !isHeld ? [name] : [],
    )
  }

  states(): Record<string, string> {
    return Object.fromEntries([...this.jobs].map(([name, { state }]) => [name, state]))
  }

  /** Whether all that it waits for has completed. */
  mayRun(name: string): boolean {
    return [...(this.jobs.get(name)?.after ?? [])].every((each) => this.jobs.get(each)?.state === 'completed')
  }

  #fromOn(from: string): Set<string> {
    const names = new Set([from])
    for (const each of names) for (const [name, { after }] of this.jobs) if (after.has(each)) names.add(name)
    return names
  }

  #put(name: string, after: Set<string>, hasUndo: boolean): void {
    const fresh = { isHeld: false, hasBegun: false, isCancelling: false }
    this.jobs.set(name, { state: 'waiting', after, hasUndo, run: this.run, ...fresh })
  }

  #begin(): void {
    this.state = 'running'
    this.#expiresAtMs = this.nowMs + (this.#expiresInMs ?? Number.POSITIVE_INFINITY)
    this.#goOn()
  }

  #end(name: string, how: FlowJobEnd): void {
    const job = this.jobs.get(name)
    if (job?.state !== 'enqueued') return
    Object.assign(job, { state: how, isHeld: false })
    const undone = name.endsWith('.undo') && this.jobs.get(name.slice(0, -'.undo'.length))
    if (undone) {
      if (how === 'completed') undone.state = 'compensated'
    } else if (how === 'completed') {
      if (job.hasUndo) this.#undo.push(name)
    } else {
      this.hasFailed = true
      const isAll = this.#policy === 'stop'
      if (isAll && this.state === 'running') this.state = 'failing'
      this.#skip((after) => isAll || [...after].some((each) => this.#willNotComplete(each)))
    }
  }

  #willNotComplete(name: string): boolean {
    return !['waiting', 'enqueued', 'completed'].includes(this.jobs.get(name)?.state ?? '')
  }

  #skip(isSkipped: (after: Set<string>) => boolean): void {
    for (let found = true; found; ) {
      found = false
      for (const job of this.jobs.values())
        if (job.state === 'waiting' && isSkipped(job.after)) {
          job.state = 'skipped'
          found = true
        }
    }
  }

  /** Enqueues what waits for nothing any more; where nothing is left to do the flow ends. */
  #goOn(): void {
    for (const [name, job] of this.jobs)
      if (this.state === 'running' && job.state === 'waiting' && this.mayRun(name)) {
        job.state = 'enqueued'
        if (this.#expiresAtMs <= this.nowMs) this.#end(name, 'expired')
      }
    const states = [...this.jobs.values()].map(({ state }) => state)
    if (states.includes('enqueued') || states.includes('waiting')) return
    if (['failed', 'cancelled', 'completed'].includes(this.state)) return
    const next = this.hasFailed ? this.#undo.pop() : undefined
    if (next !== undefined) {
      if (this.state !== 'cancelling') this.state = 'compensating'
      this.#put(`${next}.undo`, new Set(), false)
      Object.assign(this.jobs.get(`${next}.undo`) ?? {}, { state: 'enqueued' })
      return
    }
    this.state = this.state === 'cancelling' ? 'cancelled' : this.hasFailed ? 'failed' : 'completed'
    const suffix = this.run === 1 ? '' : `:${this.run}`
    this.callbacks.push(
      `f:${this.state === 'completed' ? 'onSuccess' : 'onFailure'}${suffix}`,
      `f:onComplete${suffix}`,
    )
  }
}
