// The view of a queue's errors: failures of one kind as one group, the last seen first.
import type { ErrorGroup, ErrorGroups, Queue } from 'millhand/queue'
import { headOf } from '../commands/errors.ts'
import { counted, durationText } from '../units.ts'
import { jobsView } from './jobs.ts'
import type { Reach } from './reach.ts'
import type { Column, Row, View } from './view.ts'
import { Windows } from './windows.ts'

const WINDOW = 100
const COLUMNS: readonly Column[] = [
  { title: 'COUNT', align: 'right' },
  { title: 'BURIED', align: 'right' },
  { title: 'LAST', align: 'right' },
  { title: 'TASKS' },
  { title: 'ERROR' },
]

export function errorsView(reach: Reach, queue: Queue): View {
  const label = reach.label(queue)
  const windows = new Windows()
  let found: ErrorGroups | undefined
  let filter = ''
  const rows = () => (found?.groups ?? []).map((group) => rowOf(group, queue, reach))
  return {
    crumb: `errors ${label}`,
    queueLabel: label,
    columns: COLUMNS,
    get empty() {
      if (!found) return 'reading'
      return filter === '' ? 'no attempt has failed' : `no error matches ${filter}`
    },
    summary() {
      return `${counted(found?.total ?? 0, 'group')} of errors${windows.text(found?.cursor)}`
    },
    rows: () => rows().filter(({ cells }) => cells.slice(3).some((cell) => String(cell).includes(filter))),
    async load() {
      const { cursor } = windows
      const read = await queue.errors.list({ limit: WINDOW, ...(cursor !== undefined && { cursor }) })
      if (cursor === windows.cursor) found = read
    },
    filter: {
      get text() {
        return filter
      },
      set(text) {
        filter = text
      },
      hint: 'a part of a message or the name of a task',
    },
    keys: windows.keys(() => found?.cursor),
  }
}

/** enter: its buried jobs. */
function rowOf(group: ErrorGroup, queue: Queue, reach: Reach): Row {
  return {
    key: group.group,
    cells: [
      group.count,
      group.buried > 0 ? { text: String(group.buried), style: 'red' } : 0,
      durationText(reach.nowMs() - group.lastMs),
      Object.keys(group.tasks).filter(Boolean).slice(0, 2).join(', '),
      `${group.isMuted ? '(muted) ' : ''}${headOf(group)}`,
    ],
    open: () => jobsView(reach, queue, `state:buried error:${group.group}`),
  }
}
