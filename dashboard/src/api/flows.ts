// Flows that are kept in a queue: jobs of any queues, some of which wait for others.
import { list, named, object, oneOf, optional, type TypeOf, text, whole } from '../schema.ts'
import { MOST_ROWS, time, words } from './bounds.ts'

/** Lines of the tree of one flow. */
export const MOST_FLOW_LINES = 500
/** Names of what a job waits for, in its line. */
export const MOST_NAMES = 10
/** Lines that a line waits for. */
export const MOST_BEHIND = 50

export const FLOW_VERBS = ['cancel', 'retry'] as const

const STATES = [
  ...(['running', 'failing', 'compensating', 'cancelling'] as const),
  ...(['completed', 'failed', 'cancelled'] as const),
] as const
const state = oneOf('Its state; the last three are ends', STATES)

const flow = {
  id: words('Its id'),
  state,
  run: whole('1, and one more with each retry'),
  startedAtMs: time('When it was started'),
  endedAtMs: optional(time('When it ended')),
  jobs: whole('How many jobs it has'),
  waiting: whole('Jobs that wait for others'),
  enqueued: whole('Jobs that are enqueued and have not ended: ready, delayed or held'),
  completed: whole('Jobs that completed'),
  failed: whole('Jobs that were buried or cancelled, expired, or were deleted'),
  skipped: whole('Jobs that will not be enqueued, because of a failure or a cancellation'),
  batch: optional(oneOf('Of a batch: whether it takes more jobs', ['open', 'closed'])),
  because: optional(
    object('Why it does not complete', {
      job: optional(words('The first job that failed; absent where the flow was cancelled')),
      how: words('How: the state of that job'),
    }),
  ),
}

export const Flow = named('Flow', object('Jobs that wait for each other', flow))
export type Flow = TypeOf<typeof Flow>

export const Flows = named(
  'Flows',
  object('A page of the flows of a queue', {
    flows: list('Those that run, then those that ended last', Flow, { max: MOST_ROWS }),
    total: whole('How many there are'),
    cursor: optional(words('Give it to get the next ones')),
  }),
)
export type Flows = TypeOf<typeof Flows>

export const FlowLine = named(
  'FlowLine',
  object('A job of a flow, or a group of many that nothing tells apart', {
    name: words('The name of the job in the flow; of a group with `.*`'),
    depth: whole('It stands below the line before it that has one less'),
    jobs: whole('How many jobs'),
    states: list(
      'The states of these jobs: waiting, enqueued, completed, buried, cancelled, expired, deleted, too-large, taken, skipped or compensated',
      object('A state', { state: words('The state'), jobs: whole('Jobs in it') }),
    ),
    queueName: words('The name of their queue in Redis'),
    queue: optional(words('The TaskQueue, as `namespace/name`; absent where none has this name in Redis')),
    id: optional(words('The id of the job in its queue; absent of a group, and before it is enqueued')),
    after: list('What it waits for: first what has not completed', words('The name of a job'), {
      max: MOST_NAMES,
    }),
    afterAll: whole('How many jobs it waits for'),
    afterOpen: whole('How many of these have not completed'),
    behind: optional(
      list(
        'The lines that it waits for, by their number from 0 on; absent where not all lines are in the answer',
        whole('The number of a line'),
        { max: MOST_BEHIND },
      ),
    ),
  }),
)
export type FlowLine = TypeOf<typeof FlowLine>

export const FlowDetails = named(
  'FlowDetails',
  object('A flow with a page of its jobs, as a tree, or of those in one state', {
    ...flow,
    states: list(
      'How many of all its jobs are in each state',
      object('A state', { state: words('The state'), jobs: whole('Jobs in it') }),
    ),
    can: list('What can be done with it in this state', oneOf('A verb', FLOW_VERBS)),
    lines: list('Each job below the one that it waits for longest', FlowLine, { max: MOST_FLOW_LINES }),
    linesLeftOut: whole('How many lines come behind these'),
    cursor: optional(words('Give it to get the next lines')),
  }),
)
export type FlowDetails = TypeOf<typeof FlowDetails>

export const FlowPlace = named(
  'FlowPlace',
  object('Where a job stands in its flow', {
    flow: Flow,
    name: words('The name of the job in the flow'),
    state: words('Its state there'),
    next: list('What waits for it, or waited', words('The name of a job'), { max: MOST_NAMES }),
    nextAll: whole('How many jobs wait for it, or waited'),
  }),
)
export type FlowPlace = TypeOf<typeof FlowPlace>

export const FlowRetry = named(
  'FlowRetry',
  object('How a flow is retried', {
    reason: optional(words('Why, for the record', 200)),
    from: optional(
      text('A job: that one and all behind it run again too, also in a flow that has completed', { max: 64 }),
    ),
  }),
)
export type FlowRetry = TypeOf<typeof FlowRetry>

export const FlowDone = named('FlowDone', object('What became of a flow', { id: words('Its id'), state }))
export type FlowDone = TypeOf<typeof FlowDone>
