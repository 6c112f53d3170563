// The state machine of a job as a small reference model: what the scripts must do, said a second time and much more simply.
// Where the scripts may choose (the length of a back-off), the model asks what was chosen and checks that it was allowed.
export type ModelState = 'ready' | 'delayed' | 'held' | 'completed' | 'cancelled' | 'expired' | 'buried'

export interface ModelJob {
  state: ModelState
  /** Ended without success, and worker deaths that counted. */
  attempts: number
  crashes: number
  dueMs: number
  /** Since when it is ready, where it is. */
  readySinceMs: number
  worker: string
  token: string
  isCancelling: boolean
  /** '' for none. */
  key: string
  /** Values by step, and the checkpoint under ''. */
  saved: Map<string, string>
  unique: ModelUnique | undefined
  /** It ends as expired where it has not begun by then. */
  expiresMs: number
  hasBegun: boolean
  /** How often its task asked for a rest. */
  rests: number
}

/** What a task asks for that meets a limit of somebody else (RetryAfter). */
export interface ModelRest {
  ms: number
  pause: 'job' | 'key' | 'queue'
}

/** A schedule with an interval. */
export interface ModelSchedule {
  everyMs: number
  overlap: 'Allow' | 'Forbid' | 'Replace'
  maxRuns: number
}
interface ModelScheduleState extends ModelSchedule {
  isPaused: boolean
  /** Its next due time; undefined while it is paused. */
  nextMs: number | undefined
  /** Its last job, and how that ended. */
  lastId: string | undefined
  lastState: ModelState | undefined
  fired: number
  skipped: number
}

export interface ModelUnique {
  key: string
  while: 'waiting' | 'unfinished' | 'for a time'
  onDuplicate: 'keep' | 'replace' | 'runAgain'
}

/** What an enqueue says. */
interface NewModelJob {
  id: string
  delayMs: number
  key?: string
  unique?: ModelUnique | undefined
  expiresInMs?: number | undefined
}

/** Jobs a second: one takes so many ms; so many may start at once. */
export interface ModelRate {
  intervalMs: number
  burst: number
}

export interface ModelLimits {
  maxBusy?: number
  rate?: ModelRate
}

export interface ModelWorker {
  process: string
  aliveUntilMs: number
  isDead: boolean
  sequence: number
  /** Its connection for messages is there. */
  isListening: boolean
  /** Free slots with which it stands among those that wait. */
  waiting: number
  /** Its last answer said that it stands there. */
  saysItWaits: boolean
  /** Jobs that it was given, and of how many it has heard. */
  given: number
  heard: number
}

/** How an attempt ended; `rests`: with its key or the queue, `rests-alone`: without them. */
export type ModelVerdict =
  | ('completed' | 'failed' | 'terminal' | 'cancelled' | 'handed-back' | 'crashed')
  | ('rests' | 'rests-alone')

export const MAX_ATTEMPTS = 2
export const MAX_CRASHES = 2
export const MOST_RESTS = 1_000
/** Runs that are later are left out. */
export const WITHIN_MS = 10_000
export const LEASE_MS = 7_000
export const RENEW_MS = 2_000

export class Model {
  nowMs = 1_000_000_000_000
  isPaused = false
  /** Retention 0: what ends is forgotten at once. */
  keepsNothing = false
  readonly jobs = new Map<string, ModelJob>()
  readonly workers = new Map<string, ModelWorker>()
  /** The most jobs that may be held at once. */
  maxBusy = Number.POSITIVE_INFINITY
  /** Who has each unique key. */
  readonly holders = new Map<string, { id: string; hasTime: boolean }>()
  /** What follows a job that runs, by its id. */
  readonly again = new Map<string, NewModelJob>()
  /** Of the queue as a whole ('*'), of each key (''), and of single keys. */
  readonly limits = new Map<string, ModelLimits>()
  /** The flag in Redis: there are limits, or there were a moment ago. */
  hasLimits = false
  /** When the bucket of each key with a rate, and of the queue, is full again. */
  readonly #fullAtMs = new Map<string, number>()
  /** Until when keys rest, and the queue ('*'). */
  readonly rests = new Map<string, number>()
  /** In this step a claim took all that it could. */
  hasClaimedAll = false
  /** The clock went back, and nobody has renewed since: what is parked may be so for too long. */
  mayBeParkedForLong = false
  /** The schedule `s`. */
  schedule: ModelScheduleState | undefined
  /** What is told, and is no count of the queue. */
  readonly told = { rested: 0, fired: 0, skipped: 0 }
  /** What the queue counts, beside `busy`. */
  readonly counts = {
    enqueued: 0,
    claimed: 0,
    completed: 0,
    retried: 0,
    buried: 0,
    lost: 0,
    cancelled: 0,
    expired: 0,
  }
  lastToken = 0
  /** How many attempts failed, by error group. */
  readonly errors: Record<string, number> = {}
  /** Until then every event is written; the id of the last event that was compared. */
  watchedUntilMs = 0
  lastEvent = '-'
  #lastTickMs: number | undefined
  #quietUntilMs = 0

  enqueue(job: NewModelJob): string | { enqueued: string; id: string } {
    const { id, delayMs, key = '', unique, expiresInMs = Number.POSITIVE_INFINITY } = job
    const known = this.jobs.get(id)
    if (known) return known.state
    const before = unique && this.holderOf(unique)
    if (before !== undefined && this.#hasKey(before, unique) && this.isOverdue(before))
      this.ended(before, 'expired')
    const other = unique && this.holderOf(unique)
    if (other !== undefined) return { enqueued: this.#duplicate(other, job), id: other }
    if (unique) this.holders.set(unique.key, { id, hasTime: unique.while === 'for a time' })
    this.counts.enqueued += 1
    this.jobs.set(id, {
      state: delayMs > 0 ? 'delayed' : 'ready',
      attempts: 0,
      crashes: 0,
      dueMs: this.nowMs + delayMs,
      readySinceMs: this.nowMs + delayMs,
      worker: '',
      token: '',
      isCancelling: false,
      key,
      saved: new Map(),
      unique,
      expiresMs: this.nowMs + delayMs + expiresInMs,
      hasBegun: false,
      rests: 0,
    })
    return 'created'
  }

  isOverdue(id: string): boolean {
    const job = this.jobs.get(id)
    const waits = job?.state === 'ready' || job?.state === 'delayed'
    return job !== undefined && waits && !job.hasBegun && job.expiresMs <= this.nowMs
  }

  overdue(): string[] {
    return [...this.jobs.keys()].filter((id) => this.isOverdue(id))
  }

  #isUnfinished(id: string): boolean {
    const state = this.jobs.get(id)?.state
    return state === 'ready' || state === 'delayed' || state === 'held'
  }

  holderOf({ key }: ModelUnique): string | undefined {
    const holder = this.holders.get(key)
    return holder && (holder.hasTime || this.#isUnfinished(holder.id)) ? holder.id : undefined
  }

  /** A key may have a time, and its job be deleted, and another one have its id. */
  #hasKey(id: string, unique: ModelUnique | undefined): boolean {
    return this.jobs.get(id)?.unique?.key === unique?.key
  }

  /** What an enqueue does whose key another job has. */
  #duplicate(
    other: string,
    { delayMs, expiresInMs = Number.POSITIVE_INFINITY, ...job }: NewModelJob,
  ): string {
    const onDuplicate = job.unique?.onDuplicate
    if (!this.#isUnfinished(other) || !this.#hasKey(other, job.unique)) return 'duplicate'
    if (onDuplicate === 'keep') return 'duplicate'
    const found = this.#job(other)
    if (found.state === 'held' && onDuplicate === 'runAgain')
      this.again.set(other, { delayMs, expiresInMs, ...job })
    if (found.state === 'held') return onDuplicate === 'runAgain' ? 'runs-again' : 'duplicate'
    this.again.delete(other)
    found.expiresMs = this.nowMs + delayMs + expiresInMs
    if (found.state === 'ready') return 'replaced'
    const dueMs = this.nowMs + delayMs
    Object.assign(found, { state: delayMs > 0 ? 'delayed' : 'ready', dueMs, readySinceMs: dueMs })
    return 'replaced'
  }

  /** Its key is free where it is its own; what was to follow follows, unless the job was deleted. */
  freed(id: string, how: ModelState | 'gone'): void {
    const unique = this.jobs.get(id)?.unique
    if (!unique) return
    const next = this.again.get(id)
    this.again.delete(id)
    const isOwn = this.holders.get(unique.key)?.id === id
    if (isOwn && (unique.while !== 'for a time' || next)) this.holders.delete(unique.key)
    if (next && how !== 'gone') this.enqueue(next)
  }

  /** A person retries a buried job; false where another one has its unique key. */
  retried(id: string): boolean {
    const { unique, ...job } = this.#job(id)
    const needsKey = unique && unique.while !== 'for a time'
    if (needsKey && this.holderOf(unique) !== undefined) return false
    if (needsKey) this.holders.set(unique.key, { id, hasTime: false })
    const again = { attempts: 0, crashes: 0, isCancelling: false, readySinceMs: this.nowMs }
    this.jobs.set(id, { ...job, ...again, unique, state: 'ready' })
    return true
  }

  /** Somebody renews or registers: was Redis away, or did its clock jump? */
  tick(): boolean {
    const last = this.#lastTickMs
    if (last !== undefined && (this.nowMs - last > 2 * RENEW_MS || this.nowMs < last))
      this.#quietUntilMs = this.nowMs + 2 * RENEW_MS
    this.#quietUntilMs = Math.min(this.#quietUntilMs, this.nowMs + 2 * RENEW_MS)
    this.#lastTickMs = this.nowMs
    return this.isQuiet()
  }

  isQuiet(): boolean {
    return this.nowMs < this.#quietUntilMs
  }

  /** Those that a claim may take now, due ones included; the order among lanes is not the model's business. */
  claimable(): Set<string> {
    const found = new Set<string>()
    for (const [id, job] of this.jobs)
      if (job.state === 'ready' || (job.state === 'delayed' && job.dueMs <= this.nowMs))
        if (!this.isOverdue(id)) found.add(id)
    return found
  }

  /**
   * The worker that an enqueue of one job gives it to: of those that wait the one with the most free slots, of several the last by name. Those
   * before it that are dead or do not hear wait no more.
   */
  receiver(): string | undefined {
    if (this.isPaused || this.maxBusy < Number.POSITIVE_INFINITY || this.inState('ready') > 0)
      return undefined
    if (this.hasLimits) return undefined // each job waits for a claim then
    const waiting = [...this.workers].filter(([, worker]) => worker.waiting > 0)
    waiting.sort(([a, one], [b, two]) => two.waiting - one.waiting || (a < b ? 1 : -1))
    for (const [name, worker] of waiting) {
      if (!worker.isDead && worker.aliveUntilMs > this.nowMs && worker.isListening) {
        worker.waiting -= 1
        worker.given += 1
        return name
      }
      worker.waiting = 0
    }
    return undefined
  }

  /** Who waits, with how many free slots. */
  waiting(): Record<string, string> {
    const waiting = [...this.workers].filter(([, worker]) => worker.waiting > 0)
    return Object.fromEntries(waiting.map(([name, worker]) => [name, String(worker.waiting)]))
  }

  inState(state: ModelState): number {
    return [...this.jobs.values()].filter((job) => job.state === state).length
  }

  /** How many of so many wanted jobs a claim answers. */
  takes(wanted: number): number {
    return Math.max(0, Math.min(wanted, this.runnable(), this.queueRoom()))
  }

  queueRoom(): number {
    return Math.min(this.maxBusy - this.inState('held'), this.tokens('*'))
  }

  /** Those of the claimable that no limit of their key holds back. */
  runnable(): number {
    const ofKey = new Map<string, number>()
    for (const id of this.claimable()) {
      const { key } = this.#job(id)
      ofKey.set(key, (ofKey.get(key) ?? 0) + 1)
    }
    return [...ofKey].reduce((sum, [key, jobs]) => sum + Math.max(0, Math.min(jobs, this.room(key))), 0)
  }

  limitsOf(key: string): ModelLimits {
    return { ...(key !== '*' && this.limits.get('')), ...this.limits.get(key) }
  }

  busy(key: string): number {
    return [...this.jobs.values()].filter((job) => job.state === 'held' && job.key === key).length
  }

  /** How many jobs of a key may start now. */
  room(key: string): number {
    if (key === '') return Number.POSITIVE_INFINITY
    return Math.min(
      (this.limitsOf(key).maxBusy ?? Number.POSITIVE_INFINITY) - this.busy(key),
      this.tokens(key),
    )
  }

  tokens(key: string): number {
    if ((this.rests.get(key) ?? 0) > this.nowMs) return 0
    const { rate } = this.limitsOf(key)
    if (!rate) return Number.POSITIVE_INFINITY
    const fullAtMs = this.#fullAt(key, rate)
    return Math.floor((this.nowMs - fullAtMs) / rate.intervalMs + rate.burst)
  }

  #started(key: string): void {
    const { rate } = this.limitsOf(key)
    if (!rate) return
    this.#fullAtMs.set(key, this.#fullAt(key, rate) + rate.intervalMs)
  }

  #fullAt(key: string, { intervalMs, burst }: ModelRate): number {
    return Math.min(Math.max(this.nowMs, this.#fullAtMs.get(key) ?? 0), this.nowMs + burst * intervalMs)
  }

  /** The clock went back, and a bucket is full too far ahead: whoever meets it without a token may note it anew. */
  seesBucket(key: string, notedMs: number): void {
    const { rate } = this.limitsOf(key)
    const fullAtMs = this.#fullAtMs.get(key) ?? 0
    if (rate && notedMs < fullAtMs && fullAtMs > this.nowMs + rate.burst * rate.intervalMs)
      this.#fullAtMs.set(key, notedMs)
  }

  /** With a renewal, buckets that are full are forgotten, and rests that are over. */
  tidy(isQuiet: boolean): void {
    if (!this.hasLimits) return
    if (isQuiet) this.mayBeParkedForLong = false
    for (const times of [this.#fullAtMs, this.rests])
      for (const [key, atMs] of times) if (atMs <= this.nowMs) times.delete(key)
  }

  /** Its task asks for a rest. Answers what that is for the job: it rests alone, with others, or has asked too often. */
  rest(id: string, { ms, pause }: ModelRest): 'rests-alone' | 'rests' | 'failed' {
    const job = this.#job(id)
    if (job.isCancelling) return 'rests'
    job.rests += 1
    if (job.rests > MOST_RESTS) return 'failed'
    this.told.rested += 1
    const key = pause === 'queue' ? '*' : pause === 'key' && job.key
    if (!key) return 'rests-alone'
    this.rests.set(key, Math.max(this.rests.get(key) ?? 0, this.nowMs + ms))
    return 'rests'
  }

  setSchedule(spec: ModelSchedule): 'set' | 'unchanged' {
    const before = this.schedule
    if (before && (Object.keys(spec) as (keyof ModelSchedule)[]).every((name) => spec[name] === before[name]))
      return 'unchanged'
    const isPaused = before?.isPaused ?? false
    const kept = before?.everyMs === spec.everyMs ? before.nextMs : undefined
    const nextMs = isPaused ? undefined : (kept ?? this.#firstAfter(spec))
    const none = { lastId: undefined, lastState: undefined, fired: 0, skipped: 0 }
    this.schedule = { ...none, ...before, ...spec, isPaused, nextMs }
    return 'set'
  }

  pauseSchedule(isPaused: boolean): boolean {
    const { schedule } = this
    if (schedule && schedule.isPaused !== isPaused)
      Object.assign(schedule, { isPaused, nextMs: isPaused ? undefined : this.#firstAfter(schedule) })
    return schedule !== undefined
  }

  /** Somebody looks: what is due is enqueued. Answers the ids, '' for a run that was left out. */
  fire(): string[] {
    const { schedule } = this
    if (!schedule || schedule.nextMs === undefined || schedule.nextMs > this.nowMs) return []
    const { everyMs, overlap, maxRuns, nextMs } = schedule
    const due: number[] = []
    for (let at = nextMs; at <= this.nowMs; at += everyMs) if (this.nowMs - at <= WITHIN_MS) due.push(at)
    schedule.nextMs = this.#firstAfter(schedule)
    return due.slice(overlap === 'Allow' ? -maxRuns : -1).map((at) => this.run(at))
  }

  run(dueMs: number, overlap = this.schedule?.overlap): string {
    const { schedule } = this
    if (!schedule) throw new Error('there is no schedule')
    const id = `s@${dueMs}`
    const { lastId } = schedule
    const isUnfinished = lastId !== undefined && this.#isUnfinished(lastId)
    if (isUnfinished && overlap === 'Forbid') {
      schedule.skipped += 1
      this.told.skipped += 1
      return ''
    }
    if (isUnfinished && overlap === 'Replace') this.cancel(lastId)
    this.enqueue({ id, delayMs: 0 })
    Object.assign(schedule, { lastId: id, lastState: undefined, fired: schedule.fired + 1 })
    this.told.fired += 1
    return id
  }

  cancel(id: string): void {
    const job = this.#job(id)
    if (job.state === 'held') job.isCancelling = true
    else this.ended(id, 'cancelled')
  }

  #firstAfter({ everyMs }: ModelSchedule): number {
    return (Math.floor(this.nowMs / everyMs) + 1) * everyMs
  }

  /** A job has ended, and with a retention of 0 its id is free. */
  ended(id: string, state: 'completed' | 'cancelled' | 'expired' | 'buried'): void {
    this.counts[state] += 1
    if (this.schedule?.lastId === id) this.schedule.lastState = state
    this.freed(id, state)
    if (this.keepsNothing && state !== 'buried') this.jobs.delete(id)
    else this.#job(id).state = state
  }

  /** Of those that could be claimed: for how long. */
  ages(): number[] {
    return [...this.claimable()].map((id) => Math.max(0, this.nowMs - this.#job(id).readySinceMs))
  }

  mayClaim(worker: string, sequence: number): 'ok' | 'dead' | 'stale' | 'closed' {
    const found = this.workers.get(worker)
    if (!found || found.isDead) return 'dead'
    if (found.sequence !== sequence) return 'stale'
    return this.isPaused ? 'closed' : 'ok'
  }

  claimed(id: string, worker: string, token: string): void {
    const job = this.#job(id)
    Object.assign(job, { state: 'held', worker, token, hasBegun: true })
    const { unique } = job
    if (unique?.while === 'waiting' && this.holders.get(unique.key)?.id === id)
      this.holders.delete(unique.key)
    this.counts.claimed += 1
    if (job.key !== '') this.#started(job.key)
    this.#started('*')
    this.lastToken = Number(token)
  }

  holds(worker: string, id: string, token: string): boolean {
    const job = this.jobs.get(id)
    const isAlive = this.workers.get(worker)?.isDead === false
    return isAlive && job?.state === 'held' && job.worker === worker && job.token === token
  }

  /** A step keeps its first value. */
  save(id: string, step: string, json: string): void {
    const { saved } = this.#job(id)
    if (step === '' || !saved.has(step)) saved.set(step, json)
  }

  heldBy(worker: string): string[] {
    return [...this.jobs].filter(([, job]) => job.state === 'held' && job.worker === worker).map(([id]) => id)
  }

  /** Answers the states that the scripts may choose from. */
  endsWith(id: string, verdict: ModelVerdict): ModelState[] {
    const job = this.#job(id)
    if (verdict === 'completed') return ['completed']
    if (verdict === 'failed' || verdict === 'terminal') job.attempts += 1
    if (verdict === 'crashed') job.crashes += 1
    if (verdict === 'cancelled' || job.isCancelling) return ['cancelled']
    if (verdict === 'handed-back' || verdict === 'rests') return ['ready']
    if (verdict === 'rests-alone') return ['delayed']
    if (verdict === 'terminal') return ['buried']
    if (verdict === 'failed') return job.attempts >= MAX_ATTEMPTS ? ['buried'] : ['delayed', 'ready']
    if (job.crashes >= MAX_CRASHES) return ['buried']
    return job.crashes === 1 ? ['ready'] : ['delayed', 'ready']
  }

  #job(id: string): ModelJob {
    const job = this.jobs.get(id)
    if (!job) throw new Error(`the scripts name ${id}, which the model does not know`)
    return job
  }
}
