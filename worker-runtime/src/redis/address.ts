// The address and the credentials of a Redis, parsed from its URL. Pure; reconnect.ts and cluster.ts connect.
//
//   redis://user:password@host:6379/0                     one server
//   redis+sentinel://user:password@host:26379,host/name   the primary with this name at these Sentinels
//   redis+cluster://user:password@host:6379,host          the Cluster of these nodes
//
// rediss instead of redis: over TLS.

/** The URL of a Redis, and the certificates of a private authority. */
export interface RedisAccess {
  /** redis://, redis+sentinel:// or redis+cluster://; rediss for TLS. */
  readonly url: string
  /** The certificate of the authority that signed the server's certificate; PEM. */
  readonly ca?: string | undefined
  /** The client's own certificate, where the server asks for one; PEM. */
  readonly cert?: string | undefined
  /** The key of the client's certificate; PEM. */
  readonly key?: string | undefined
}

/** The environment variables of a worker, a client and the command line. */
const VARIABLES = {
  url: 'MILLHAND_REDIS_URL',
  ca: 'MILLHAND_REDIS_CA',
  cert: 'MILLHAND_REDIS_CERT',
  key: 'MILLHAND_REDIS_KEY',
} as const

/** The access from environment variables; undefined where they name no Redis. */
export function accessFrom(env: Readonly<Record<string, string | undefined>>): RedisAccess | undefined {
  const url = env[VARIABLES.url]
  return url ? { url, ...certificatesFrom(env) } : undefined
}

/** The certificates for a URL that comes from elsewhere. */
export function certificatesFrom(
  env: Readonly<Record<string, string | undefined>>,
): Omit<RedisAccess, 'url'> {
  return { ca: env[VARIABLES.ca], cert: env[VARIABLES.cert], key: env[VARIABLES.key] }
}

/** The environment variables of an access. */
export function accessVariables(access: RedisAccess): Record<string, string | undefined> {
  const names = Object.entries(VARIABLES) as [keyof RedisAccess, string][]
  return Object.fromEntries(names.map(([field, name]) => [name, access[field]]))
}

export interface HostPort {
  readonly host: string
  readonly port: number
}

export interface RedisAddress {
  readonly form: 'server' | 'sentinel' | 'cluster'
  /** The server, the Sentinels, or nodes of the Cluster; at least one. */
  readonly hosts: readonly HostPort[]
  /** The name of the primary at the Sentinels. */
  readonly primaryName?: string
  readonly username?: string
  readonly password?: string
  /** The credentials for the Sentinels. */
  readonly sentinelUsername?: string
  readonly sentinelPassword?: string
  readonly db: number
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string }
}

const URL_PARTS =
  /^(rediss?)(?:\+(sentinel|cluster))?:\/\/(?:([^@/?#]*)@)?([^@/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/
const EXAMPLES = 'redis://host:6379, redis+sentinel://host:26379,host/name or redis+cluster://host:6379,host'
const QUERY_NAMES = ['sentinelUsername', 'sentinelPassword']

/**
 * Throws TypeError. Its message follows the name of the option: it says what is wrong, without secret parts
 * of the URL.
 */
export function parseAddress(access: string | RedisAccess): RedisAddress {
  const { url, ca, cert, key } = typeof access === 'string' ? { url: access } : access
  const parts = URL_PARTS.exec(url.trim())
  if (!parts) throw new TypeError(`is not a Redis URL: write it like ${EXAMPLES}, with rediss for TLS`)
  const [, scheme, kind, login = '', hosts = '', path = '', query = ''] = parts
  const form = kind === 'sentinel' || kind === 'cluster' ? kind : 'server'
  const isTls = scheme === 'rediss'
  if (!isTls && (ca || cert || key))
    throw new TypeError(
      'does not use TLS, but certificates are given: begin it with rediss, or leave them out',
    )
  if (Boolean(cert) !== Boolean(key))
    throw new TypeError(
      'has a client certificate without its key, or a key without its certificate: give both, or neither',
    )
  const { username, password } = loginOf(login)
  return {
    form,
    hosts: hostsOf(hosts, form),
    ...placeOf(path, form),
    ...sentinelLoginOf(query, form),
    ...(username && { username }),
    ...(password && { password }),
    ...(isTls && { tls: { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) } }),
  }
}

/** Hosts and ports only: the rest may be secret. */
export const addressText = ({ hosts }: RedisAddress): string => hosts.map(hostPortText).join(',')

export const hostPortText = ({ host, port }: HostPort): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`

/** An address that a server named; undefined where it is invalid. */
export function hostPortOf(host: unknown, port: unknown): HostPort | undefined {
  const number = Number(port)
  const isHost = typeof host === 'string' && /^[\w.:%-]{1,255}$/.test(host)
  return isHost && Number.isInteger(number) && number >= 1 && number <= 65_535
    ? { host, port: number }
    : undefined
}

function loginOf(text: string): { username: string; password: string } {
  const colon = text.indexOf(':')
  const user = colon < 0 ? text : text.slice(0, colon)
  const password = colon < 0 ? '' : text.slice(colon + 1)
  return { username: decoded(user), password: decoded(password) }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new TypeError('has a user or password with a bare %: write it as %25')
  }
}

/** Each host costs a DNS look-up, and perhaps a connection. */
const MAX_HOSTS = 16

function hostsOf(text: string, form: RedisAddress['form']): HostPort[] {
  const usual = form === 'sentinel' ? 26_379 : 6379
  const named = text.split(',', MAX_HOSTS + 1)
  if (named.length > MAX_HOSTS)
    throw new TypeError(
      `names more than ${MAX_HOSTS} hosts: name a few, the client learns the others from them`,
    )
  const hosts = named.map((host) => hostOf(host, usual))
  if (form === 'server' && hosts.length > 1)
    throw new TypeError('names several hosts: begin it with redis+sentinel or redis+cluster')
  return hosts
}

function hostOf(text: string, usualPort: number): HostPort {
  const [, bracketed, plain, port] = /^(?:\[([0-9a-fA-F:.]+)\]|([\w.-]+))(?::(\d{1,5}))?$/.exec(text) ?? []
  const host = bracketed ?? plain
  if (!host)
    throw new TypeError(text === '' ? 'names no host' : 'has an invalid host: write it like name:6379')
  const number = port === undefined ? usualPort : Number(port)
  if (number < 1 || number > 65_535) throw new TypeError(`has the invalid port ${number}`)
  return { host, port: number }
}

function placeOf(path: string, form: RedisAddress['form']): { db: number; primaryName?: string } {
  const parts = path.split('/').filter(Boolean)
  const primaryName = form === 'sentinel' ? decoded(parts.shift() ?? '') : undefined
  if (primaryName === '')
    throw new TypeError('names no primary: put what the Sentinels call it behind the hosts, like /mymaster')
  const [db = '0', ...more] = parts
  if (more.length > 0 || !/^\d{1,4}$/.test(db))
    throw new TypeError('has an invalid database number: write it like /0')
  if (form === 'cluster' && db !== '0')
    throw new TypeError('has a database number; a Cluster has only number 0')
  return { db: Number(db), ...(primaryName && { primaryName }) }
}

function sentinelLoginOf(query: string, form: RedisAddress['form']) {
  const given = new URLSearchParams(query)
  const unknown = [...given.keys()].find((name) => form !== 'sentinel' || !QUERY_NAMES.includes(name))
  if (unknown !== undefined)
    throw new TypeError(
      form === 'sentinel'
        ? `has a query with something other than ${QUERY_NAMES.join(' and ')}: leave it out`
        : 'has a query, which is ignored: leave it out',
    )
  const sentinelUsername = given.get('sentinelUsername')
  const sentinelPassword = given.get('sentinelPassword')
  return { ...(sentinelUsername && { sentinelUsername }), ...(sentinelPassword && { sentinelPassword }) }
}
