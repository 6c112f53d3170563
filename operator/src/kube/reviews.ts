// Questions to the API server about a request to the operator: whose token is it, and may this user get the
// path? http/access.ts asks them.
import { type Kube, kinds } from './client.ts'

/** As a TokenReview says it and a SubjectAccessReview takes it. */
export interface User {
  username?: string
  uid?: string
  groups?: readonly string[]
  extra?: Readonly<Record<string, readonly string[]>>
}

export interface Reviews {
  /** Undefined: no user has this token. */
  userOf(token: string): Promise<User | undefined>
  mayGet(user: User, path: string): Promise<boolean>
}

interface TokenStatus {
  authenticated?: boolean
  user?: User
}

export function reviewsBy(kube: Pick<Kube, 'review'>): Reviews {
  return {
    userOf: async (token) => {
      const { authenticated, user } = await kube.review<TokenStatus>(kinds.tokenReview, { token })
      return authenticated ? user : undefined
    },
    mayGet: async ({ username, uid, groups, extra }, path) => {
      const nonResourceAttributes = { path, verb: 'get' }
      const spec = { user: username, uid, groups, extra, nonResourceAttributes }
      const { allowed } = await kube.review<{ allowed?: boolean }>(kinds.subjectAccessReview, spec)
      return allowed === true
    },
  }
}
