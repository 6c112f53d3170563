// The JSON that a person typed, parsed; when it is wrong, told where (pure).

/** The message has line and column. */
export class BadJson extends Error {
  override name = 'BadJson'
}

export function parseJson(text: string, source: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    const { what, at } = complaint(text, error instanceof Error ? error.message : String(error))
    const before = text.slice(0, at)
    const line = before.split('\n').length
    const column = at - before.lastIndexOf('\n')
    throw new BadJson(`${source} is not valid JSON at line ${line}, column ${column}: ${what}`, {
      cause: error,
    })
  }
}

function complaint(text: string, message: string): { what: string; at: number } {
  const what = message.replace(/ in JSON at position .*| in JSON$|, .* is not valid JSON$/s, '')
  const [, position] = /at position (\d+)/.exec(message) ?? []
  if (position !== undefined) return { what, at: Number(position) }
  if (!message.startsWith('Unexpected token')) return { what: 'it ends too early', at: text.length }
  return { what, at: firstUnexpected(text) }
}

/** Node tells no position for some mistakes. It is where the shortest beginning ends that has the mistake. */
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
