// Options of the public functions, checked before anything is done: their names, and what each may be. An
// option that is undefined is absent.

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
  if (Array.isArray(value)) return 'an array'
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'an invalid Date' : 'a Date'
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}

function remedyFor(name: string, known: readonly string[]): string {
  const nearest = nearestOf(name, known)
  return nearest ? `: did you mean ${nearest}?` : `: known are ${known.join(', ')}`
}

/** The one that `name` is most likely a misspelling of. */
export function nearestOf(name: string, known: readonly string[]): string | undefined {
  return known
    .map((each) => ({ each, edits: editsBetween(name.toLowerCase(), each.toLowerCase()) }))
    .filter(({ each, edits }) => edits <= Math.max(1, each.length / 3))
    .sort((a, b) => a.edits - b.edits)[0]?.each
}

/** How many letters to add, drop or change (Levenshtein). */
function editsBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next[j] = Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1)
    }
    row = next
  }
  return row[b.length] ?? 0
}
