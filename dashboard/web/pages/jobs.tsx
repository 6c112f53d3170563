// The jobs of a queue, or of all: a filter, a list, and what can be done with those that are chosen.
import { useState } from 'preact/hooks'
import type { AllJobsPage, JobsPage as PageOfQueue } from '../../src/api.ts'
import type { JobVerb } from '../app/acting.ts'
import { address } from '../app/api.ts'
import { shownColumns } from '../app/columns.ts'
import { useKeys } from '../app/keys.ts'
import { type Page, useList } from '../app/list.ts'
import { snapshot } from '../app/live.ts'
import { jobHref, keyOf, type ListedJob, listed, partsOf } from '../app/queues.ts'
import { go, here, query } from '../app/router.ts'
import { hasRoomBeside } from '../app/screen.ts'
import { BulkBar, forbiddenIn, questionFor } from '../parts/bulk-bar.tsx'
import { BulkOnFilter } from '../parts/bulk-on-filter.tsx'
import { Confirm, type Question } from '../parts/dialog.tsx'
import { Failed, Loading, Note, Stale } from '../parts/feedback.tsx'
import { FilterBar, problemOf } from '../parts/filter-bar.tsx'
import { QueueChoice, Rail } from '../parts/jobs-rail.tsx'
import { JobsTable } from '../parts/jobs-table.tsx'
import { ListFoot, Nothing, ROWS } from '../parts/list-ends.tsx'
import { ColumnsMenu, ViewsMenu } from '../parts/list-menus.tsx'
import { NoQueues } from '../parts/of-queue.tsx'
import { JobBeside, JobPage } from './job.tsx'

export function JobsPage() {
  const seen = snapshot.value
  if (!seen) return <Loading what="jobs" />
  const [first, second] = seen.queues
  const only = first && !second ? keyOf(first) : undefined
  const key = query.value.get('queue') ?? only
  const opened = openedIn(query.value.get('open'))
  if (opened && !hasRoomBeside.value) return <JobPage {...opened} />
  return (
    <>
      <div class="page-head">
        <h1>Jobs</h1>
        {first && <QueueChoice chosen={key} withAll={only === undefined} />}
      </div>
      {!first && key === undefined ? (
        <section class="card">
          <NoQueues />
        </section>
      ) : (
        <div class="with-rail" data-beside={opened ? true : undefined}>
          <Rail queue={key} />
          <Jobs key={key ?? ''} queue={key} opened={opened} />
        </div>
      )}
    </>
  )
}

/** `namespace/queue/id`. */
function openedIn(text: string | null): Opened | undefined {
  const [, namespace, queue, id] = /^([^/]+)\/([^/]+)\/(.+)$/s.exec(text ?? '') ?? []
  return namespace && queue && id ? { namespace, queue, id } : undefined
}

interface Opened {
  namespace: string
  queue: string
  id: string
}

interface JobsProps {
  queue: string | undefined
  /** The job beside the list. */
  opened: Opened | undefined
}

/** Where there is room a job opens beside the list, which keeps its place. */
const hrefOf = ({ id, queueKey }: ListedJob): string =>
  hasRoomBeside.value
    ? here({ open: `${queueKey}/${id}`, tab: undefined })
    : jobHref(...partsOf(queueKey), id)

function close(): void {
  document.querySelector<HTMLElement>('[data-opened] a')?.focus()
  go(here({ open: undefined, tab: undefined }))
}

function Jobs({ queue, opened }: JobsProps) {
  const filter = query.value.get('f') ?? ''
  const cursor = query.value.get('at') ?? undefined
  const [selected, select] = useState<ReadonlySet<string>>(new Set())
  const [question, ask] = useState<Question | undefined>(undefined)
  const place = queue === undefined ? ['jobs'] : ['queues', ...partsOf(queue), 'jobs']
  const path = (at?: string) => address(place, { filter, cursor: at, limit: ROWS })
  const isReadable = problemOf(filter) === undefined
  const list = useList<Answer, ListedJob>(
    isReadable ? path(cursor) : undefined,
    (answer) => pageOf(answer, queue),
    {
      isResting: selected.size > 0 || question !== undefined,
      goOnPath: path,
    },
  )
  const rows = list.page?.rows ?? []
  const act = (verb: JobVerb) => {
    const chosen = rows.filter(({ mark }) => selected.has(mark))
    if (chosen.length === 0 || forbiddenIn(verb, chosen) !== undefined) return
    ask(
      questionFor(verb, chosen, (done) => {
        if (verb === 'delete') list.drop(done)
        else for (const mark of done) list.patch(mark, { state: verb === 'retry' ? 'ready' : 'cancelled' })
        select(new Set())
      }),
    )
  }
  const renew = () => {
    select(new Set())
    list.renew()
  }
  const older = () => list.page?.cursor && go(here({ at: list.page.cursor }))
  useKeys([
    { keys: ']', does: 'older jobs', run: () => void older() },
    { keys: '[', does: 'back', run: () => cursor && history.back() },
    { keys: '.', does: 'show new jobs', run: list.showFresh },
    { keys: 'R', does: 'retry what is selected', run: () => act('retry') },
    { keys: 'C', does: 'cancel what is selected', run: () => act('cancel') },
    { keys: 'D', does: 'delete what is selected', run: () => act('delete') },
    {
      keys: 'Escape',
      does: 'select nothing, then close the job',
      run: () => (selected.size === 0 && opened ? close() : select(new Set())),
    },
  ])
  const apply = (next: string) =>
    go(here({ f: next || undefined, at: undefined, open: undefined, tab: undefined }))
  const openedKey = opened && `${opened.namespace}/${opened.queue}`
  const columns = shownColumns().filter((column) =>
    opened ? column === 'changed' : column !== 'queue' || queue === undefined,
  )
  return (
    <>
      <section class="card" aria-label="Jobs">
        <div class="filter">
          <FilterBar value={filter} apply={apply} hints={hintsIn(rows)} />
          {filter !== '' && (
            <button type="button" class="button" onClick={() => apply('')}>
              Clear
            </button>
          )}
          <ViewsMenu queue={queue ?? ''} filter={filter} />
          {!opened && <ColumnsMenu />}
        </div>
        {list.page && <Stale error={list.error} />}
        {list.page?.unread?.length ? (
          <Note tone="retrying" icon="errors">
            <p>
              Some queues cannot be read now, and their jobs are not here:{' '}
              {list.page.unread.slice(0, 5).join(', ')}
              {list.page.unread.length > 5 && ' …'}
            </p>
          </Note>
        ) : null}
        {list.fresh > 0 && (
          <div class="pill">
            <button type="button" class="button small" onClick={list.showFresh}>
              {list.isMore ? `${list.fresh} or more` : list.fresh} new{' '}
              <span class="key" aria-hidden="true">
                .
              </span>
            </button>
          </div>
        )}
        {!list.page ? (
          list.error ? (
            <Failed error={list.error} what="these jobs" />
          ) : (
            isReadable && <Loading what="jobs" lines={8} />
          )
        ) : rows.length === 0 ? (
          <Nothing filter={filter} page={list.page} goOn={list.goOn} queue={queue} />
        ) : (
          <JobsTable
            rows={rows}
            selected={selected}
            select={select}
            columns={columns}
            opened={opened && `${openedKey} ${opened.id}`}
            hrefOf={hrefOf}
          />
        )}
        {selected.size > 0 && (
          <BulkBar rows={rows} selected={selected} act={act} clear={() => select(new Set())}>
            {queue && list.page?.cursor && rows.every(({ mark }) => selected.has(mark)) && (
              <div class="all-matching">
                <span>There are more that match:</span>
                <BulkOnFilter
                  queue={queue}
                  filter={filter}
                  verbs={['retry', 'cancel', 'delete']}
                  after={renew}
                />
              </div>
            )}
          </BulkBar>
        )}
        {rows.length > 0 && list.page && <ListFoot page={list.page} goOn={list.goOn} cursor={cursor} />}
        {question && <Confirm question={question} close={() => ask(undefined)} />}
      </section>
      {opened && (
        <JobBeside key={`${openedKey} ${opened.id}`} {...opened} isQuiet={selected.size > 0} close={close} />
      )}
    </>
  )
}

type Answer = PageOfQueue | AllJobsPage

/** `queue`: absent where the jobs say theirs. */
function pageOf(answer: Answer, queue: string | undefined): Page<ListedJob> {
  const { jobs, cursor, scanned, isDone } = answer
  return {
    rows: jobs.map((job) => listed(job, 'queue' in job ? keyOf({ ...job, name: job.queue }) : (queue ?? ''))),
    cursor,
    scanned,
    isDone,
    total: 'total' in answer ? answer.total : undefined,
    unread: 'unread' in answer ? answer.unread : undefined,
  }
}

function hintsIn(rows: readonly ListedJob[]) {
  const of = (values: (string | undefined)[]) =>
    [...new Set(values.filter((value) => value !== undefined))].sort()
  return { tasks: of(rows.map(({ task }) => task)), workers: of(rows.map(({ worker }) => worker)) }
}
