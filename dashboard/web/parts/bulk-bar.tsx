// What can be done with the jobs that are selected.
import type { ComponentChildren } from 'preact'
import type { JobRow } from '../../src/api.ts'
import { type JobVerb, VERBS } from '../app/acting.ts'
import { act } from '../app/bulk.ts'
import { may } from '../app/live.ts'
import { count, plural } from '../app/numbers.ts'
import type { Question } from './dialog.tsx'

export function BulkBar({
  rows,
  selected,
  act,
  clear,
  namespace,
  children,
}: {
  rows: readonly JobRow[]
  selected: ReadonlySet<string>
  act: (verb: JobVerb) => void
  clear: () => void
  namespace: string
  /** Buttons for all that match, where more than what is shown does. */
  children?: ComponentChildren
}) {
  const states = new Set(rows.filter(({ id }) => selected.has(id)).map(({ state }) => state))
  return (
    <section class="bulk" aria-label="What is selected">
      <span class="strong">{count(selected.size)} selected</span>
      <button type="button" class="link-button" onClick={clear}>
        Select nothing
      </button>
      <div class="actions">
        {(Object.keys(VERBS) as JobVerb[]).map((verb) => {
          const { label, states: allowed, isDangerous, key } = VERBS[verb]
          const isAllowed = may(`jobs ${verb}`, namespace)
          const isPossible = allowed.some((state) => states.has(state))
          return (
            <button
              key={verb}
              type="button"
              class={`button ${isDangerous ? 'dangerous' : ''}`}
              disabled={!isAllowed || !isPossible}
              title={isAllowed ? undefined : `You may not ${verb} jobs in ${namespace}.`}
              onClick={() => act(verb)}
            >
              {label}{' '}
              <span class="key" aria-hidden="true">
                {key}
              </span>
            </button>
          )
        })}
      </div>
      {children}
    </section>
  )
}

export function questionFor(
  verb: JobVerb,
  chosen: readonly JobRow[],
  queue: string,
  after: (done: readonly string[]) => void,
): Question {
  const { label, warning, isDangerous } = VERBS[verb]
  const ids = chosen.map(({ id }) => id)
  return {
    title: `${label} ${plural(chosen.length, 'job')}?`,
    text: <p>{warning}</p>,
    verb: `${label} ${count(chosen.length)}`,
    jobs: chosen.length,
    isDangerous,
    asksReason: true,
    async run(reason) {
      const ended = await act(queue, { verb, ids, ...(reason && { reason }) })
      if (!ended) return
      const left = new Set(ended.reasons.map(({ id }) => id))
      after(ids.filter((id) => !left.has(id)))
    },
  }
}
