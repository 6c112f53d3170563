// Bulk actions: counted first, then a record that says how far it has come, abort, undo.
import { type NewAction, parseFilter, type Action as QueueAction } from 'millhand/queue'
import { ACTION_VERBS, Action, ActionCount, ActionRequest, Actions, MOST_ROWS, Undone } from '../../api.ts'
import { oneOf, optional, text, whole } from '../../schema.ts'
import { badRequest, Refused, refusedBy } from '../refused.ts'
import { type Call, type Route, route } from '../route.ts'
import { rowOf } from './job-shapes.ts'
import { queueOf } from './resources.ts'

const ACTIONS = '/queues/{namespace}/{name}/actions'
const ACTION = `${ACTIONS}/{action}`
/** A count that takes longer says that there may be more. */
const COUNT_WITHIN_MS = 2_000

export const actionRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: `${ACTIONS}/count`,
    summary: 'How many jobs an action would be about, and five of them',
    permission: { resource: 'jobs', verb: 'list' },
    query: {
      verb: oneOf('What would be done', ACTION_VERBS),
      filter: optional(text('Which jobs', { max: 1_000 })),
    },
    answer: ActionCount,
    handle: async (call) => {
      const queue = await queueOf(call)
      const { verb, filter = '' } = call.query
      const asked = { verb, filter: parseFilter(filter, call.parts.wallMs()) }
      const { samples, ...counted } = await queue.actions.count(asked, { withinMs: COUNT_WITHIN_MS })
      return { ...counted, samples: samples.map((job) => rowOf(job, call.parts.redact)) }
    },
  }),
  route({
    method: 'GET',
    path: ACTIONS,
    summary: 'A page of the bulk actions of a queue, the newest first',
    permission: { resource: 'actions', verb: 'list' },
    query: {
      cursor: optional(text('The cursor of the page before', { max: 128 })),
      limit: optional(whole('Actions of this page; default: 50', { min: 1, max: MOST_ROWS })),
    },
    answer: Actions,
    handle: async (call) => {
      const queue = await queueOf(call)
      const { limit = 50, cursor } = call.query
      const actions = await queue.actions.list({ limit, after: cursor })
      for (const action of actions) call.parts.drivers.drive(queue.name, queue, action)
      const last = actions.length === limit ? actions.at(-1) : undefined
      return { actions: actions.map(shapeOf), ...(last && { cursor: last.id }) }
    },
  }),
  route({
    method: 'POST',
    path: ACTIONS,
    summary: 'Begins a bulk action; it goes on by itself',
    permission: { resource: 'actions', verb: 'create' },
    body: ActionRequest,
    answer: Action,
    handle: begin,
  }),
  route({
    method: 'GET',
    path: ACTION,
    summary: 'A bulk action, and how far it has come',
    permission: { resource: 'actions', verb: 'get' },
    answer: Action,
    handle: async (call) => {
      const queue = await queueOf(call)
      const action = await queue.actions.get(call.path.action ?? '')
      if (!action) throw notFound(call)
      call.parts.drivers.drive(queue.name, queue, action)
      return shapeOf(action)
    },
  }),
  route({
    method: 'POST',
    path: `${ACTION}/abort`,
    summary: 'Ends a bulk action; what is done stays done',
    permission: { resource: 'actions', verb: 'update' },
    answer: Action,
    handle: abort,
  }),
  route({
    method: 'POST',
    path: `${ACTION}/undo`,
    summary: 'Brings back what a deletion of the last minute has deleted',
    permission: { resource: 'actions', verb: 'update' },
    answer: Undone,
    handle: undo,
  }),
]

async function begin(call: Call<unknown, ActionRequest>): Promise<Action> {
  const { verb, filter, ids, reason, expectedCount } = call.body
  if ((filter === undefined) === (ids === undefined)) throw badRequest('give filter or ids, one of them')
  call.note({
    ...(filter !== undefined && { filter }),
    ...(ids && { ids }),
    ...(reason !== undefined && { reason }),
  })
  // An action may do no more than its user may do to one job.
  const refusal = await call.session.refusalOf({ resource: 'jobs', verb }, call.path.namespace)
  if (refusal) throw refusedBy(refusal)
  const queue = await queueOf(call)
  const asked: NewAction = {
    verb,
    filter: parseFilter(filter ?? '', call.parts.wallMs()),
    ...(ids && { ids }),
    who: call.session.user.name,
    ...(reason !== undefined && { reason }),
    ...(expectedCount !== undefined && { total: expectedCount }),
  }
  const id = await queue.actions.create(asked)
  const action = await queue.actions.get(id)
  if (!action) throw notFound(call)
  call.parts.drivers.drive(queue.name, queue, action)
  return shapeOf(action)
}

async function abort(call: Call): Promise<Action> {
  const { actions, before } = await actionOf(call)
  if (before.state !== 'running') throw wrongState(before, 'only one that runs can be ended')
  return shapeOf((await actions.abort(before.id)) ?? before)
}

async function undo(call: Call): Promise<Undone> {
  const { actions, before } = await actionOf(call)
  if (before.verb !== 'delete') throw wrongState(before, `what a ${before.verb} has done stays done`)
  const restored = await actions.undo(before.id)
  call.note({ count: restored })
  return { restored }
}

async function actionOf(call: Call) {
  const { action: id = '' } = call.path
  call.note({ ids: [id] })
  const { actions } = await queueOf(call)
  const before = await actions.get(id)
  if (!before) throw notFound(call)
  return { actions, before }
}

const wrongState = ({ id, state }: QueueAction, why: string) =>
  new Refused(409, 'WRONG_STATE', `action ${id} is ${state}: ${why}`, { state })

const notFound = ({ path }: Call) =>
  new Refused(
    404,
    'ACTION_NOT_FOUND',
    `there is no action ${path.action} in ${path.namespace}/${path.name}; the last 1,000 are kept`,
  )

function shapeOf({ driver: _, ...action }: QueueAction): Action {
  return action
}
