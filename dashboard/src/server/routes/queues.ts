// Queues, pools and workers: what there is, its numbers, and the pause.
import type { WorkerEntry } from 'millhand/queue'
import {
  MOST_ROWS,
  PauseState,
  PoolNow,
  Pools,
  Queue,
  type QueueNow,
  Queues,
  Reason,
  RestEnded,
  Snapshot,
  Workers,
} from '../../api.ts'
import { optional, text, whole } from '../../schema.ts'
import { keyOf } from '../looks.ts'
import { poolOf, settingsOf, workerOf } from '../numbers.ts'
import { problemsIn } from '../problems.ts'
import { type Call, type Route, route, stream } from '../route.ts'
import { seenOf } from '../snapshots.ts'
import { queueOf, taskQueueOf, workerPoolOf } from './resources.ts'

const LIST = { resource: 'queues', verb: 'list' } as const
const GET = { resource: 'queues', verb: 'get' } as const
const PAGE = {
  part: optional(text('Only those that have this in namespace/name', { max: 317 })),
  cursor: optional(text('The cursor of the page before', { max: 317 })),
  limit: optional(whole(`Rows of this page; default: ${MOST_ROWS}`, { min: 1, max: MOST_ROWS })),
}
const PAUSE = { resource: 'queues', verb: 'pause' } as const

export const queueRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/snapshot',
    summary: 'All queues and pools with their numbers, and what is wrong',
    permission: LIST,
    answer: Snapshot,
    handle: ({ parts, namespaces }) => parts.snapshots.take(namespaces),
  }),
  stream({
    method: 'GET',
    path: '/stream',
    summary: 'Snapshots, one a second at most, when something has changed',
    permission: LIST,
    events: { snapshot: Snapshot },
    open: ({ parts, namespaces }, viewer) => parts.snapshots.watch(viewer, namespaces),
  }),
  route({
    method: 'GET',
    path: '/queues',
    summary: 'A page of the queues with their numbers, by namespace and name',
    permission: LIST,
    query: PAGE,
    answer: Queues,
    handle: async (call) => {
      const { rows, ...page } = pageOf(call, 'TaskQueue')
      return { queues: await Promise.all(rows.map((object) => call.parts.looks.now(object))), ...page }
    },
  }),
  route({
    method: 'GET',
    path: '/queues/{namespace}/{name}',
    summary: 'One queue with its numbers, its rules and its pools',
    permission: GET,
    answer: Queue,
    handle: queueDetails,
  }),
  route({
    method: 'POST',
    path: '/queues/{namespace}/{name}/pause',
    summary: 'Pauses a queue: no worker takes a job of it; running jobs go on',
    permission: PAUSE,
    body: Reason,
    answer: PauseState,
    handle: (call) => setPause(call, true),
  }),
  route({
    method: 'POST',
    path: '/queues/{namespace}/{name}/resume',
    summary: 'Ends the pause of a queue',
    permission: PAUSE,
    body: Reason,
    answer: PauseState,
    handle: (call) => setPause(call, false),
  }),
  route({
    method: 'POST',
    path: '/queues/{namespace}/{name}/keys/{key}/resume',
    summary: 'Ends the rest of a key that a task asked for (RetryAfter); one of the queue: resume',
    permission: PAUSE,
    body: Reason,
    answer: RestEnded,
    handle: async (call) => {
      const { key = '' } = call.path
      call.note({ ...call.body, key })
      const wasResting = await (await queueOf(call)).endRest({ key })
      call.parts.looks.forgetRests(taskQueueOf(call))
      return { wasResting }
    },
  }),
  route({
    method: 'GET',
    path: '/queues/{namespace}/{name}/workers',
    summary: 'The workers of a queue, by name',
    permission: { resource: 'workers', verb: 'list' },
    query: {
      cursor: optional(text('The cursor of the page before', { max: 512 })),
      limit: optional(whole('Workers of this page; default: 50', { min: 1, max: MOST_ROWS })),
    },
    answer: Workers,
    handle: workersPage,
  }),
  route({
    method: 'GET',
    path: '/pools',
    summary: 'A page of the WorkerPools with their status, by namespace and name',
    permission: { resource: 'workers', verb: 'list' },
    query: PAGE,
    answer: Pools,
    handle: async (call) => {
      const { rows, ...page } = pageOf(call, 'WorkerPool')
      return { pools: rows.map(poolOf), ...page }
    },
  }),
  route({
    method: 'GET',
    path: '/pools/{namespace}/{name}',
    summary: 'One WorkerPool with its status',
    permission: { resource: 'workers', verb: 'get' },
    answer: PoolNow,
    handle: async (call) => poolOf(workerPoolOf(call)),
  }),
]

type PageQuery = { part?: string; cursor?: string; limit?: number }

/** Behind the one that the cursor names, whether that one is still there or not. */
function pageOf<K extends 'TaskQueue' | 'WorkerPool'>(
  { parts, namespaces, query }: Call<PageQuery>,
  kind: K,
) {
  const { part = '', cursor = '', limit = MOST_ROWS } = query
  const all = seenOf(parts.plant, kind, namespaces).filter((object) => keyOf(object).includes(part))
  const rest = all.filter((object) => keyOf(object) > cursor)
  const rows = rest.slice(0, limit)
  const last = rows.at(-1)
  return { rows, total: all.length, ...(last && rest.length > rows.length && { cursor: keyOf(last) }) }
}

async function queueDetails(call: Call): Promise<Queue> {
  const taskQueue = taskQueueOf(call)
  const queue: QueueNow = await call.parts.looks.now(taskQueue)
  const pools = queue.pools.flatMap((name) => {
    const pool = call.parts.plant.get('WorkerPool', `${queue.namespace}/${name}`)
    return pool ? [poolOf(pool)] : []
  })
  const schedules = [...call.parts.plant.find('Schedule', 'queue', `${queue.namespace}/${queue.name}`)]
  const rests = queue.unread ? undefined : await call.parts.looks.rests(taskQueue)
  return {
    ...{ queue, settings: settingsOf(taskQueue), pools, problems: problemsIn([queue], pools, schedules) },
    ...(rests && { rests }),
  }
}

async function setPause(call: Call<unknown, { reason?: string }>, isPaused: boolean): Promise<PauseState> {
  call.note(call.body)
  const queue = await queueOf(call)
  await (isPaused ? queue.pause() : queue.resume())
  call.parts.looks.forgetRests(taskQueueOf(call))
  return { isPaused }
}

async function workersPage(call: Call<{ cursor?: string; limit?: number }>): Promise<Workers> {
  const { cursor: after = '', limit = 50 } = call.query
  const queue = await queueOf(call)
  const { workers, total, next } = await queue.workersPage({ after, limit })
  const poolOfWorker = poolNames(call)
  return {
    workers: workers.map((entry) => workerOf(entry, poolOfWorker(entry))),
    total,
    ...(next !== undefined && { cursor: next }),
  }
}

function poolNames({ parts }: Call): (entry: WorkerEntry) => string | undefined {
  const names = new Map(
    [...parts.plant.list('WorkerPool')].map(({ metadata }) => [metadata.uid ?? '', metadata.name]),
  )
  return ({ poolUid }) => (poolUid === '' ? undefined : names.get(poolUid))
}
