// The unique key of a job: the option, its check, and the named field of a header that scripts read too
// (queue/lua/unique.lua). For job.ts.
import type { Rule } from './options.ts'

export const ON_DUPLICATE = ['keep', 'replace', 'runAgain'] as const

/** At most one job of a queue has a unique key at a time. */
export interface Unique {
  /** 1 to 128 of A-Z a-z 0-9 . : _ - */
  readonly key: string
  /**
   * For how long the job has the key: `waiting` until its first attempt begins, `unfinished` (the default)
   * until it is completed, cancelled, expired, deleted or buried; `forMs` for so long from its enqueue,
   * whatever becomes of it.
   */
  readonly while?: 'waiting' | 'unfinished' | { readonly forMs: number } | undefined
  /**
   * What another enqueue with the key does. `keep` (the default): nothing. `replace`: where the job waits, it
   * gets task, input, due time and options of the new one; a job that runs is left alone. `runAgain`: as
   * `replace`, and where the job runs, the newest of the new ones follows once it has ended.
   */
  readonly onDuplicate?: (typeof ON_DUPLICATE)[number] | undefined
}

const KEY = /^[A-Za-z0-9:._-]{1,128}$/
const MOST_MS = 1e12

export const UNIQUE: Rule = {
  isValid: isUnique,
  is: `{ key, while, onDuplicate }: key 1 to 128 of A-Z a-z 0-9 . : _ -; while "waiting", "unfinished" or { forMs: a whole number of at least 1 }; onDuplicate one of ${ON_DUPLICATE.join(', ')}`,
}

function isUnique(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const { key, while: time = 'unfinished', onDuplicate = 'keep', ...others } = value as Unique
  return (
    Object.keys(others).length === 0 &&
    typeof key === 'string' &&
    KEY.test(key) &&
    (ON_DUPLICATE as readonly unknown[]).includes(onDuplicate) &&
    (time === 'waiting' || time === 'unfinished' || isTime(time))
  )
}

function isTime(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const { forMs, ...others } = value as { forMs: unknown }
  const isNumber = Number.isSafeInteger(forMs) && Number(forMs) >= 1 && Number(forMs) <= MOST_MS
  return isNumber && Object.keys(others).length === 0
}

const POLICIES = { keep: 'k', replace: 'r', runAgain: 'a' } as const

/** The named field of a header. */
export function uniqueText(unique: Unique | undefined): string {
  if (!unique) return ''
  const { key, while: time = 'unfinished', onDuplicate = 'keep' } = unique
  const letter = typeof time === 'object' ? `f${time.forMs}` : time === 'waiting' ? 'w' : 'u'
  return ` u=${letter}${POLICIES[onDuplicate]}:${key}`
}

/** The unique key in the named fields of a header. */
export function uniqueKeyIn(fields: string): string | undefined {
  return fields.includes(' u=') ? / u=[wuf]\d*[kra]:(\S+)/.exec(fields)?.[1] : undefined
}
