// The live output of a job: it follows the end until somebody scrolls back, and can show only the lines with
// a text.
import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks'
import { plural } from '../app/numbers.ts'
import { type Block, type Line, type Output, plain, useOutput } from '../app/output.ts'
import { Blank } from './feedback.tsx'
import { visible } from './show.tsx'

/** Closer to the end than this is the end. */
const NEAR_PX = 24

export function Log({ path }: { path: string }) {
  const output = useOutput(`${path}/output`)
  const [wanted, want] = useState('')
  const [isAtEnd, setAtEnd] = useState(true)
  const frame = useRef<HTMLElement>(null)
  const toEnd = () => frame.current?.scrollTo({ top: frame.current.scrollHeight })
  useLayoutEffect(() => {
    if (isAtEnd) toEnd()
  }, [output.blocks, isAtEnd, wanted])
  if (output.phase === 'failed')
    return (
      <Blank icon="errors" title="The output cannot be followed">
        <p>
          The server refused it: you may not see output here, or too many people watch. Load the page again.
        </p>
      </Blank>
    )
  const total = output.blocks.reduce((sum, { lines }) => sum + lines.length, 0)
  return (
    <div class="log">
      <div class="log-head">
        <input
          class="field"
          type="search"
          aria-label="Only lines with"
          placeholder="Only lines with …"
          value={wanted}
          onInput={(event) => want(event.currentTarget.value)}
        />
        <span class="muted small" role="status">
          {phaseOf(output)}
        </span>
        {!isAtEnd && (
          <button type="button" class="button small" onClick={() => setAtEnd(true)}>
            To the end
          </button>
        )}
      </div>
      <section
        class="text"
        ref={frame}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also by keys.
        tabIndex={0}
        aria-label="Output as it comes"
        onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) =>
          setAtEnd(scrollHeight - scrollTop - clientHeight < NEAR_PX)
        }
      >
        {output.forgotten > 0 && (
          <p class="muted">{plural(output.forgotten, 'older line')} are not kept on this page.</p>
        )}
        {total === 0 && <p class="muted">{emptyText(output)}</p>}
        {output.blocks.map((block) => (
          <Lines key={block.first} of={block} wanted={wanted} />
        ))}
      </section>
    </div>
  )
}

function phaseOf({ phase, state }: Output): string {
  if (phase === 'over') return `The job is ${state}: this was its output.`
  if (phase === 'connecting') return 'Connecting …'
  return state === 'held' ? 'Live' : `The job is ${state}: its next attempt is followed.`
}

function emptyText({ phase, state }: Output): string {
  if (phase === 'over') return 'Nothing came while you watched. Failed attempts keep what they wrote last.'
  return state === 'held' ? 'It has written nothing yet.' : 'Lines come when an attempt begins.'
}

function Lines({ of, wanted }: { of: Block; wanted: string }) {
  return useMemo(() => {
    const shown = of.lines.filter(
      (line) => wanted === '' || (line.kind === 'line' && line.line.includes(wanted)),
    )
    return <pre>{shown.map(lineOf)}</pre>
  }, [of.lines, wanted])
}

function lineOf(line: Line) {
  if (line.kind === 'gap') return <span class="muted">{`${line.why}\n`}</span>
  const text = `${visible(plain(line.line).replaceAll('\t', '  '))}\n`
  return <span class={line.stream === 'stderr' ? 'stderr' : undefined}>{text}</span>
}
