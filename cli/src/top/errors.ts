// The view of a queue's errors: failures of one kind as one group, the last seen first.
import type { ErrorGroup, Queue } from 'millhand/queue'
import { headOf } from '../commands/errors.ts'
import { durationText } from '../units.ts'
import { jobsView } from './jobs.ts'
import { listView } from './list-view.ts'
import type { Reach } from './reach.ts'
import type { Column, Row, View } from './view.ts'

const COLUMNS: readonly Column[] = [
  { title: 'COUNT', align: 'right' },
  { title: 'BURIED', align: 'right' },
  { title: 'LAST', align: 'right' },
  { title: 'TASKS' },
  { title: 'ERROR' },
]

export function errorsView(reach: Reach, queue: Queue): View {
  const label = reach.label(queue)
  return listView<ErrorGroup>({
    crumb: `errors ${label}`,
    queueLabel: label,
    columns: COLUMNS,
    noun: 'error group',
    order: 'the last seen first',
    none: 'no attempt has failed',
    filterHint: 'a part of a message or the name of a task',
    textsOf: (group) => [tasksOf(group), headOf(group)],
    rowOf: (group) => rowOf(group, queue, reach),
    keys: () => [],
    read: async (page) => {
      const { groups, ...rest } = await queue.errors.list(page)
      return { items: groups, ...rest }
    },
  })
}

const tasksOf = ({ tasks }: ErrorGroup) => Object.keys(tasks).filter(Boolean).slice(0, 2).join(', ')

/** enter: its buried jobs. */
function rowOf(group: ErrorGroup, queue: Queue, reach: Reach): Row {
  return {
    key: group.group,
    cells: [
      group.count,
      group.buried > 0 ? { text: String(group.buried), style: 'red' } : 0,
      durationText(reach.nowMs() - group.lastMs),
      tasksOf(group),
      `${group.isMuted ? '(muted) ' : ''}${headOf(group)}`,
    ],
    open: () => jobsView(reach, queue, `state:buried error:${group.group}`),
  }
}
