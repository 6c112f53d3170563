// The first view of millhand top: all queues, their numbers, and how fast they move.
import type { Depth, Queue } from 'millhand/queue'
import { stateOf } from '../commands/queues.ts'
import { partsOf } from '../queues-there.ts'
import type { Cell } from '../table.ts'
import { counted, durationText } from '../units.ts'
import { jobsView } from './jobs.ts'
import { Rates, rateText } from './rates.ts'
import { type Reach, type Read, readEach } from './reach.ts'
import type { Column, Row, Shown, View } from './view.ts'

interface Workers {
  alive: number
  slots: number
}

interface Seen {
  depth: Depth
  enqueuedPerSecond: number | undefined
  completedPerSecond: number | undefined
}

const right = (title: string): Column => ({ title, align: 'right' })
const COLUMNS: readonly Column[] = [
  { title: 'QUEUE' },
  ...['READY', 'BUSY', 'DELAYED', 'BURIED', 'BLOCKED', 'AGE', 'IN/S', 'OUT/S', 'WORKERS'].map(right),
  { title: '' },
]

export function overview(reach: Reach): View & { plain(): object } {
  const rates = new Rates()
  const workers = new Map<string, Workers>()
  let all: Read<Seen>[] = []
  let filter = ''
  const matching = () => all.filter(({ queue }) => reach.label(queue).includes(filter))
  return {
    crumb: 'queues',
    columns: COLUMNS,
    empty: 'there is no queue yet; millhand enqueue makes one',
    summary: () => summaryOf(all),
    rows: () => matching().map((read) => rowOf(read, workers.get(read.queue.name), reach)),
    async load(shown) {
      const queues = await reach.queues()
      all = await readEach(queues, async (queue) => {
        const depth = await queue.depth()
        return { depth, ...rates.of(queue.name, depth.counts, reach.nowMs()) }
      })
      await readWorkers(visible(matching(), shown), workers)
    },
    filter: {
      get text() {
        return filter
      },
      set: (text) => {
        filter = text
      },
      hint: 'a part of the name of a queue',
    },
    keys: [],
    plain: () => all.map((read) => plainOf(read, workers.get(read.queue.name))),
  }
}

const visible = (reads: readonly Read<Seen>[], { from, count }: Shown): Queue[] =>
  reads.slice(from, from + count).flatMap(({ queue, value }) => (value ? [queue] : []))

async function readWorkers(queues: readonly Queue[], into: Map<string, Workers>): Promise<void> {
  for (const { queue, value } of await readEach(queues, (queue) => queue.workers())) {
    const alive = value?.filter((worker) => worker.alive) ?? []
    into.set(queue.name, { alive: alive.length, slots: alive.reduce((sum, { slots }) => sum + slots, 0) })
  }
}

function rowOf({ queue, value, problem }: Read<Seen>, workers: Workers | undefined, reach: Reach): Row {
  const key = reach.label(queue)
  const open = () => jobsView(reach, queue)
  if (!value) return { key, cells: [key, ...Array(9).fill(''), { text: problem ?? '', style: 'red' }], open }
  const { depth, enqueuedPerSecond, completedPerSecond } = value
  const { ready, busy, delayed, buried, blocked, oldestReadyMs } = depth
  const cells: Cell[] = [
    key,
    ready,
    busy,
    delayed,
    buried > 0 ? { text: String(buried), style: 'red' } : 0,
    blocked > 0 ? { text: String(blocked), style: 'yellow' } : 0,
    oldestReadyMs === undefined ? '-' : durationText(oldestReadyMs),
    rateText(enqueuedPerSecond),
    rateText(completedPerSecond),
    workersText(workers, ready),
    { text: stateOf(depth), style: 'yellow' },
  ]
  return { key, cells, open }
}

function workersText(workers: Workers | undefined, ready: number): Cell {
  if (!workers) return '-'
  return workers.alive === 0 && ready > 0 ? { text: '0', style: 'red' } : workers.alive
}

function summaryOf(all: readonly Read<Seen>[]): string {
  const sum = (field: 'ready' | 'busy' | 'delayed' | 'buried') =>
    all.reduce((total, { value }) => total + (value?.depth[field] ?? 0), 0)
  const numbers = `${sum('ready')} ready, ${sum('busy')} busy, ${sum('delayed')} delayed, ${sum('buried')} buried`
  return `${counted(all.length, 'queue')}: ${numbers}`
}

function plainOf({ queue, value, problem }: Read<Seen>, workers: Workers | undefined): object {
  const { depth, ...rates } = value ?? {}
  return { queue: queue.name, ...partsOf(queue.name), ...depth, ...rates, workers, problem }
}
