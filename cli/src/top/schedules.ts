// The view of a queue's schedules: when each is due, what became of its last run; runs one now, pauses, deletes.
import { type Queue, type ScheduleState, whenText } from 'millhand/queue'
import { nextText, stateCell } from '../commands/schedules.ts'
import type { Cell } from '../table.ts'
import { durationText } from '../units.ts'
import { jobView } from './job.ts'
import { listView } from './list-view.ts'
import type { Reach } from './reach.ts'
import type { Column, Row, View, ViewKey } from './view.ts'

const COLUMNS: readonly Column[] = [
  { title: 'NAME' },
  { title: 'TASK' },
  { title: 'WHEN' },
  { title: 'NEXT' },
  { title: 'LAST', align: 'right' },
  { title: 'OUTCOME' },
]

export function schedulesView(reach: Reach, queue: Queue): View {
  const label = reach.label(queue)
  return listView<ScheduleState>({
    crumb: `schedules ${label}`,
    queueLabel: label,
    columns: COLUMNS,
    noun: 'schedule',
    order: 'next due first',
    none: 'the queue has no schedules',
    filterHint: 'a part of the name of a schedule or of its task',
    textsOf: ({ name, spec }) => [name, spec.task],
    rowOf: (schedule) => rowOf(schedule, queue, reach),
    keys: (find) => deedsOf(queue, label, find),
    read: async (page) => {
      const { schedules, ...rest } = await queue.schedules.list(page)
      return { items: schedules, ...rest }
    },
  })
}

/** enter: its last job. */
function rowOf(schedule: ScheduleState, queue: Queue, reach: Reach): Row {
  const { name, spec, last } = schedule
  const nowMs = reach.nowMs()
  const cells: Cell[] = [
    name,
    spec.task,
    whenText(spec),
    schedule.isPaused ? { text: 'paused', style: 'yellow' } : nextText(schedule, nowMs),
    last ? durationText(nowMs - last.firedAtMs) : '',
    last ? stateCell(last.state) : '',
  ]
  return { key: name, cells, ...(last && { open: () => jobView(reach, queue, last.id) }) }
}

const GONE = 'is not there any more'

function deedsOf(queue: Queue, label: string, known: (name: string) => ScheduleState | undefined): ViewKey[] {
  const { schedules } = queue
  const about = (row: Row | undefined, verb: string) => row && `${verb} schedule ${row.key} of ${label}?`
  const nameOf = (row: Row | undefined) => row?.key ?? ''
  return [
    {
      key: 'R',
      label: 'run now',
      deed: {
        question: (row) => about(row, 'run now'),
        async act(row) {
          const id = await schedules.run(nameOf(row))
          return id === undefined ? `schedule ${nameOf(row)} ${GONE}` : `job ${id} is enqueued`
        },
      },
    },
    {
      key: 'P',
      label: 'pause or resume',
      deed: {
        question: (row) => about(row, row && known(row.key)?.isPaused ? 'resume' : 'pause'),
        async act(row) {
          const isPaused = known(nameOf(row))?.isPaused === true
          const isThere = await (isPaused ? schedules.resume(nameOf(row)) : schedules.pause(nameOf(row)))
          const became = isPaused ? 'is not paused any more' : 'is paused: nothing is due until it is resumed'
          return `schedule ${nameOf(row)} ${isThere ? became : GONE}`
        },
      },
    },
    {
      key: 'D',
      label: 'delete',
      deed: {
        question: (row) => about(row, 'delete'),
        async act(row) {
          const became = await schedules.delete(nameOf(row))
          if (became === 'name-taken')
            return `schedule ${nameOf(row)} stays: a resource declares it; delete that one`
          return `schedule ${nameOf(row)} ${became === 'none' ? GONE : 'is deleted; its jobs stay'}`
        },
      },
    },
  ]
}
