// The view of a queue's jobs: by state, by a filter (millhand/queue), a window of them at a time.
import { type Depth, type FoundJobs, type JobSummary, parseFilter, type Queue } from 'millhand/queue'
import { whatBelongs } from '../commands/jobs.ts'
import { stateOf } from '../commands/queues.ts'
import type { Cell } from '../table.ts'
import { durationText } from '../units.ts'
import { Marks } from './bulk.ts'
import { jobView } from './job.ts'
import type { Reach } from './reach.ts'
import type { Column, Row, View, ViewKey } from './view.ts'
import { Windows } from './windows.ts'

/** What the digits 1 to 6 show. */
const TABS = [
  { name: 'all', term: '' },
  { name: 'held', term: 'state:held' },
  { name: 'ready', term: 'state:ready' },
  { name: 'delayed', term: 'state:delayed' },
  { name: 'buried', term: 'state:buried' },
  { name: 'ended', term: 'state:completed,cancelled,expired' },
] as const
const WINDOW = 100
const COLUMNS: readonly Column[] = [
  { title: 'STATE' },
  { title: 'ID' },
  { title: 'TASK' },
  { title: 'AGE', align: 'right' },
  { title: 'TRIES', align: 'right' },
  { title: '' },
]

export function jobsView(reach: Reach, queue: Queue, text = ''): View {
  const label = reach.label(queue)
  let filter = text
  let tab = 0
  const windows = new Windows()
  let found: FoundJobs | undefined
  let depth: Depth | undefined
  const asked = () => [filter, /(^|\s)-?state:/i.test(filter) ? '' : (TABS[tab]?.term ?? '')].join(' ').trim()
  const marks = new Marks({
    ...{ queue, label, nowMs: reach.nowMs, filter: asked },
    shown: () => (found?.jobs ?? []).map(({ id }) => id),
  })
  const restart = () => {
    windows.restart()
    marks.clear()
    found = undefined
  }
  const show = (at: number) => {
    tab = (at + TABS.length) % TABS.length
    restart()
  }
  const turn: ViewKey[] = [
    ...TABS.map(({ name }, at): ViewKey => ({ key: String(at + 1), label: name, change: () => show(at) })),
    { key: 'right', label: 'next state', change: () => show(tab + 1) },
    { key: 'left', label: 'state before', change: () => show(tab - 1) },
    ...windows.keys(() => found?.cursor),
  ]
  return {
    crumb: `jobs ${label}`,
    queueLabel: label,
    columns: COLUMNS,
    get empty() {
      if (!found) return 'reading'
      return asked() === '' ? 'the queue has no jobs' : `no job matches ${asked()}`
    },
    summary: () => summaryOf({ depth, found, name: TABS[tab]?.name ?? '', windows }) + marks.text,
    rows: () => (found?.jobs ?? []).map((job) => rowOf(job, { isMarked: marks.has(job.id), queue, reach })),
    async load() {
      const { cursor } = windows
      const wanted = asked()
      const options = { cursor, limit: WINDOW }
      const answers = await Promise.all([
        queue.depth(),
        queue.find(parseFilter(wanted, reach.nowMs()), options),
      ])
      // The state, the filter or the window was changed meanwhile.
      if (wanted !== asked() || cursor !== windows.cursor) return
      ;[depth, found] = answers
    },
    filter: {
      get text() {
        return filter
      },
      set(text) {
        parseFilter(text, reach.nowMs())
        filter = text
        restart()
      },
      hint: 'state:buried task:Send* tag:order:42 since:2h "text"',
    },
    keysHint: '1-6 state   x mark',
    get keys() {
      return [...turn, ...marks.keys]
    },
  }
}

interface ShownIn {
  isMarked: boolean
  queue: Queue
  reach: Reach
}

function rowOf(job: JobSummary, { isMarked, queue, reach }: ShownIn): Row {
  const { id, state, task, enqueuedAtMs, attempts } = job
  const nowMs = reach.nowMs()
  const mark = isMarked ? '* ' : ''
  const cells: Cell[] = [
    state === 'buried' ? { text: `${mark}${state}`, style: 'red' } : `${mark}${state}`,
    id,
    task,
    enqueuedAtMs > 0 ? durationText(nowMs - enqueuedAtMs) : '',
    attempts,
    whatBelongs(job, nowMs),
  ]
  return { key: id, cells, open: () => jobView(reach, queue, id) }
}

interface Summarised {
  depth: Depth | undefined
  found: FoundJobs | undefined
  name: string
  windows: Windows
}

function summaryOf({ depth, found, name, windows }: Summarised): string {
  if (!depth || !found) return `${name}: reading`
  const { ready, busy, delayed, buried } = depth
  const numbers = `${busy} held, ${ready} ready, ${delayed} delayed, ${buried} buried`
  const stopped = stateOf(depth)
  return `${name}${windows.text(found.cursor)} · ${numbers}${stopped && ` · ${stopped}`}`
}
