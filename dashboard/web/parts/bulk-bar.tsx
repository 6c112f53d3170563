// What can be done with the jobs that are selected.
import type { ComponentChildren } from 'preact'
import { type JobVerb, VERBS } from '../app/acting.ts'
import { act } from '../app/bulk.ts'
import { may } from '../app/live.ts'
import { count, plural } from '../app/numbers.ts'
import { type ListedJob, partsOf } from '../app/queues.ts'
import type { Question } from './dialog.tsx'

export function BulkBar({
  rows,
  selected,
  act,
  clear,
  children,
}: {
  rows: readonly ListedJob[]
  selected: ReadonlySet<string>
  act: (verb: JobVerb) => void
  clear: () => void
  /** Buttons for all that match, where more than what is shown does. */
  children?: ComponentChildren
}) {
  const chosen = rows.filter(({ mark }) => selected.has(mark))
  const states = new Set(chosen.map(({ state }) => state))
  return (
    <section class="bulk" aria-label="What is selected">
      <span class="strong">{count(selected.size)} selected</span>
      <button type="button" class="link-button" onClick={clear}>
        Select nothing
      </button>
      <div class="actions">
        {(Object.keys(VERBS) as JobVerb[]).map((verb) => {
          const { label, states: allowed, isDangerous, key } = VERBS[verb]
          const forbidden = forbiddenIn(verb, chosen)
          const isPossible = allowed.some((state) => states.has(state))
          return (
            <button
              key={verb}
              type="button"
              class={`button ${isDangerous ? 'dangerous' : ''}`}
              disabled={forbidden !== undefined || !isPossible}
              title={forbidden === undefined ? undefined : `You may not ${verb} jobs in ${forbidden}.`}
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

/** The first namespace in which the user may not do it. */
export const forbiddenIn = (verb: JobVerb, chosen: readonly ListedJob[]): string | undefined =>
  chosen.map(({ queueKey }) => partsOf(queueKey)[0]).find((namespace) => !may(`jobs ${verb}`, namespace))

export function questionFor(
  verb: JobVerb,
  chosen: readonly ListedJob[],
  after: (done: readonly string[]) => void,
): Question {
  const { label, warning, isDangerous } = VERBS[verb]
  return {
    title: `${label} ${plural(chosen.length, 'job')}?`,
    text: <p>{warning}</p>,
    verb: `${label} ${count(chosen.length)}`,
    jobs: chosen.length,
    isDangerous,
    asksReason: true,
    async run(reason) {
      // A bulk action is of one queue.
      for (const [queue, jobs] of Map.groupBy(chosen, ({ queueKey }) => queueKey)) {
        const ids = jobs.map(({ id }) => id)
        const ended = await act(queue, { verb, ids, ...(reason && { reason }) })
        if (!ended) continue
        const left = new Set(ended.reasons.map(({ id }) => id))
        after(jobs.filter(({ id }) => !left.has(id)).map(({ mark }) => mark))
      }
    },
  }
}
