// Error groups: failures of one kind, counted together (lua/errors.lua). fingerprint.ts says what one kind
// is.
import { isFingerprint } from '../fingerprint.ts'
import { checkOptions, type Rules, wholeNumber } from '../options.ts'
import { amountOf, counterOf, listOf, MAX_TEXT, numberOf, RedisDataInvalid, textOf } from './answers.ts'
import { fieldsOf } from './reads.ts'
import type { Verbs } from './verbs.ts'

export interface ErrorGroup {
  /** `v1:` and 16 hexadecimal digits. */
  readonly group: string
  /** failed, timed-out, out-of-memory, killed, exited, worker-lost … */
  readonly outcome: string
  /** The class of the error; '' where no error was thrown. */
  readonly type: string
  /** That of the first failure of the group, up to 1,000 bytes. */
  readonly message: string
  readonly firstMs: number
  readonly lastMs: number
  /** Attempts that failed so. */
  readonly count: number
  /** How many of them by task; the task '' stands for all beyond some forty. */
  readonly tasks: Readonly<Record<string, number>>
  /** The version of Millhand of the worker that saw it first. */
  readonly version: string
  readonly isMuted: boolean
  /** Buried jobs whose last attempt failed so. */
  readonly buried: number
}

export interface ErrorGroups {
  /** The last seen first. */
  readonly groups: readonly ErrorGroup[]
  /** Of all groups of the queue; at most 1,000 are kept. */
  readonly total: number
  /** Give it to get the next ones; absent on the last page. */
  readonly cursor?: string
}

export interface ErrorGroupDetails extends ErrorGroup {
  /** Ids of buried jobs whose last attempt failed so, the last buried first. */
  readonly jobs: readonly string[]
}

const MOST_GROUPS = 1_000
const MOST_JOBS = 1_000
/** When the last group of a page was seen, and its name. */
const CURSOR = /^(\d{1,16}) (v\d{1,3}:[0-9a-f]{16})$/
const LIST: Rules = {
  cursor: { isValid: (value) => CURSOR.test(String(value)), is: 'that of the last page' },
  limit: wholeNumber(1, MOST_GROUPS),
}
const PAGE: Rules = { offset: wholeNumber(0, 1e6), limit: wholeNumber(1, MOST_GROUPS) }

/**
 * A page of the groups; `limit` at most 1,000, default 50. A group that is seen again meanwhile is on the
 * first page then. Throws TypeError for another text as cursor.
 */
async function list(verbs: Verbs, page: { cursor?: string; limit?: number } = {}): Promise<ErrorGroups> {
  checkOptions('option of errors.list', page, LIST)
  const { cursor = '', limit = 50 } = page
  const [, seenAt = '', last = ''] = CURSOR.exec(cursor) ?? []
  const [total, found] = listOf(await verbs.run('groups', [limit, last, seenAt]), 'error groups')
  const groups = listOf(found, 'error groups', MOST_GROUPS).map(groupOf)
  const end = groups.length === limit ? groups.at(-1) : undefined
  return {
    groups,
    total: amountOf(total, 'the number of error groups'),
    ...(end && { cursor: `${end.lastMs} ${end.group}` }),
  }
}

/** A group, and a page of its buried jobs; `limit` at most 1,000, default 50. Undefined: there is none. */
async function get(
  verbs: Verbs,
  group: string,
  page: { offset?: number; limit?: number } = {},
): Promise<ErrorGroupDetails | undefined> {
  checkOptions('option of errors.get', page, PAGE)
  const args = [page.limit ?? 50, '', '', checked(group), page.offset ?? 0]
  const [, groups, jobs] = listOf(await verbs.run('groups', args), 'an error group')
  const [found] = listOf(groups, 'an error group', 1)
  if (found === undefined) return undefined
  const ids = listOf(jobs, 'the jobs of an error group', MOST_JOBS).map((id) => textOf(id, 'the id of a job'))
  return { ...groupOf(found), jobs: ids }
}

/**
 * A person knows of this one: it is counted as before, and marked. Answers false where there is no such
 * group.
 */
async function mute(verbs: Verbs, group: string): Promise<boolean> {
  return verbs.write('mute', [checked(group), '1'], (answer) => amountOf(answer, 'an error group') === 1)
}

async function unmute(verbs: Verbs, group: string): Promise<boolean> {
  return verbs.write('mute', [checked(group), '0'], (answer) => amountOf(answer, 'an error group') === 1)
}

export const errorGroups = { list, get, mute, unmute }

function checked(group: string): string {
  if (isFingerprint(group)) return group
  throw new TypeError(`invalid error group ${JSON.stringify(group)}: use v1: and 16 hexadecimal digits`)
}

function groupOf(answer: unknown): ErrorGroup {
  const { group, lastMs, buried, known } = fieldsOf(answer, 'an error group')
  const found = new Map<string, string>()
  const flat = listOf(known, 'an error group', 500).map((each) => textOf(each, 'an error group', 4_096))
  for (let i = 0; i + 1 < flat.length; i += 2) found.set(flat[i] ?? '', flat[i + 1] ?? '')
  const text = (field: string) => found.get(field) ?? ''
  const number = (field: string) => counterOf(found.get(field) ?? null, `${field} of an error group`)
  const name = textOf(group, 'an error group', MAX_TEXT)
  if (!isFingerprint(name)) throw new RedisDataInvalid('an error group', name)
  const tasks = [...found.keys()].filter((field) => field.startsWith('task:'))
  return {
    group: name,
    outcome: text('outcome'),
    type: text('type'),
    message: text('message'),
    firstMs: number('firstMs'),
    lastMs: numberOf(Math.floor(Number(lastMs)), 'when errors were seen', { least: 0, most: 2 ** 50 }),
    count: number('count'),
    tasks: Object.fromEntries(tasks.map((field) => [field.slice(5), number(field)])),
    version: text('version'),
    isMuted: text('muted') === '1',
    buried: amountOf(buried, 'the buried jobs of an error group'),
  }
}
