// Jobs in a table: chosen with the mouse or with j, k and x; opened with Enter.
import { useEffect, useRef, useState } from 'preact/hooks'
import type { Column } from '../app/columns.ts'
import { useKeys } from '../app/keys.ts'
import { snapshot } from '../app/live.ts'
import { count } from '../app/numbers.ts'
import { type ListedJob, partsOf, shortName } from '../app/queues.ts'
import { go, to } from '../app/router.ts'
import { Marks } from './marks.tsx'
import { Name, When } from './show.tsx'
import { StateMark } from './state.tsx'

interface Props {
  rows: readonly ListedJob[]
  columns: readonly Column[]
  /** The mark of the one that is shown beside the list. */
  opened: string | undefined
  hrefOf: (row: ListedJob) => string
  selected: ReadonlySet<string>
  select: (marks: ReadonlySet<string>) => void
}

export function JobsTable({ rows, columns, opened, hrefOf, selected, select }: Props) {
  const has = (column: Column) => columns.includes(column)
  const [current, setCurrent] = useState(-1)
  const [anchor, setAnchor] = useState(-1)
  const table = useRef<HTMLTableElement>(null)
  const move = (step: number) => setCurrent((at) => Math.min(rows.length - 1, Math.max(0, at + step)))
  const toggle = (row: ListedJob | undefined) => {
    if (!row) return
    const next = new Set(selected)
    if (!next.delete(row.mark)) next.add(row.mark)
    select(next)
  }
  const pick = (n: number, isRange: boolean) => {
    if (!isRange || anchor < 0) toggle(rows[n])
    else
      select(
        new Set([
          ...selected,
          ...rows.slice(Math.min(n, anchor), Math.max(n, anchor) + 1).map(({ mark }) => mark),
        ]),
      )
    setAnchor(n)
  }
  const toggleAll = () => select(new Set(areAll ? [] : rows.map(({ mark }) => mark)))
  const areAll = rows.every(({ mark }) => selected.has(mark))
  useKeys([
    { keys: 'j', does: 'next job', run: () => move(1) },
    { keys: 'k', does: 'job before', run: () => move(-1) },
    { keys: 'x', does: 'select it', run: () => toggle(rows[current]) },
    { keys: 'X', does: 'select all that are shown', run: toggleAll },
    { keys: 'Enter', does: 'open it', run: () => rows[current] && go(hrefOf(rows[current])) },
  ])
  useEffect(() => {
    table.current?.querySelector('[data-current]')?.scrollIntoView({ block: 'nearest' })
  }, [current])
  return (
    <div class="table-frame">
      <table class="cards jobs" ref={table}>
        <thead>
          <tr>
            <th scope="col" class="shrink">
              <label class="box">
                <span class="hidden-visually">Select all that are shown</span>
                <input type="checkbox" checked={areAll} onChange={toggleAll} />
              </label>
            </th>
            <th scope="col" class="shrink">
              State
            </th>
            <th scope="col">Task</th>
            {has('queue') && <th scope="col">Queue</th>}
            {has('known') && <th scope="col">What is known</th>}
            {has('tries') && (
              <th scope="col" class="shrink number">
                Tries
              </th>
            )}
            {has('enqueued') && (
              <th scope="col" class="shrink">
                Enqueued
              </th>
            )}
            {has('changed') && (
              <th scope="col" class="shrink number">
                Last change
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, n) => (
            <tr
              key={row.mark}
              data-selected={selected.has(row.mark) || undefined}
              data-current={n === current || undefined}
              data-opened={row.mark === opened || undefined}
              onClick={() => setCurrent(n)}
            >
              <td class="shrink">
                <label class="box">
                  <span class="hidden-visually">Select job {row.id}</span>
                  <input
                    type="checkbox"
                    checked={selected.has(row.mark)}
                    onClick={(event) => pick(n, event.shiftKey)}
                  />
                </label>
              </td>
              <td class="shrink">
                <StateMark state={row.state} />
              </td>
              <td class="task wide">
                <a class="strong" href={hrefOf(row)} aria-current={row.mark === opened ? 'true' : undefined}>
                  <Name of={row.task} />
                </a>
                <span class="cell-sub cut">
                  <Name of={row.id} mono />
                </span>
                {has('marks') && (row.key ?? row.tags) !== undefined && (
                  <Marks of={row} queue={row.queueKey} />
                )}
              </td>
              {has('queue') && (
                <td class="wide">
                  <a href={to(['jobs'], { queue: row.queueKey })}>
                    <Name of={shortName(namesOf(row), snapshot.value)} />
                  </a>
                </td>
              )}
              {has('known') && <td class={`known ${known(row) ? 'wide' : 'empty'}`}>{known(row)}</td>}
              {has('tries') && (
                <td class={`shrink number ${row.attempts === 0 ? 'empty' : ''}`} data-label="tries">
                  {row.attempts === 0 ? <span class="muted">–</span> : count(row.attempts)}
                </td>
              )}
              {has('enqueued') && (
                <td class="shrink" data-label="enqueued">
                  <When atMs={row.enqueuedAtMs} />
                </td>
              )}
              {has('changed') && (
                <td
                  class={`shrink number ${lastChange(row) === undefined ? 'empty' : ''}`}
                  data-label={changeWord(row)}
                >
                  <When atMs={lastChange(row)} />
                </td>
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

function namesOf({ queueKey }: ListedJob): { namespace: string; name: string } {
  const [namespace, name] = partsOf(queueKey)
  return { namespace, name }
}

function known(row: ListedJob) {
  if (row.why)
    return (
      <span class="cut" title={row.why}>
        <Name of={row.why} />
      </span>
    )
  if (row.worker)
    return (
      <span class="cut muted">
        on <Name of={row.worker} />
      </span>
    )
  const [priority = 'normal'] = row.lane?.split('/') ?? []
  if (priority !== 'normal')
    return (
      <span class="muted">
        priority <Name of={priority} />
      </span>
    )
  return null
}

const lastChange = (row: ListedJob): number | undefined => row.endedAtMs ?? row.buriedAtMs ?? row.dueAtMs

function changeWord({ endedAtMs, buriedAtMs }: ListedJob): string {
  if (endedAtMs !== undefined) return 'ended'
  return buriedAtMs === undefined ? 'due' : 'buried'
}
