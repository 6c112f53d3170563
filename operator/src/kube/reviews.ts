// Questions to the API server about a request to the operator: whose token is it, and what may this user do?
// http/access.ts asks them for the metrics, dashboard.ts for the dashboard.
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
  mayDo(user: User, asked: ResourceAttributes): Promise<boolean>
}

/** As a SubjectAccessReview takes them. Without a namespace: in all namespaces. */
export interface ResourceAttributes {
  group: string
  resource: string
  subresource?: string | undefined
  verb: string
  namespace?: string | undefined
}

interface TokenStatus {
  authenticated?: boolean
  user?: User
}

export function reviewsBy(kube: Pick<Kube, 'review'>): Reviews {
  const allowed = async ({ username, uid, groups, extra }: User, attributes: object): Promise<boolean> => {
    const spec = { user: username, uid, groups, extra, ...attributes }
    const said = await kube.review<{ allowed?: boolean }>(kinds.subjectAccessReview, spec)
    return said.allowed === true
  }
  return {
    userOf: async (token) => {
      const { authenticated, user } = await kube.review<TokenStatus>(kinds.tokenReview, { token })
      return authenticated ? user : undefined
    },
    mayGet: (user, path) => allowed(user, { nonResourceAttributes: { path, verb: 'get' } }),
    mayDo: (user, resourceAttributes) => allowed(user, { resourceAttributes }),
  }
}
