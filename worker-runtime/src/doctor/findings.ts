// Judges from its facts whether a server suits a queue. Pure; facts.ts asks the server. All texts are our own
// words and numbers, never a server's: they are shown in conditions, logs and terminals.
import { type Finding, isAtLeast, type Severity, worstFirst } from './finding.ts'

/** Unknown facts are undefined. */
export interface ServerFacts {
  /** host:port, as it is connected to. */
  readonly name: string
  /** It did not answer; nothing else is known. */
  readonly isAway: boolean
  /** It refuses INFO. */
  readonly isSilent: boolean
  readonly product: 'Redis' | 'Valkey'
  readonly version: string | undefined
  readonly isReplica: boolean | undefined
  readonly evictionPolicy: EvictionPolicy | undefined
  readonly evictedKeys: number | undefined
  /** Data as maxmemory counts it. */
  readonly usedBytes: number | undefined
  /** 0: no limit. */
  readonly maxBytes: number | undefined
  readonly residentBytes: number | undefined
  readonly machineBytes: number | undefined
  readonly hasAppendFile: boolean | undefined
  readonly isAppendFileBroken: boolean
  readonly appendFsync: 'always' | 'everysec' | 'no' | undefined
  readonly takesSnapshots: boolean | undefined
  readonly isSnapshotBroken: boolean
  readonly replicas: readonly ReplicaFacts[] | undefined
  /** `min-replicas-to-write`: with fewer replicas the server refuses writes. */
  readonly leastReplicas: number | undefined
  readonly clients: number | undefined
  readonly maxClients: number | undefined
  /** How far the server's clock is ahead of ours, and how far that may be wrong; ms. */
  readonly clock: { readonly aheadMs: number; readonly uncertainMs: number } | undefined
  readonly isCluster: boolean | undefined
  readonly cluster: ClusterFacts | undefined
}

export interface ReplicaFacts {
  readonly isOnline: boolean
  readonly lagS: number | undefined
}

export interface ClusterFacts {
  readonly isOk: boolean
  readonly assignedSlots: number
  readonly failedSlots: number
  readonly suspectSlots: number
}

export const EVICTION_POLICIES = [
  'noeviction',
  'allkeys-lru',
  'allkeys-lfu',
  'allkeys-random',
  'volatile-lru',
  'volatile-lfu',
  'volatile-random',
  'volatile-ttl',
] as const
export type EvictionPolicy = (typeof EVICTION_POLICIES)[number]

export type Check =
  | 'Connection'
  | 'Rights'
  | 'Version'
  | 'Role'
  | 'Cluster'
  | 'Eviction'
  | 'Memory'
  | 'Fragmentation'
  | 'Persistence'
  | 'Replicas'
  | 'Clients'
  | 'Clock'

export type ServerFinding = Finding<Check>

export interface JudgedBy {
  /** The form that the address names. */
  form: 'server' | 'sentinel' | 'cluster'
  /** The findings of the last look, for hysteresis: a value near a limit does not flap. */
  before?: readonly ServerFinding[]
}

interface Judging {
  form: JudgedBy['form']
  /** The result of the last examination. */
  before: (check: Check) => Severity
}

const GIB = 2 ** 30
/** A resource and how much of it is used. */
const WARNING_SHARE = 0.8
const PROBLEM_SHARE = 0.95
const LONGEST_LAG_S = 10
const LARGEST_SKEW_MS = 1_000
const SLOTS = 16_384

/** Worst first. */
export function judgeServers(
  servers: readonly ServerFacts[],
  { form, before = [] }: JudgedBy,
): ServerFinding[] {
  const isOne = servers.length === 1
  const findings = servers.flatMap((facts) => {
    const known = before.filter(({ server }) => isOne || server === facts.name)
    const judging: Judging = {
      form,
      before: (check) => known.find((finding) => finding.check === check)?.severity ?? 'ok',
    }
    return judgeServer(facts, judging).map((finding) =>
      isOne ? finding : { ...finding, server: facts.name },
    )
  })
  return worstFirst([...findings, ...clocksBetween(servers)])
}

/** `Redis 7.0.15`. */
export const serverText = ({ product, version }: ServerFacts): string =>
  `${product} ${version ?? 'of an unknown version'}`

type Judged = Omit<ServerFinding, 'check' | 'server'>
type Judge = (facts: ServerFacts, judging: Judging) => Judged | undefined

const OF_AWAY: [Check, Judge][] = [['Connection', away]]
const OF_SILENT: [Check, Judge][] = [
  ['Rights', silent],
  ['Clock', clock],
]
const OF_OTHERS: [Check, Judge][] = [
  ['Version', version],
  ['Role', role],
  ['Cluster', cluster],
  ['Eviction', eviction],
  ['Memory', memory],
  ['Fragmentation', fragmentation],
  ['Persistence', persistence],
  ['Replicas', replicas],
  ['Clients', clients],
  ['Clock', clock],
]

function judgeServer(facts: ServerFacts, judging: Judging): ServerFinding[] {
  const judges = facts.isAway ? OF_AWAY : facts.isSilent ? OF_SILENT : OF_OTHERS
  return judges.flatMap(([check, judge]) => {
    const found = judge(facts, judging)
    return found ? [{ check, ...found }] : []
  })
}

function away(): Judged {
  return problem(
    'this server of the Cluster does not answer',
    'look at it, or wait for its replica to take over: redis-cli CLUSTER NODES',
  )
}

function silent(): Judged {
  return note(
    'version and settings of the server are unknown: it refuses INFO',
    'allow it to this user: redis-cli ACL SETUSER <user> +info',
  )
}

function version(facts: ServerFacts): Judged {
  const { product, version: known } = facts
  if (known === undefined) return note(`the version of ${product} is unknown`)
  const [major = 0, minor = 0] = known.split('.').map(Number)
  const [leastMajor, leastMinor] = product === 'Valkey' ? [7, 2] : [6, 2]
  if (major > leastMajor || (major === leastMajor && minor >= leastMinor)) return ok(serverText(facts))
  return problem(
    `${serverText(facts)} is too old: scripts of Millhand fail on it`,
    'upgrade it to Redis 6.2 or Valkey 7.2, or newer',
  )
}

function role({ isReplica }: ServerFacts): Judged | undefined {
  if (!isReplica) return undefined
  return problem(
    'this server is a replica: it refuses writes',
    'give the address of the primary, or of the Sentinels: redis+sentinel://host:26379,host/name',
  )
}

function cluster({ isCluster, cluster }: ServerFacts, { form }: Judging): Judged | undefined {
  if (!isCluster) return undefined
  if (form !== 'cluster')
    return problem(
      'this is one server of a Cluster, and queues of the others cannot be reached',
      'write the address like redis+cluster://host:6379,host; rediss+cluster where there is rediss now',
    )
  if (!cluster) return note('the state of the Cluster is unknown')
  const { isOk, assignedSlots, failedSlots, suspectSlots } = cluster
  const lost = Math.max(SLOTS - assignedSlots, failedSlots)
  if (!isOk || lost > 0)
    return problem(
      lost > 0
        ? `${lost} of ${SLOTS} slots of the Cluster are not served: queues in them stand still`
        : 'the Cluster is down (cluster_state is not ok)',
      'see which server is missing: redis-cli CLUSTER NODES; where no server has the slots: redis-cli --cluster fix <host:port of a server>',
    )
  if (suspectSlots > 0)
    return warning(
      `the servers of ${suspectSlots} slots of the Cluster do not answer the others`,
      'see which: redis-cli CLUSTER NODES',
    )
  return ok('all slots of the Cluster are served')
}

function eviction({ evictionPolicy, maxBytes, evictedKeys = 0 }: ServerFacts): Judged {
  const remedy = `set it to noeviction: ${setting('maxmemory-policy', 'noeviction')}`
  if (evictionPolicy === undefined) return note('maxmemory-policy is unknown', remedy)
  if (evictionPolicy === 'noeviction') return ok('maxmemory-policy is noeviction: nothing is evicted')
  if (maxBytes === 0)
    return note(
      `maxmemory-policy is ${evictionPolicy}, but maxmemory is not set: nothing is evicted now`,
      remedy,
    )
  const so = evictedKeys > 0 ? `; it has evicted ${evictedKeys} keys since it started` : ''
  if (evictionPolicy.startsWith('volatile'))
    return warning(
      `maxmemory-policy is ${evictionPolicy}: when memory is full, results are evicted early${so}`,
      remedy,
    )
  return problem(`maxmemory-policy is ${evictionPolicy}: when memory is full, jobs are evicted${so}`, remedy)
}

function memory(facts: ServerFacts, { before }: Judging): Judged {
  const { usedBytes, maxBytes, residentBytes, machineBytes } = facts
  const isLimited = maxBytes !== undefined && maxBytes > 0
  const used = isLimited ? usedBytes : residentBytes
  const whole = isLimited ? maxBytes : machineBytes
  if (used === undefined || !whole)
    return note('the memory in use is unknown', 'watch it where the server runs')
  const what = isLimited ? 'maxmemory' : 'the memory of its machine'
  const text = `${percent(used / whole)} of ${what} is used (${sizeText(used)} of ${sizeText(whole)})`
  const severity = severityOf(used / whole, before('Memory'))
  const less = 'add workers, or keep fewer results (spec.retention of the TaskQueues)'
  if (severity !== 'ok')
    return judged(
      severity,
      `${text}; when it is full, ${isLimited ? 'nothing can be enqueued' : 'the server is killed'}`,
      isLimited
        ? `${less}; or where its machine has room, raise maxmemory: ${setting('maxmemory', megabytes(1.5 * whole))}`
        : `${less}; or give the server more memory`,
    )
  if (maxBytes === 0)
    return note(
      `maxmemory is not set: when memory runs out the server is killed, and does not refuse jobs before; ${text}`,
      `set maxmemory to three quarters of what its machine or container has, like ${setting('maxmemory', '3gb')}`,
    )
  return ok(text)
}

/** Small servers always look fragmented. */
function fragmentation({ usedBytes, residentBytes }: ServerFacts): Judged | undefined {
  if (usedBytes === undefined || residentBytes === undefined) return undefined
  if (residentBytes < 3 * usedBytes || residentBytes - usedBytes < GIB) return undefined
  return warning(
    `the server takes ${sizeText(residentBytes)} of its machine for ${sizeText(usedBytes)} of data`,
    `let it defragment: ${setting('activedefrag', 'yes')}; or restart it`,
  )
}

function persistence(facts: ServerFacts): Judged {
  const { hasAppendFile, isAppendFileBroken, isSnapshotBroken } = facts
  if (isAppendFileBroken || isSnapshotBroken)
    return problem(
      isAppendFileBroken
        ? 'the server cannot write its append-only file, and refuses jobs or will lose them'
        : 'the last snapshot failed; the server may refuse writes until one succeeds',
      'see its log and whether its disk is full: df -h in its data folder; then redis-cli BGSAVE',
    )
  if (hasAppendFile === undefined) return note('persistence of the server is unknown')
  return hasAppendFile ? appendFile(facts) : noAppendFile(facts)
}

function appendFile(facts: ServerFacts): Judged {
  const everySecond = 'a server that dies loses a second of writes at most (appendfsync everysec)'
  switch (facts.appendFsync) {
    case 'always':
      return ok('every write is on disk before it is answered (appendfsync always)')
    case 'everysec':
      if (!confirmsEarly(facts)) return ok(everySecond)
      return note(
        `${everySecond}, also jobs that were enqueued with durability fsync: ${serverText(facts)} confirms them too early`,
        `where jobs ask for fsync, set it to always: ${setting('appendfsync', 'always')}`,
      )
    case 'no':
      return warning(
        'a machine that dies loses the writes that its system still buffers, often half a minute (appendfsync no)',
        `set it to everysec: ${setting('appendfsync', 'everysec')}`,
      )
    case undefined:
      return ok('appendonly is on; appendfsync is unknown, because CONFIG GET is refused')
  }
}

/**
 * With everysec WAITAOF does not wait for the disk: https://github.com/redis/redis/pull/13793, fixed in Redis
 * 8 and in no Valkey so far.
 */
function confirmsEarly({ product, version: known = '' }: ServerFacts): boolean {
  return product === 'Valkey' ? !/^7\./.test(known) : /^7\.4(\.|$)/.test(known)
}

function noAppendFile({ takesSnapshots, replicas }: ServerFacts): Judged {
  const remedy = `set appendonly: ${setting('appendonly', 'yes')}`
  const lost =
    takesSnapshots === false
      ? 'nothing is kept on disk: all jobs are lost when the server ends'
      : takesSnapshots
        ? 'appendonly is off: when the server dies, jobs since its last snapshot are lost'
        : 'appendonly is off: when the server dies, jobs since its last snapshot are lost, all where it takes none'
  if ((replicas ?? []).some(({ isOnline }) => isOnline))
    return note(`${lost}, unless a replica takes over`, remedy)
  return warning(lost, remedy)
}

function replicas(
  { isReplica, replicas: known, leastReplicas = 0, isCluster }: ServerFacts,
  { form, before }: Judging,
): Judged | undefined {
  if (isReplica) return undefined
  if (!known) return note('the replicas of the server are unknown')
  const longest = before('Replicas') === 'ok' ? LONGEST_LAG_S : 0.8 * LONGEST_LAG_S
  const inStep = known.filter(({ isOnline, lagS }) => isOnline && (lagS ?? 0) <= longest)
  const numbers = inStepText(inStep.length, known.length)
  if (inStep.length < leastReplicas)
    return problem(
      `the server refuses writes: ${numbers}, and min-replicas-to-write asks for ${leastReplicas}`,
      `bring replicas back (redis-cli INFO replication shows them); until then: ${setting('min-replicas-to-write', String(inStep.length))}`,
    )
  if (known.length === 0 && (form === 'sentinel' || isCluster))
    return warning(
      'there is no replica to take over',
      'start one: redis-server --replicaof <host of this server> <port>',
    )
  if (known.length === 0) return ok('no replica: while the server is away, work waits')
  if (inStep.length === known.length) return ok(`${counted(known.length, 'replica')}, in step`)
  const slowest = Math.max(0, ...known.map(({ lagS }) => lagS ?? 0))
  const behind = slowest > longest ? ` (last heard from ${slowest} s ago)` : ''
  return warning(
    `${numbers}${behind}: a failover may lose the last writes`,
    'see which and why: redis-cli INFO replication, then the log of that replica',
  )
}

function inStepText(inStep: number, all: number): string {
  if (all === 0) return 'no replica is connected'
  if (inStep === all) return `${counted(all, 'replica')} in step`
  if (inStep === 0) return all === 1 ? 'its replica is not in step' : `none of ${all} replicas is in step`
  return `only ${inStep} of ${all} replicas in step`
}

function clients({ clients: connected, maxClients }: ServerFacts, { before }: Judging): Judged {
  if (connected === undefined || !maxClients) return ok('the number of connections is unknown')
  const text = `${connected} of ${maxClients} connections are used`
  const severity = severityOf(connected / maxClients, before('Clients'))
  if (severity === 'ok') return ok(text)
  return judged(
    severity,
    `${text}; when all are, new workers and clients are refused (a worker takes three)`,
    `see the clients: redis-cli CLIENT LIST; or allow more: ${setting('maxclients', String(2 * maxClients))}`,
  )
}

function clock({ clock: known }: ServerFacts, { before }: Judging): Judged | undefined {
  if (!known) return undefined
  const sure = Math.max(0, Math.abs(known.aheadMs) - known.uncertainMs)
  const isSkewed = sure > (before('Clock') === 'ok' ? LARGEST_SKEW_MS : 0.8 * LARGEST_SKEW_MS)
  if (!isSkewed) return ok('the clocks of the server and of the machine that asks agree')
  const side = known.aheadMs > 0 ? 'ahead of' : 'behind'
  return warning(
    `the server's clock is ${secondsText(sure)} ${side} that of the machine that asks. Heartbeats, delays and retries use the server's alone and are right; jobs that such a machine enqueues for a time of day, and ages that it shows, are off by as much`,
    'let both machines set their clocks by NTP: chronyc tracking, or timedatectl',
  )
}

/** Each queue has the clock of one server, until another one takes its place. */
function clocksBetween(servers: readonly ServerFacts[]): ServerFinding[] {
  const clocks = servers.flatMap(({ clock }) => clock ?? [])
  if (clocks.length < 2) return []
  const latest = Math.max(...clocks.map(({ aheadMs, uncertainMs }) => aheadMs - uncertainMs))
  const earliest = Math.min(...clocks.map(({ aheadMs, uncertainMs }) => aheadMs + uncertainMs))
  if (latest - earliest <= LARGEST_SKEW_MS) return []
  const text = `the clocks of the servers differ by ${secondsText(latest - earliest)}: a queue that moves to another one takes this as a jump of time, and delayed jobs start so much earlier or later`
  const remedy = 'let all servers set their clocks by NTP: chronyc tracking, or timedatectl'
  return [{ check: 'Clock', ...warning(text, remedy) }]
}

function judged(severity: Severity, message: string, remedy?: string): Judged {
  return { severity, message, ...(remedy !== undefined && { remedy }) }
}

const ok = (message: string) => judged('ok', message)
const note = (message: string, remedy?: string) => judged('note', message, remedy)
const warning = (message: string, remedy: string) => judged('warning', message, remedy)
const problem = (message: string, remedy: string) => judged('problem', message, remedy)

/** Hysteresis: a bad value is good again only below its limit by a margin. */
function severityOf(share: number, before: Severity): Severity {
  const limit = (severity: Severity, at: number) => (isAtLeast(before, severity) ? at - 0.05 : at)
  if (share >= limit('problem', PROBLEM_SHARE)) return 'problem'
  return share >= limit('warning', WARNING_SHARE) ? 'warning' : 'ok'
}

function setting(name: string, value: string): string {
  return `redis-cli CONFIG SET ${name} ${value}, then redis-cli CONFIG REWRITE (a managed service has it among its parameters)`
}

const percent = (share: number): string => `${Math.round(share * 100)} %`

function secondsText(ms: number): string {
  return ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`
}

function counted(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? '' : 's'}`
}

/** In the notation of Redis. */
const megabytes = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20)}mb`

function sizeText(bytes: number): string {
  if (bytes < 10 * 2 ** 20) return `${(bytes / 2 ** 20).toFixed(1)} MiB`
  return bytes < GIB ? `${Math.round(bytes / 2 ** 20)} MiB` : `${(bytes / GIB).toFixed(1)} GiB`
}
