// The view of a queue's schedules: when each is due, what became of its last run; runs one now, pauses, deletes.
import { type Queue, type ScheduleState, whenText } from 'millhand/queue'
import { nextText, stateCell } from '../commands/schedules.ts'
import type { Cell } from '../table.ts'
import { counted, durationText } from '../units.ts'
import { jobView } from './job.ts'
import type { Reach } from './reach.ts'
import type { Column, Row, View, ViewKey } from './view.ts'
import { Windows } from './windows.ts'

const WINDOW = 100
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
  const windows = new Windows()
  let page: Awaited<ReturnType<Queue['schedules']['list']>> | undefined
  let filter = ''
  const isMatch = ({ name, spec }: ScheduleState) => name.includes(filter) || spec.task.includes(filter)
  return {
    crumb: `schedules ${label}`,
    queueLabel: label,
    columns: COLUMNS,
    get empty() {
      if (!page) return 'reading'
      return filter === '' ? 'the queue has no schedules' : `no schedule of this window matches ${filter}`
    },
    summary: () =>
      page ? `${counted(page.total, 'schedule')}, next due first${windows.text(page.cursor)}` : 'reading',
    rows: () => (page?.schedules ?? []).filter(isMatch).map((schedule) => rowOf(schedule, queue, reach)),
    async load() {
      const { cursor } = windows
      const read = await queue.schedules.list({ limit: WINDOW, ...(cursor !== undefined && { cursor }) })
      if (cursor === windows.cursor) page = read
    },
    filter: {
      get text() {
        return filter
      },
      set(text) {
        filter = text
      },
      hint: 'a part of the name of a schedule or of its task',
    },
    keys: [
      ...windows.keys(() => page?.cursor),
      ...deedsOf(queue, label, (name) => stateOf(page?.schedules, name)),
    ],
  }
}

const stateOf = (schedules: readonly ScheduleState[] = [], name: string) =>
  schedules.find((schedule) => schedule.name === name)

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
