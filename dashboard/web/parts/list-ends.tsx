// The end of a list of jobs: how far was looked, and how to go on; or why nothing is in it.
import type { Page } from '../app/list.ts'
import { count, plural } from '../app/numbers.ts'
import { type ListedJob, partsOf } from '../app/queues.ts'
import { here } from '../app/router.ts'
import { Blank } from './feedback.tsx'
import { Name } from './show.tsx'

export const ROWS = 50

export function ListFoot({
  page,
  goOn,
  cursor,
}: {
  page: Page<ListedJob>
  goOn: () => Promise<void>
  cursor: string | undefined
}) {
  return (
    <div class="list-foot">
      <span>
        {page.total === undefined
          ? plural(page.rows.length, 'job')
          : `${count(page.rows.length)} of ${plural(page.total, 'job')}`}
        {page.scanned > page.rows.length && ` · looked at ${count(page.scanned)}`}
      </span>
      <div class="actions">
        {cursor && (
          <a class="button small" href={here({ at: undefined })}>
            Newest
          </a>
        )}
        {page.cursor && page.rows.length < ROWS && (
          <button type="button" class="button small" onClick={() => void goOn()}>
            Look further
          </button>
        )}
        {page.cursor && page.rows.length >= ROWS && (
          <a class="button small" href={here({ at: page.cursor })}>
            Older{' '}
            <span class="key" aria-hidden="true">
              ]
            </span>
          </a>
        )}
      </div>
    </div>
  )
}

/** Of a list that comes in pages: how many there are, and the ways to the first page and to the next one. */
export function PagesFoot({
  total,
  cursor,
  next,
  first,
  further,
  by = 'at',
}: {
  total: string
  cursor: string | undefined
  next: string | undefined
  first: string
  further: string
  /** Where the address has the cursor. */
  by?: string
}) {
  return (
    <div class="list-foot">
      <span>{total}</span>
      <div class="actions">
        {cursor && (
          <a class="button small" href={here({ [by]: undefined })}>
            {first}
          </a>
        )}
        {next && (
          <a class="button small" href={here({ [by]: next })}>
            {further}
          </a>
        )}
      </div>
    </div>
  )
}

export function Nothing({
  filter,
  page,
  goOn,
  queue,
}: {
  filter: string
  page: Page<ListedJob>
  goOn: () => Promise<void>
  /** Absent: of all queues. */
  queue: string | undefined
}) {
  if (!page.isDone)
    return (
      <Blank icon="search" title={`Nothing among ${count(page.scanned)} jobs`}>
        <p>The search stops after some thousands, so that it holds nobody up.</p>
        <button type="button" class="button" onClick={() => void goOn()}>
          Look further
        </button>
      </Blank>
    )
  if (filter === '')
    return (
      <Blank icon="jobs" title={queue ? 'There is no job in this queue' : 'There is no job in any queue'}>
        <p>
          Enqueue one: <code>millhand enqueue {queue ? partsOf(queue)[1] : 'QUEUE'} TASK</code>
        </p>
      </Blank>
    )
  return (
    <Blank icon="search" title="No job is like that">
      <p>
        Nothing in {queue ? <Name of={queue} /> : 'any queue'} matches <code>{filter}</code>.
      </p>
      <p>
        {wider(filter).map(({ text, f }) => (
          <span key={f}>
            <a href={here({ f: f || undefined, at: undefined })}>{text}</a>{' '}
          </span>
        ))}
      </p>
    </Blank>
  )
}

/** The filter without one of its words. */
function wider(filter: string): { text: string; f: string }[] {
  const words = filter.match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? []
  return words.slice(0, 4).map((word) => ({
    text: words.length === 1 ? 'Show all jobs' : `Without ${word}`,
    f: words.filter((each) => each !== word).join(' '),
  }))
}
