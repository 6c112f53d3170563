// Who a user is and what he may, in each mode: `local`, `kubernetes`, `proxy` and `token`.
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { type BlockList, isIP } from 'node:net'
import { blockListOf } from '@millhand/control/redis/denied'
import type { Permission, Refusal, User } from './access.ts'
import type { Authority } from './gate.ts'
import { valuesOf } from './hosts.ts'
import { type Grant, mayBy } from './token-file.ts'

/** The questions to the API server: a TokenReview and a SubjectAccessReview. */
export interface Reviews {
  /** Undefined: no user has this token. */
  userOf(token: string): Promise<User | undefined>
  may(user: User, permission: Permission, namespace: string | undefined): Promise<boolean>
}

/** The user of the machine, who has the address that `up` printed. */
export function localAuthority(token: string): Authority {
  return {
    mode: 'local',
    howToSignIn: 'open the address that `millhand up` prints',
    userOf: async (sent) => (isEqual(sent, token) ? { name: 'local', groups: [] } : undefined),
    isAllowed: async () => true,
  }
}

export function kubernetesAuthority(reviews: Reviews): Authority {
  return {
    mode: 'kubernetes',
    howToSignIn: 'send a token of the cluster, like that of: kubectl create token NAME',
    userOf: (token) => reviews.userOf(token),
    isAllowed: (user, permission, namespace) => reviews.may(user, permission, namespace),
  }
}

/** `grants` are read at each call: the file may have changed. */
export function tokenAuthority(grants: () => Promise<readonly Grant[]>): Authority {
  return {
    mode: 'token',
    howToSignIn: 'send one of the tokens of this dashboard',
    async userOf(token) {
      const hash = sha256(token)
      // All are compared: how long it takes says nothing of the place.
      const found = (await grants()).filter((grant) => timingSafeEqual(grant.hash, hash))
      return found[0] && { name: found[0].name, groups: [] }
    },
    async isAllowed(user, permission, namespace) {
      return mayBy(await grants(), user.name, permission, namespace)
    },
  }
}

export interface ProxyRules {
  /** CIDRs of the proxy. */
  networks: readonly string[]
  secretHeader: string
  secret: string
  userHeader: string
  /** Names with commas. */
  groupsHeader: string
}

/** A proxy has signed the user in; the API server is asked what he may. */
export function proxyAuthority(rules: ProxyRules, reviews: Pick<Reviews, 'may'>): Authority {
  const networks = blockListOf(rules.networks)
  return {
    mode: 'proxy',
    howToSignIn: 'open the address of the proxy that signs you in',
    userIn: (request) => userIn(request, rules, networks),
    addressIn: (request) => (isFrom(request, networks) ? lastForwarded(request) : undefined),
    isAllowed: (user, permission, namespace) => reviews.may(user, permission, namespace),
  }
}

function userIn(request: IncomingMessage, rules: ProxyRules, networks: BlockList): User | Refusal {
  const one = (name: string) => {
    const values = valuesOf(request, name.toLowerCase())
    return values.length === 1 ? values[0]?.trim() : undefined
  }
  if (!isFrom(request, networks)) return notSignedIn(`${request.socket.remoteAddress} is not the proxy`)
  if (!isEqual(one(rules.secretHeader) ?? '', rules.secret))
    return notSignedIn(`the header ${rules.secretHeader} is not the secret of the proxy`)
  const name = one(rules.userHeader)
  if (!name) return notSignedIn(`the proxy sent not one header ${rules.userHeader}`)
  const groups = (one(rules.groupsHeader) ?? '').split(',').flatMap((group) => group.trim() || [])
  // Names that Kubernetes keeps for itself: a group system:masters of the identity provider may not be that.
  const reserved = [name, ...groups].find((text) => text.startsWith('system:'))
  if (reserved !== undefined) return notSignedIn(`the name ${JSON.stringify(reserved)} is one of Kubernetes`)
  return { name, groups }
}

function notSignedIn(why: string): Refusal {
  return { status: 401, code: 'NOT_SIGNED_IN', message: `nobody is signed in: ${why}` }
}

function isFrom(request: IncomingMessage, networks: BlockList): boolean {
  const address = request.socket.remoteAddress?.replace(/^::ffff:(?=\d+\.)/, '') ?? ''
  const family = isIP(address)
  return family !== 0 && networks.check(address, family === 6 ? 'ipv6' : 'ipv4')
}

/** The last one was written by the proxy itself; those before it are the client's words. */
function lastForwarded(request: IncomingMessage): string | undefined {
  const last = valuesOf(request, 'x-forwarded-for').join(',').split(',').at(-1)?.trim() ?? ''
  return isIP(last) === 0 ? undefined : last
}

const sha256 = (text: string) => createHash('sha256').update(text).digest()
const isEqual = (a: string, b: string) => timingSafeEqual(sha256(a), sha256(b))
