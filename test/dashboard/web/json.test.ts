// JSON as the pages show it: nothing of it is rounded, lost or believed.
import fc from 'fast-check'
import { type Node, nodesOf } from '../../../dashboard/web/app/json.ts'

const literal = (text: string): Node => ({ kind: 'literal', text })

test.each<[text: string, node: Node | undefined]>([
  ['12345678901234567890123', literal('12345678901234567890123')],
  ['1.0', literal('1.0')],
  ['-0', literal('-0')],
  ['"a\\u0000b"', literal('"a\\u0000b"')],
  [' null ', literal('null')],
  ['[]', { kind: 'list', items: [] }],
  [
    '{"a":1,"a":2}',
    {
      kind: 'object',
      items: [
        { name: 'a', value: literal('1') },
        { name: 'a', value: literal('2') },
      ],
    },
  ],
  ['{"__proto__":1}', { kind: 'object', items: [{ name: '__proto__', value: literal('1') }] }],
  ['', undefined],
  ['{"a":1', undefined],
  ['[1,]', undefined],
  ['{a:1}', undefined],
  ['undefined', undefined],
  ['1 2', undefined],
  ['[1}', undefined],
])('%s', (text, node) => expect(nodesOf(text)).toEqual(node))

test('what is too deep or too long for a page is no tree', () => {
  expect(nodesOf('['.repeat(200) + ']'.repeat(200))).toBeUndefined()
  expect(nodesOf(JSON.stringify(Array.from({ length: 50_000 }, () => 1)))).toBeUndefined()
})

test('every JSON that is small enough is a tree, and its pieces are its text', () => {
  const textOf = (node: Node): string => {
    if (node.kind === 'literal') return node.text
    const inner = node.items
      .map(({ name, value }) => (name === undefined ? '' : `"${name}":`) + textOf(value))
      .join(',')
    return node.kind === 'list' ? `[${inner}]` : `{${inner}}`
  }
  fc.assert(
    fc.property(fc.json({ maxDepth: 5 }), (text) => {
      const node = nodesOf(text)
      return node !== undefined && textOf(node) === text
    }),
  )
})
