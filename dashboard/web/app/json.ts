// JSON text as a tree of its own pieces of text: no number is rounded, no field is lost. Bounded in depth and
// in pieces; undefined where it is no JSON, or more than a page should draw.
export type Node =
  | { kind: 'literal'; text: string }
  | { kind: 'object' | 'list'; items: { name?: string; value: Node }[] }

const MOST_NODES = 5_000
const MOST_DEPTH = 100
const TOKEN = /\s*(?:([{}[\],:])|("(?:[^"\\]|\\.)*")|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null))\s*/y

export function nodesOf(text: string): Node | undefined {
  const tokens = tokensOf(text)
  if (!tokens) return undefined
  let at = 0
  const next = () => tokens[at++]
  const value = (depth: number): Node | undefined => {
    const token = next()
    if (token === undefined || depth > MOST_DEPTH) return undefined
    if (token === '{') return members('object', '}', depth)
    if (token === '[') return members('list', ']', depth)
    return /^[}\],:]$/.test(token) ? undefined : { kind: 'literal', text: token }
  }
  const members = (kind: 'object' | 'list', end: string, depth: number): Node | undefined => {
    const items: { name?: string; value: Node }[] = []
    if (tokens[at] === end) {
      at += 1
      return { kind, items }
    }
    for (;;) {
      const name = kind === 'object' ? next() : undefined
      if (kind === 'object' && (!name?.startsWith('"') || next() !== ':')) return undefined
      const found = value(depth + 1)
      if (!found) return undefined
      items.push({ ...(name !== undefined && { name: name.slice(1, -1) }), value: found })
      const mark = next()
      if (mark === end) return { kind, items }
      if (mark !== ',') return undefined
    }
  }
  const root = value(0)
  return at === tokens.length ? root : undefined
}

function tokensOf(text: string): string[] | undefined {
  const tokens: string[] = []
  TOKEN.lastIndex = 0
  while (TOKEN.lastIndex < text.length) {
    const found = TOKEN.exec(text)
    if (!found || tokens.length > 4 * MOST_NODES) return undefined
    tokens.push(found[1] ?? found[2] ?? found[3] ?? '')
  }
  return tokens
}
