// Who may read a path of the operator: whoever has a token that the API server knows, of a user whom RBAC
// allows the verb get on this nonResourceURL. Two questions to the API server, a TokenReview and a
// SubjectAccessReview, whose answers are kept for a while.
import { createHash } from 'node:crypto'
import type { Reviews } from '../kube/reviews.ts'

export interface Refusal {
  status: 401 | 403 | 429 | 503
  reason: string
}

type Asked = Pick<Reviews, 'userOf' | 'mayGet'>

interface Kept {
  refusal: Promise<Refusal | undefined>
  untilMs: number
}

const ALLOWED_FOR_MS = 60_000
const REFUSED_FOR_MS = 10_000
const MAX_KEPT = 1_000
/** Unknown tokens cost the API server a question each. */
const MAX_AT_ONCE = 16

const BAD_TOKEN: Refusal = { status: 401, reason: 'the API server does not know this token' }
const TOO_MANY: Refusal = { status: 429, reason: 'too many tokens are being checked; try again' }
const UNREACHABLE: Refusal = { status: 503, reason: 'the API server cannot check the token now; try again' }

export class Access {
  readonly #reviews: Asked
  readonly #nowMs: () => number
  /** By a hash: no token is kept. The oldest first. */
  readonly #kept = new Map<string, Kept>()
  #asking = 0

  constructor({ reviews, nowMs }: { reviews: Asked; nowMs: () => number }) {
    this.#reviews = reviews
    this.#nowMs = nowMs
  }

  /** Undefined when the request is allowed. */
  async refusalOf(authorization: string | undefined, path: string): Promise<Refusal | undefined> {
    const token = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1]
    if (!token)
      return {
        status: 401,
        reason: 'send a token of a service account: Authorization: Bearer TOKEN',
      }
    const key = createHash('sha256').update(`${path} ${token}`).digest('base64')
    const kept = this.#kept.get(key)
    if (kept && this.#nowMs() < kept.untilMs) return kept.refusal
    if (this.#asking >= MAX_AT_ONCE) return TOO_MANY
    return this.#ask(key, token, path)
  }

  #ask(key: string, token: string, path: string): Promise<Refusal | undefined> {
    this.#asking += 1
    const refusal = this.#review(token, path).catch(() => UNREACHABLE)
    const kept: Kept = { refusal, untilMs: Number.POSITIVE_INFINITY }
    this.#kept.delete(key)
    this.#kept.set(key, kept)
    const oldest = this.#kept.keys().next().value
    if (this.#kept.size > MAX_KEPT && oldest !== undefined) this.#kept.delete(oldest)
    return refusal.then((found) => {
      this.#asking -= 1
      const forMs = found ? REFUSED_FOR_MS : ALLOWED_FOR_MS
      kept.untilMs = found === UNREACHABLE ? 0 : this.#nowMs() + forMs
      return found
    })
  }

  async #review(token: string, path: string): Promise<Refusal | undefined> {
    const user = await this.#reviews.userOf(token)
    if (!user) return BAD_TOKEN
    if (await this.#reviews.mayGet(user, path)) return undefined
    const reason = `${user.username} may not get the nonResourceURL ${path}; bind it to a ClusterRole that allows it`
    return { status: 403, reason }
  }
}
