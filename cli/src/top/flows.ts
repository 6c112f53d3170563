// The view of the flows that are kept in a queue, and that of one as a tree, as millhand flows shows it; cancel, retry.
import type { FlowDetails, FlowFacts, Queue } from 'millhand/queue'
import { becauseText, described, painted } from '../commands/flows.ts'
import type { Cell } from '../table.ts'
import { counted, durationText } from '../units.ts'
import { listView } from './list-view.ts'
import type { Reach } from './reach.ts'
import type { Column, Row, View, ViewKey } from './view.ts'

/** With titles that leave room for the ids where the terminal is 80 columns wide. */
const NUMBERS = [
  ['jobs', 'JOBS'],
  ['completed', 'DONE'],
  ['enqueued', 'ENQ'],
  ['waiting', 'WAIT'],
  ['failed', 'FAIL'],
  ['skipped', 'SKIP'],
] as const
const COLUMNS: readonly Column[] = [
  { title: 'ID' },
  { title: 'AGE', align: 'right' },
  { title: 'STATE' },
  ...NUMBERS.map(([, title]): Column => ({ title, align: 'right' })),
  { title: '' },
]

export function flowsView(reach: Reach, queue: Queue): View {
  const label = reach.label(queue)
  return listView<FlowFacts>({
    crumb: `flows ${label}`,
    queueLabel: label,
    columns: COLUMNS,
    noun: 'flow',
    order: 'those that run first',
    none: 'the queue is the home of no flows',
    filterHint: 'a part of an id, or a state',
    textsOf: ({ id, state }) => [id, state],
    rowOf: (flow) => rowOf(flow, queue, reach),
    keys: () => deedsOf(queue, label),
    read: async (page) => {
      const { flows, ...rest } = await queue.flows.list(page)
      return { items: flows, ...rest }
    },
  })
}

function rowOf(flow: FlowFacts, queue: Queue, reach: Reach): Row {
  const cells: Cell[] = [
    flow.id,
    durationText(reach.nowMs() - flow.startedAtMs),
    painted(flow.state),
    ...NUMBERS.map(([name]) => flow[name]),
    becauseText(flow),
  ]
  return { key: flow.id, cells, open: () => flowView(reach, queue, flow.id) }
}

function flowView(reach: Reach, queue: Queue, id: string): View {
  const label = reach.label(queue)
  let flow: FlowDetails | undefined
  let text: string | undefined
  return {
    crumb: `flow ${id}`,
    queueLabel: label,
    columns: [],
    rows: () => [],
    get empty() {
      return text === undefined ? 'reading' : 'the flow is not known: it was kept for its time'
    },
    summary: () => (flow ? `${flow.state} · ${counted(flow.jobs, 'job')} · ${label}` : label),
    lines: () => (text ? text.split('\n') : []),
    async load() {
      const found = await queue.flows.details(id)
      const paint = (_: unknown, said: string) => said
      text = found ? await described(queue, found, { paint, nowMs: reach.nowMs }) : ''
      flow = found
    },
    keys: deedsOf(queue, label, id),
  }
}

interface FlowDeed {
  key: string
  verb: 'retry' | 'cancel'
  done: readonly string[]
  became: string
  rule: string
}

const DEEDS: readonly FlowDeed[] = [
  {
    key: 'R',
    verb: 'retry',
    done: ['running'],
    became: 'runs again what has not completed',
    rule: 'only one that failed or was cancelled can be retried',
  },
  {
    key: 'C',
    verb: 'cancel',
    done: ['cancelling', 'cancelled'],
    became: 'is cancelled, or ends what runs first',
    rule: 'only one that runs can be cancelled',
  },
]

/** `only`: of the view of one flow, which has no rows. */
function deedsOf(queue: Queue, label: string, only?: string): ViewKey[] {
  const idOf = (row: Row | undefined) => only ?? row?.key
  return DEEDS.map(({ key, verb, done, became, rule }) => ({
    key,
    label: verb,
    deed: {
      question: (row) => (idOf(row) === undefined ? undefined : `${verb} flow ${idOf(row)} of ${label}?`),
      async act(row) {
        const id = idOf(row) ?? ''
        const state = await queue.flows[verb](id)
        if (state === 'unknown') return `flow ${id} is not known any more`
        return done.includes(state) ? `flow ${id} ${became}` : `flow ${id} is ${state}; ${rule}`
      },
    },
  }))
}
