// Why a job does not run: the causes, what stops it first before what would stop it next. A pure function over facts
// that one script reads (lua/why.lua). The operator adds what it knows of pods (control/decide/why.ts).
import { parseEnded, parseEnvelope } from '../job.ts'
import { amountOf, counterOf, numberOf, oneOf, optionalOf, textOf } from './answers.ts'
import type { Cause, Why } from './cause.ts'
import { whyInFlow } from './flow-why.ts'
import { isQueueName } from './keys.ts'
import { type KeyState, limiting } from './limits.ts'
import { failureOf, fieldsOf, JOB_STATES, type JobState, timeOf } from './reads.ts'
import type { KeyLimits } from './settings.ts'
import type { Verbs } from './verbs.ts'

export const WHY_CODES = [
  ...['completed', 'cancelled', 'expired', 'buried', 'running', 'cancelling'],
  ...[
    'paused',
    'suspended',
    'delayed',
    'escalated',
    'back-off',
    'max-busy',
    'rate',
    'max-busy-of-key',
    'rate-of-key',
  ],
  ...['rests', 'queue-rests', 'key-rests', 'waits-for', 'on-its-way', 'skipped'],
  ...['no-workers', 'draining', 'slots-busy', 'next'],
] as const

/** All times in ms, by the clock of Redis. */
export interface WhyFacts {
  readonly state: Exclude<JobState, 'unknown'>
  readonly nowMs: number
  readonly enqueuedAtMs: number
  readonly endedAtMs?: number
  /** When it is due, or was buried. */
  readonly atMs?: number
  readonly worker?: string
  readonly isCancelling: boolean
  /** Attempts that ended, or the one that runs. */
  readonly attempts: number
  readonly crashes: number
  readonly maxAttempts: number
  readonly maxCrashes: number
  readonly lastFailure?: string
  readonly readySinceMs?: number
  /** How many jobs are before it in its lane; undefined where too many to count. */
  readonly before?: number
  /** How often its task asked for a rest, and until when the last one is. */
  readonly rests: number
  readonly restsUntilMs?: number
  /** An attempt ran out of memory, and a copy goes on in this queue. */
  readonly escalatedTo?: string
  readonly isSuspended: boolean
  readonly isPaused: boolean
  readonly maxBusy?: number
  readonly busy: number
  /** How the queue is, apart from its maxBusy. */
  readonly queueState?: KeyState
  readonly key?: string
  readonly keyState?: KeyState
  /** When any worker last renewed; undefined where none ever did. */
  readonly renewedAtMs?: number
  readonly aliveWorkers: number
  /** Of the workers that were looked at, at most 100; slots and held jobs of those that do not drain. */
  readonly lookedAt: {
    readonly workers: number
    readonly draining: number
    readonly slots: number
    readonly held: number
  }
}

/** Undefined where the job is not known. One that waits in a flow is known in the flow's home. */
async function why(verbs: Verbs, id: string): Promise<Why | undefined> {
  return (await whyOfJob(verbs, id)) ?? whyInFlow(verbs, id, whyOfJob)
}

async function whyOfJob(verbs: Verbs, id: string): Promise<Why | undefined> {
  const facts = factsOf(await verbs.run('why', [id]))
  if (!facts) return undefined
  const causes = causesOf({ ...facts, ...(await limitsFor(verbs, facts)) })
  const elsewhere =
    facts.escalatedTo === undefined ? undefined : await whyOfJob(verbs.of(facts.escalatedTo), id)
  return { id, state: facts.state, causes: [...causes, ...(elsewhere?.causes ?? [])] }
}

async function limitsFor(verbs: Verbs, { state, key }: WhyFacts): Promise<Partial<WhyFacts>> {
  if (state !== 'ready' && state !== 'delayed') return {}
  const [queueState, keyState] = await Promise.all([
    limiting.keyState(verbs),
    key === undefined ? undefined : limiting.keyState(verbs, key),
  ])
  return { queueState, ...(keyState && { keyState }) }
}

export const explaining = { why }

export function causesOf(facts: WhyFacts): Cause[] {
  if (facts.state !== 'ready' && facts.state !== 'delayed') return [whatItIs(facts)]
  if (facts.escalatedTo !== undefined) return [escalated(facts.escalatedTo)]
  const limits = [...limited(facts), ...rateUsedUp(facts), ...keyLimited(facts)]
  const causes = [...closed(facts), ...notDue(facts), ...limits, ...withoutSlot(facts)]
  if (causes.length > 0) return causes
  const text = `nothing holds it back: a worker claims it within moments${waitsBehind(facts)}`
  return [{ code: 'next', text, ...(facts.readySinceMs !== undefined && { sinceMs: facts.readySinceMs }) }]
}

/** Of a job that runs or has ended. */
function whatItIs(facts: WhyFacts): Cause {
  const { state, worker = 'a worker', endedAtMs, atMs, lastFailure } = facts
  const ended = endedAtMs !== undefined && { sinceMs: endedAtMs }
  if (state === 'completed') return { code: state, text: 'it has completed', ...ended }
  if (state === 'cancelled') return { code: state, text: 'it was cancelled', ...ended }
  if (state === 'expired')
    return { code: state, text: 'it had not started by its time, and never runs (expiresInMs)', ...ended }
  if (state === 'buried') {
    const tries = `it has failed${lastFailure ? `: ${lastFailure}` : ''}; no attempts are left (${triesOf(facts)})`
    return { code: state, text: tries, ...(atMs !== undefined && { sinceMs: atMs }) }
  }
  const text = `attempt ${facts.attempts} of ${facts.maxAttempts} runs in ${worker}`
  return facts.isCancelling
    ? { code: 'cancelling', text: `it is being cancelled: ${text}`, subject: worker }
    : { code: 'running', text, subject: worker }
}

function escalated(queue: string): Cause {
  const text = `an attempt ran out of memory: the job goes on in the queue ${queue} (retry.outOfMemory.escalateTo)`
  return { code: 'escalated', text, subject: queue }
}

function triesOf({ attempts, maxAttempts, crashes }: WhyFacts): string {
  const died = crashes === 0 ? '' : `, and ${crashes === 1 ? '1 worker' : `${crashes} workers`} died with it`
  return `${attempts} of ${maxAttempts} attempts${died}`
}

function closed({ isSuspended, isPaused }: WhyFacts): Cause[] {
  return [
    ...(isPaused
      ? [{ code: 'paused', text: 'a person paused the queue: no job is claimed until it is resumed' }]
      : []),
    ...(isSuspended
      ? [{ code: 'suspended', text: 'the TaskQueue is suspended (spec.suspend): no job is claimed' }]
      : []),
  ]
}

function notDue(facts: WhyFacts): Cause[] {
  const { state, atMs = 0, nowMs, attempts, maxAttempts, crashes, lastFailure } = facts
  if (state !== 'delayed' || atMs <= nowMs) return []
  if (atMs === facts.restsUntilMs) {
    const times = facts.rests === 1 ? '' : `; it did so ${facts.rests} times`
    return [{ code: 'rests', text: `its task asked for a rest (RetryAfter)${times}`, untilMs: atMs }]
  }
  if (attempts + crashes === 0)
    return [{ code: 'delayed', text: 'it was enqueued with a delay, and is not due yet', untilMs: atMs }]
  const last = lastFailure ? `; the last one: ${lastFailure}` : ''
  const text = `it failed and waits before attempt ${attempts + 1} of ${maxAttempts}${last}`
  return [{ code: 'back-off', text, untilMs: atMs }]
}

function limited({ maxBusy, busy }: WhyFacts): Cause[] {
  if (maxBusy === undefined || busy < maxBusy) return []
  return [
    { code: 'max-busy', text: `${busy} jobs of the queue run, and spec.limits.maxBusy allows ${maxBusy}` },
  ]
}

/** A limit that has a time is a rate; the other one waits for the end of a job. */
function rateUsedUp({ queueState: { untilMs, limits, rests } = NO_LIMITS }: WhyFacts): Cause[] {
  if (untilMs === undefined) return []
  if (rests)
    return [{ code: 'queue-rests', text: 'a task asked for a rest of the queue (RetryAfter)', untilMs }]
  return [{ code: 'rate', text: `the queue has used up its rate${rateText(limits)}`, untilMs }]
}

function keyLimited({ key: subject = '', keyState = NO_LIMITS }: WhyFacts): Cause[] {
  const { isBlocked, untilMs, limits, busy, blockedSinceMs: sinceMs } = keyState
  if (!isBlocked) return []
  if (keyState.rests && untilMs !== undefined)
    return [
      {
        code: 'key-rests',
        text: `a task asked for a rest of the key ${subject} (RetryAfter)`,
        untilMs,
        subject,
      },
    ]
  if (untilMs !== undefined) {
    const text = `the key ${subject} has used up its rate${rateText(limits)}`
    return [{ code: 'rate-of-key', text, untilMs, subject }]
  }
  const text = `${counted(busy, 'job')} of the key ${subject} ${busy === 1 ? 'runs' : 'run'}, and its maxBusy allows ${limits.maxBusy}`
  return [{ code: 'max-busy-of-key', text, subject, ...(sinceMs !== undefined && { sinceMs }) }]
}

const NO_LIMITS: KeyState = { limits: {}, overrides: {}, busy: 0, waiting: 0, isBlocked: false, rests: false }

const rateText = ({ rate }: KeyLimits): string =>
  rate ? ` of ${counted(rate.jobs, 'job')} in ${rate.periodMs / 1_000} s` : ''

function withoutSlot(facts: WhyFacts): Cause[] {
  const { aliveWorkers, renewedAtMs, lookedAt, readySinceMs } = facts
  if (aliveWorkers === 0) {
    const text =
      renewedAtMs === undefined
        ? 'no worker has ever served the queue'
        : 'no worker serves the queue any more'
    return [{ code: 'no-workers', text, ...(renewedAtMs !== undefined && { sinceMs: renewedAtMs }) }]
  }
  const areAllLookedAt = lookedAt.workers === aliveWorkers
  if (areAllLookedAt && lookedAt.draining === aliveWorkers)
    return [
      {
        code: 'draining',
        text: `all ${counted(aliveWorkers, 'worker')} of the queue drain: their pods are about to end`,
      },
    ]
  if (!areAllLookedAt || lookedAt.held < lookedAt.slots) return []
  const text = `all ${counted(lookedAt.slots, 'slot')} of ${counted(aliveWorkers - lookedAt.draining, 'worker')} are busy${waitsBehind(facts)}`
  return [{ code: 'slots-busy', text, ...(readySinceMs !== undefined && { sinceMs: readySinceMs }) }]
}

function waitsBehind({ state, before }: WhyFacts): string {
  if (state !== 'ready') return ''
  if (before === undefined) return '; more than 10,000 jobs of its lane are before it'
  return before === 0
    ? '; it is the next one of its lane'
    : `; ${counted(before, 'job')} of its lane before it`
}

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`

/** Throws RedisDataInvalid. */
function factsOf(answer: unknown): WhyFacts | undefined {
  const found = fieldsOf(answer, 'why a job does not run')
  const state = oneOf(found.state, 'the state of a job', JOB_STATES)
  if (state === 'unknown') return undefined
  const count = (name: string) => counterOf(found[name] ?? null, `${name} of a job`)
  const time = (name: string) => (found[name] === undefined ? undefined : timeOf(String(found[name])))
  const line = `${textOf(found.line, 'a job', 1_100)}\n`
  const [ended, envelope] = [parseEnded(line), parseEnvelope(line)]
  const [, heldAttempt, heldCrashes = ''] = textOf(found.entry ?? '', 'what a worker holds').split(':')
  const failure = textOf(found.failure ?? '', 'the last failure of a job', Number.POSITIVE_INFINITY)
  const before = numberOf(found.place ?? -1, 'the place of a job', { least: -1, most: 1e9 })
  return {
    state,
    nowMs: time('now') ?? 0,
    enqueuedAtMs: ended?.enqueuedAtMs ?? envelope?.enqueuedAtMs ?? 0,
    isCancelling: found.cancel === '1',
    attempts: heldAttempt === undefined ? (ended?.attempts ?? count('attempts')) : Number(heldAttempt),
    crashes:
      heldAttempt === undefined ? (ended?.crashes ?? count('crashes')) : Number.parseInt(heldCrashes, 10),
    maxAttempts: count('maxAttempts'),
    maxCrashes: count('maxCrashes'),
    rests: count('rests'),
    isSuspended: found.suspended === 1,
    isPaused: found.paused === 1,
    busy: amountOf(found.busy, 'counts.busy'),
    aliveWorkers: amountOf(found.alive, 'the number of workers'),
    lookedAt: {
      workers: amountOf(found.looked, 'workers'),
      draining: amountOf(found.draining, 'workers that drain'),
      slots: amountOf(found.slots, 'slots'),
      held: amountOf(found.held, 'held jobs'),
    },
    ...known({
      endedAtMs: ended?.endedAtMs,
      atMs: time('at'),
      key: /\/(.+)$/.exec(envelope?.lane ?? '')?.[1],
      restsUntilMs: time('restsUntilMs'),
      escalatedTo: queueOf(found.escalated),
      worker: found.worker === undefined ? undefined : textOf(found.worker, 'a worker', 512),
      lastFailure: failure === '' ? undefined : failureOf(failure),
      readySinceMs: time('readyMs'),
      before: before < 0 ? undefined : before,
      maxBusy: optionalOf(found.maxBusy, 'config.maxBusy'),
      renewedAtMs: time('renewedMs'),
    }),
  }
}

function queueOf(value: unknown): string | undefined {
  const name = textOf(value ?? '', 'the queue of a copy', 512)
  return isQueueName(name) ? name : undefined
}

/** Without the fields that are undefined. */
function known<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never
}
