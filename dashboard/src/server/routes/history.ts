// The history of a queue: throughput, failures, times of waiting and running, and its numbers, over up to a
// hundred days.
import { HISTORY_SERIES, type HistorySeries } from 'millhand/queue'
import { History, MOST_ROWS, RecentHistory } from '../../api.ts'
import { oneOf, optional, text, whole } from '../../schema.ts'
import { badRequest } from '../refused.ts'
import { type Call, type Route, route } from '../route.ts'
import { seenOf } from '../snapshots.ts'
import { queueOf } from './resources.ts'

const SERIES: readonly string[] = HISTORY_SERIES
const MOST_SERIES = 20
const LONGEST_MS = 100 * 86_400_000

export const historyRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/history',
    summary: `The last hour of all queues together, ${MOST_ROWS} more of them each ten seconds; null where nothing is known`,
    permission: { resource: 'queues', verb: 'list' },
    answer: RecentHistory,
    handle: ({ parts, namespaces }) =>
      parts.recent.together(seenOf(parts.plant, 'TaskQueue', namespaces), parts.wallMs()),
  }),
  route({
    method: 'GET',
    path: '/queues/{namespace}/{name}/history',
    summary: 'Columns of numbers over time, some 180 steps at most; null where nothing is known',
    permission: { resource: 'queues', verb: 'get' },
    query: {
      series: text(`With commas between them: ${SERIES.join(', ')}`, { min: 1, max: 1_000 }),
      by: optional(oneOf('A column for each task, or of failed for each outcome', ['task', 'outcome'])),
      fromMs: optional(whole('From when on; default: an hour before the end', { max: 2 ** 50 })),
      lastMs: optional(whole('Instead of fromMs: so long until the end; ms', { min: 1, max: LONGEST_MS })),
      toMs: optional(whole('Until when; default: now', { max: 2 ** 50 })),
      stepMs: optional(
        whole('How long a step is; made longer where there would be too many', { min: 1, max: 864_000_000 }),
      ),
    },
    answer: History,
    handle: historyOf,
  }),
]

interface Query {
  series: string
  by?: 'task' | 'outcome'
  fromMs?: number
  lastMs?: number
  toMs?: number
  stepMs?: number
}

async function historyOf(call: Call<Query>): Promise<History> {
  const { series, lastMs, ...question } = call.query
  if (lastMs !== undefined && question.fromMs !== undefined)
    throw badRequest('fromMs and lastMs are both given: give one of them')
  const endMs = question.toMs ?? call.parts.wallMs()
  const from = lastMs === undefined ? {} : { fromMs: Math.max(0, endMs - lastMs) }
  const queue = await queueOf(call)
  try {
    return await queue.history({ ...question, ...from, series: seriesIn(series) })
  } catch (error) {
    throw error instanceof TypeError ? badRequest(error.message) : error
  }
}

function seriesIn(text: string): HistorySeries[] {
  const names = text.split(',')
  const unknown = names.find((name) => !SERIES.includes(name))
  if (unknown !== undefined)
    throw badRequest(`series has "${unknown.slice(0, 60)}"; there are: ${SERIES.join(', ')}`)
  if (names.length > MOST_SERIES)
    throw badRequest(`series has ${names.length} names; it may have ${MOST_SERIES} at most`)
  return names as HistorySeries[]
}
