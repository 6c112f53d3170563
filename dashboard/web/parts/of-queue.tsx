// What pages about one queue have in common: the list with the choice of its queue, and the way back to it.
import type { ComponentChildren } from 'preact'
import type { QueueNow } from '../../src/api.ts'
import { snapshot } from '../app/live.ts'
import { keyOf } from '../app/queues.ts'
import { query, to } from '../app/router.ts'
import { Blank, Loading } from './feedback.tsx'
import { QueueChoice } from './jobs-rail.tsx'
import { visible } from './show.tsx'

/**
 * `first`: which queue is shown where the address names none; default: the first. `children` gets its key.
 */
export function ListOfQueue({
  title,
  what,
  first = ([queue]) => queue,
  children,
}: {
  title: string
  what: string
  first?: (queues: readonly QueueNow[]) => QueueNow | undefined
  children: (queue: string) => ComponentChildren
}) {
  const seen = snapshot.value
  if (!seen) return <Loading what={what} />
  const found = first(seen.queues)
  const key = query.value.get('queue') ?? (found && keyOf(found))
  return (
    <>
      <div class="page-head">
        <h1>{title}</h1>
        {key !== undefined && <QueueChoice chosen={key} />}
      </div>
      <section class="card" aria-label={what}>
        {key === undefined ? <NoQueues /> : <div key={key}>{children(key)}</div>}
      </section>
    </>
  )
}

/** From one of many to the list of them. */
export function BackToList({ page, title, queue }: { page: string; title: string; queue: string }) {
  return (
    <nav class="small" aria-label="Where this is">
      <a href={to([page], { queue })}>
        ‹ {title} of {visible(queue)}
      </a>
    </nav>
  )
}

const FIRST_QUEUE = `apiVersion: millhand.dev/v1beta1
kind: TaskQueue
metadata: { name: mail }`

export function NoQueues() {
  return (
    <Blank icon="queues" title="There is no queue yet">
      <p>A queue is a resource. In a cluster it is applied, for `up` it lies in a folder:</p>
      <pre class="text">{FIRST_QUEUE}</pre>
    </Blank>
  )
}
