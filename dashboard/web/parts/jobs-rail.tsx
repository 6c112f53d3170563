// Which jobs: of what queue, in what state. Each click is a filter in the address.
import { snapshot } from '../app/live.ts'
import { brief, count } from '../app/numbers.ts'
import { keyOf, queueOf, shortName } from '../app/queues.ts'
import { go, here, query, to } from '../app/router.ts'
import { Icon } from './icons.tsx'
import { type ShownState, STATES } from './state.tsx'

/** `withAll`: nothing chosen is all queues. */
export function QueueChoice({ chosen, withAll = false }: { chosen: string | undefined; withAll?: boolean }) {
  const seen = snapshot.value
  const queues = seen?.queues ?? []
  const isKnown = queues.some((queue) => keyOf(queue) === chosen)
  return (
    <select
      class="field"
      aria-label="Queue"
      value={chosen ?? ''}
      onChange={(event) => go(here({ queue: event.currentTarget.value || undefined, at: undefined }))}
    >
      {withAll && <option value="">All queues</option>}
      {chosen !== undefined && !isKnown && <option value={chosen}>{chosen}</option>}
      {queues.map((queue) => (
        <option key={keyOf(queue)} value={keyOf(queue)}>
          {shortName(queue, seen)}
        </option>
      ))}
      {seen && seen.totalQueues > queues.length && (
        <option disabled>
          and {count(seen.totalQueues - queues.length)} more, on the page of all queues
        </option>
      )}
    </select>
  )
}

/** The states with their numbers, of one queue or of all: a click is a filter. */
export function Rail({ queue }: { queue: string | undefined }) {
  const seen = snapshot.value
  const numbers = queue === undefined ? seen?.sums : queueOf(seen, queue)?.numbers
  const filter = query.value.get('f') ?? ''
  const amounts: Partial<Record<ShownState, number>> = numbers
    ? { ready: numbers.ready, delayed: numbers.delayed, held: numbers.busy, buried: numbers.buried }
    : {}
  return (
    <nav class="rail" aria-label="States">
      <div>
        <h2>State</h2>
        <ul>
          <li>
            <a href={to(['jobs'], { queue })} aria-current={filter === '' ? 'true' : undefined}>
              <Icon name="jobs" />
              all
            </a>
          </li>
          {STATES.map((state) => (
            <li key={state} class={`s-${state}`}>
              <a
                href={to(['jobs'], { queue, f: `state:${state}` })}
                aria-current={filter.split(' ').includes(`state:${state}`) ? 'true' : undefined}
              >
                <Icon name={state} />
                {state}
                {amounts[state] !== undefined && (
                  <span class="n" title={count(amounts[state])}>
                    {brief(amounts[state])}
                  </span>
                )}
              </a>
            </li>
          ))}
        </ul>
      </div>
    </nav>
  )
}
