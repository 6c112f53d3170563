// Bulk actions: one verb on all jobs of a filter, or on jobs that are named.
import { flag, list, named, object, oneOf, optional, type TypeOf, text, whole } from '../schema.ts'
import { MOST_ROWS, time, words } from './bounds.ts'
import { JobRow } from './jobs.ts'

export const ACTION_VERBS = ['retry', 'cancel', 'delete'] as const
/** Without a filter. */
export const MOST_IDS = 1_000

export const ActionRequest = named(
  'ActionRequest',
  object('What to do with which jobs', {
    verb: oneOf('What to do', ACTION_VERBS),
    filter: optional(text('Which jobs; those that come later are left out', { max: 1_000 })),
    ids: optional(list('Instead of a filter', text('An id', { max: 128 }), { min: 1, max: MOST_IDS })),
    reason: optional(text('Why: kept with the record', { max: 200 })),
    expectedCount: optional(whole('How many jobs the user was told: kept with the record')),
  }),
)
export type ActionRequest = TypeOf<typeof ActionRequest>

export const ActionCount = named(
  'ActionCount',
  object('How many jobs an action would be about', {
    count: whole('How many'),
    isExact: flag('Whether there are no more than these'),
    samples: list('The first five', JobRow, { max: 5 }),
  }),
)
export type ActionCount = TypeOf<typeof ActionCount>

export const Action = named(
  'Action',
  object('A bulk action and how far it has come', {
    id: words('Its id'),
    verb: oneOf('What it does', ACTION_VERBS),
    state: oneOf('Its state', ['running', 'done', 'aborted', 'undone']),
    filter: words('Which jobs, with absolute times; empty where they were named'),
    who: words('Who asked for it'),
    reason: words('Why'),
    createdAtMs: time('When it was asked for'),
    endedAtMs: optional(time('When it ended')),
    total: optional(whole('How many jobs it is about, as it was counted before')),
    done: whole('Jobs to which it was done'),
    skipped: whole('Jobs that were in another state when their turn came'),
    failed: whole('Jobs that could not be read any more'),
    restored: whole('Deleted jobs that came back when it was undone'),
    reasons: list(
      'Why jobs were skipped or failed, at most a hundred',
      object('One of them', { id: words('The id of the job'), reason: words('Why') }),
    ),
  }),
)
export type Action = TypeOf<typeof Action>

export const Actions = named(
  'Actions',
  object('A page of the bulk actions', {
    actions: list('The newest first', Action, { max: MOST_ROWS }),
    cursor: optional(words('Give it to get the next ones')),
  }),
)
export type Actions = TypeOf<typeof Actions>

export const Undone = named(
  'Undone',
  object('What became of an undo', { restored: whole('How many deleted jobs came back') }),
)
export type Undone = TypeOf<typeof Undone>
