// The events of a queue: what verbs did to jobs, read from the stream `events` (lua/tell.lua) as an endless
// iterator. While somebody iterates, the queue is watched: the events that every job has are written too.
import { setTimeout as after } from 'node:timers/promises'
import { checkOptions, type Rules, wholeNumber } from '../options.ts'
import { RedisUnavailable } from '../redis/connection.ts'
import { ReplyError } from '../redis/resp.ts'
import { amountOf, listOf, numberOf, pairsOf, RedisDataInvalid, textOf } from './answers.ts'
import { QueueRefused } from './refused.ts'
import type { Verbs } from './verbs.ts'

export const EVENT_KINDS = [
  ...([
    'enqueued',
    'completed',
    'retried',
    'escalated',
    'buried',
    'cancelled',
    'expired',
    'handed-back',
    'rested',
    'rest-ended',
    'requeued',
    'deleted',
    'restored',
  ] as const),
  ...(['claimed', 'reaped', 'paused', 'resumed', 'suspended', 'unsuspended', 'fired', 'skipped'] as const),
  ...(['flow-started', 'flow-ended'] as const),
] as const
/**
 * enqueued, claimed and completed are written only while somebody watches, the others always. `retried`: an
 * attempt failed and the job has tries left; `escalated`: it ran out of memory and goes on in another queue;
 * `rested`: its task threw RetryAfter; `rest-ended`: a person ended that; `requeued`: a person retries a buried job; `restored`: the deletion of the
 * job was undone; `reaped`: a dead worker is gone, and its jobs are in other changes; `fired`: a schedule made the
 * job; `skipped`: it left a run out;
 * `flow-started`: a run of a flow or a batch that is at home here began, `flow-ended`: it completed, failed or was
 * cancelled.
 */
export type EventKind = (typeof EVENT_KINDS)[number]

/** One call of a verb, and all that it changed. */
export interface QueueEvent {
  /** Its place: `events({ after: id })` goes on behind it. */
  readonly id: string
  readonly atMs: number
  /** The worker of all its jobs. */
  readonly worker?: string
  readonly changes: readonly Change[]
  /**
   * Before it others are missing: too many came while nobody read, or nobody watched and what every job has
   * was not written.
   */
  readonly isBehindGap: boolean
}

export interface Change {
  readonly kind: EventKind
  /** How many jobs, or flows. */
  readonly count: number
  /** At most the first 100. */
  readonly jobs: readonly ChangedJob[]
}

export interface ChangedJob {
  /** Of flow-started and flow-ended that of the flow. */
  readonly id: string
  /** Unknown of deleted jobs; flows have none. */
  readonly task?: string
  /** Of claimed, retried, escalated and buried ones. */
  readonly attempt?: number
  /** Of completed ones, ms. */
  readonly durationMs?: number
  /**
   * How the attempt of a retried, escalated or buried one ended: failed, timed-out, worker-lost …; how a flow ended. Of
   * a handed-back one: worker-lost, or why no attempt began: could-not-start, answer-lost (of Redis, to the claim),
   * no-slot; absent where its attempt was ended.
   */
  readonly outcome?: string
  /** The error group of that attempt. */
  readonly group?: string
}

export interface EventsOptions {
  /**
   * The id of the event behind which to begin; '0' for the oldest that is kept. Default: with what happens
   * from now on.
   */
  after?: string | undefined
  /** false: ends behind the last event that is kept, and watches nothing. Default: true. */
  follow?: boolean | undefined
  /** Ends the iterator. */
  signal?: AbortSignal | undefined
  /** How often to look; ms, default 500. */
  everyMs?: number | undefined
}

const ID = /^\d{1,16}(?:-\d{1,20})?$/
const OPTIONS: Rules = {
  after: {
    isValid: (value) => typeof value === 'string' && ID.test(value),
    is: 'the id of an event, like 1700000000000-0, or 0 for the oldest',
  },
  signal: { isValid: (value) => value instanceof AbortSignal, is: 'an AbortSignal' },
  everyMs: wholeNumber(10, 60_000),
  follow: { isValid: (value) => typeof value === 'boolean', is: 'true or false' },
}
const PAGE = 200
const WATCH_MS = 30_000
const RENEW_WATCH_MS = 10_000

/**
 * Never ends by itself, but at the signal; goes on by itself after an outage of Redis. Throws TypeError for a
 * bad option, QueueRefused where the queue keeps no events (code EVENTS_OFF) or has another layout.
 */
async function* events(verbs: Verbs, options: EventsOptions = {}): AsyncGenerator<QueueEvent, void, void> {
  checkOptions('option of events', options, OPTIONS)
  const { signal, everyMs = 500, follow = true } = options
  let at = options.after ?? (follow ? '$' : '0')
  let isBehindGap = false
  const watch = watching(verbs)
  while (!signal?.aborted) {
    const look = async () => pageOf(await verbs.run('events', [at, PAGE]))
    const watchAndLook = async () => {
      const last = await watch()
      if (at === '$' && last !== undefined) at = last
      return look()
    }
    const page = follow ? await unlessAway(watchAndLook) : await look()
    // Of one who may only read.
    if (page && at === '$') at = page.last || '0'
    if (page && isOlder(at, page.first)) isBehindGap = true
    for (const { event, isBeginning } of page?.entries ?? []) {
      at = event.id
      isBehindGap ||= isBeginning
      if (event.changes.length === 0) continue
      yield { ...event, isBehindGap }
      isBehindGap = false
    }
    if (page?.entries.length === PAGE) continue
    if (page && !follow) return
    await after(everyMs, undefined, { signal }).catch(() => {})
  }
}

export const telling = { events }

/**
 * Says from time to time that somebody watches. Answers the id of the last event where it has said so now; else, and
 * where it may only read, undefined. Who may only read sees what is always written.
 */
function watching(verbs: Verbs): () => Promise<string | undefined> {
  let nextMs = Number.NEGATIVE_INFINITY
  return async () => {
    if (performance.now() < nextMs) return undefined
    const last = await verbs
      .write('watch', [WATCH_MS], (answer) => textOf(answer, 'the id of an event'))
      .catch((error) => {
        if (!isReadOnly(error)) throw error
      })
    if (last === '') throw eventsOff(verbs.name)
    nextMs = performance.now() + RENEW_WATCH_MS
    return last ?? undefined
  }
}

const isReadOnly = (error: unknown): boolean =>
  (error instanceof ReplyError && /NOPERM|can't run this command|ACL failure/.test(error.message)) ||
  (error instanceof QueueRefused && error.code === 'REDIS_FULL')

const eventsOff = (queue: string): QueueRefused =>
  new QueueRefused('EVENTS_OFF', `queue ${queue} keeps no events: set spec.events.maxCount to more than 0`)

/** An outage has an end: who follows waits for it. */
async function unlessAway<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask()
  } catch (error) {
    if (error instanceof RedisUnavailable && error.code !== 'REDIS_REFUSED') return undefined
    throw error
  }
}

interface Page {
  first: string
  last: string
  entries: { event: Omit<QueueEvent, 'isBehindGap'>; isBeginning: boolean }[]
}

/** Throws RedisDataInvalid. */
export function pageOf(answer: unknown): Page {
  const [first, last, entries] = listOf(answer, 'a page of events', 3)
  return {
    first: textOf(first, 'the id of an event'),
    last: textOf(last, 'the id of an event'),
    entries: listOf(entries, 'a page of events', PAGE).map(entryOf),
  }
}

function entryOf(answer: unknown): Page['entries'][number] {
  const [id, fields] = listOf(answer, 'an event', 2)
  const place = textOf(id, 'the id of an event')
  if (!ID.test(place)) throw new RedisDataInvalid('the id of an event', place)
  const texts = new Map(pairsOf(fields).map(([name, text]) => [textOf(name, 'an event'), longTextOf(text)]))
  const worker = texts.get('worker')
  const changes = EVENT_KINDS.flatMap((kind) => {
    const text = texts.get(kind)
    return text === undefined ? [] : [changeOf(kind, text)]
  })
  const event = { id: place, atMs: Number.parseInt(place, 10), ...(worker && { worker }), changes }
  return { event, isBeginning: texts.has('watched') }
}

function changeOf(kind: EventKind, text: string): Change {
  const [count, ...lines] = text.split('\n')
  return {
    kind,
    count: amountOf(count, 'the jobs of an event'),
    jobs: lines.map((line) => jobOf(kind, line)),
  }
}

function jobOf(kind: EventKind, line: string): ChangedJob {
  const [id = '', task, first, outcome, group] = line.split(' ')
  const isFailure = kind === 'retried' || kind === 'escalated' || kind === 'buried'
  return {
    id,
    ...(task && task !== '-' && { task }),
    ...((isFailure || kind === 'claimed') && { attempt: wholeOf(first, 10) }),
    ...((kind === 'flow-ended' || kind === 'handed-back') && first && { outcome: first }),
    ...(kind === 'completed' && first && { durationMs: wholeOf(first, 16) }),
    ...(isFailure && outcome && { outcome }),
    ...(isFailure && group && group !== '-' && { group }),
  }
}

const wholeOf = (text: string | undefined, radix: number): number =>
  numberOf(Number.parseInt(text ?? '', radix), 'a number of an event', { least: 0, most: 2 ** 41 })

const longTextOf = (value: unknown): string => textOf(value, 'an event', Number.POSITIVE_INFINITY)

/** Whether the first id is before the second; an empty stream has no first one. */
function isOlder(id: string, first: string): boolean {
  if (first === '' || id === '0') return false
  const [[ms = 0, n = 0], [firstMs = 0, firstN = 0]] = [numbersOf(id), numbersOf(first)]
  return ms < firstMs || (ms === firstMs && n < firstN)
}

const numbersOf = (id: string): number[] => id.split('-').map(Number)
