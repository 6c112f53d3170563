// Who may: the port between the server of the dashboard and the modes (local, kubernetes, proxy, token). The
// server calls admit() before it looks at the path, then asks the session about the route's permission.
import type { IncomingMessage } from 'node:http'

export type Mode = 'local' | 'kubernetes' | 'proxy' | 'token'

/**
 * Resources of the group millhand.dev, as RBAC rules name them; none of them is an object of the API server.
 */
export const RESOURCES = [
  'queues',
  'jobs',
  'jobs/payload',
  'jobs/output',
  'actions',
  'errors',
  'workers',
  'schedules',
  'flows',
] as const
export type Resource = (typeof RESOURCES)[number]

export const READS = ['get', 'list'] as const
export const WRITES = ['create', 'update', 'delete', 'retry', 'cancel', 'pause'] as const
export type Verb = (typeof READS)[number] | (typeof WRITES)[number]

export interface Permission {
  resource: Resource
  verb: Verb
}

/** As a TokenReview says it and a SubjectAccessReview takes it. */
export interface User {
  name: string
  uid?: string
  groups: readonly string[]
  extra?: Readonly<Record<string, readonly string[]>>
}

/** What the server answers in place of the route. The message says the remedy. */
export interface Refusal {
  status: 400 | 401 | 403 | 415 | 429 | 503
  code: string
  message: string
  headers?: Readonly<Record<string, string>>
}

export type Admission =
  /** Answer the refusal and nothing else, not even a file: foreign Host, foreign origin, no JSON. */
  | { kind: 'refused'; refusal: Refusal }
  /**
   * Nobody has signed in: serve the files; answer the refusal to each call of the API but that of a sign-in.
   */
  | { kind: 'stranger'; refusal: Refusal }
  /** Answer 303 to this location with these headers: the address that `up` prints was opened. */
  | { kind: 'moved'; headers: Readonly<Record<string, string>> }
  | { kind: 'user'; session: Session }

/** Who sent a request. A stream keeps it and asks again now and then: answers are kept for at most 60 s. */
export interface Session {
  readonly user: User
  readonly mode: Mode
  /** The client's address, for the audit line. */
  readonly address: string
  /** Undefined when allowed. Without a namespace: in all namespaces. */
  refusalOf(permission: Permission, namespace: string | undefined): Promise<Refusal | undefined>
  /** Those of `namespaces` in which it is allowed. */
  namespacesOf(permission: Permission, namespaces: readonly string[]): Promise<readonly string[]>
}

/** What was changed by whom: a line in the log. */
export interface Write {
  permission: Permission
  /** `<namespace>/<name>` of the queue. */
  queue: string
  ids?: readonly string[]
  key?: string
  filter?: string
  reason?: string
  /** `done`, or the code of the error. */
  outcome: string
  /** Of jobs, where there are several. */
  count?: number
}

export interface Access {
  readonly mode: Mode
  readonly isReadOnly: boolean
  admit(request: IncomingMessage): Promise<Admission>
  /** Headers of every answer to a request for this path, refusals and errors included. */
  headersFor(path: string): Readonly<Record<string, string>>
  /** POST /api/v1/session { token }: the header Set-Cookie, or why not. */
  signIn(request: IncomingMessage, token: string): Promise<{ setCookie: string } | { refusal: Refusal }>
  /** DELETE /api/v1/session: the header Set-Cookie that forgets. */
  signOut(request: IncomingMessage): { setCookie: string }
  audit(session: Session, write: Write): void
}
