// Parses JSON that a person typed, with the position of a mistake; and JSON from Redis, so that its numbers
// print unchanged (pure).

/** The message has line and column. */
export class BadJson extends Error {
  override name = 'BadJson'
}

export function parseJson(text: string, source: string): unknown {
  try {
    return JSON.parse(text, (_, value, { source }: { source?: string } = {}) => {
      if (typeof value === 'number' && source !== undefined && !isKept(value, source))
        throw new NumberLost(source)
      return value
    })
  } catch (error) {
    if (error instanceof NumberLost)
      throw new BadJson(
        `${source} has the number ${error.message}, which a task would get as ${Number(error.message)}: write it as a string, with quotes`,
      )
    const { what, at } = complaint(text, error instanceof Error ? error.message : String(error))
    const before = text.slice(0, at)
    const line = before.split('\n').length
    const column = at - before.lastIndexOf('\n')
    throw new BadJson(`${source} is not valid JSON at line ${line}, column ${column}: ${what}`)
  }
}

/** Numbers that JavaScript cannot hold keep their text. */
export function reprinted(json: string): unknown {
  return JSON.parse(json, (_, value, { source }: { source?: string } = {}) =>
    typeof value === 'number' && source !== undefined && !isKept(value, source) ? rawJson(source) : value,
  )
}

class NumberLost extends Error {}

/**
 * A fraction may be rounded, as in any program. A whole number may not change, and no number may become
 * infinite or zero.
 */
function isKept(value: number, source: string): boolean {
  if (/^-?\d+$/.test(source)) return Number.isFinite(value) && BigInt(source) === BigInt(value)
  return Number.isFinite(value) && (value !== 0 || !/^[^e]*[1-9]/i.test(source))
}

const rawJson = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON

function complaint(text: string, message: string): { what: string; at: number } {
  const what = message.replace(/ in JSON at position .*| in JSON$|, .* is not valid JSON$/s, '')
  const [, position] = /at position (\d+)/.exec(message) ?? []
  if (position !== undefined) return { what, at: Number(position) }
  if (!message.startsWith('Unexpected token')) return { what: 'it ends too early', at: text.length }
  return { what, at: firstUnexpected(text) }
}

/** For some mistakes Node gives no position: it is the end of the shortest prefix with the mistake. */
function firstUnexpected(text: string): number {
  let good = 0
  let bad = text.length
  while (bad - good > 1) {
    const middle = Math.floor((good + bad) / 2)
    if (hasUnexpected(text.slice(0, middle))) bad = middle
    else good = middle
  }
  return bad - 1
}

function hasUnexpected(text: string): boolean {
  try {
    JSON.parse(text)
    return false
  } catch (error) {
    return error instanceof Error && error.message.startsWith('Unexpected token')
  }
}
