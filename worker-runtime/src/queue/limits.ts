// Limits of a queue and of its keys: as a TaskQueue or a person gives them, as the text in Redis that
// lua/limits.lua reads, and what a key is held back by.
import { isKey } from '../job.ts'
import { checkOptions, oneOf as oneOfThese, type Rules, shown, wholeNumber } from '../options.ts'
import { amountOf, listOf, numberOf, oneOf, optionalOf, textOf } from './answers.ts'
import { limitsOf, limitsText } from './limit-text.ts'
import { fieldsOf } from './reads.ts'
import { type KeyLimits, WHEN_AT_LIMIT } from './settings.ts'
import type { Verbs } from './verbs.ts'

/** What of a key, or of the whole queue, is so at this moment. */
export interface KeyState {
  readonly limits: KeyLimits
  /** These were given by a person, and win over those of the TaskQueue. */
  readonly overrides: KeyLimits
  readonly busy: number
  readonly waiting: number
  /** No job of it may start now. */
  readonly isBlocked: boolean
  /** A task asked for that (RetryAfter), until `untilMs`. */
  readonly rests: boolean
  /** When the last of its jobs started; ms. */
  readonly blockedSinceMs?: number
  /** A job may start from this time on; absent while one of its jobs has to end first. */
  readonly untilMs?: number
}

/** The name of the whole queue among keys. */
const WHOLE_QUEUE = '*'
const MOST_LIMITS = 10_000
const MOST_RESTS = 200
const MOST_MS = 2 ** 41
const MOST_BURST = 1_000_000

const RATE_FIELDS: Rules = {
  jobs: wholeNumber(1, 1_000_000),
  periodMs: wholeNumber(1, 2 ** 31),
  burst: wholeNumber(1, MOST_BURST),
}
const LIMIT_FIELDS: Rules = {
  maxBusy: wholeNumber(0, 1_000_000),
  rate: { isValid: (value) => typeof value === 'object' && value !== null, is: '{ jobs, periodMs, burst }' },
  maxLength: wholeNumber(0, 1e9),
  whenAtLimit: oneOfThese(WHEN_AT_LIMIT),
}

/** Throws TypeError. */
export function checkLimits(limits: KeyLimits): void {
  checkOptions('field of limits', limits, LIMIT_FIELDS)
  if (limits.rate) checkOptions('field of rate', limits.rate, RATE_FIELDS)
}

/**
 * Gives a key, or without one the whole queue, limits that win over those of the TaskQueue: at once, for jobs
 * that wait too. Throws TypeError.
 */
async function setLimits(verbs: Verbs, key: string | undefined, limits: KeyLimits): Promise<void> {
  checkLimits(limits)
  if (key === undefined && (limits.maxLength ?? limits.whenAtLimit) !== undefined)
    throw new TypeError('maxLength and whenAtLimit are limits of a key: name one')
  const text = limitsText(limits)
  if (text === '') throw new TypeError(`no limit is given: use ${Object.keys(LIMIT_FIELDS).join(', ')}`)
  const answer = await verbs.write('limit', [nameOf(key), text, MOST_LIMITS], wordOf)
  if (answer === 'too-many')
    throw new TypeError(`queue ${verbs.name} has ${MOST_LIMITS} keys with limits: remove some first`)
}

/** The limits of the TaskQueue are valid again. Answers whether there were others. */
async function removeLimits(verbs: Verbs, key: string | undefined): Promise<boolean> {
  return (await verbs.write('limit', [nameOf(key), '', MOST_LIMITS], wordOf)) === 'removed'
}

/** All that persons gave, by key; that of the whole queue has no key. */
async function listLimits(verbs: Verbs): Promise<{ key?: string; limits: KeyLimits }[]> {
  const answer = listOf(
    await verbs.redis.call('HGETALL', verbs.key('limits')),
    'limits',
    2 * MOST_LIMITS,
  ).map((text) => textOf(text, 'limits'))
  const found: { key?: string; limits: KeyLimits }[] = []
  for (let i = 0; i + 1 < answer.length; i += 2) {
    const [key = '', text] = answer.slice(i, i + 2)
    found.push({ ...(key !== WHOLE_QUEUE && { key }), limits: limitsOf(text) })
  }
  return found.sort((a, b) => (a.key ?? '').localeCompare(b.key ?? ''))
}

/** How a key, or without one the whole queue, is at this moment. */
async function keyState(verbs: Verbs, key?: string): Promise<KeyState> {
  const found = fieldsOf(await verbs.run('key', [nameOf(key)]), 'a key')
  const untilMs = optionalOf(found.untilMs, 'until when a key is blocked', MOST_MS)
  const sinceMs = optionalOf(found.sinceMs, 'since when a key is blocked', MOST_MS)
  return {
    limits: limitsOf(found.limits),
    overrides: limitsOf(found.overrides),
    busy: amountOf(found.busy, 'the busy jobs of a key'),
    waiting: amountOf(found.waiting, 'the ready jobs of a key'),
    isBlocked: numberOf(found.isBlocked, 'a key', { least: 0, most: 1 }) === 1,
    rests: found.rests === 1,
    ...(sinceMs !== undefined && { blockedSinceMs: sinceMs }),
    ...(untilMs !== undefined && { untilMs }),
  }
}

export interface Rests {
  readonly total: number
  /** The longest first; that of the whole queue has no key. */
  readonly rests: readonly { readonly key?: string; readonly untilMs: number }[]
}

/** What rests because a task asked for it (RetryAfter), but for jobs that rest alone; at most 200. */
async function rests(verbs: Verbs, { limit = 50 } = {}): Promise<Rests> {
  const most = Math.max(1, Math.min(limit, MOST_RESTS))
  const [total, ...found] = listOf(await verbs.run('rests', [most]), 'rests', 2 * MOST_RESTS + 1)
  const list: { key?: string; untilMs: number }[] = []
  for (let i = 0; i + 1 < found.length; i += 2) {
    const key = textOf(found[i], 'a key that rests')
    const untilMs = numberOf(found[i + 1], 'until when a key rests', { least: 0, most: MOST_MS })
    list.push({ ...(key !== WHOLE_QUEUE && { key }), untilMs })
  }
  return { total: amountOf(total, 'rests'), rests: list }
}

/** Ends the rest of a job, of a key, or of the whole queue. Answers whether there was one. */
async function endRest(verbs: Verbs, of: { job: string } | { key: string | undefined }): Promise<boolean> {
  const args = 'job' in of ? ['job', of.job] : ['key', nameOf(of.key)]
  return (await verbs.write('end-rest', args, (said) => oneOf(said, 'a rest', ['ended', 'none']))) === 'ended'
}

export const limiting = { setLimits, removeLimits, listLimits, keyState, rests, endRest }

function nameOf(key: string | undefined): string {
  if (key === undefined) return WHOLE_QUEUE
  if (isKey(key)) return key
  throw new TypeError(`invalid key ${shown(key)}: use 1 to 128 of A-Z a-z 0-9 . : _ -`)
}

const wordOf = (answer: unknown) => oneOf(answer, 'limits', ['set', 'removed', 'none', 'too-many'])
