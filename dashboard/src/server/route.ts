// A route of the API: the method, the path, what it needs, what it takes, what it answers. routes.ts has the one table of them; the
// server (server.ts) and the OpenAPI document (openapi.ts) are made from it.
import type { Log } from 'millhand/queue'
import type { Config } from '../api.ts'
import { type Fields, object, type Schema, type TypeOf, text } from '../schema.ts'
import type { Access, Permission, Session } from './access/access.ts'
import type { Redactor } from './access/redact.ts'
import type { Drivers } from './drivers.ts'
import type { Feeds } from './feeds.ts'
import type { Looks } from './looks.ts'
import type { Plant } from './plant.ts'
import type { Recent } from './recent.ts'
import type { Snapshots } from './snapshots.ts'
import type { Viewer } from './viewers.ts'

/** What all routes share. */
export interface Parts {
  plant: Plant
  access: Access
  looks: Looks
  snapshots: Snapshots
  recent: Recent
  feeds: Feeds
  drivers: Drivers
  redact: Redactor
  config: () => Config
  log: Log
  wallMs: () => number
}

/** One request, checked and allowed. */
export interface Call<Q = unknown, B = unknown> {
  parts: Parts
  session: Session
  /** The values of the braces in the path. */
  path: Readonly<Record<string, string>>
  query: Q
  body: B
  /** The namespaces that the session may see; of a route with a namespace in its path only that one. */
  namespaces: readonly string[]
  /** Aborted when the client has gone. */
  signal: AbortSignal
  /** For the audit line of a write: which jobs, and why. */
  note(said: Said): void
}

interface Said {
  ids?: readonly string[]
  key?: string
  filter?: string
  reason?: string
  count?: number
}

interface Named {
  method: 'GET' | 'POST' | 'DELETE'
  /** Below /api/v1. */
  path: string
  summary: string
  /** `none`: for everybody who is signed in. */
  permission: Permission | 'none'
  query?: Schema
  body?: Schema
  maxBodyBytes?: number
}

/** Answers once, with JSON. */
export interface AnswerRoute extends Named {
  kind: 'answer'
  answer: Schema
  /** A text that is another one whenever the answer is. It costs less than the answer, and becomes its ETag. */
  version?: ((call: Call) => Promise<string | undefined>) | undefined
  handle(call: Call): Promise<unknown>
}

/** Answers with server-sent events until one side ends them. */
export interface StreamRoute extends Named {
  kind: 'stream'
  /** What the data of its events is, by the name of the event. */
  events: Readonly<Record<string, Schema>>
  /** `lastEventId`: of the last event that the client has; '' for none. Throws before the stream has begun. */
  open(call: Call, viewer: Viewer, lastEventId: string): Promise<void>
}

export type Route = AnswerRoute | StreamRoute

type Query<F extends Fields> = TypeOf<ReturnType<typeof object<F>>>

interface Taking<F extends Fields, B> extends Omit<Named, 'query' | 'body'> {
  query?: F
  body?: Schema<B>
}

export function route<A, B = undefined, F extends Fields = Record<never, never>>({
  query,
  ...rest
}: Taking<F, B> & {
  answer: Schema<A>
  version?: (call: Call) => Promise<string | undefined>
  handle(call: Call<Query<F>, B>): Promise<A>
}): Route {
  // The server has checked query and body against these very schemas.
  const handle = rest.handle as (call: Call) => Promise<unknown>
  return { ...rest, handle, kind: 'answer', ...(query && { query: object('The query', query) }) }
}

export function stream<F extends Fields = Record<never, never>>({
  query,
  ...rest
}: Omit<Taking<F, never>, 'body'> &
  Pick<StreamRoute, 'events'> & {
    open(call: Call<Query<F>>, viewer: Viewer, lastEventId: string): Promise<void>
  }): Route {
  const open = rest.open as StreamRoute['open']
  return { ...rest, open, kind: 'stream', ...(query && { query: object('The query', query) }) }
}

const NAME = '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$'

/** What may stand in a path. */
export const PATH_FIELDS: Readonly<Record<string, Schema<string>>> = {
  namespace: text('The namespace of the queue or pool', { min: 1, max: 63, pattern: NAME }),
  name: text('The name of the TaskQueue or WorkerPool', { min: 1, max: 253, pattern: NAME }),
  key: text('A key of jobs', { max: 128, pattern: '^[A-Za-z0-9.:_-]{1,128}$' }),
  id: text('The id of the job', { min: 1, max: 512 }),
  fingerprint: text('The fingerprint of the error group', { max: 30, pattern: '^v[0-9]{1,3}:[0-9a-f]{16}$' }),
  schedule: text('The name of the schedule', { max: 100, pattern: '^[A-Za-z0-9:._-]{1,100}$' }),
  flow: text('The id of the flow', { max: 60, pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$' }),
  job: text('The name of a job in its flow', { max: 64, pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$' }),
  action: text('The id of the bulk action', { max: 64, pattern: '^[0-9A-Za-z-]{1,64}$' }),
}
