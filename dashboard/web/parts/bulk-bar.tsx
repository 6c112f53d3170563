// What can be done with the jobs that are selected.
import type { JobRow } from '../../src/api.ts'
import { actOnEach, type JobVerb, VERBS } from '../app/acting.ts'
import { may } from '../app/live.ts'
import { count, plural } from '../app/numbers.ts'
import type { Question } from './dialog.tsx'
import { STATES } from './state.tsx'

export function BulkBar({
  rows,
  selected,
  act,
  clear,
  namespace,
}: {
  rows: readonly JobRow[]
  selected: ReadonlySet<string>
  act: (verb: JobVerb) => void
  clear: () => void
  namespace: string
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
    </section>
  )
}

export function questionFor(
  verb: JobVerb,
  chosen: readonly JobRow[],
  queue: string,
  patch: (id: string, state: JobRow['state']) => void,
  clear: () => void,
): Question {
  const { label, warning, isDangerous } = VERBS[verb]
  return {
    title: `${label} ${plural(chosen.length, 'job')}?`,
    text: <p>{warning}</p>,
    verb: `${label} ${count(chosen.length)}`,
    jobs: chosen.length,
    isDangerous,
    async run() {
      const { done, skipped } = await actOnEach(
        queue,
        chosen.map(({ id }) => id),
        verb,
      )
      for (const { id, state } of [...done, ...skipped])
        if (state && STATES.some((each) => each === state)) patch(id, state as JobRow['state'])
      clear()
    },
  }
}
