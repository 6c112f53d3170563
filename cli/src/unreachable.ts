// The causes of a failed connection, one a row: sign, name and remedy. Pure; reaching.ts connects.
import type { Finding } from 'millhand/doctor'
import { type HostPort, hostPortText, reasonOf } from 'millhand/queue'

/** {where}, {host} and {port} stand for the server. */
type Cause = Pick<Finding, 'check' | 'message'> & { remedy: string }

const WRITE_LOGIN =
  'write it like redis://user:password@host:6379, with @ : / % in it as %40 %3A %2F %25; in Kubernetes it is the key url of the Secret'

/** Errors of a server, or of the connection to it, that stop every client. */
const REFUSALS: (Cause & { says: RegExp })[] = [
  {
    says: /cluster support disabled/i,
    check: 'Address',
    message: 'this is a single server, and the address says that it is a Cluster',
    remedy: 'write the address like redis://host:6379; rediss for TLS',
  },
  {
    says: /serves no slots/,
    check: 'Cluster',
    message: 'the Cluster is not created yet: no server serves any slot',
    remedy: 'redis-cli --cluster create host:port host:port host:port --cluster-replicas 1',
  },
  {
    says: /NOAUTH/,
    check: 'Login',
    message: 'Redis asks for a password, and the address has none',
    remedy: WRITE_LOGIN,
  },
  {
    says: /without any password configured/,
    check: 'Login',
    message: 'the address has a password, and this Redis asks for none',
    remedy:
      'take the password out of the address, or give the server one: redis-cli CONFIG SET requirepass PASSWORD',
  },
  {
    says: /WRONGPASS|invalid password/,
    check: 'Login',
    message: 'wrong user or password in the address',
    remedy: WRITE_LOGIN,
  },
  {
    says: /NOPERM/,
    check: 'Rights',
    message: 'Redis accepts the user, but the user lacks the rights to connect',
    remedy: 'give it the rights in docs/redis.md, with redis-cli ACL SETUSER',
  },
]

/** Answers to PING of a server that serves no client. */
const ANSWERS: (Cause & { says: RegExp })[] = [
  {
    says: /^-DENIED/,
    check: 'Rights',
    message: '{where} accepts connections from its own machine only (protected mode)',
    remedy:
      'on that machine, set a password: redis-cli CONFIG SET requirepass PASSWORD; then put it into the address',
  },
  {
    says: /^-ERR max number of clients/,
    check: 'Clients',
    message: '{where} has no connection left (max number of clients reached)',
    remedy:
      'on that machine: redis-cli CONFIG SET maxclients 20000; and see who has so many: redis-cli CLIENT LIST',
  },
  {
    says: /^-LOADING/,
    check: 'Loading',
    message: '{where} is loading its data from disk, and serves nobody until it has',
    remedy: 'wait; how long it takes: redis-cli INFO persistence, loading_eta_seconds',
  },
  {
    says: /^-BUSY /,
    check: 'Busy',
    message: '{where} is busy running a script, and answers nobody meanwhile',
    remedy:
      'wait a moment and look again; to end a script that only reads: redis-cli SCRIPT KILL; then see whose it was: redis-cli SLOWLOG GET 5',
  },
]

export interface Failure {
  /** The error code of Node, or SILENT, or CLOSED. */
  code: string
  error: Error | undefined
  isConnected: boolean
  isSecure: boolean
}

export const SILENT = 'SILENT'
export const CLOSED = 'CLOSED'

const UNKNOWN_AUTHORITY =
  /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT(_LOCALLY)?)$/

/** How a connection failed. The first row that matches counts. */
const FAILURES: (Cause & { is: RegExp | ((failure: Failure) => boolean) })[] = [
  {
    is: /^ENOTFOUND$/,
    check: 'Name',
    message: 'unknown host {host}',
    remedy:
      'check the name; in Kubernetes it is SERVICE.NAMESPACE, and only pods know it: kubectl get services -A',
  },
  {
    is: /^EAI_AGAIN$/,
    check: 'Name',
    message: 'the lookup of {host} failed: no DNS server answers',
    remedy: 'try getent hosts {host}; in Kubernetes: kubectl -n kube-system get pods -l k8s-app=kube-dns',
  },
  {
    is: /^ECONNREFUSED$/,
    check: 'Network',
    message: 'nothing listens at {where} (connection refused)',
    remedy:
      'check that Redis runs there, and its port; in Kubernetes: kubectl get pods,endpointslices -A, or kubectl port-forward from outside',
  },
  {
    is: /^(EHOSTUNREACH|ENETUNREACH)$/,
    check: 'Network',
    message: 'no route to {where}',
    remedy: 'are you in the right network, or behind its VPN?',
  },
  {
    is: ({ code, isConnected }) => (code === SILENT && !isConnected) || code === 'ETIMEDOUT',
    check: 'Network',
    message: '{where} does not answer (timed out)',
    remedy:
      'a firewall, a security group or a NetworkPolicy may be in between, or the machine is off: nc -vz {host} {port}',
  },
  {
    is: /^SILENT$/,
    check: 'Network',
    message: '{where} accepts the connection, and then sends nothing',
    remedy: 'it may be stuck in a long command or short of memory, or be no Redis: see its log and its load',
  },
  {
    is: UNKNOWN_AUTHORITY,
    check: 'TLS',
    message: 'the certificate of {where} is signed by an unknown authority',
    remedy:
      'give the certificate of that authority (PEM): MILLHAND_REDIS_CA="$(cat ca.crt)"; in Kubernetes the key ca.crt of the Secret',
  },
  {
    is: /^CERT_HAS_EXPIRED$/,
    check: 'TLS',
    message: 'the certificate of {where} has expired',
    remedy: 'renew it and restart the server, or set it with CONFIG SET',
  },
  {
    is: /^CERT_NOT_YET_VALID$/,
    check: 'TLS',
    message: 'the certificate of {where} is not valid yet',
    remedy: 'check the clock of this machine: date',
  },
  {
    is: /^ERR_TLS_CERT_ALTNAME_INVALID$/,
    check: 'TLS',
    message: 'the certificate of {where} is for another name',
    remedy:
      'use a name that it has: openssl s_client -connect {where} </dev/null | openssl x509 -noout -ext subjectAltName',
  },
  {
    is: ({ code, isSecure }) => isSecure || /ALERT|CERTIFICATE_REQUIRED/.test(code),
    check: 'TLS',
    message: '{where} refuses the client certificate, or asks for one',
    remedy:
      'give one that its authority has signed (PEM): MILLHAND_REDIS_CERT and MILLHAND_REDIS_KEY; in Kubernetes the keys tls.crt and tls.key of the Secret',
  },
  {
    is: /^ERR_OSSL|PEM/,
    check: 'TLS',
    message: 'a certificate or key cannot be read',
    remedy:
      'MILLHAND_REDIS_CA, _CERT and _KEY hold PEM texts, which begin with -----BEGIN, not names of files',
  },
]

/** undefined: no known cause. */
export function refusalIn(said: string): Finding | undefined {
  const found = REFUSALS.find(({ says }) => says.test(said))
  return found && problem(found)
}

/** The fault of a server by its answer to PING. Undefined where it answers like a Redis. */
export function wrongAnswer(at: HostPort, said: string): Finding | undefined {
  const found = ANSWERS.find(({ says }) => says.test(said))
  if (found) return problem(found, at)
  if (/^(\+PONG|-[A-Z]+ )/.test(said)) return undefined
  const message = 'the program at {where} is not Redis'
  return problem(
    { check: 'Address', message, remedy: 'check the port: 6379 is usual, 26379 for Sentinels' },
    at,
  )
}

export function whyFailed(at: HostPort, failure: Failure): Finding {
  const { code, error, isConnected } = failure
  const found = FAILURES.find(({ is }) => (is instanceof RegExp ? is.test(code) : is(failure)))
  if (found) return problem(found, at)
  const what = isConnected ? '{where} closes the connection at once' : 'no connection to {where}'
  const message = `${what} (${error ? reasonOf(error) : code})`
  return problem({ check: 'Network', message, remedy: 'see its log; is a proxy in between?' }, at)
}

export function problem({ check, message, remedy }: Cause, at?: HostPort): Finding {
  const filled = (text: string) =>
    at
      ? text
          .replaceAll('{where}', hostPortText(at))
          .replaceAll('{host}', at.host)
          .replaceAll('{port}', String(at.port))
      : text
  return { check, severity: 'problem', message: filled(message), remedy: filled(remedy) }
}
