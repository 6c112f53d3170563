// Errors of the API server, and what they mean for the caller.

/** The message has the words of the API server, and never headers or the body of a request. */
export class KubeError extends Error {
  override readonly name = 'KubeError'
  /** The HTTP status; 0: there was no answer that could be read. */
  readonly status: number
  /** As in a Status: NotFound, Conflict, Forbidden, Invalid, …; Unreachable where there was no answer. */
  readonly reason: string

  constructor(
    message: string,
    { status, reason, cause }: { status: number; reason: string; cause?: unknown },
  ) {
    super(message, cause === undefined ? {} : { cause })
    this.status = status
    this.reason = reason
  }

  /** What the log shows of an error besides its message. */
  get code(): string {
    return this.reason
  }
}

/** Another client changed the object in between, or owns the field. */
export const isConflict = (error: unknown): boolean => isKube(error, 409) && error.reason !== 'AlreadyExists'
export const isNotFound = (error: unknown): boolean => isKube(error, 404)

/** The operator lacks the right. */
export const isDenied = (error: unknown): boolean =>
  isKube(error, 401) || (isKube(error, 403) && BY_RBAC.test(error.message))

/** The words of the API server, cut. */
export function textFromKube({ message }: Error): string {
  return message.length > MAX_WORDS ? `${message.slice(0, MAX_WORDS)}…` : message
}
const MAX_WORDS = 500

/** For `.catch`, where a deletion in between does not matter. */
export function unlessGone(error: unknown): void {
  if (!isNotFound(error)) throw error
}

/**
 * The same request would be refused again: invalid, refused by an admission plugin, a webhook or a quota, or
 * a pod template with unknown fields, wrong types or broken quantities, which server-side apply answers with
 * a 500.
 */
export function isRefused(error: unknown): error is KubeError {
  if (isKube(error, 400) || isKube(error, 422)) return true
  if (isKube(error, 403)) return !isDenied(error) && !isEnding(error)
  return isKube(error, 500) && BY_APPLY.test(error.message)
}

/** The namespace is being deleted. */
export const isEnding = (error: unknown): boolean =>
  isKube(error, 403) && BY_END_OF_NAMESPACE.test(error.message)

/**
 * `deployments.apps "a" is forbidden: User "…" cannot patch resource "deployments" in API group "apps" in the
 * namespace "b"`
 */
const BY_RBAC = /User "[^"]*" cannot \S+ (resource|path) "/
const BY_END_OF_NAMESPACE = / because it is being terminated$/
const BY_APPLY = /^failed to (create typed patch object|convert new object) /

function isKube(error: unknown, status: number): error is KubeError {
  return error instanceof KubeError && error.status === status
}
