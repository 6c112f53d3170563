// Bulk actions of a queue: what was asked for, by whom and why, how far it has come, and how it ended.
import type { Action, Actions } from '../../src/api.ts'
import { address } from '../app/api.ts'
import { abortAction, UNDO_WITHIN_MS, undoAction } from '../app/bulk.ts'
import { may, snapshot } from '../app/live.ts'
import { count, plural } from '../app/numbers.ts'
import { jobHref, keyOf, partsOf } from '../app/queues.ts'
import { useResource } from '../app/resource.ts'
import { query } from '../app/router.ts'
import { nowMs } from '../app/time.ts'
import { Bar } from '../parts/bar.tsx'
import { Blank, Loading, Shown } from '../parts/feedback.tsx'
import { QueueChoice } from '../parts/jobs-rail.tsx'
import { PagesFoot } from '../parts/list-ends.tsx'
import { NoQueues } from '../parts/of-queue.tsx'
import { Name, When } from '../parts/show.tsx'

const LOOK_EVERY_MS = 1_000

export function ActionsPage() {
  const seen = snapshot.value
  if (!seen) return <Loading what="actions" />
  const first = seen.queues[0]
  const key = query.value.get('queue') ?? (first && keyOf(first))
  return (
    <>
      <div class="page-head">
        <h1>Actions</h1>
        {key !== undefined && <QueueChoice chosen={key} />}
      </div>
      <section class="card" aria-label="Bulk actions">
        {key === undefined ? <NoQueues /> : <List key={key} queue={key} />}
      </section>
    </>
  )
}

function List({ queue }: { queue: string }) {
  const cursor = query.value.get('at') ?? undefined
  const path = address(['queues', ...partsOf(queue), 'actions'], { cursor })
  const actions = useResource<Actions>(path, LOOK_EVERY_MS)
  return (
    <Shown of={actions} what="actions">
      {({ actions: found, cursor: next }) =>
        found.length > 0 || cursor !== undefined ? (
          <>
            <Table actions={found} queue={queue} again={actions.again} />
            {(cursor ?? next) !== undefined && (
              <PagesFoot
                total={plural(found.length, 'action')}
                cursor={cursor}
                next={next}
                first="Newest"
                further="Older"
              />
            )}
          </>
        ) : (
          <Blank icon="actions" title="No bulk action yet">
            <p>Select jobs, or all that match a filter, and retry, cancel or delete them together.</p>
          </Blank>
        )
      }
    </Shown>
  )
}

interface RowProps {
  queue: string
  again: () => void
}

function Table({ actions, ...rest }: RowProps & { actions: readonly Action[] }) {
  return (
    <div class="table-frame">
      <table class="cards">
        <thead>
          <tr>
            <th scope="col">What</th>
            <th scope="col">State</th>
            <th scope="col">Progress</th>
            <th scope="col">Who and why</th>
            <th scope="col" class="number">
              Asked for
            </th>
            <th scope="col">
              <span class="hidden-visually">Do</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {actions.map((action) => (
            <Row key={action.id} action={action} {...rest} />
          ))}
        </tbody>
      </table>
    </div>
  )
}

const TONES = { running: 'held', done: 'completed', aborted: 'cancelled', undone: 'delayed' } as const

function Row({ action, queue, again }: RowProps & { action: Action }) {
  const { verb, filter, state, who, reason, createdAtMs } = action
  return (
    <tr>
      <td class="wide">
        <span class="strong">{verb}</span>
        <span class="cell-sub mono">{filter || 'jobs that were named'}</span>
      </td>
      <td>
        <span class={`state s-${TONES[state]}`}>{state}</span>
      </td>
      <td class="wide">
        <Progress action={action} queue={queue} />
      </td>
      <td class="wide">
        <Name of={who} />
        {reason && (
          <span class="cell-sub">
            <Name of={reason} />
          </span>
        )}
      </td>
      <td class="number">
        <When atMs={createdAtMs} />
      </td>
      <td class="shrink">
        <Verb action={action} queue={queue} again={again} />
      </td>
    </tr>
  )
}

function Verb({ action, queue, again }: RowProps & { action: Action }) {
  const { id, verb, state, endedAtMs = 0, done, restored } = action
  const [namespace] = partsOf(queue)
  const after = (work: Promise<void>) => void work.then(again)
  if (state === 'running')
    return (
      <button
        type="button"
        class="button small"
        disabled={!may('actions cancel', namespace)}
        onClick={() => after(abortAction(queue, id))}
      >
        Abort
      </button>
    )
  const isUndoable = verb === 'delete' && done > restored && nowMs() - endedAtMs < UNDO_WITHIN_MS
  return isUndoable ? (
    <button type="button" class="button small" onClick={() => after(undoAction(queue, id))}>
      Undo
    </button>
  ) : null
}

function Progress({ action, queue }: { action: Action; queue: string }) {
  const { total, done, skipped, failed, restored, reasons } = action
  const left = Math.max(0, (total ?? 0) - done - skipped - failed)
  const text = [
    `${count(done)}${total === undefined ? '' : ` of ${count(total)}`} done`,
    skipped > 0 && `${count(skipped)} skipped`,
    failed > 0 && `${count(failed)} failed`,
    restored > 0 && `${count(restored)} came back`,
  ].filter(Boolean)
  const parts = [
    { tone: 'completed', n: done },
    { tone: 'cancelled', n: skipped },
    { tone: 'buried', n: failed },
    { tone: 'none', n: action.state === 'running' ? left : 0 },
  ]
  return (
    <>
      {text.join(' · ')}
      <Bar parts={parts} label={text.join(', ')} />
      {reasons.length > 0 && (
        <details>
          <summary class="small muted">Why {count(reasons.length)} were not</summary>
          <ul class="small">
            {reasons.map(({ id, reason }) => (
              <li key={id}>
                <a href={jobHref(...partsOf(queue), id)}>
                  <Name of={id} mono />
                </a>
                : {reason}
              </li>
            ))}
          </ul>
        </details>
      )}
    </>
  )
}
