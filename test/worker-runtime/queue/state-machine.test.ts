// Random histories of one queue with three workers, run against the real scripts in a real Redis and against the model, step by
// step. The scripts' clock is a key, so that time can stand still, run and jump.
import fc from 'fast-check'
import {
  ACTION_VERBS,
  type ActionVerb,
  type Connection,
  connectRedis,
  type JobOptions,
  type KeyLimits,
  newJob,
  openQueue,
  PURGEABLE,
  type Purgeable,
  prefixOf,
  type Queue,
  type QueueSettings,
  type Rate,
  STATES_OF_VERB,
} from 'millhand/queue'
import { fingerprintOf } from '../../../worker-runtime/src/fingerprint.ts'
import { pageOf } from '../../../worker-runtime/src/queue/events.ts'
import { withFollowUps } from '../../../worker-runtime/src/queue/follow-ups.ts'
import { givenOf, type Settlement } from '../../../worker-runtime/src/queue/hold.ts'
import { workerChannel } from '../../../worker-runtime/src/queue/keys.ts'
import { census } from '../../census.ts'
import { eventually } from '../../eventually.ts'
import { redisUrl } from '../../redis.ts'
import { scripts } from './clocked-queues.ts'
import {
  MAX_ATTEMPTS,
  MAX_CRASHES,
  MOST_RESTS,
  Model,
  type ModelLimits,
  type ModelRate,
  type ModelRest,
  type ModelSchedule,
  type ModelState,
  type ModelUnique,
  type ModelVerdict,
  WITHIN_MS,
} from './model.ts'

const WORKERS = ['p:1', 'p:2', 'q:1']
const JOBS = ['a', 'b', 'c', 'd', 'e', 'f']
const KEYS = ['', 'acme', 'beta']
const VERDICTS = ['completed', 'failed', 'terminal', 'cancelled', 'handed-back', 'rests'] as const
type Verdict = (typeof VERDICTS)[number]

/** In place of the id of a job: the last job of the schedule. */
const SCHEDULED = 's'
const idOf = (job: string, { schedule }: Model) => (job === SCHEDULED ? (schedule?.lastId ?? job) : job)
const isKnown = (id: string) => JOBS.includes(id) || id.startsWith('s@')
const groupOf = (id: string) => `v1:${(JOBS.includes(id) ? id : '0').repeat(16)}`
const LOST = fingerprintOf({ outcome: 'worker-lost', message: 'the test says so' })

interface Real {
  queue: Queue
  redis: Connection
  messages: Connection
  /** What each worker heard. */
  heard: Map<string, string[]>
  stopListening: Map<string, () => void>
}
type Command = fc.AsyncCommand<Model, Real>

abstract class Step implements Command {
  check(_model: Readonly<Model>): boolean {
    return true
  }
  async run(model: Model, real: Real): Promise<void> {
    const before = { ...model.counts, ...model.told }
    model.hasClaimedAll = false
    await this.step(model, real)
    await compare(model, real)
    await compareEvents(model, real, before)
  }
  abstract step(model: Model, real: Real): Promise<void>
  abstract toString(): string
}

class Enqueue extends Step {
  readonly id: string
  readonly delayMs: number
  readonly priority: 'urgent' | 'normal'
  readonly isReplyLost: boolean
  readonly key: string
  readonly unique: ModelUnique | undefined
  readonly expiresInMs: number | undefined
  constructor(
    id: string,
    delayMs: number,
    priority: 'urgent' | 'normal',
    isReplyLost: boolean,
    key = '',
    unique?: ModelUnique,
    expiresInMs?: number,
  ) {
    super()
    this.expiresInMs = expiresInMs
    this.key = key
    this.unique = unique
    this.id = id
    this.delayMs = delayMs
    this.priority = priority
    this.isReplyLost = isReplyLost
  }
  async step(model: Model, { queue }: Real) {
    const job = newJob(
      'task',
      { of: this.id },
      {
        id: this.id,
        delayMs: this.delayMs,
        priority: this.priority,
        ...(this.key && { key: this.key }),
        ...tagsOf(this.id),
        ...uniqueOption(this.unique),
        ...(this.expiresInMs !== undefined && { expiresInMs: this.expiresInMs }),
      },
    )
    // The same id a second time in one call is a known one.
    const again = () => model.enqueue(this)
    const expected = [again(), again()]
    expect(await queue.enqueue([job, job])).toEqual(expected)
    if (this.isReplyLost) expect(await queue.enqueue([job])).toEqual([again()])
  }
  toString() {
    return `enqueue ${this.id} +${this.delayMs} ${this.priority}/${this.key} ${JSON.stringify(this.unique)} expires in ${this.expiresInMs}${this.isReplyLost ? ' (reply lost, sent again)' : ''}`
  }
}

/** Half of the jobs have tags. */
const tagsOf = (id: string) => (id < 'd' ? { tags: ['all', `of:${id}`] } : {})

const uniqueOption = (unique: ModelUnique | undefined): Pick<JobOptions, 'unique'> =>
  unique
    ? { unique: { ...unique, while: unique.while === 'for a time' ? { forMs: 3_600_000 } : unique.while } }
    : {}

/** In a call of its own: a worker that waits is given it at once. */
class EnqueueOne extends Step {
  readonly id: string
  readonly key: string
  readonly unique: ModelUnique | undefined
  readonly delayMs = 0
  constructor(id: string, key = '', unique?: ModelUnique) {
    super()
    this.id = id
    this.key = key
    this.unique = unique
  }
  async step(model: Model, { queue, heard }: Real) {
    const isTaken = this.unique && model.holderOf(this.unique) !== undefined
    const isNew = !model.jobs.has(this.id) && !isTaken
    const worker = isNew ? model.receiver() : undefined
    const options = {
      ...{ id: this.id, ...tagsOf(this.id), ...uniqueOption(this.unique) },
      ...(this.key && { key: this.key }),
    }
    expect(await queue.enqueue([newJob('task', { of: this.id }, options)])).toEqual([model.enqueue(this)])
    if (worker === undefined) return
    model.claimed(this.id, worker, String(model.lastToken + 1))
    const { given = 0 } = model.workers.get(worker) ?? {}
    const message = await eventually(() => heard.get(worker)?.[given - 1], {
      what: `${worker} hears of ${this.id}`,
      everyMs: 2,
    })
    expect(givenOf(message)).toMatchObject({
      id: this.id,
      token: String(model.lastToken),
      attempt: 1,
      crashes: 0,
      envelope: expect.stringContaining(this.id),
    })
  }
  toString() {
    return `enqueue one ${this.id} ${this.key} ${JSON.stringify(this.unique)}`
  }
}

/** The worker has read the messages that were on their way. */
class Hear extends Step {
  readonly worker: string
  constructor(worker: string) {
    super()
    this.worker = worker
  }
  async step(model: Model) {
    const me = model.workers.get(this.worker)
    if (me) me.heard = me.given
  }
  toString() {
    return `${this.worker} hears`
  }
}

/** Its connection for messages is lost, or there again. */
class Listen extends Step {
  readonly worker: string
  constructor(worker: string) {
    super()
    this.worker = worker
  }
  async step(model: Model, real: Real) {
    const me = model.workers.get(this.worker)
    if (!me) return
    me.isListening = !me.isListening
    await (me.isListening ? listen(real, this.worker) : deafen(real, this.worker))
  }
  toString() {
    return `${this.worker} listens, or no more`
  }
}

async function listen({ queue, messages, heard, stopListening }: Real, worker: string): Promise<void> {
  const channel = workerChannel(queue.name, 0, worker)
  const stop = await messages.subscribe(channel, (message) => {
    if (message.startsWith('+')) heard.get(worker)?.push(message)
  })
  stopListening.set(worker, stop)
}

async function deafen({ messages, stopListening }: Real, worker: string): Promise<void> {
  stopListening.get(worker)?.()
  stopListening.delete(worker)
  // Behind the UNSUBSCRIBE that was sent without waiting.
  ;(await messages.subscribe('nothing', () => {}))()
}

class Register extends Step {
  readonly worker: string
  constructor(worker: string) {
    super()
    this.worker = worker
  }
  override check(model: Readonly<Model>) {
    return !model.workers.has(this.worker)
  }
  async step(model: Model, real: Real) {
    const [process = ''] = this.worker.split(':')
    const entry = {
      pod: 'pod',
      podUid: this.worker,
      poolUid: '',
      node: '',
      slots: 2,
      isolation: 'Spawn',
      isolationNote: '',
      version: '0',
    }
    await real.queue.register({ worker: this.worker, process, ...entry })
    model.tick()
    model.workers.set(this.worker, {
      ...{ process, aliveUntilMs: model.nowMs + 7_000, isDead: false, sequence: 0 },
      ...{ isListening: true, waiting: 0, saysItWaits: false, given: 0, heard: 0 },
    })
    real.heard.set(this.worker, [])
    real.stopListening.get(this.worker)?.()
    await listen(real, this.worker)
  }
  toString() {
    return `register ${this.worker}`
  }
}

class Renew extends Step {
  readonly worker: string
  constructor(worker: string) {
    super()
    this.worker = worker
  }
  async step(model: Model, { queue }: Real) {
    const answer = await queue.renew(this.worker)
    const isQuiet = model.tick()
    const me = model.workers.get(this.worker)
    if (!me || me.isDead) {
      expect(answer).toEqual({ kind: 'dead' })
      return
    }
    for (const id of model.overdue()) model.ended(id, 'expired')
    model.tidy(isQuiet)
    // It is over for good, also where the clock goes back.
    if (model.watchedUntilMs <= model.nowMs) model.watchedUntilMs = 0
    me.aliveUntilMs = model.nowMs + 7_000
    for (const other of model.workers.values())
      other.aliveUntilMs = Math.min(other.aliveUntilMs, model.nowMs + 7_000)
    const silent = [...model.workers]
      .filter(([, other]) => other.isDead || (!isQuiet && other.aliveUntilMs <= model.nowMs))
      .map(([name]) => name)
    expect(answer).toMatchObject({ kind: 'alive', held: model.heldBy(this.worker).length })
    if (answer.kind === 'alive') {
      expect([...answer.silent].sort()).toEqual(silent.sort())
      const overdue = [...model.workers]
        .map(([worker, other]) => ({
          worker,
          leftMs: other.aliveUntilMs - model.nowMs,
          isDead: other.isDead,
        }))
        .filter(({ leftMs, isDead }) => !isQuiet && !isDead && leftMs > 0 && leftMs <= 2_000)
        .map(({ worker, leftMs }) => ({ worker, leftMs }))
      expect(answer.overdue).toHaveLength(overdue.length)
      expect(answer.overdue).toEqual(expect.arrayContaining(overdue))
      const flagged = model.heldBy(this.worker).filter((id) => model.jobs.get(id)?.isCancelling)
      expect([...new Set(answer.cancelled)].sort()).toEqual(flagged.sort())
    }
  }
  toString() {
    return `renew ${this.worker}`
  }
}

/** A job that completes may have a follow-up, which comes in the same script. */
interface Settles {
  job: string
  verdict: Verdict
  isStale: boolean
  follow?: string | undefined
  rest: ModelRest
}

class Exchange extends Step {
  readonly worker: string
  readonly wanted: number
  readonly settles: readonly Settles[]
  readonly fault: 'none' | 'stale sequence' | 'reply lost'
  readonly mayWait: boolean
  constructor(
    worker: string,
    wanted: number,
    settles: readonly Settles[],
    fault: 'none' | 'stale sequence' | 'reply lost',
    mayWait = true,
  ) {
    super()
    this.worker = worker
    this.wanted = wanted
    this.settles = settles
    this.fault = fault
    this.mayWait = mayWait && wanted > 0
  }
  override check(model: Readonly<Model>) {
    return model.workers.has(this.worker)
  }
  async step(model: Model, real: Real) {
    const { queue } = real
    const me = model.workers.get(this.worker)
    const sequence = (me?.sequence ?? 0) - (this.fault === 'stale sequence' ? 1 : 0)
    const all = this.settles.map((settles) => ({ ...settles, job: idOf(settles.job, model) }))
    const follows = (settles: Settles) =>
      settles.verdict === 'completed' && all.every(({ job }) => job !== settles.follow)
        ? settles.follow
        : undefined
    const settlements = all.map((settles) => {
      const { job, verdict, isStale, rest } = settles
      const failed = JSON.stringify({ outcome: 'failed', group: groupOf(job) })
      const settlement = {
        id: job,
        token: isStale ? '0' : (model.jobs.get(job)?.token ?? '0'),
        verdict,
        text:
          verdict === 'completed'
            ? '1 task 1\n"done"'
            : verdict === 'rests'
              ? `${rest.ms} ${rest.pause}\n${failed}`
              : failed,
      }
      const id = follows(settles)
      if (id === undefined) return settlement
      return withFollowUps(settlement, [
        { queue: queue.name, job: newJob('task', { of: id }, { id, ...tagsOf(id) }) },
      ])
    })
    const waits = this.mayWait && me ? `${me.heard}${me.saysItWaits ? '+' : ''}` : ''
    const answer = await queue.settleAndClaim({
      worker: this.worker,
      sequence,
      settlements,
      wanted: this.wanted,
      given: waits,
    })
    const status = model.mayClaim(this.worker, sequence)
    expect(answer.status).toBe(status)
    if (status === 'dead') return

    for (const [i, settles] of all.entries()) {
      const { id = '', token = '' } = settlements[i] ?? {}
      if (!model.holds(this.worker, id, token)) {
        expect(answer.became[i]).toBe('not-yours')
        continue
      }
      const verdict = settles.verdict === 'rests' ? model.rest(id, settles.rest) : settles.verdict
      await ended(
        model,
        real,
        id,
        verdict,
        answer.claims.some((claim) => claim.id === id),
      )
      if (verdict === 'rests-alone') expect(model.jobs.get(id)?.dueMs).toBe(model.nowMs + settles.rest.ms)
      const followUp = follows(settles)
      if (followUp !== undefined) model.enqueue({ id: followUp, delayMs: 0 })
    }
    const unheard = this.mayWait && me ? me.given - me.heard : 0
    const most = Math.min(this.wanted - unheard, model.maxBusy - model.inState('held'), model.tokens('*'))
    const mayWait = status === 'ok' && this.mayWait
    expect(answer.isIdle).toBe(mayWait && most > answer.claims.length)
    if (me && answer.isIdle) me.waiting = most - answer.claims.length
    else if (me && waits.endsWith('+')) me.waiting = 0
    if (me && this.mayWait) me.saysItWaits = answer.isIdle
    if (status !== 'ok') expect(answer.claims).toEqual([])
    else {
      const claimable = model.claimable()
      const takes = model.takes(this.wanted - unheard)
      if (model.mayBeParkedForLong) expect(answer.claims.length).toBeLessThanOrEqual(takes)
      else expect(answer.claims).toHaveLength(takes)
      for (const claim of answer.claims) {
        expect(claimable.delete(claim.id)).toBe(true)
        expect(Number(claim.token)).toBeGreaterThan(model.lastToken)
        const job = model.jobs.get(claim.id)
        // At the moment of the claim its key has room, and a token.
        expect(model.room(job?.key ?? '')).toBeGreaterThan(0)
        expect(model.tokens('*')).toBeGreaterThan(0)
        expect([claim.attempt, claim.crashes]).toEqual([(job?.attempts ?? 0) + 1, job?.crashes])
        model.claimed(claim.id, this.worker, claim.token)
      }
      for (const job of model.jobs.values())
        if (job.state === 'delayed' && job.dueMs <= model.nowMs) job.state = 'ready'
      model.hasClaimedAll = answer.claims.length < this.wanted - unheard
      // A claim ends those that it meets.
      for (const id of model.overdue()) {
        const state = (await queue.job(id))?.state ?? 'expired'
        if (state === 'expired') model.ended(id, 'expired')
        else expect(state).toBe('ready')
      }
    }
    if (this.fault === 'reply lost' && me)
      await this.#loseReply(
        model,
        queue,
        settlements,
        answer.claims.map(({ id }) => id),
      )
    if (this.fault === 'reply lost') real.heard.set(this.worker, [])
  }
  /** The worker saw nothing of all that: it raises its sequence number, reads what it holds, and sends the old call once more. */
  async #loseReply(model: Model, queue: Queue, settlements: readonly Settlement[], claimed: string[]) {
    const me = model.workers.get(this.worker)
    if (!me) return
    const old = me.sequence
    const answer = await queue.resync(this.worker, old + 1)
    Object.assign(me, { sequence: old + 1, waiting: 0, saysItWaits: false, given: 0, heard: 0 })
    if (answer.kind === 'dead') throw new Error('resync says dead of a living worker')
    expect(answer.held.map(({ id }) => id).sort()).toEqual(model.heldBy(this.worker).sort())
    for (const id of claimed) expect(answer.held.map((held) => held.id)).toContain(id)
    const late = await queue.settleAndClaim({ worker: this.worker, sequence: old, settlements, wanted: 5 })
    expect(late.status).toBe('stale')
    expect(late.claims).toEqual([])
    expect(late.became.every((became) => became === 'not-yours')).toBe(true)
  }
  toString() {
    const settles = this.settles.map(
      ({ job, verdict, isStale, follow, rest }) =>
        `${job} ${verdict}${verdict === 'rests' ? ` ${rest.ms} ms (${rest.pause})` : ''}${follow ? ` with ${follow}` : ''}${isStale ? ' with an old token' : ''}`,
    )
    return `${this.worker} settles [${settles}] claims ${this.wanted} (${this.fault})`
  }
}

class Reap extends Step {
  readonly worker: string
  readonly evidence: 'sure' | 'silent'
  readonly counting: 'counted' | 'uncounted'
  constructor(worker: string, evidence: 'sure' | 'silent', counting: 'counted' | 'uncounted') {
    super()
    this.worker = worker
    this.evidence = evidence
    this.counting = counting
  }
  async step(model: Model, real: Real) {
    const target = model.workers.get(this.worker)
    const putBack = await real.queue.reap({
      worker: this.worker,
      evidence: this.evidence,
      reason: 'the test says so',
      counting: this.counting,
    })
    if (!target) return expect(putBack).toBe(0)
    if (this.evidence === 'silent' && !target.isDead) model.tick()
    const mayReap =
      target.isDead || this.evidence === 'sure' || (target.aliveUntilMs <= model.nowMs && !model.isQuiet())
    const held = model.heldBy(this.worker)
    expect(putBack).toBe(mayReap ? held.length : 0)
    if (!mayReap) return
    const verdict = this.counting === 'counted' ? 'crashed' : 'handed-back'
    for (const id of held) {
      await ended(model, real, id, verdict, false)
      if (!model.jobs.has(id)) continue // it was cancelled, and is forgotten
      const record = (await real.queue.job(id))?.failures.at(-1)
      expect(record).toMatchObject({ outcome: 'worker-lost', worker: this.worker, pod: 'pod' })
    }
    model.counts.lost += held.length
    model.workers.delete(this.worker)
  }
  toString() {
    return `reap ${this.worker} (${this.evidence}, ${this.counting})`
  }
}

/** The attempt that holds the job saves a step or, without a name, a checkpoint; one with an old token saves nothing. */
class Save extends Step {
  readonly worker: string
  readonly id: string
  readonly name: string
  readonly isStale: boolean
  constructor(worker: string, id: string, name: string, isStale: boolean) {
    super()
    this.worker = worker
    this.id = id
    this.name = name
    this.isStale = isStale
  }
  async step(model: Model, { queue }: Real) {
    const token = this.isStale ? '0' : (model.jobs.get(this.id)?.token ?? '0')
    const holder = { worker: this.worker, id: this.id, token }
    const json = JSON.stringify([token, model.nowMs])
    const save = () =>
      this.name === '' ? queue.saveCheckpoint(holder, json) : queue.saveStep(holder, this.name, json)
    if (!model.holds(this.worker, this.id, token)) {
      expect(await save()).toEqual({ kind: 'not-held' })
      expect(await queue.saved(holder)).toBeUndefined()
      return
    }
    model.save(this.id, this.name, json)
    for (const _ of ['', 'its answer was lost']) expect(await save()).toEqual({ kind: 'saved' })
    const { '': checkpoint, ...steps } = Object.fromEntries(model.jobs.get(this.id)?.saved ?? [])
    expect(await queue.saved(holder)).toEqual({ steps: new Map(Object.entries(steps)), checkpoint })
  }
  toString() {
    return `${this.worker} saves ${this.name || 'a checkpoint'} of ${this.id}${this.isStale ? ' with an old token' : ''}`
  }
}

/** Somebody watches the events for a while. */
class Watch extends Step {
  async step(model: Model, { queue }: Real) {
    const events = queue.events({ everyMs: 10, signal: AbortSignal.timeout(1) })
    model.watchedUntilMs = Math.max(model.watchedUntilMs, model.nowMs + 30_000)
    await events.next()
  }
  toString() {
    return 'somebody watches'
  }
}

class Cancel extends Step {
  readonly id: string
  constructor(id: string) {
    super()
    this.id = id
  }
  async step(model: Model, { queue }: Real) {
    const answer = await queue.cancel(this.id)
    const job = model.jobs.get(this.id)
    if (!job) return expect(answer).toBe('unknown')
    if (job.state === 'held') {
      job.isCancelling = true
      return expect(answer).toBe('cancelling')
    }
    if (job.state !== 'ready' && job.state !== 'delayed') return expect(answer).toBe(job.state)
    model.ended(this.id, 'cancelled')
    expect(answer).toBe('cancelled')
  }
  toString() {
    return `cancel ${this.id}`
  }
}

/** The time to live of an outcome is over; it is not the scripts' clock that counts it. */
class RunOut extends Step {
  readonly id: string
  constructor(id: string) {
    super()
    this.id = id
  }
  override check(model: Readonly<Model>) {
    const state = model.jobs.get(this.id)?.state
    return state === 'completed' || state === 'cancelled' || state === 'expired'
  }
  async step(model: Model, { queue, redis }: Real) {
    for (const key of [`job:${this.id}`, `attempt:${this.id}`]) {
      const ttl = Number(await redis.call('PTTL', prefixOf(queue.name) + key))
      if (ttl >= 0) await redis.call('DEL', prefixOf(queue.name) + key)
      else expect(ttl).toBe(key.startsWith('job') ? 'none' : -2)
    }
    model.jobs.delete(this.id)
  }
  toString() {
    return `the outcome of ${this.id} runs out`
  }
}

/** The time for which a job had its unique key is over; it is not the scripts' clock that counts it. */
class KeyRunsOut extends Step {
  readonly key: string
  constructor(key: string) {
    super()
    this.key = key
  }
  override check(model: Readonly<Model>) {
    return model.holders.get(this.key)?.hasTime === true
  }
  async step(model: Model, { queue, redis }: Real) {
    expect(await redis.call('PTTL', `${prefixOf(queue.name)}unique:${this.key}`)).toBeGreaterThan(0)
    await redis.call('DEL', `${prefixOf(queue.name)}unique:${this.key}`)
    model.holders.delete(this.key)
  }
  toString() {
    return `the time of the unique key ${this.key} is over`
  }
}

class Delete extends Step {
  readonly id: string
  constructor(id: string) {
    super()
    this.id = id
  }
  async step(model: Model, { queue }: Real) {
    const state = model.jobs.get(this.id)?.state ?? 'unknown'
    const isDeleted = ['buried', 'completed', 'cancelled', 'expired'].includes(state)
    if (isDeleted) model.jobs.delete(this.id)
    const expected = isDeleted ? ['deleted', 'unknown'] : [state, state]
    expect(await queue.delete([this.id, this.id])).toEqual(expected)
  }
  toString() {
    return `delete ${this.id}`
  }
}

class Retry extends Step {
  readonly id: string
  constructor(id: string) {
    super()
    this.id = id
  }
  async step(model: Model, { queue }: Real) {
    const job = model.jobs.get(this.id)
    const isBuried = job?.state === 'buried'
    const state = job?.state ?? 'unknown'
    const became = !isBuried ? state : model.retried(this.id) ? 'ready' : 'key-taken'
    expect(await queue.retry([this.id, this.id])).toEqual([became, became])
  }
  toString() {
    return `retry ${this.id}`
  }
}

/** All jobs by name in one action; what it deleted may come back. */
class Bulk extends Step {
  readonly verb: ActionVerb
  readonly isUndone: boolean
  constructor(verb: ActionVerb, isUndone: boolean) {
    super()
    this.verb = verb
    this.isUndone = isUndone && verb === 'delete'
  }
  async step(model: Model, { queue }: Real) {
    const wanted = [...model.jobs].filter(
      ([id, { state }]) => JOBS.includes(id) && STATES_OF_VERB[this.verb].some((each) => each === state),
    )
    // Two buried jobs may have the same unique key: the first by name gets it.
    wanted.sort(([a], [b]) => (a < b ? -1 : 1))
    const id = await queue.actions.create({ verb: this.verb, filter: { terms: [] }, ids: JOBS })
    const action = await queue.actions.run(id)
    if (this.isUndone) expect(await queue.actions.undo(id)).toBe(wanted.length)
    const done = wanted.filter(([id]) => this.#done(model, id)).length
    expect(action).toMatchObject({ state: 'done', done, skipped: wanted.length - done, failed: 0 })
  }
  #done(model: Model, id: string): boolean {
    if (this.verb === 'retry') return model.retried(id)
    if (this.verb === 'cancel') model.cancel(id)
    else if (!this.isUndone) model.jobs.delete(id)
    return true
  }
  toString() {
    return `${this.verb} all${this.isUndone ? ', undone' : ''}`
  }
}

class Pause extends Step {
  readonly isPaused: boolean
  constructor(isPaused: boolean) {
    super()
    this.isPaused = isPaused
  }
  async step(model: Model, { queue }: Real) {
    await (this.isPaused ? queue.pause() : queue.resume())
    model.isPaused = this.isPaused
    if (!this.isPaused) model.rests.delete('*')
  }
  toString() {
    return this.isPaused ? 'pause' : 'resume'
  }
}

class EndRest extends Step {
  readonly key: string
  constructor(key: string) {
    super()
    this.key = key
  }
  async step(model: Model, { queue }: Real) {
    const rests = (model.rests.get(this.key) ?? 0) > model.nowMs
    expect(await queue.endRest({ key: this.key === '*' ? undefined : this.key })).toBe(rests)
    model.rests.delete(this.key)
  }
  toString() {
    return `end the rest of ${this.key}`
  }
}

class Purge extends Step {
  readonly states: readonly Purgeable[]
  constructor(states: readonly Purgeable[]) {
    super()
    this.states = states
  }
  async step(model: Model, { queue }: Real) {
    const gone = [...model.jobs].filter(([, { state }]) => this.states.some((each) => each === state))
    expect(await queue.purge(this.states)).toEqual({ deleted: gone.length, isMore: false })
    for (const [id] of gone) {
      model.freed(id, 'gone')
      model.jobs.delete(id)
    }
  }
  toString() {
    return `purge ${this.states}`
  }
}

/** The owner limits how many jobs may be held at once; 0 takes the limit off. */
class Limit extends Step {
  readonly maxBusy: number
  constructor(maxBusy: number) {
    super()
    this.maxBusy = maxBusy
  }
  async step(model: Model, { queue }: Real) {
    model.maxBusy = this.maxBusy || Number.POSITIVE_INFINITY
    await queue.configure(settingsOf(model))
  }
  toString() {
    return `limit to ${this.maxBusy}`
  }
}

/** Limits of the queue ('*'), of each key (''), or of one key; none takes them away. */
class KeyLimit extends Step {
  readonly key: string
  readonly limits: ModelLimits
  constructor(key: string, limits: ModelLimits) {
    super()
    this.key = key
    this.limits = limits
  }
  async step(model: Model, { queue }: Real) {
    const { key, limits } = this
    const isNone = (key === '*' ? limits.rate : Object.keys(limits)[0]) === undefined
    const had = model.limits.has(key)
    if (isNone) model.limits.delete(key)
    else model.limits.set(key, key === '*' ? ofQueue(limits) : limits)
    if (key === '' || key === '*') await queue.configure(settingsOf(model))
    else if (isNone) expect(await queue.removeLimits(key)).toBe(had)
    else await queue.setLimits(key, limitsText(limits))
  }
  toString() {
    return `limits of ${this.key || 'each key'}: ${JSON.stringify(this.limits)}`
  }
}

const limitsText = ({ maxBusy, rate }: ModelLimits): KeyLimits => ({
  ...(maxBusy !== undefined && { maxBusy }),
  ...(rate && { rate: rateOf(rate) }),
})
/** The number of busy jobs has a command of its own. */
const ofQueue = ({ rate }: ModelLimits) => (rate ? { rate } : {})
const rateOfQueue = (limits: Model['limits']) => limitsText(limits.get('*') ?? {}).rate
const rateOf = ({ intervalMs, burst }: ModelRate) => ({ jobs: 1, periodMs: intervalMs, burst })

class Clock extends Step {
  readonly byMs: number
  constructor(byMs: number) {
    super()
    this.byMs = byMs
  }
  async step(model: Model, { redis, queue }: Real) {
    model.nowMs += this.byMs
    if (this.byMs < 0) model.mayBeParkedForLong = true
    await redis.call('SET', `${prefixOf(queue.name)}clock`, model.nowMs)
  }
  toString() {
    return `the clock moves by ${this.byMs} ms`
  }
}

/** A job has asked for as many rests as it may. */
class RestsUsedUp extends Step {
  readonly id: string
  constructor(id: string) {
    super()
    this.id = id
  }
  override check(model: Readonly<Model>) {
    const job = model.jobs.get(this.id)
    return job !== undefined && job.rests > 0 && !['completed', 'cancelled', 'expired'].includes(job.state)
  }
  async step(model: Model, { queue, redis }: Real) {
    const attempt = `${prefixOf(queue.name)}attempt:${this.id}`
    const job = model.jobs.get(this.id)
    expect(await redis.call('HGET', attempt, 'rests')).toBe(String(job?.rests))
    await redis.call('HSET', attempt, 'rests', MOST_RESTS)
    if (job) job.rests = MOST_RESTS
  }
  toString() {
    return `${this.id} has used up its rests`
  }
}

class SetSchedule extends Step {
  readonly spec: ModelSchedule
  constructor(spec: ModelSchedule) {
    super()
    this.spec = spec
  }
  async step(model: Model, { queue }: Real) {
    const { everyMs, overlap, maxRuns } = this.spec
    const missed = { maxRuns, withinMs: WITHIN_MS }
    const spec = { everyMs, overlap, missed, task: 'task', input: { of: SCHEDULED } }
    expect(await queue.schedules.set(SCHEDULED, spec)).toBe(model.setSchedule(this.spec))
  }
  toString() {
    return `set the schedule ${JSON.stringify(this.spec)}`
  }
}

/** Two look at once: each run is enqueued once. */
class Fire extends Step {
  async step(model: Model, { queue }: Real) {
    const fired = await Promise.all([queue.schedules.fireDue(), queue.schedules.fireDue()])
    expect(fired.flatMap(({ runs }) => runs.map(({ id = '' }) => id))).toEqual(model.fire())
  }
  toString() {
    return 'two look what is due'
  }
}

class RunSchedule extends Step {
  async step(model: Model, { queue }: Real) {
    const id = model.schedule && model.run(model.nowMs, 'Allow')
    expect(await queue.schedules.run(SCHEDULED)).toBe(id)
  }
  toString() {
    return 'run the schedule now'
  }
}

class PauseSchedule extends Step {
  readonly isPaused: boolean
  constructor(isPaused: boolean) {
    super()
    this.isPaused = isPaused
  }
  async step(model: Model, { queue: { schedules } }: Real) {
    const act = this.isPaused ? schedules.pause : schedules.resume
    expect(await act(SCHEDULED)).toBe(model.pauseSchedule(this.isPaused))
  }
  toString() {
    return `${this.isPaused ? 'pause' : 'resume'} the schedule`
  }
}

class DeleteSchedule extends Step {
  async step(model: Model, { queue }: Real) {
    expect(await queue.schedules.delete(SCHEDULED)).toBe(model.schedule ? 'deleted' : 'none')
    model.schedule = undefined
  }
  toString() {
    return 'delete the schedule'
  }
}

/** Takes over which of the allowed states the scripts chose, and when a delayed job is due. */
async function ended(
  model: Model,
  { queue }: Real,
  id: string,
  verdict: ModelVerdict,
  isClaimedAgain: boolean,
) {
  const allowed = model.endsWith(id, verdict)
  const hasFailed = verdict === 'failed' || verdict === 'terminal' || verdict === 'crashed'
  if (hasFailed && !allowed.includes('cancelled')) {
    const group = verdict === 'crashed' ? LOST : groupOf(id)
    model.errors[group] = (model.errors[group] ?? 0) + 1
  }
  const job = model.jobs.get(id)
  if (!job) throw new Error('unknown to the model')
  job.readySinceMs = model.nowMs
  const isRetried =
    (allowed.includes('delayed') && verdict !== 'rests-alone') ||
    (verdict === 'crashed' && allowed.includes('ready'))
  if (isRetried) model.counts.retried += 1
  if (isClaimedAgain) {
    expect(allowed).toContain('ready')
    job.state = 'ready'
    return
  }
  const details = await queue.job(id)
  const [state] = allowed
  const hasEnded = state === 'completed' || state === 'cancelled' || state === 'buried'
  if (!(hasEnded && model.keepsNothing && !details))
    expect(allowed as string[]).toContain(details?.state === 'held' ? 'ready' : details?.state)
  if (hasEnded) return model.ended(id, state)
  job.state = details?.state as ModelState
  if (details?.dueAtMs !== undefined) {
    expect(details.dueAtMs).toBeGreaterThan(model.nowMs)
    expect(details.dueAtMs).toBeLessThanOrEqual(model.nowMs + 4_000)
    job.dueMs = details.dueAtMs
    job.readySinceMs = details.dueAtMs
  }
}

/** What was counted was told: failures and acts of people always, the rest while somebody watches. */
async function compareEvents(model: Model, { queue, redis }: Real, before: Model['counts'] & Model['told']) {
  const key = `${prefixOf(queue.name)}events`
  const from = model.lastEvent === '-' ? '-' : `(${model.lastEvent}`
  const entries = (await redis.call('XRANGE', key, from, '+')) as [string, string[]][]
  model.lastEvent = entries.at(-1)?.[0] ?? model.lastEvent
  const changes = pageOf(['', '', entries]).entries.flatMap(({ event }) => event.changes)
  const isWatched = model.watchedUntilMs > model.nowMs
  const after = { ...model.counts, ...model.told }
  for (const kind of [
    'enqueued',
    'claimed',
    'completed',
    'retried',
    'buried',
    'cancelled',
    'expired',
    'rested',
    'fired',
    'skipped',
  ] as const) {
    const told = changes.filter((change) => change.kind === kind)
    const isAlwaysTold = kind !== 'enqueued' && kind !== 'claimed' && kind !== 'completed'
    const expected = isAlwaysTold || isWatched ? after[kind] - before[kind] : 0
    expect([kind, told.reduce((sum, { count }) => sum + count, 0)]).toEqual([kind, expected])
    for (const { jobs } of told)
      for (const { id, task } of jobs) expect([isKnown(id), task]).toEqual([true, 'task'])
  }
  const { groups } = await queue.errors.list({ limit: 1_000 })
  expect(Object.fromEntries(groups.map(({ group, count }) => [group, count]))).toEqual(model.errors)
}

async function compare(model: Model, { queue, redis }: Real) {
  const { states, problems } = await census(redis, queue.name)
  expect(problems).toEqual([])
  expect(Object.fromEntries(states)).toEqual(
    Object.fromEntries([...model.jobs].map(([id, { state }]) => [id, state])),
  )
  const depth = await queue.depth()
  const inState = (state: ModelState) => model.inState(state)
  expect(depth.counts).toMatchObject({ ...model.counts, busy: inState('held'), vanished: 0 })
  const claimable = model.claimable()
  const overdue = model.overdue().length
  expect(depth).toMatchObject({
    ready: claimable.size,
    delayed: inState('ready') + inState('delayed') - claimable.size - overdue,
    busy: inState('held'),
    buried: inState('buried'),
  })
  // Those that expire are in no number, and may be the ones that are blocked.
  if (overdue > 0) expect([undefined, ...model.ages()]).toContain(depth.oldestReadyMs)
  else if (claimable.size > depth.blocked) expect(model.ages()).toContain(depth.oldestReadyMs)
  else expect(depth.oldestReadyMs).toBeUndefined()
  if (depth.blocked === 0) expect(depth.oldestBlockedMs).toBeUndefined()
  else if (overdue === 0) expect(model.ages()).toContain(depth.oldestBlockedMs)
  const listed = (await queue.jobs('ready')).map(({ id }) => id)
  const ready = [...model.jobs].filter(([, { state }]) => state === 'ready').map(([id]) => id)
  expect(listed.sort()).toEqual(ready.sort())
  const waiting = (await redis.call('ZRANGE', `${prefixOf(queue.name)}idle`, 0, -1, 'WITHSCORES')) as string[]
  const pairs = waiting.flatMap((name, i) => (i % 2 === 0 ? [[name, waiting[i + 1]]] : []))
  expect(Object.fromEntries(pairs)).toEqual(model.waiting())
  const isWoken = (await redis.call('EXISTS', `${prefixOf(queue.name)}wake`)) === 1
  // Like delayed jobs, what is parked for a time is looked for by workers that know the time.
  const parked = `${prefixOf(queue.name)}parked`
  const isAnyParked = Number(await redis.call('EXISTS', parked, `${prefixOf(queue.name)}full`)) > 0
  const isTimed = (await redis.call('ZCOUNT', parked, '-inf', '(+inf')) !== 0
  if (model.isPaused) expect(isWoken).toBe(false)
  else if (inState('ready') + inState('delayed') === 0) expect(isWoken && !isAnyParked).toBe(false)
  else if (model.takes(1) > 0 && inState('ready') > 0 && depth.due === 0 && !isTimed)
    expect(isWoken).toBe(true)
  // It may stand where nothing can run: a key has lost its room, and nobody has looked since. One claim takes it away.
  else if (model.hasClaimedAll && inState('delayed') === 0 && !isAnyParked && model.takes(1) + overdue === 0)
    expect(isWoken).toBe(false)
  model.hasLimits = (await redis.call('HGET', `${prefixOf(queue.name)}config`, 'limits')) === '1'
  if (model.limits.size + model.rests.size > 0) expect(model.hasLimits).toBe(true)
  for (const name of [...KEYS.filter((each) => each !== ''), '*']) {
    const noted = await redis.call('ZSCORE', `${prefixOf(queue.name)}rates`, name)
    if (noted !== null) model.seesBucket(name, Number(noted))
  }
  await compareKeys(model, { queue, redis, isWoken })
  await compareSchedule(model, queue)
}

async function compareSchedule({ schedule, jobs, nowMs }: Model, queue: Queue) {
  const found = await queue.schedules.get(SCHEDULED)
  const { nextScheduleMs } = await queue.depth()
  if (!schedule) return expect([found, nextScheduleMs]).toEqual([undefined, undefined])
  const { isPaused, nextMs, lastId, lastState, fired, skipped } = schedule
  expect(found).toMatchObject({ isPaused, fired, skipped })
  expect(found?.nextAtMs).toBe(nextMs)
  expect(nextScheduleMs).toBe(nextMs === undefined ? undefined : Math.max(0, nextMs - nowMs))
  expect(found?.last?.id).toBe(lastId)
  if (lastId !== undefined) expect(found?.last?.state).toBe(jobs.get(lastId)?.state ?? lastState ?? 'unknown')
}

/** Whoever may run is not blocked but for what a claim has to look at first, and for that it is woken. */
async function compareKeys(
  model: Model,
  { queue, redis, isWoken }: Pick<Real, 'queue' | 'redis'> & { isWoken: boolean },
) {
  for (const key of KEYS.filter((each) => each !== '')) {
    const state = await queue.keyState(key)
    const ready = [...model.jobs.values()].filter((job) => job.key === key && job.state === 'ready')
    expect(state).toMatchObject({ busy: model.busy(key), waiting: ready.length })
    expect(state.isBlocked).toBe(model.room(key) <= 0)
    const parked = await redis.call('ZSCORE', `${prefixOf(queue.name)}parked`, key)
    // A limit that is new is looked at by the next claim.
    const full = await redis.call('HGET', `${prefixOf(queue.name)}full`, key)
    if (full !== null) expect(model.room(key)).toBeLessThanOrEqual(0)
    if (model.room(key) <= 0 && ready.length > 0 && parked === null && full === null)
      expect(isWoken || model.isPaused || model.queueRoom() <= 0).toBe(true)
    if (model.room(key) > 0 && parked !== null && !model.mayBeParkedForLong)
      expect(Number(parked)).toBeLessThanOrEqual(model.nowMs)
  }
}

const worker = fc.constantFrom(...WORKERS)
const job = fc.constantFrom(...JOBS)
const key = fc.constantFrom(...KEYS)
const unique = fc.option(
  fc.record<ModelUnique>({
    key: fc.constantFrom('x', 'x', 'y'),
    while: fc.constantFrom('waiting', 'unfinished', 'unfinished', 'for a time'),
    onDuplicate: fc.constantFrom('keep', 'replace', 'runAgain'),
  }),
  { nil: undefined, freq: 2 },
)
const settle = fc.record({
  job: fc.constantFrom(...JOBS, SCHEDULED),
  verdict: fc.constantFrom(...VERDICTS),
  isStale: fc.constant(false),
  follow: fc.option(job, { nil: undefined }),
  rest: fc.record<ModelRest>({
    ms: fc.constantFrom(700, 3_000),
    pause: fc.constantFrom('job', 'key', 'queue'),
  }),
})
const settleOrStale = fc.oneof(
  { weight: 5, arbitrary: settle },
  { weight: 1, arbitrary: settle.map((each) => ({ ...each, isStale: true })) },
)
const enqueue = fc
  .tuple(
    job,
    fc.constantFrom(0, 0, 0, 1_000, 60_000),
    fc.constantFrom('urgent' as const, 'normal' as const),
    fc.boolean(),
    key,
    unique,
    fc.constantFrom(undefined, undefined, undefined, 1_000, 5_000),
  )
  .map((args) => new Enqueue(...args))
const exchange = fc
  .tuple(
    worker,
    fc.integer({ min: 0, max: 3 }),
    fc.array(settleOrStale, { maxLength: 3 }),
    fc.constantFrom(
      'none' as const,
      'none' as const,
      'none' as const,
      'stale sequence' as const,
      'reply lost' as const,
    ),
    fc.boolean(),
  )
  .map((args) => new Exchange(...args))
const keyLimits = fc.constantFrom<ModelLimits>(
  {},
  { maxBusy: 1 },
  { maxBusy: 2 },
  { rate: { intervalMs: 1_000, burst: 1 } },
  { maxBusy: 1, rate: { intervalMs: 700, burst: 2 } },
)
const schedule = fc.oneof<fc.Arbitrary<Step>[]>(
  fc
    .record<ModelSchedule>({
      everyMs: fc.constantFrom(2_000, 5_000),
      overlap: fc.constantFrom('Allow', 'Forbid', 'Replace'),
      maxRuns: fc.constantFrom(1, 3),
    })
    .map((spec) => new SetSchedule(spec)),
  fc.constant(new Fire()),
  fc.constant(new Fire()),
  fc.constant(new RunSchedule()),
  fc.constantFrom(true, false).map((isPaused) => new PauseSchedule(isPaused)),
  fc.constant(new DeleteSchedule()),
)
const commands = fc.commands(
  [
    enqueue,
    job.map((id) => new EnqueueOne(id)),
    fc.tuple(job, key, unique).map((args) => new EnqueueOne(...args)),
    fc.constantFrom('x', 'y').map((key) => new KeyRunsOut(key)),
    worker.map((name) => new Hear(name)),
    worker.map((name) => new Listen(name)),
    worker.map((name) => new Register(name)),
    worker.map((name) => new Renew(name)),
    // Most of all, so that the dead hold something.
    exchange,
    exchange,
    exchange,
    exchange,
    fc
      .tuple(
        worker,
        fc.constantFrom('sure' as const, 'silent' as const, 'silent' as const),
        fc.constantFrom('counted' as const, 'counted' as const, 'uncounted' as const),
      )
      .map((args) => new Reap(...args)),
    fc
      .tuple(worker, job, fc.constantFrom('', 'one', 'two'), fc.constantFrom(false, false, true))
      .map((args) => new Save(...args)),
    fc.constant(new Watch()),
    job.map((id) => new Cancel(id)),
    job.map((id) => new Retry(id)),
    job.map((id) => new Delete(id)),
    job.map((id) => new RunOut(id)),
    job.map((id) => new RestsUsedUp(id)),
    schedule,
    schedule,
    fc.tuple(fc.constantFrom(...ACTION_VERBS), fc.boolean()).map((args) => new Bulk(...args)),
    fc.subarray([...PURGEABLE], { minLength: 1 }).map((states) => new Purge(states)),
    fc.constantFrom(0, 0, 2, 3).map((maxBusy) => new Limit(maxBusy)),
    fc.tuple(fc.constantFrom('*', '', '', ...KEYS.slice(1)), keyLimits).map((args) => new KeyLimit(...args)),
    fc.constantFrom(true, false, false).map((isPaused) => new Pause(isPaused)),
    fc.constantFrom('*', ...KEYS.slice(1)).map((key) => new EndRest(key)),
    fc.constantFrom(500, 1_500, 1_500, 3_000, 8_000, 300_000, -300_000).map((byMs) => new Clock(byMs)),
  ],
  // Without a size histories have five steps.
  { maxCommands: 60, size: 'max' },
)

/** Few random histories would come so far by themselves that somebody dies and holds something. */
const BEGINNING: Step[] = [
  new Register('p:1'),
  new Register('q:1'),
  ...JOBS.slice(0, 4).map((id) => new Enqueue(id, 0, 'normal', false)),
  new Exchange('p:1', 2, [], 'none'),
]

const settingsOf = ({ keepsNothing, maxBusy, limits }: Model): QueueSettings => ({
  ...(maxBusy < Number.POSITIVE_INFINITY && { maxBusy }),
  ...(rateOfQueue(limits) && { rate: rateOfQueue(limits) as Rate }),
  ...(limits.has('') && { perKey: limitsText(limits.get('') ?? {}) }),
  ...{ ownerUid: 'model', timeoutMs: 60_000, suspended: false },
  ...{ maxAttempts: MAX_ATTEMPTS, maxCrashes: MAX_CRASHES, backoffMs: 2_000, maxBackoffMs: 4_000 },
  ...{ maxLength: 100, maxPayloadBytes: 1_000 },
  ...{ completedMaxAgeMs: keepsNothing ? 0 : 3_600_000, completedMaxCount: 100 },
  ...{ buriedMaxAgeMs: 86_400_000_000, buriedMaxCount: 100, eventsMaxCount: 10_000 },
})

/** The long form: npm run soak -- --faults. */
const RUNS = Number(process.env.MILLHAND_MODEL_RUNS ?? 75)

describe('the scripts and the model of a job', () => {
  let redis: Connection
  let messages: Connection
  beforeAll(async () => {
    redis = connectRedis(redisUrl())
    messages = connectRedis(redisUrl())
    await Promise.all([redis.ready(), messages.ready()])
  })
  afterAll(() => {
    redis.close()
    messages.close()
  })

  test(
    'agree after every step of random histories with lost replies and clock jumps',
    async () => {
      let histories = 0
      await fc.assert(
        fc.asyncProperty(fc.boolean(), commands, async (keepsNothing, steps) => {
          histories += 1
          const queue = openQueue(redis, `model.${process.pid}-${histories}`, scripts)
          const model = new Model()
          model.keepsNothing = keepsNothing
          await redis.call('SET', `${prefixOf(queue.name)}clock`, model.nowMs)
          await queue.configure(settingsOf(model))
          const real: Real = { queue, redis, messages, heard: new Map(), stopListening: new Map() }
          for (const step of BEGINNING) await step.run(model, real)
          await fc.asyncModelRun(() => ({ model, real }), steps)
          for (const stop of real.stopListening.values()) stop()
        }),
        { numRuns: RUNS },
      )
    },
    RUNS * 4_000,
  )
})
