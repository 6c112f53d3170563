// Jobs in a table: chosen with the mouse or with j, k and x; opened with Enter.
import { useEffect, useRef, useState } from 'preact/hooks'
import type { JobRow } from '../../src/api.ts'
import { useKeys } from '../app/keys.ts'
import { count } from '../app/numbers.ts'
import { jobHref, partsOf } from '../app/queues.ts'
import { Marks } from './marks.tsx'
import { Name, When } from './show.tsx'
import { StateMark } from './state.tsx'

interface Props {
  rows: readonly JobRow[]
  queue: string
  selected: ReadonlySet<string>
  select: (ids: ReadonlySet<string>) => void
  open: (row: JobRow) => void
}

export function JobsTable({ rows, queue, selected, select, open }: Props) {
  const [current, setCurrent] = useState(-1)
  const [anchor, setAnchor] = useState(-1)
  const table = useRef<HTMLTableElement>(null)
  const move = (step: number) => setCurrent((at) => Math.min(rows.length - 1, Math.max(0, at + step)))
  const toggle = (row: JobRow | undefined) => {
    if (!row) return
    const next = new Set(selected)
    if (!next.delete(row.id)) next.add(row.id)
    select(next)
  }
  const pick = (n: number, isRange: boolean) => {
    if (!isRange || anchor < 0) toggle(rows[n])
    else
      select(
        new Set([
          ...selected,
          ...rows.slice(Math.min(n, anchor), Math.max(n, anchor) + 1).map(({ id }) => id),
        ]),
      )
    setAnchor(n)
  }
  const areAll = rows.every(({ id }) => selected.has(id))
  useKeys([
    { keys: 'j', does: 'next job', run: () => move(1) },
    { keys: 'k', does: 'job before', run: () => move(-1) },
    { keys: 'x', does: 'select it', run: () => toggle(rows[current]) },
    { keys: 'Enter', does: 'open it', run: () => rows[current] && open(rows[current]) },
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
                <input
                  type="checkbox"
                  checked={areAll}
                  onChange={() => select(new Set(areAll ? [] : rows.map(({ id }) => id)))}
                />
              </label>
            </th>
            <th scope="col" class="shrink">
              State
            </th>
            <th scope="col">Task</th>
            <th scope="col">What is known</th>
            <th scope="col" class="shrink number">
              Tries
            </th>
            <th scope="col" class="shrink">
              Enqueued
            </th>
            <th scope="col" class="shrink number">
              Last change
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row, n) => (
            <tr
              key={row.id}
              data-selected={selected.has(row.id) || undefined}
              data-current={n === current || undefined}
            >
              <td class="shrink">
                <label class="box">
                  <span class="hidden-visually">Select job {row.id}</span>
                  <input
                    type="checkbox"
                    checked={selected.has(row.id)}
                    onClick={(event) => pick(n, event.shiftKey)}
                  />
                </label>
              </td>
              <td class="shrink">
                <StateMark state={row.state} />
              </td>
              <td class="task wide">
                <a class="strong" href={jobHref(...partsOf(queue), row.id)}>
                  <Name of={row.task} />
                </a>
                <span class="cell-sub cut">
                  <Name of={row.id} mono />
                </span>
                {(row.key ?? row.tags) !== undefined && <Marks of={row} queue={queue} />}
              </td>
              <td class={`known ${known(row) ? 'wide' : 'empty'}`}>{known(row)}</td>
              <td class={`shrink number ${row.attempts === 0 ? 'empty' : ''}`} data-label="tries">
                {row.attempts === 0 ? <span class="muted">–</span> : count(row.attempts)}
              </td>
              <td class="shrink" data-label="enqueued">
                <When atMs={row.enqueuedAtMs} />
              </td>
              <td
                class={`shrink number ${lastChange(row) === undefined ? 'empty' : ''}`}
                data-label={changeWord(row)}
              >
                <When atMs={lastChange(row)} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

function known(row: JobRow) {
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

const lastChange = (row: JobRow): number | undefined => row.endedAtMs ?? row.buriedAtMs ?? row.dueAtMs

function changeWord({ endedAtMs, buriedAtMs }: JobRow): string {
  if (endedAtMs !== undefined) return 'ended'
  return buriedAtMs === undefined ? 'due' : 'buried'
}
