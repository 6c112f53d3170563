// Options of the public functions, checked before anything is done: their names, and what each may be. An
// option that is undefined is absent.
import { nearest } from './nearest.ts'

export interface Rule {
  readonly isValid: (value: unknown) => boolean
  /** Ends the sentence "use …". */
  readonly is: string
}
export type Rules = Readonly<Record<string, Rule>>

export const anything: Rule = { isValid: () => true, is: 'anything' }

export const oneOf = (known: readonly unknown[]): Rule => ({
  isValid: (value) => known.includes(value),
  is: `one of ${known.join(', ')}`,
})

export const wholeNumber = (least: number, most = 1e12): Rule => ({
  isValid: (value) => Number.isSafeInteger(value) && Number(value) >= least && Number(value) <= most,
  is: `a whole number of at least ${least} and at most ${most}`,
})

export const validDate: Rule = {
  isValid: (value) => value instanceof Date && !Number.isNaN(value.getTime()),
  is: 'a valid Date',
}

/** Throws TypeError, with the name, the value, and what it may be. `what`: like "option of connect". */
export function checkOptions(
  what: `${'option' | 'field'} of ${string}`,
  options: unknown,
  rules: Rules,
): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    throw new TypeError(
      `invalid ${what.replace(' ', 's ')} (${shown(options)}): use an object of ${Object.keys(rules).join(', ')}`,
    )
  for (const [name, value] of Object.entries(options)) {
    const rule = Object.hasOwn(rules, name) ? rules[name] : undefined
    if (!rule) throw new TypeError(`unknown ${what} "${name}"${remedyFor(name, Object.keys(rules))}`)
    if (value !== undefined && !rule.isValid(value))
      throw new TypeError(`invalid ${name} ${shown(value)}: use ${rule.is}`)
  }
}

/** A value in the notation of a program, shortened. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value)
  if (typeof value === 'function') return 'a function'
  if (Array.isArray(value)) {
    const isShort = value.length > 0 && value.length <= 5 && value.every((each) => typeof each === 'string')
    return isShort ? `[${value.map(shown).join(', ')}]` : 'an array'
  }
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'an invalid Date' : 'a Date'
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}

function remedyFor(name: string, known: readonly string[]): string {
  const meant = nearest(name, known)
  return meant ? `: did you mean ${meant}?` : `: known are ${known.join(', ')}`
}
