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
  Snapshot,
  Workers,
} from '../../api.ts'
import { optional, text, whole } from '../../schema.ts'
import { poolOf, settingsOf, workerOf } from '../numbers.ts'
import { problemsIn } from '../problems.ts'
import { type Call, type Route, route, stream } from '../route.ts'
import { queueOf, taskQueueOf, workerPoolOf } from './resources.ts'

const LIST = { resource: 'queues', verb: 'list' } as const
const GET = { resource: 'queues', verb: 'get' } as const
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
    summary: 'All queues with their numbers',
    permission: LIST,
    answer: Queues,
    handle: async ({ parts, namespaces }) => {
      const { queues, isCut } = await parts.snapshots.take(namespaces)
      return { queues, isCut }
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
    summary: 'All WorkerPools with their status',
    permission: { resource: 'workers', verb: 'list' },
    answer: Pools,
    handle: async ({ parts, namespaces }) => {
      const pools = [...parts.plant.list('WorkerPool')]
        .filter(({ metadata }) => namespaces.includes(metadata.namespace ?? ''))
        .map(poolOf)
        .sort((a, b) => (`${a.namespace}/${a.name}` < `${b.namespace}/${b.name}` ? -1 : 1))
      return { pools: pools.slice(0, MOST_ROWS), isCut: pools.length > MOST_ROWS }
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

async function queueDetails(call: Call): Promise<Queue> {
  const taskQueue = taskQueueOf(call)
  const queue: QueueNow = await call.parts.looks.now(taskQueue)
  const pools = queue.pools.flatMap((name) => {
    const pool = call.parts.plant.get('WorkerPool', `${queue.namespace}/${name}`)
    return pool ? [poolOf(pool)] : []
  })
  const schedules = [...call.parts.plant.find('Schedule', 'queue', `${queue.namespace}/${queue.name}`)]
  return { queue, settings: settingsOf(taskQueue), pools, problems: problemsIn([queue], pools, schedules) }
}

async function setPause(call: Call<unknown, { reason?: string }>, isPaused: boolean): Promise<PauseState> {
  call.note(call.body)
  const queue = await queueOf(call)
  await (isPaused ? queue.pause() : queue.resume())
  return { isPaused }
}

async function workersPage(call: Call<{ cursor?: string; limit?: number }>): Promise<Workers> {
  const { cursor = '', limit = 50 } = call.query
  const queue = await queueOf(call)
  const all = (await queue.workers()).sort((a, b) => (a.name < b.name ? -1 : 1))
  const rest = all.filter(({ name }) => name > cursor)
  const page = rest.slice(0, limit)
  const last = page.at(-1)
  const poolOfWorker = poolNames(call)
  return {
    workers: page.map((entry) => workerOf(entry, poolOfWorker(entry))),
    total: all.length,
    ...(last && rest.length > page.length && { cursor: last.name }),
  }
}

function poolNames({ parts }: Call): (entry: WorkerEntry) => string | undefined {
  const names = new Map(
    [...parts.plant.list('WorkerPool')].map(({ metadata }) => [metadata.uid ?? '', metadata.name]),
  )
  return ({ poolUid }) => (poolUid === '' ? undefined : names.get(poolUid))
}
