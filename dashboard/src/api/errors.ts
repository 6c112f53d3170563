// Error groups, and the events of a queue.
import { flag, list, named, object, oneOf, optional, record, type TypeOf, whole } from '../schema.ts'
import { MOST_ROWS, time, words } from './bounds.ts'

const group = {
  group: words('Its fingerprint, like v1:0123456789abcdef'),
  outcome: words('failed, timed-out, out-of-memory, killed, exited, worker-lost …'),
  type: words('The class of the error; empty where no error was thrown'),
  message: words('The message of its first failure'),
  firstMs: time('When it was first seen'),
  lastMs: time('When it was last seen'),
  count: whole('How many attempts failed so'),
  tasks: record('How many of them by task', whole('Attempts')),
  version: words('The version of Millhand of the worker that saw it first'),
  isMuted: flag('Whether a person has marked it as known'),
  buried: whole('Buried jobs whose last attempt failed so'),
}

export const ErrorGroup = named('ErrorGroup', object('Failures of one kind', group))
export type ErrorGroup = TypeOf<typeof ErrorGroup>

export const ErrorGroups = named(
  'ErrorGroups',
  object('A page of the error groups', {
    groups: list('The last seen first', ErrorGroup, { max: MOST_ROWS }),
    total: whole('How many there are'),
    cursor: optional(words('Give it to get the next ones')),
  }),
)
export type ErrorGroups = TypeOf<typeof ErrorGroups>

export const ErrorDetails = named(
  'ErrorDetails',
  object('An error group with its buried jobs', {
    ...group,
    jobs: list(
      'Ids of buried jobs, the last buried first; `jobs` with the filter error:… has pages of all',
      words('An id'),
      { max: MOST_ROWS },
    ),
  }),
)
export type ErrorDetails = TypeOf<typeof ErrorDetails>

export const Muted = named(
  'Muted',
  object('What became of a mark', { isMuted: flag('Whether the group is marked as known now') }),
)
export type Muted = TypeOf<typeof Muted>

const KINDS = [
  ...([
    'enqueued',
    'claimed',
    'completed',
    'retried',
    'escalated',
    'buried',
    'cancelled',
    'expired',
    'handed-back',
    'rested',
    'rest-ended',
  ] as const),
  ...([
    'requeued',
    'deleted',
    'restored',
    'reaped',
    'paused',
    'resumed',
    'suspended',
    'unsuspended',
    'fired',
    'skipped',
    'flow-started',
    'flow-ended',
  ] as const),
] as const

export const QueueEvent = named(
  'QueueEvent',
  object('One call of a verb, and all that it changed', {
    id: words('Its place: the Last-Event-ID to go on behind it'),
    atMs: time('When'),
    worker: optional(words('The worker of all its jobs')),
    isBehindGap: flag('Whether others before it are missing'),
    changes: list(
      'What changed',
      object('Jobs to which the same happened', {
        kind: oneOf('What happened', KINDS),
        count: whole('To how many'),
        jobs: list(
          'At most the first hundred',
          object('One of them', {
            id: words('Its id'),
            task: optional(words('Its task')),
            attempt: optional(whole('The number of the attempt')),
            durationMs: optional(whole('How long a completed one ran; ms')),
            outcome: optional(words('How the attempt of a retried or buried one ended')),
            group: optional(words('The error group of that attempt')),
          }),
        ),
      }),
    ),
  }),
)
export type QueueEvent = TypeOf<typeof QueueEvent>
