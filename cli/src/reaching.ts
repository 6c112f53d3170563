// Why a Redis cannot be reached: its name, the network, TLS, whether it is a Redis at all, who may come in. Asks as little as it can, in
// plain text, because it must also find out what is no Redis. For millhand doctor.
import { connect as connectPlain, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import {
  connectRedis,
  type HostPort,
  hostPortText,
  type RedisAccess,
  type RedisAddress,
  reasonOf,
} from 'millhand/queue'
import { type Finding, finding } from './findings.ts'

const PATIENCE_MS = 3_000

/** What is wrong up to the login, at each host of the address; nothing for a host that answers as a Redis does. */
export async function whyUnreachable(address: RedisAddress): Promise<Finding[]> {
  const found = await Promise.all(address.hosts.map((at) => probe(at, address.tls)))
  return found.flatMap((each) => each ?? [])
}

/** What is wrong where hosts answer, but no connection came about; nothing where that is not known. */
export async function whyNotLetIn(
  error: unknown,
  address: RedisAddress,
  access: RedisAccess,
): Promise<Finding[]> {
  const said = causes(error)
  if (address.form === 'sentinel') {
    const found = await Promise.all(address.hosts.map((at) => askSentinel(at, address, access)))
    // They agree, mostly.
    const different = new Map(found.flatMap((each) => (each ? [[each.message, each] as const] : [])))
    if (different.size > 0) return [...different.values()]
  }
  if (/cluster support disabled/i.test(said))
    return [
      finding(
        'Address',
        'problem',
        'this is a single server, and the address says that it is a Cluster',
        'write the address like redis://host:6379; rediss for TLS',
      ),
    ]
  if (/serves no slots/.test(said))
    return [
      finding(
        'Cluster',
        'problem',
        'the Cluster was not put together yet: no server serves any slot',
        'redis-cli --cluster create host:port host:port host:port --cluster-replicas 1',
      ),
    ]
  const why = refusal(said)
  return why ? [why] : []
}

/** When nothing better is known. */
export const connectionLost = (error: unknown): Finding =>
  finding('Connection', 'problem', causes(error), 'see the log of the server')

function refusal(said: string): Finding | undefined {
  const where =
    'write it like redis://user:password@host:6379, the signs @ : / % in it as %40 %3A %2F %25; in Kubernetes it is the key url of the Secret'
  if (/NOAUTH/.test(said))
    return finding('Login', 'problem', 'Redis asks for a password, and the address has none', where)
  if (/without any password configured/.test(said))
    return finding(
      'Login',
      'problem',
      'the address has a password, and this Redis asks for none',
      'take the password out of the address, or give the server one: redis-cli CONFIG SET requirepass',
    )
  if (/WRONGPASS|invalid password/.test(said))
    return finding('Login', 'problem', 'Redis refuses the user or the password of the address', where)
  if (/NOPERM/.test(said))
    return finding(
      'Rights',
      'problem',
      'Redis lets this user in, but does not allow it what connecting needs',
      'give it the rights that the README of worker-runtime lists: redis-cli ACL SETUSER',
    )
  return undefined
}

async function probe(at: HostPort, tls: RedisAddress['tls']): Promise<Finding | undefined> {
  const greeting = await greet(at, tls)
  if ('said' in greeting) return whatAnswered(hostPortText(at), greeting.said)
  if (isAboutLanguage(greeting, tls)) {
    const other = tls ? await greet(at, undefined) : await greet(at, 'any')
    const speaks = 'said' in other || other.isSecure
    if (speaks)
      return finding(
        'TLS',
        'problem',
        tls
          ? `${hostPortText(at)} does not use TLS, and the address asks for it`
          : `${hostPortText(at)} uses TLS, and the address does not`,
        tls
          ? 'begin the address with redis instead of rediss, or give the port that uses TLS'
          : 'begin the address with rediss instead of redis',
      )
  }
  return whyFailed(at, greeting)
}

function whatAnswered(where: string, said: string): Finding | undefined {
  if (/^-DENIED/.test(said))
    return finding(
      'Rights',
      'problem',
      `${where} serves its own machine only (protected mode)`,
      'on that machine, give it a password: redis-cli CONFIG SET requirepass PASSWORD; then put that into the address',
    )
  if (/^-ERR max number of clients/.test(said))
    return finding(
      'Clients',
      'problem',
      `${where} has no connection left`,
      'on that machine: redis-cli CONFIG SET maxclients 20000; and see who has so many: redis-cli CLIENT LIST',
    )
  if (/^-LOADING/.test(said))
    return finding(
      'Loading',
      'problem',
      `${where} is reading its data from disk, and serves nobody until it has`,
      'wait; how long it takes: redis-cli INFO persistence, loading_eta_seconds',
    )
  if (/^-BUSY /.test(said))
    return finding(
      'Busy',
      'problem',
      `${where} runs one script or command for so long that it answers nobody`,
      'wait a moment and look again; to end a script that only reads: redis-cli SCRIPT KILL; then see whose it was: redis-cli SLOWLOG GET 5',
    )
  if (/^(\+PONG|-[A-Z]+ )/.test(said)) return undefined
  return finding(
    'Address',
    'problem',
    `what answers at ${where} is no Redis`,
    'is it the right port? 6379 is usual, 26379 for Sentinels',
  )
}

type Failure = { code: string; error: Error | undefined; isConnected: boolean; isSecure: boolean }
type Greeting = { said: string } | Failure

const SILENT = 'SILENT'
const CLOSED = 'CLOSED'

/** Says PING and waits for a first word. 'any': over TLS with whatever certificate. */
function greet(at: HostPort, tls: RedisAddress['tls'] | 'any'): Promise<Greeting> {
  return new Promise((resolve) => {
    let isConnected = false
    let isSecure = false
    const end = (greeting: Greeting) => {
      clearTimeout(timer)
      socket?.destroy()
      resolve(greeting)
    }
    const fail = (code: string, error?: Error) => end({ code, error, isConnected, isSecure })
    const timer = setTimeout(() => fail(SILENT), PATIENCE_MS)
    let socket: Socket | undefined
    try {
      socket = tls
        ? connectTls({
            ...at,
            ...(tls === 'any' ? { rejectUnauthorized: false } : tls),
            // A number cannot be asked for by name.
            ...(isIP(at.host) === 0 && { servername: at.host }),
          })
        : connectPlain(at)
    } catch (error) {
      return fail((error as NodeJS.ErrnoException).code ?? 'UNKNOWN', error as Error)
    }
    socket.on('connect', () => {
      isConnected = true
      if (!tls) socket.write('PING\r\n')
    })
    socket.on('secureConnect', () => {
      isSecure = true
      socket.write('PING\r\n')
    })
    socket.on('data', (chunk: Buffer) => end({ said: chunk.toString('latin1', 0, 200) }))
    socket.on('error', (error: NodeJS.ErrnoException) => fail(error.code ?? 'UNKNOWN', error))
    socket.on('close', () => fail(CLOSED))
  })
}

/** It looks as if one side speaks TLS and the other does not. */
function isAboutLanguage({ code, isConnected, isSecure }: Failure, tls: RedisAddress['tls']): boolean {
  if (!isConnected || isSecure) return false
  // A Redis that does not speak TLS waits for the rest of what it takes for a long line.
  if (tls && code === SILENT) return true
  return [CLOSED, 'ECONNRESET', 'EPROTO'].includes(code) || /^ERR_SSL_.*(VERSION|PACKET)/.test(code)
}

const OTHER_AUTHORITY = [
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
]

function whyFailed(at: HostPort, { code, error, isConnected, isSecure }: Failure): Finding {
  const where = hostPortText(at)
  const { host, port } = at
  const network = (message: string, remedy: string) => finding('Network', 'problem', message, remedy)
  const tls = (message: string, remedy: string) => finding('TLS', 'problem', message, remedy)
  if (code === 'ENOTFOUND')
    return finding(
      'Name',
      'problem',
      `there is no machine called ${host}`,
      'is the name right? In Kubernetes it is SERVICE.NAMESPACE, and known in pods only: kubectl get services -A',
    )
  if (code === 'EAI_AGAIN')
    return finding(
      'Name',
      'problem',
      `nobody answers who could say where ${host} is (DNS)`,
      `try getent hosts ${host}; in Kubernetes: kubectl -n kube-system get pods -l k8s-app=kube-dns`,
    )
  if (code === 'ECONNREFUSED')
    return network(
      `nothing listens at ${where}`,
      'is Redis running there, and is that its port? In Kubernetes: kubectl get pods,endpointslices -A, or kubectl port-forward from outside',
    )
  if (code === 'EHOSTUNREACH' || code === 'ENETUNREACH')
    return network(`no way leads from here to ${where}`, 'are you in the right network, or behind its VPN?')
  if ((code === SILENT && !isConnected) || code === 'ETIMEDOUT')
    return network(
      `${where} does not answer`,
      `a firewall, a security group or a NetworkPolicy may be in between, or the machine is off: nc -vz ${host} ${port}`,
    )
  if (code === SILENT)
    return network(
      `${where} lets us connect, and then says nothing`,
      'it may be stuck in a long command or short of memory, or be no Redis: see its log and its load',
    )
  if (OTHER_AUTHORITY.includes(code))
    return tls(
      `the certificate of ${where} is signed by an authority that is not known here`,
      'give the certificate of that authority (PEM): MILLHAND_REDIS_CA="$(cat ca.crt)"; in Kubernetes the key ca.crt of the Secret',
    )
  if (code === 'CERT_HAS_EXPIRED')
    return tls(
      `the certificate of ${where} has run out`,
      'renew it and restart the server, or CONFIG SET it anew',
    )
  if (code === 'CERT_NOT_YET_VALID')
    return tls(`the certificate of ${where} is not valid yet`, 'is the clock of this machine right? date')
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return tls(
      `the certificate of ${where} is for another name`,
      `use a name that it has: openssl s_client -connect ${where} </dev/null | openssl x509 -noout -ext subjectAltName`,
    )
  if (isSecure || /ALERT|CERTIFICATE_REQUIRED/.test(code))
    return tls(
      `${where} refuses our certificate, or that we show none`,
      'give one that its authority has signed (PEM): MILLHAND_REDIS_CERT and MILLHAND_REDIS_KEY; in Kubernetes the keys tls.crt and tls.key of the Secret',
    )
  if (/^ERR_OSSL|PEM/.test(code))
    return tls(
      'a certificate or key that was given cannot be read',
      'MILLHAND_REDIS_CA, _CERT and _KEY hold PEM texts, which begin with -----BEGIN, not names of files',
    )
  const why = isConnected ? 'ends the connection without a word' : 'cannot be connected to'
  return network(`${where} ${why} (${error ? reasonOf(error) : code})`, 'see its log; is a proxy in between?')
}

/** What a Sentinel knows of the primary, and whether that answers. */
async function askSentinel(
  at: HostPort,
  { primaryName = '', tls, sentinelUsername = '', sentinelPassword = '' }: RedisAddress,
  { ca, cert, key }: RedisAccess,
): Promise<Finding | undefined> {
  const login = [sentinelUsername, sentinelPassword].map(encodeURIComponent).join(':')
  const url = `${tls ? 'rediss' : 'redis'}://${login === ':' ? '' : `${login}@`}${hostPortText(at)}`
  const sentinel = connectRedis({ url, ca, cert, key }, { name: 'millhand-cli', deadlineMs: PATIENCE_MS })
  try {
    const answer = await sentinel.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', primaryName)
    if (!Array.isArray(answer))
      return finding(
        'Address',
        'problem',
        `the Sentinels know no primary called ${primaryName}`,
        `end the address with a name that they know: redis-cli -h ${at.host} -p ${at.port} SENTINEL MASTERS`,
      )
    const primary = { host: String(answer[0]), port: Number(answer[1]) }
    const why = await probe(primary, tls)
    if (!why) return undefined
    return {
      ...why,
      message: `the Sentinels say that the primary is ${hostPortText(primary)}: ${why.message}`,
    }
  } catch (error) {
    if (/unknown command/i.test(causes(error)))
      return finding(
        'Address',
        'problem',
        `${hostPortText(at)} is no Sentinel, and the address says that it is`,
        'write the address of a server like redis://host:6379, or give the port of the Sentinels (26379)',
      )
    const why = refusal(causes(error))
    if (!why) return undefined
    return {
      ...why,
      message: `Sentinel ${hostPortText(at)}: ${why.message}`,
      remedy: 'its user and password stand behind the address: ?sentinelUsername=…&sentinelPassword=…',
    }
  } finally {
    sentinel.close()
  }
}

function causes(error: unknown): string {
  const messages: string[] = []
  for (let at = error; at instanceof Error; at = at.cause) messages.push(at.message)
  return messages.join(': ')
}
