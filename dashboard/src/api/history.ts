// What happened in a queue, over time: columns for charts.
import { list, named, number, object, optional, orNull, type TypeOf, whole } from '../schema.ts'
import { time, words } from './bounds.ts'

const FIELDS = {
  stepMs: whole('How long a step is; ms'),
  times: list('When each step begins', time('The beginning of a step'), { max: 200 }),
  columns: list(
    'One for each series, or for each part of it',
    object('A column', {
      series: words('Its series'),
      task: optional(words('Its task')),
      outcome: optional(words('Its outcome')),
      values: list('One for each step; null: nothing is known of that time', orNull(number('A value'))),
      total: orNull(number('Of all steps together')),
    }),
  ),
}

export const History = named('History', object('Columns of numbers, one for each step of time', FIELDS))
export type History = TypeOf<typeof History>

export const RecentHistory = named(
  'RecentHistory',
  object('The last hour of all queues together', {
    ...FIELDS,
    queues: whole('Of how many queues it is: the others are not read yet, or cannot be read'),
  }),
)
export type RecentHistory = TypeOf<typeof RecentHistory>
