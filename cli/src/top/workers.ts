// The view of workers: of one queue, or of all.
import type { Queue, WorkerEntry } from 'millhand/queue'
import { stateOf } from '../commands/workers.ts'
import { counted, durationText } from '../units.ts'
import { jobsView } from './jobs.ts'
import { type Reach, type Read, readEach } from './reach.ts'
import type { Column, Row, View } from './view.ts'

const COLUMNS: readonly Column[] = [
  { title: 'QUEUE' },
  { title: 'WORKER' },
  { title: 'POD' },
  { title: 'SLOTS', align: 'right' },
  { title: 'HELD', align: 'right' },
  { title: 'STATE' },
  { title: 'AGE', align: 'right' },
  { title: 'ISOLATION' },
]

export function workersView(reach: Reach, queue?: Queue): View {
  let all: readonly Read<WorkerEntry[]>[] = []
  let filter = ''
  const label = queue && reach.label(queue)
  const rows = () =>
    all.flatMap((read) => (read.value ?? []).map((worker) => rowOf(read.queue, worker, reach)))
  return {
    crumb: label === undefined ? 'workers' : `workers ${label}`,
    queueLabel: label,
    columns: COLUMNS,
    get empty() {
      const problem = all.find((read) => read.problem !== undefined)?.problem
      if (problem !== undefined) return problem
      return filter === '' ? 'no worker serves it' : `no worker matches ${filter}`
    },
    summary() {
      const workers = all.flatMap(({ value = [] }) => value).filter(({ alive }) => alive)
      const sum = (field: 'slots' | 'held') => workers.reduce((total, worker) => total + worker[field], 0)
      return `${counted(workers.length, 'worker')}: ${sum('held')} of ${counted(sum('slots'), 'slot')} busy`
    },
    rows: () => rows().filter(({ cells }) => cells.slice(0, 3).some((cell) => String(cell).includes(filter))),
    async load() {
      all = await readEach(queue ? [queue] : await reach.queues(), (each) => each.workers())
    },
    filter: {
      get text() {
        return filter
      },
      set(text) {
        filter = text
      },
      hint: 'a part of the name of a queue, a worker or a pod',
    },
    keys: [],
  }
}

function rowOf(queue: Queue, worker: WorkerEntry, reach: Reach): Row {
  const { name, pod, slots, held, isolation, isolationNote, startedAtMs } = worker
  const label = reach.label(queue)
  const age = startedAtMs > 0 ? durationText(reach.nowMs() - startedAtMs) : ''
  const how = isolation + (isolationNote ? ` (${isolationNote})` : '')
  return {
    key: `${label} ${name}`,
    cells: [label, name, pod, slots, held, stateOf(worker), age, how],
    ...(/^[^\s"]{1,256}$/.test(name) && { open: () => jobsView(reach, queue, `worker:${name}`) }),
  }
}
