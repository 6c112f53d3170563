// All queues.
import { useState } from 'preact/hooks'
import type { Queues, Snapshot } from '../../src/api.ts'
import { address } from '../app/api.ts'
import { snapshot } from '../app/live.ts'
import { plural } from '../app/numbers.ts'
import { keyOf } from '../app/queues.ts'
import { useResource } from '../app/resource.ts'
import { go, here, query } from '../app/router.ts'
import { Blank, Loading, Shown } from '../parts/feedback.tsx'
import { PagesFoot } from '../parts/list-ends.tsx'
import { NoQueues } from '../parts/of-queue.tsx'
import { QueueTable } from '../parts/queue-table.tsx'

const MOST = 100
const LOOK_EVERY_MS = 3_000

export function QueuesPage() {
  const seen = snapshot.value
  const wanted = query.value.get('name') ?? ''
  if (!seen) return <Loading what="queues" />
  return (
    <>
      <div class="page-head">
        <h1>Queues</h1>
        <span class="muted">{plural(seen.totalQueues, 'queue')}</span>
        <div class="actions">
          <input
            class="field"
            type="search"
            placeholder="Part of a name"
            aria-label="Show queues with this in their name"
            data-filter
            value={wanted}
            onInput={(event) =>
              go(here({ name: event.currentTarget.value || undefined, at: undefined }), { replace: true })
            }
          />
        </div>
      </div>
      <section class="card" aria-label="Queues">
        {seen.totalQueues > seen.queues.length ? (
          <Pages wanted={wanted} />
        ) : seen.queues.length === 0 ? (
          <NoQueues />
        ) : (
          <All seen={seen} wanted={wanted} />
        )}
      </section>
    </>
  )
}

/** As they stand in the snapshot, each second. */
function All({ seen, wanted }: { seen: Snapshot; wanted: string }) {
  const [all, showAll] = useState(false)
  const found = seen.queues.filter((queue) => keyOf(queue).includes(wanted))
  const shown = all ? found : found.slice(0, MOST)
  return (
    <>
      {shown.length > 0 ? <QueueTable queues={shown} /> : <NoneIsNamed wanted={wanted} />}
      {found.length > shown.length && (
        <div class="list-foot">
          <button type="button" class="link-button" onClick={() => showAll(true)}>
            Show all {found.length}
          </button>
        </div>
      )}
    </>
  )
}

/** More than a snapshot has. */
function Pages({ wanted }: { wanted: string }) {
  const cursor = query.value.get('at') ?? undefined
  const path = address(['queues'], { part: wanted || undefined, cursor, limit: String(MOST) })
  return (
    <Shown of={useResource<Queues>(path, LOOK_EVERY_MS)} what="queues">
      {({ queues, total, cursor: next }) => (
        <>
          {queues.length > 0 ? <QueueTable queues={queues} /> : <NoneIsNamed wanted={wanted} />}
          <PagesFoot
            total={plural(total, 'queue')}
            cursor={cursor}
            next={next}
            first="First"
            further="Next"
          />
        </>
      )}
    </Shown>
  )
}

function NoneIsNamed({ wanted }: { wanted: string }) {
  return (
    <Blank icon="search" title={`No queue has “${wanted}” in its name`}>
      <a href={here({ name: undefined, at: undefined })}>Show all queues</a>
    </Blank>
  )
}
