// Schedules of a queue: when jobs come by the clock, and how the last ones went.
import { flag, list, named, object, oneOf, optional, type TypeOf, whole } from '../schema.ts'
import { JOB_STATES, MOST_ROWS, time, words } from './bounds.ts'

const run = {
  id: words('The id of the job'),
  dueAtMs: time('When it was due'),
  state: optional(oneOf('The state of the job; absent where nothing is kept of it', JOB_STATES)),
}

const schedule = {
  name: words('Its name'),
  when: words('When it is due, in words: `at 03:00 every day, Europe/Berlin`'),
  cron: optional(words('Its times in cron form')),
  everyMs: optional(whole('Its interval; ms')),
  timeZone: optional(words('The time zone of the cron; absent: UTC')),
  task: words('The task of its jobs'),
  overlap: oneOf('What happens when the last job has not ended', ['Allow', 'Forbid', 'Replace']),
  owner: optional(words('The resource that declares it; absent where a program or a person has set it')),
  isPaused: flag('Whether a person has paused it'),
  isSuspended: flag('Whether its resource, or who set it, suspends it'),
  isLate: flag('Whether a job is due for more than a minute and nobody has enqueued it'),
  nextAtMs: optional(time('When it is due next; absent while it is paused or suspended')),
  last: optional(
    object('The last job that it enqueued', {
      ...run,
      firedAtMs: time('When it was enqueued'),
      lateMs: whole('How much later than planned; ms'),
    }),
  ),
  fired: whole('Jobs that it enqueued, ever'),
  skipped: whole('Times that were skipped because the last job had not ended, ever'),
}

export const Schedule = named('Schedule', object('Jobs of a queue that come by the clock', schedule))
export type Schedule = TypeOf<typeof Schedule>

export const Schedules = named(
  'Schedules',
  object('A page of the schedules of a queue', {
    schedules: list('Next due first, those that rest last', Schedule, { max: MOST_ROWS }),
    total: whole('How many there are'),
    cursor: optional(words('Give it to get the next ones')),
  }),
)
export type Schedules = TypeOf<typeof Schedules>

export const ScheduleDetails = named(
  'ScheduleDetails',
  object('A schedule, and what comes next', {
    ...schedule,
    next: list('When it is due next, at most ten times; none while it rests', time('When')),
    runs: list(
      'Its last jobs, newest first, at most ten; those of which nothing is kept are left out',
      object('A job that it enqueued', run),
    ),
  }),
)
export type ScheduleDetails = TypeOf<typeof ScheduleDetails>

export const ScheduleRun = named(
  'ScheduleRun',
  object('What became of a run', { id: words('The id of its job') }),
)
export type ScheduleRun = TypeOf<typeof ScheduleRun>

export const SchedulePause = named(
  'SchedulePause',
  object('What became of a pause', { isPaused: flag('Whether it is paused now') }),
)
export type SchedulePause = TypeOf<typeof SchedulePause>

export const ScheduleDeleted = named(
  'ScheduleDeleted',
  object('What became of a deletion', { isDeleted: flag('That it is deleted; its jobs stay') }),
)
export type ScheduleDeleted = TypeOf<typeof ScheduleDeleted>
