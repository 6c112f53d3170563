// The jobs of all queues that the user may see, queue after queue, by name. A page looks through queues for
// as long as it may, and its cursor goes on in the queue where it stopped.
import { parseFilter, RedisUnavailable } from 'millhand/queue'
import { AllJobsPage, type JobInQueue, MOST_ROWS } from '../../api.ts'
import { optional, text, whole } from '../../schema.ts'
import { keyOf } from '../looks.ts'
import { Refused } from '../refused.ts'
import { type Call, type Route, route } from '../route.ts'
import { seenOf } from '../snapshots.ts'
import { rowOf } from './job-shapes.ts'

/** A look through one queue ends by itself. */
const LOOKS_MS = 250

export const allJobRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/jobs',
    summary: 'A page of the jobs of all queues that match a filter, queue after queue',
    permission: { resource: 'jobs', verb: 'list' },
    query: {
      filter: optional(text('Like: state:failed task:Send* since:2h', { max: 1_000 })),
      cursor: optional(text('The cursor of the page before', { max: 8_400 })),
      limit: optional(whole('Jobs of this page; default: 50', { min: 1, max: MOST_ROWS })),
    },
    answer: AllJobsPage,
    handle: allJobs,
  }),
]

async function allJobs(
  call: Call<{ filter?: string; cursor?: string; limit?: number }>,
): Promise<AllJobsPage> {
  const { parts, query, namespaces } = call
  const { filter = '', cursor = '', limit = 50 } = query
  const parsed = parseFilter(filter, parts.wallMs())
  const [first = '', within] = partsOfCursor(cursor)
  const queues = seenOf(parts.plant, 'TaskQueue', namespaces).filter((object) => keyOf(object) >= first)
  const jobs: JobInQueue[] = []
  const unread: string[] = []
  const untilMs = parts.wallMs() + LOOKS_MS
  let scanned = 0
  for (const [n, object] of queues.entries()) {
    const key = keyOf(object)
    if (n > 0 && (jobs.length >= limit || parts.wallMs() >= untilMs))
      return { jobs, scanned, unread, isDone: false, cursor: key }
    try {
      const queue = await parts.looks.queue(object)
      const from = key === first && within !== undefined ? { cursor: within } : {}
      const page = await queue.find(parsed, { ...from, limit: limit - jobs.length })
      const { namespace = '', name } = object.metadata
      jobs.push(...page.jobs.map((job) => ({ ...rowOf(job, parts.redact), namespace, queue: name })))
      scanned += page.scanned
      if (page.cursor !== undefined)
        return { jobs, scanned, unread, isDone: false, cursor: `${key} ${page.cursor}` }
    } catch (error) {
      if (!(error instanceof RedisUnavailable || (error instanceof Refused && error.status === 503)))
        throw error
      unread.push(key)
    }
  }
  return { jobs, scanned, unread: unread.slice(0, MOST_ROWS), isDone: true }
}

/** The queue, and where in it; a queue that has gone meanwhile is passed over. */
function partsOfCursor(cursor: string): [key: string, within?: string] {
  const at = cursor.indexOf(' ')
  return at < 0 ? [cursor] : [cursor.slice(0, at), cursor.slice(at + 1)]
}
