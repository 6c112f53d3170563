// The one language of filters: for the CLI, the API, the pages and bulk actions. Pure, and free of Node: it
// runs in a browser too. find.ts looks for the jobs.

/** States as people filter by them. */
export const FILTER_STATES = [
  'ready',
  'delayed',
  'held',
  'buried',
  'completed',
  'cancelled',
  'expired',
] as const
export type FilterState = (typeof FILTER_STATES)[number]

/** Fields whose value is a name, or several with commas between them. */
const NAMES = ['state', 'task', 'tag', 'id', 'worker', 'error', 'key'] as const
type NameField = (typeof NAMES)[number]
const COMPARISONS = ['>=', '<=', '>', '<', '='] as const
type Comparison = (typeof COMPARISONS)[number]

/** One condition. A job is found when all of them hold. */
export type Term =
  | { readonly field: NameField; readonly isNegated: boolean; readonly values: readonly string[] }
  | { readonly field: 'since' | 'until'; readonly isNegated: boolean; readonly atMs: number }
  | {
      readonly field: 'attempt'
      readonly isNegated: boolean
      readonly comparison: Comparison
      readonly attempts: number
    }
  | { readonly field: 'text'; readonly isNegated: boolean; readonly text: string }

export interface Filter {
  readonly terms: readonly Term[]
}

/** What a filter looks at in a job. */
export interface Candidate {
  readonly id: string
  readonly state: string
  readonly task: string
  readonly tags?: readonly string[]
  readonly worker?: string
  /** The fingerprint of its last error. */
  readonly error?: string
  readonly key?: string
  /** When it was buried or ended; of any other job, when it was enqueued. */
  readonly atMs: number
  readonly attempts: number
  /** For each term of text, in their order, whether the text is in it. */
  readonly hits: readonly boolean[]
}

/** A filter that cannot be read: `word` is the part, `remedy` what to write instead. */
export class FilterInvalid extends Error {
  override readonly name = 'FilterInvalid'
  readonly code = 'FILTER_INVALID'
  readonly word: string
  readonly remedy: string
  constructor(word: string, problem: string, remedy: string) {
    super(`invalid filter ${JSON.stringify(word)}: ${problem}; ${remedy}`)
    this.word = word
    this.remedy = remedy
  }
}

export const MAX_FILTER_CHARACTERS = 1_000
const MAX_TERMS = 20
const MAX_VALUES = 50
/** People say failed and running; the states of a job are buried and held. */
const ALIASES: Readonly<Record<string, FilterState>> = { failed: 'buried', running: 'held' }
const FIELDS = [...NAMES, 'since', 'until', 'attempt']
const VALUE: Readonly<Record<NameField, RegExp>> = {
  state: /^[a-z]+$/,
  task: /^[A-Za-z0-9._*-]{1,100}$/,
  tag: /^[A-Za-z0-9:._@/-]{1,64}$/,
  id: /^[A-Za-z0-9:._-]{1,128}$/,
  worker: /^[^\s"]{1,256}$/,
  error: /^[A-Za-z0-9:._*-]{1,100}$/,
  key: /^[A-Za-z0-9:._*-]{1,128}$/,
}
const REMEDY: Readonly<Record<NameField, string>> = {
  state: `the states are ${FILTER_STATES.join(', ')}`,
  task: 'a task is 1 to 100 of A-Z a-z 0-9 . _ -, and * for any text',
  tag: 'a tag is 1 to 64 of A-Z a-z 0-9 : . _ - @ /',
  id: 'an id is 1 to 128 of A-Z a-z 0-9 : . _ -',
  worker: 'a worker is a name from millhand workers, and * for any text',
  error: 'an error is a fingerprint, and * for any text',
  key: 'a key is 1 to 128 of A-Z a-z 0-9 : . _ -, and * for any text',
}
const WORD = /^(-?)(?:([A-Za-z]+):)?(?:"((?:[^"\\]|\\.)*)"|([^\s"]*))(?=\s|$)/

/**
 * `state:failed task:Send* tag:order:42 since:2h attempt:>=3 "text in the payload"`; `-` in front negates.
 * Times become absolute. Throws FilterInvalid.
 */
export function parseFilter(text: string, nowMs: number): Filter {
  if (text.length > MAX_FILTER_CHARACTERS)
    throw new FilterInvalid(
      `${text.slice(0, 20)}…`,
      `it has ${text.length} characters`,
      `use at most ${MAX_FILTER_CHARACTERS}`,
    )
  const terms: Term[] = []
  for (let rest = text.trimStart(); rest !== ''; rest = rest.trimStart()) {
    const match = WORD.exec(rest)
    if (!match) throw unreadable(rest)
    terms.push(termOf(match, nowMs))
    rest = rest.slice(match[0].length)
  }
  if (terms.length > MAX_TERMS)
    throw new FilterInvalid(text.slice(0, 20), `it has ${terms.length} terms`, `use at most ${MAX_TERMS}`)
  return { terms }
}

function unreadable(rest: string): FilterInvalid {
  const [word = ''] = rest.split(/\s/)
  const quotes = [...rest].filter((character) => character === '"').length
  return quotes % 2 === 1
    ? new FilterInvalid(word, 'a quote is not closed', 'end the text with "')
    : new FilterInvalid(
        word,
        'a quote stands inside a word',
        'put the whole text in quotes: "…", and write \\" in it',
      )
}

function termOf([word, minus, name, quoted, bare = '']: RegExpExecArray, nowMs: number): Term {
  const isNegated = minus === '-'
  const value = quoted === undefined ? bare : quoted.replaceAll(/\\(.)/g, '$1')
  if (name === undefined) {
    if (value === '') throw new FilterInvalid(word ?? '', 'a text is empty', 'write a text, or leave it out')
    return { field: 'text', isNegated, text: value }
  }
  const field = name.toLowerCase()
  if (field === 'since' || field === 'until') return { field, isNegated, atMs: timeIn(field, value, nowMs) }
  if (field === 'attempt') return attemptTerm(isNegated, value)
  const known = NAMES.find((each) => each === field)
  if (!known)
    throw new FilterInvalid(
      `${name}:`,
      'there is no such field',
      `the fields are ${FIELDS.join(', ')}; put text in quotes`,
    )
  return { field: known, isNegated, values: valuesOf(known, value) }
}

function valuesOf(field: NameField, text: string): string[] {
  const values = text.split(',').map((value) => (field === 'state' ? (ALIASES[value] ?? value) : value))
  if (values.length > MAX_VALUES)
    throw new FilterInvalid(`${field}:`, `it has ${values.length} values`, `use at most ${MAX_VALUES}`)
  for (const value of values) {
    const isKnown = field !== 'state' || FILTER_STATES.some((state) => state === value)
    if (!isKnown || !VALUE[field].test(value))
      throw new FilterInvalid(`${field}:${value}`, 'the value is invalid', REMEDY[field])
  }
  return values
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const DATE = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)?)?$/

function timeIn(field: 'since' | 'until', text: string, nowMs: number): number {
  const atMs = timeOf(text, nowMs)
  if (Number.isFinite(atMs)) return atMs
  throw new FilterInvalid(
    `${field}:${text}`,
    'the time is invalid',
    'use 30s, 10m, 2h, 7d, or a time like 2026-01-31T08:00 (UTC where it names no zone)',
  )
}

function timeOf(text: string, nowMs: number): number {
  const [, amount, unit = ''] = /^(\d{1,9}(?:\.\d{1,3})?)([smhd])$/.exec(text) ?? []
  if (amount !== undefined) return Math.round(nowMs - Number(amount) * (UNIT_MS[unit] ?? 0))
  const [whole, clock, , , zone] = DATE.exec(text) ?? []
  if (whole === undefined) return Number.NaN
  return Date.parse(clock !== undefined && zone === undefined ? `${whole}Z` : whole)
}

function attemptTerm(isNegated: boolean, text: string): Term {
  const [, sign = '', digits] = /^(>=|<=|>|<|=)?(\d{1,9})$/.exec(text) ?? []
  if (digits === undefined)
    throw new FilterInvalid(
      `attempt:${text}`,
      'the number is invalid',
      'use attempt:3, attempt:>=3 or attempt:<3',
    )
  const comparison = COMPARISONS.find((each) => each === sign) ?? '='
  return { field: 'attempt', isNegated, comparison, attempts: Number(digits) }
}

/** The filter as text again, with absolute times: parseFilter reads the same from it at any time. */
export function filterText({ terms }: Filter): string {
  return terms.map((term) => `${term.isNegated ? '-' : ''}${textOfTerm(term)}`).join(' ')
}

function textOfTerm(term: Term): string {
  switch (term.field) {
    case 'text':
      return `"${term.text.replaceAll(/["\\]/g, '\\$&')}"`
    case 'since':
    case 'until':
      return `${term.field}:${new Date(term.atMs).toISOString()}`
    case 'attempt':
      return `attempt:${term.comparison === '=' ? '' : term.comparison}${term.attempts}`
    default:
      return `${term.field}:${term.values.join(',')}`
  }
}

export function matches({ terms }: Filter, job: Candidate): boolean {
  let texts = 0
  for (const term of terms) {
    const holds = term.field === 'text' ? job.hits[texts++] === true : isTrueOf(term, job)
    if (holds === term.isNegated) return false
  }
  return true
}

function isTrueOf(term: Exclude<Term, { field: 'text' }>, job: Candidate): boolean {
  switch (term.field) {
    case 'since':
      return job.atMs >= term.atMs
    case 'until':
      return job.atMs <= term.atMs
    case 'attempt':
      return compared(job.attempts, term.comparison, term.attempts)
    case 'tag':
      return term.values.some((tag) => job.tags?.includes(tag))
    default: {
      const value = job[term.field]
      return value !== undefined && term.values.some((pattern) => isLike(value, pattern))
    }
  }
}

function compared(a: number, comparison: Comparison, b: number): boolean {
  if (comparison === '>=') return a >= b
  if (comparison === '<=') return a <= b
  if (comparison === '>') return a > b
  return comparison === '<' ? a < b : a === b
}

/** `*` stands for any text. In one pass: a pattern comes from a user. */
export function isLike(text: string, pattern: string): boolean {
  const [first = '', ...others] = pattern.split('*')
  if (others.length === 0) return text === pattern
  if (!text.startsWith(first)) return false
  const last = others.pop() ?? ''
  let at = first.length
  for (const part of others) {
    const found = text.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return text.length - last.length >= at && text.endsWith(last)
}

/** The texts that are looked for, in the order of their terms. */
export function textsOf({ terms }: Filter): string[] {
  return terms.flatMap((term) => (term.field === 'text' ? [term.text] : []))
}

/** The values of the first positive term of this field; undefined where there is none. */
export function valuesFor({ terms }: Filter, field: NameField): readonly string[] | undefined {
  for (const term of terms) if (term.field === field && !term.isNegated) return term.values
  return undefined
}

/** The states that a job may have for this filter. */
export function statesFor({ terms }: Filter): FilterState[] {
  return FILTER_STATES.filter((state) =>
    terms.every((term) => term.field !== 'state' || term.values.includes(state) !== term.isNegated),
  )
}

/** The latest `since` and the earliest `until`. */
export function timesFor({ terms }: Filter): { sinceMs: number; untilMs: number } {
  let [sinceMs, untilMs] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]
  for (const term of terms) {
    if (term.field === 'since' && !term.isNegated) sinceMs = Math.max(sinceMs, term.atMs)
    if (term.field === 'until' && !term.isNegated) untilMs = Math.min(untilMs, term.atMs)
  }
  return { sinceMs, untilMs }
}
