// All queues.
import { useState } from 'preact/hooks'
import { snapshot } from '../app/live.ts'
import { plural } from '../app/numbers.ts'
import { keyOf } from '../app/queues.ts'
import { go, here, query } from '../app/router.ts'
import { Blank, Loading } from '../parts/feedback.tsx'
import { NoQueues } from '../parts/of-queue.tsx'
import { QueueTable } from '../parts/queue-table.tsx'

const MOST = 100

export function QueuesPage() {
  const seen = snapshot.value
  const wanted = query.value.get('name') ?? ''
  const [all, showAll] = useState(false)
  if (!seen) return <Loading what="queues" />
  const found = seen.queues.filter((queue) => keyOf(queue).includes(wanted))
  const shown = all ? found : found.slice(0, MOST)
  return (
    <>
      <div class="page-head">
        <h1>Queues</h1>
        <span class="muted">{plural(seen.queues.length, 'queue')}</span>
        <div class="actions">
          <input
            class="field"
            type="search"
            placeholder="Part of a name"
            aria-label="Show queues with this in their name"
            data-filter
            value={wanted}
            onInput={(event) => go(here({ name: event.currentTarget.value || undefined }), { replace: true })}
          />
        </div>
      </div>
      <section class="card" aria-label="Queues">
        {shown.length > 0 ? (
          <QueueTable queues={shown} />
        ) : seen.queues.length === 0 ? (
          <NoQueues />
        ) : (
          <Blank icon="search" title={`No queue has “${wanted}” in its name`}>
            <a href={here({ name: undefined })}>Show all queues</a>
          </Blank>
        )}
        {found.length > shown.length && (
          <div class="list-foot">
            <button type="button" class="link-button" onClick={() => showAll(true)}>
              Show all {found.length}
            </button>
          </div>
        )}
      </section>
      {seen.isCut && (
        <p class="muted">There are more queues than one answer holds: ask for one by its address.</p>
      )}
    </>
  )
}
