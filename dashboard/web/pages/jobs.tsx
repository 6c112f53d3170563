// The jobs of a queue: a filter, a list, and what can be done with those that are chosen.
import { useState } from 'preact/hooks'
import type { JobsPage as Answer, JobRow } from '../../src/api.ts'
import type { JobVerb } from '../app/acting.ts'
import { address } from '../app/api.ts'
import { useKeys } from '../app/keys.ts'
import { type Page, useList } from '../app/list.ts'
import { may, snapshot } from '../app/live.ts'
import { jobHref, keyOf, partsOf } from '../app/queues.ts'
import { go, here, query } from '../app/router.ts'
import { BulkBar, questionFor } from '../parts/bulk-bar.tsx'
import { BulkOnFilter } from '../parts/bulk-on-filter.tsx'
import { Confirm, type Question } from '../parts/dialog.tsx'
import { Failed, Loading, Stale } from '../parts/feedback.tsx'
import { FilterBar, problemOf } from '../parts/filter-bar.tsx'
import { QueueChoice, Rail } from '../parts/jobs-rail.tsx'
import { JobsTable } from '../parts/jobs-table.tsx'
import { ListFoot, Nothing, ROWS } from '../parts/list-ends.tsx'
import { NoQueues } from './queues.tsx'

export function JobsPage() {
  const seen = snapshot.value
  if (!seen) return <Loading what="jobs" />
  const first = seen.queues[0]
  const key = query.value.get('queue') ?? (first && keyOf(first))
  return (
    <>
      <div class="page-head">
        <h1>Jobs</h1>
        {key !== undefined && <QueueChoice chosen={key} />}
      </div>
      {key === undefined ? (
        <section class="card">
          <NoQueues />
        </section>
      ) : (
        <div class="with-rail">
          <Rail queue={key} />
          <Jobs key={key} queue={key} />
        </div>
      )}
    </>
  )
}

function Jobs({ queue }: { queue: string }) {
  const filter = query.value.get('f') ?? ''
  const cursor = query.value.get('at') ?? undefined
  const [selected, select] = useState<ReadonlySet<string>>(new Set())
  const [question, ask] = useState<Question | undefined>(undefined)
  const path = (at?: string) =>
    address(['queues', ...partsOf(queue), 'jobs'], { filter, cursor: at, limit: ROWS })
  const isReadable = problemOf(filter) === undefined
  const list = useList<Answer, JobRow>(isReadable ? path(cursor) : undefined, pageOf, {
    isResting: selected.size > 0 || question !== undefined,
    goOnPath: path,
  })
  const rows = list.page?.rows ?? []
  const [namespace] = partsOf(queue)
  const act = (verb: JobVerb) => {
    const chosen = rows.filter(({ id }) => selected.has(id))
    if (chosen.length === 0 || !may(`jobs ${verb}`, namespace)) return
    ask(
      questionFor(verb, chosen, queue, (done) => {
        if (verb === 'delete') list.drop(done)
        else for (const id of done) list.patch(id, { state: verb === 'retry' ? 'ready' : 'cancelled' })
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
    { keys: 'Escape', does: 'select nothing', run: () => select(new Set()) },
  ])
  const apply = (next: string) => go(here({ f: next || undefined, at: undefined }))
  return (
    <section class="card" aria-label="Jobs">
      <div class="filter">
        <FilterBar value={filter} apply={apply} hints={hintsIn(rows)} />
        {filter !== '' && (
          <button type="button" class="button" onClick={() => apply('')}>
            Clear
          </button>
        )}
      </div>
      {list.page && <Stale error={list.error} />}
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
          open={({ id }) => go(jobHref(...partsOf(queue), id))}
          queue={queue}
        />
      )}
      {selected.size > 0 && (
        <BulkBar
          rows={rows}
          selected={selected}
          act={act}
          clear={() => select(new Set())}
          namespace={namespace}
        >
          {list.page?.cursor && rows.every(({ id }) => selected.has(id)) && (
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
  )
}

const pageOf = ({ jobs, cursor, scanned, isDone, total }: Answer): Page<JobRow> => ({
  rows: jobs,
  cursor,
  scanned,
  isDone,
  total,
})

function hintsIn(rows: readonly JobRow[]) {
  const of = (values: (string | undefined)[]) =>
    [...new Set(values.filter((value) => value !== undefined))].sort()
  return { tasks: of(rows.map(({ task }) => task)), workers: of(rows.map(({ worker }) => worker)) }
}
