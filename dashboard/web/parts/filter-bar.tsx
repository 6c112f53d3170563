// The line in which a filter is written, with completion, and what is wrong with it.

import { FILTER_STATES, FilterInvalid, parseFilter } from 'millhand/filter'
import { useEffect, useState } from 'preact/hooks'
import { nowMs } from '../app/time.ts'

export interface Hints {
  tasks: readonly string[]
  workers: readonly string[]
}

interface Hint {
  text: string
  means: string
}

const FIELDS: readonly Hint[] = [
  { text: 'state:', means: FILTER_STATES.join(', ') },
  { text: 'task:', means: 'its task; * stands for any text' },
  { text: 'tag:', means: 'one of its tags: tag:order:42' },
  { text: 'key:', means: 'its key: a tenant, an account' },
  { text: 'id:', means: 'its id' },
  { text: 'since:', means: '2h, 7d, 2026-01-31T08:00' },
  { text: 'until:', means: 'before that time' },
  { text: 'attempt:', means: '>=3' },
  { text: 'error:', means: 'the group of its last error' },
  { text: 'worker:', means: 'who runs it' },
  { text: '"', means: 'a text in its payload, in quotes' },
]
const SINCE = ['10m', '1h', '24h', '7d']
const MOST_HINTS = 8

/** What is wrong, with the remedy; undefined where it can be read. */
export function problemOf(filter: string): string | undefined {
  try {
    parseFilter(filter, nowMs())
    return undefined
  } catch (error) {
    if (error instanceof FilterInvalid) return error.message
    throw error
  }
}

export function FilterBar({
  value,
  apply,
  hints,
}: {
  value: string
  apply: (filter: string) => void
  hints: Hints
}) {
  const [text, setText] = useState(value)
  const [chosen, choose] = useState(-1)
  const [isOpen, open] = useState(false)
  useEffect(() => setText(value), [value])
  const found = isOpen ? hintsFor(text, hints) : []
  const problem = isOpen ? undefined : problemOf(text)
  const take = (hint: Hint) => {
    const next = text.slice(0, lastWordAt(text)) + hint.text
    setText(next)
    choose(-1)
    if (!/[:"]$/.test(hint.text)) finish(next)
  }
  const finish = (next: string) => {
    open(false)
    if (problemOf(next) === undefined) apply(next.trim())
  }
  const press = (event: KeyboardEvent) => {
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0
    const hint = found[chosen]
    if (step !== 0 && found.length > 0)
      choose((chosen + step + found.length + (chosen < 0 && step < 0 ? 1 : 0)) % found.length)
    else if (event.key === 'Enter' && hint) take(hint)
    else if (event.key === 'Enter') finish(text)
    else if (event.key === 'Tab' && hint) take(hint)
    else if (event.key === 'Escape' && isOpen) open(false)
    else if (event.key === 'Escape' && event.currentTarget instanceof HTMLElement) event.currentTarget.blur()
    else return
    event.preventDefault()
  }
  return (
    <div class="box-of-text">
      <input
        class="field"
        data-filter
        role="combobox"
        aria-label="Filter"
        aria-expanded={found.length > 0}
        aria-controls="filter-hints"
        aria-autocomplete="list"
        aria-activedescendant={chosen >= 0 ? `hint-${chosen}` : undefined}
        aria-invalid={problem !== undefined}
        aria-describedby="filter-problem"
        placeholder="Filter, for example state:buried task:send*"
        spellcheck={false}
        autocomplete="off"
        value={text}
        onInput={(event) => {
          setText(event.currentTarget.value)
          choose(-1)
          open(true)
        }}
        onFocus={() => open(true)}
        onBlur={() => open(false)}
        onKeyDown={press}
      />
      {found.length > 0 && (
        <div class="hints" id="filter-hints" role="listbox" aria-label="What a filter can say">
          {found.map((hint, n) => (
            <div
              key={hint.text}
              id={`hint-${n}`}
              role="option"
              tabIndex={-1}
              aria-selected={n === chosen}
              onPointerDown={(event) => {
                event.preventDefault()
                take(hint)
              }}
            >
              <code>{hint.text}</code>
              <span class="muted">{hint.means}</span>
            </div>
          ))}
        </div>
      )}
      <p id="filter-problem" class="danger small" role="status">
        {problem}
      </p>
    </div>
  )
}

function lastWordAt(text: string): number {
  return text.lastIndexOf(' ') + 1
}

function hintsFor(text: string, { tasks, workers }: Hints): Hint[] {
  const word = text.slice(lastWordAt(text))
  const [, minus = '', field, begun = ''] = /^(-?)(?:(\w+):)?(.*)$/.exec(word) ?? []
  if (begun.startsWith('"') || (text.match(/"/g)?.length ?? 0) % 2 === 1) return []
  const values = { state: FILTER_STATES, task: tasks, worker: workers, since: SINCE, until: SINCE }[
    field ?? ''
  ]
  if (field !== undefined)
    return (values ?? [])
      .filter((value) => value.startsWith(begun) && value !== begun)
      .slice(0, MOST_HINTS)
      .map((value) => ({ text: `${minus}${field}:${value}`, means: '' }))
  return FIELDS.filter(({ text }) => text.startsWith(begun)).map(({ text, means }) => ({
    text: minus + text,
    means,
  }))
}
