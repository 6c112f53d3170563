// Finds out why a Redis cannot be reached: DNS, the network, TLS, the protocol, the login. It sends plain
// text, because the program at that port may not be a Redis. For millhand doctor; unreachable.ts has the
// causes and their remedies.
import { connect as connectPlain, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Finding } from 'millhand/doctor'
import {
  connectRedis,
  type HostPort,
  hostPortText,
  type RedisAccess,
  type RedisAddress,
} from 'millhand/queue'
import { CLOSED, type Failure, problem, refusalIn, SILENT, whyFailed, wrongAnswer } from './unreachable.ts'

const PATIENCE_MS = 3_000

/** The fault of each host before the login. Undefined for a host that answers like a Redis. */
export async function whyUnreachable(address: RedisAddress): Promise<Finding[]> {
  const found = await Promise.all(address.hosts.map((at) => probe(at, address.tls)))
  return found.flatMap((each) => each ?? [])
}

/** The fault where the hosts answer but the connection failed. Undefined: the cause is unknown. */
export async function whyNotLetIn(
  error: unknown,
  address: RedisAddress,
  access: RedisAccess,
): Promise<Finding[]> {
  if (address.form === 'sentinel') {
    const found = await Promise.all(address.hosts.map((at) => askSentinel(at, address, access)))
    // Sentinels mostly have the same fault.
    const different = new Map(found.flatMap((each) => (each ? [[each.message, each] as const] : [])))
    if (different.size > 0) return [...different.values()]
  }
  const why = refusalIn(causes(error))
  return why ? [why] : []
}

/** The remedy of an unknown cause. */
export const connectionLost = (error: unknown): Finding =>
  problem({ check: 'Connection', message: causes(error), remedy: 'see the log of the server' })

async function probe(at: HostPort, tls: RedisAddress['tls']): Promise<Finding | undefined> {
  const greeting = await greet(at, tls)
  if ('said' in greeting) return wrongAnswer(at, greeting.said)
  if (!isAboutLanguage(greeting, tls)) return whyFailed(at, greeting)
  const other = tls ? await greet(at, undefined) : await greet(at, 'any')
  const speaksOther = 'said' in other || other.isSecure
  if (!speaksOther) return whyFailed(at, greeting)
  return tls
    ? problem(
        {
          check: 'TLS',
          message: 'the address asks for TLS, but {where} does not use it',
          remedy: 'begin the address with redis instead of rediss, or give the port that uses TLS',
        },
        at,
      )
    : problem(
        {
          check: 'TLS',
          message: '{where} uses TLS, but the address does not',
          remedy: 'begin the address with rediss instead of redis',
        },
        at,
      )
}

type Greeting = { said: string } | Failure

/** Sends PING and waits for the first bytes. 'any': over TLS, with any certificate. */
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
            // SNI: set it for names, not for IP addresses.
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

/** Probably one side speaks TLS and the other does not. */
function isAboutLanguage({ code, isConnected, isSecure }: Failure, tls: RedisAddress['tls']): boolean {
  if (!isConnected || isSecure) return false
  // A Redis without TLS reads the handshake as the start of a long line, and waits for the rest.
  if (tls && code === SILENT) return true
  return [CLOSED, 'ECONNRESET', 'EPROTO'].includes(code) || /^ERR_SSL_.*(VERSION|PACKET)/.test(code)
}

/** The primary that a Sentinel names, and whether it answers. */
async function askSentinel(
  at: HostPort,
  address: RedisAddress,
  access: RedisAccess,
): Promise<Finding | undefined> {
  const sentinel = connectRedis(accessToSentinel(at, address, access), {
    name: 'millhand-cli',
    deadlineMs: PATIENCE_MS,
  })
  try {
    const { primaryName = '', tls } = address
    const answer = await sentinel.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', primaryName)
    if (!Array.isArray(answer))
      return problem({
        check: 'Address',
        message: `the Sentinels know no primary named ${primaryName}`,
        remedy: `end the address with a name that they know: redis-cli -h ${at.host} -p ${at.port} SENTINEL MASTERS`,
      })
    const primary = { host: String(answer[0]), port: Number(answer[1]) }
    const why = await probe(primary, tls)
    return (
      why && {
        ...why,
        message: `the Sentinels say that the primary is ${hostPortText(primary)}: ${why.message}`,
      }
    )
  } catch (error) {
    return whySentinelFailed(at, causes(error))
  } finally {
    sentinel.close()
  }
}

function accessToSentinel(at: HostPort, address: RedisAddress, { ca, cert, key }: RedisAccess): RedisAccess {
  const { tls, sentinelUsername = '', sentinelPassword = '' } = address
  const login = [sentinelUsername, sentinelPassword].map(encodeURIComponent).join(':')
  const url = `${tls ? 'rediss' : 'redis'}://${login === ':' ? '' : `${login}@`}${hostPortText(at)}`
  return { url, ca, cert, key }
}

function whySentinelFailed(at: HostPort, said: string): Finding | undefined {
  if (/unknown command/i.test(said))
    return problem(
      {
        check: 'Address',
        message: 'the address names {where} as a Sentinel, but it is not one',
        remedy:
          'write the address of a server like redis://host:6379, or give the port of the Sentinels (26379)',
      },
      at,
    )
  const why = refusalIn(said)
  return (
    why && {
      ...why,
      message: `Sentinel ${hostPortText(at)}: ${why.message}`,
      remedy: 'give its user and password at the end of the address: ?sentinelUsername=…&sentinelPassword=…',
    }
  )
}

function causes(error: unknown): string {
  const messages: string[] = []
  for (let at = error; at instanceof Error; at = at.cause) messages.push(at.message)
  return messages.join(': ')
}
