// JSON as it is: numbers beyond 2^53 and repeated names stay as they were written, since the text is never
// turned into values. Text that is no JSON is shown as text.
import { type Node, nodesOf } from '../app/json.ts'
import { Lines, Name, visible } from './show.tsx'

const OPEN_DEPTH = 3
const LONG_TEXT = 2_000

export function JsonView({ text, isCut }: { text: string; isCut: boolean }) {
  const root = isCut ? undefined : nodesOf(text)
  if (!root) return <Lines of={text} what="JSON" />
  return (
    <div class="json">
      <Value node={root} depth={0} />
    </div>
  )
}

function Value({ node, depth, name }: { node: Node; depth: number; name?: string }) {
  const label = name !== undefined && (
    <>
      <span class="name">
        <Name of={name} />
      </span>
      :{' '}
    </>
  )
  if (node.kind === 'literal')
    return (
      <div>
        {label}
        <Literal text={node.text} />
      </div>
    )
  const [open, close] = node.kind === 'list' ? '[]' : '{}'
  const size = node.items.length
  if (size === 0)
    return (
      <div>
        {label}
        {open}
        {close}
      </div>
    )
  return (
    <details open={depth < OPEN_DEPTH && size <= 200}>
      <summary>
        {label}
        {open} <span class="muted">{node.kind === 'list' ? `${size} items` : `${size} fields`}</span>
      </summary>
      <div>
        {node.items.map((item, n) => (
          <Value
            key={n}
            node={item.value}
            depth={depth + 1}
            {...(item.name !== undefined && { name: item.name })}
          />
        ))}
      </div>
      {close}
    </details>
  )
}

function Literal({ text }: { text: string }) {
  const isString = text.startsWith('"')
  const shown = text.length > LONG_TEXT ? `${text.slice(0, LONG_TEXT)}… (${text.length} characters)` : text
  return <bdi class={isString ? 'string' : 'literal'}>{visible(shown)}</bdi>
}
