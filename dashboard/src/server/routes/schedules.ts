// Schedules of a queue: the list, one of them with what comes next and how the last ones went, run now,
// pause, delete.
import { LATE_FROM_MS, lateMs } from '@millhand/control/decide/schedule'
import { dueTimes, type LastRun, type Queue, type ScheduleState, whenText } from 'millhand/queue'
import {
  MOST_ROWS,
  type Schedule,
  ScheduleDeleted,
  ScheduleDetails,
  SchedulePause,
  ScheduleRun,
  Schedules,
} from '../../api.ts'
import { optional, text, whole } from '../../schema.ts'
import { Refused } from '../refused.ts'
import { type Call, type Route, route } from '../route.ts'
import { queueOf } from './resources.ts'

const SCHEDULES = '/queues/{namespace}/{name}/schedules'
const SCHEDULE = `${SCHEDULES}/{schedule}`
const PAUSE = { resource: 'schedules', verb: 'pause' } as const
const MOST_RUNS = 10
/** Looked through for the last runs. */
const MOST_DUE_TIMES = 200

export const scheduleRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: SCHEDULES,
    summary: 'A page of the schedules of a queue, next due first',
    permission: { resource: 'schedules', verb: 'list' },
    query: {
      cursor: optional(text('The cursor of the page before', { max: 120 })),
      limit: optional(whole('Schedules of this page; default: 50', { min: 1, max: MOST_ROWS })),
    },
    answer: Schedules,
    handle: async (call) => {
      const { cursor, limit = 50 } = call.query
      const { schedules } = await queueOf(call)
      const page = await schedules.list({ limit, ...(cursor !== undefined && { cursor }) })
      return { ...page, schedules: page.schedules.map((each) => scheduleOf(each, call)) }
    },
  }),
  route({
    method: 'GET',
    path: SCHEDULE,
    summary: 'A schedule, its next ten times, and its last ten jobs',
    permission: { resource: 'schedules', verb: 'get' },
    answer: ScheduleDetails,
    handle: async (call) => {
      const queue = await queueOf(call)
      const found = await queue.schedules.get(nameOf(call))
      if (!found) throw notFound(call)
      return { ...scheduleOf(found, call), next: nextTimes(found), runs: await lastRuns(found, queue) }
    },
  }),
  route({
    method: 'POST',
    path: `${SCHEDULE}/run`,
    summary: 'Enqueues its job now, besides its times',
    permission: { resource: 'schedules', verb: 'update' },
    answer: ScheduleRun,
    handle: async (call) => {
      const { schedules } = await queueOf(call)
      const id = await schedules.run(nameOf(call))
      if (id === undefined) throw notFound(call)
      call.note({ ids: [id] })
      return { id }
    },
  }),
  route({
    method: 'POST',
    path: `${SCHEDULE}/pause`,
    summary: 'Pauses a schedule: nothing is due until it is resumed',
    permission: PAUSE,
    answer: SchedulePause,
    handle: (call) => setPaused(call, true),
  }),
  route({
    method: 'POST',
    path: `${SCHEDULE}/resume`,
    summary: 'Ends the pause of a schedule; what was due meanwhile is not made up for',
    permission: PAUSE,
    answer: SchedulePause,
    handle: (call) => setPaused(call, false),
  }),
  route({
    method: 'DELETE',
    path: SCHEDULE,
    summary: 'Deletes a schedule that no resource declares; its jobs stay',
    permission: { resource: 'schedules', verb: 'delete' },
    answer: ScheduleDeleted,
    handle: async (call) => {
      call.note({ reason: `schedule ${nameOf(call)}` })
      const { schedules } = await queueOf(call)
      const answer = await schedules.delete(nameOf(call))
      if (answer === 'none') throw notFound(call)
      if (answer === 'name-taken') throw declared(call)
      return { isDeleted: true }
    },
  }),
]

const nameOf = ({ path: { schedule = '' } }: Call): string => schedule

async function setPaused(call: Call, isPaused: boolean): Promise<SchedulePause> {
  call.note({ reason: `schedule ${nameOf(call)}` })
  const { schedules } = await queueOf(call)
  if (!(await (isPaused ? schedules.pause(nameOf(call)) : schedules.resume(nameOf(call)))))
    throw notFound(call)
  return { isPaused }
}

const notFound = ({ path }: Call) =>
  new Refused(
    404,
    'SCHEDULE_NOT_FOUND',
    `there is no schedule ${path.schedule} in ${path.namespace}/${path.name}`,
  )

const declared = ({ path }: Call) =>
  new Refused(
    409,
    'SCHEDULE_DECLARED',
    `a resource declares the schedule ${path.schedule}: delete that one, with kubectl delete schedule or in the manifests of millhand up`,
  )

function scheduleOf(state: ScheduleState, { parts }: Call): Schedule {
  const { name, spec, owner, isPaused, nextAtMs, last, fired, skipped } = state
  const { cron, everyMs, timeZone, task, overlap = 'Allow', suspend = false } = spec
  return {
    ...{ name, when: whenText(spec), task, overlap, isPaused, isSuspended: suspend, fired, skipped },
    isLate: lateMs(state, parts.wallMs()) >= LATE_FROM_MS,
    ...(cron !== undefined && { cron }),
    ...(everyMs !== undefined && { everyMs }),
    ...(timeZone !== undefined && { timeZone }),
    ...(state.ownerUid !== '' && { owner: owner || 'a resource' }),
    ...(nextAtMs !== undefined && { nextAtMs }),
    ...(last && { last: lastOf(last) }),
  }
}

/** Of a job of which nothing is kept there is no state. */
function lastOf({ state, ...run }: LastRun): NonNullable<Schedule['last']> {
  return { ...run, ...(state !== 'unknown' && { state }) }
}

function nextTimes({ spec, nextAtMs }: ScheduleState): number[] {
  return nextAtMs === undefined ? [] : dueTimes(spec, { afterMs: nextAtMs - 1, count: MOST_RUNS })
}

/** A job has its due time in its id, so those that are kept are found by the times that were. */
async function lastRuns({ name, spec, last }: ScheduleState, queue: Queue): Promise<ScheduleDetails['runs']> {
  if (!last) return []
  const [first = last.dueAtMs, second = first + 1] = dueTimes(spec, { afterMs: last.dueAtMs, count: 2 })
  const afterMs = last.dueAtMs - 2 * MOST_RUNS * (second - first)
  const times = dueTimes(spec, { afterMs, count: MOST_DUE_TIMES }).filter((ms) => ms <= last.dueAtMs)
  const ids = [
    ...new Set([
      last.id,
      ...times
        .slice(-MOST_RUNS)
        .reverse()
        .map((ms) => `${name}@${ms}`),
    ]),
  ]
  const { jobs } = await queue.find({ terms: [{ field: 'id', isNegated: false, values: ids }] })
  return jobs
    .map(({ id, state }) => ({
      id,
      state: state as Exclude<LastRun['state'], 'unknown'>,
      dueAtMs: Number(id.slice(name.length + 1)),
    }))
    .sort((a, b) => b.dueAtMs - a.dueAtMs)
    .slice(0, MOST_RUNS)
}
