// Error groups: the list, one of them with its buried jobs, the mark of a known one.
import { ErrorDetails, ErrorGroups, MOST_ROWS, Muted } from '../../api.ts'
import { optional, text, whole } from '../../schema.ts'
import type { Redactor } from '../access/redact.ts'
import { Refused } from '../refused.ts'
import { type Call, type Route, route } from '../route.ts'
import { queueOf } from './resources.ts'

const ERRORS = '/queues/{namespace}/{name}/errors'
const ERROR = `${ERRORS}/{fingerprint}`
const PAGE = {
  cursor: optional(
    text('The cursor of the page before', { max: 40, pattern: '^[0-9]{1,16} v[0-9]{1,3}:[0-9a-f]{16}$' }),
  ),
  limit: optional(whole('Groups of this page; default: 50', { min: 1, max: MOST_ROWS })),
}

export const errorRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: ERRORS,
    summary: 'A page of the error groups of a queue, the last seen first',
    permission: { resource: 'errors', verb: 'list' },
    query: PAGE,
    answer: ErrorGroups,
    handle: async (call) => {
      const { cursor, limit = 50 } = call.query
      const queue = await queueOf(call)
      const page = await queue.errors.list({ limit, ...(cursor !== undefined && { cursor }) })
      return { ...page, groups: page.groups.map((group) => redacted(group, call.parts.redact)) }
    },
  }),
  route({
    method: 'GET',
    path: ERROR,
    summary: 'An error group, and its buried jobs',
    permission: { resource: 'errors', verb: 'get' },
    query: { limit: optional(whole('Ids of buried jobs; default: 50', { min: 1, max: MOST_ROWS })) },
    answer: ErrorDetails,
    handle: async (call) => {
      const queue = await queueOf(call)
      const found = await queue.errors.get(fingerprintOf(call), { limit: call.query.limit ?? 50 })
      if (!found) throw notFound(call)
      return redacted(found, call.parts.redact)
    },
  }),
  route({
    method: 'POST',
    path: `${ERROR}/mute`,
    summary: 'Marks an error group as known',
    permission: { resource: 'errors', verb: 'update' },
    answer: Muted,
    handle: (call) => setMuted(call, true),
  }),
  route({
    method: 'POST',
    path: `${ERROR}/unmute`,
    summary: 'Takes the mark of a known error group away',
    permission: { resource: 'errors', verb: 'update' },
    answer: Muted,
    handle: (call) => setMuted(call, false),
  }),
]

async function setMuted(call: Call, isMuted: boolean): Promise<Muted> {
  const group = fingerprintOf(call)
  call.note({ filter: `error:${group}` })
  const { errors } = await queueOf(call)
  if (!(await (isMuted ? errors.mute(group) : errors.unmute(group)))) throw notFound(call)
  return { isMuted }
}

const fingerprintOf = ({ path: { fingerprint = '' } }: Call): string => fingerprint

const notFound = ({ path }: Call) =>
  new Refused(
    404,
    'ERROR_NOT_FOUND',
    `there is no error group ${path.fingerprint} in ${path.namespace}/${path.name}`,
  )

function redacted<T extends { message: string }>(group: T, redact: Redactor): T {
  return { ...group, message: redact.text(group.message) }
}
