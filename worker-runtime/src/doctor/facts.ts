// Asks a server for its version, its settings and how full it is. For the worker at its start, the operator
// now and then, and millhand doctor. Managed services forbid CONFIG, and a user may lack rights: such facts
// stay unknown.
import { type Connection, RedisUnavailable } from '../redis/connection.ts'
import {
  type ClusterFacts,
  EVICTION_POLICIES,
  judgeServers,
  type ReplicaFacts,
  type ServerFacts,
  type ServerFinding,
} from './findings.ts'

export interface Examination {
  /** The server, or each primary of a Cluster. */
  servers: ServerFacts[]
  /** Worst first. */
  findings: ServerFinding[]
}

export interface ExamineOptions {
  /** The time by this machine's wall clock. */
  nowMs: () => number
  /** The findings of the last look. */
  before?: readonly ServerFinding[]
}

/** Throws RedisUnavailable when no server answers. */
export async function examineServer(
  redis: Connection,
  { nowMs, before = [] }: ExamineOptions,
): Promise<Examination> {
  let why: unknown
  const servers = await redis.atEachServer((server, name) =>
    readFacts(server, name, nowMs).catch((error) => {
      if (!(error instanceof RedisUnavailable)) throw error
      why = error
      return factsOf({ name, isAway: true, info: undefined })
    }),
  )
  if (servers.every(({ isAway }) => isAway)) throw why
  return { servers, findings: judgeServers(servers, { form: redis.form, before }) }
}

async function readFacts(server: Connection, name: string, nowMs: () => number): Promise<ServerFacts> {
  // Asked alone: an answer that waits behind others would tell the wrong time.
  const clock = await clockOf(server, nowMs)
  const [info, fsync, save, least] = await Promise.all([
    told(server, 'INFO'),
    setting(server, 'appendfsync'),
    setting(server, 'save'),
    setting(server, 'min-replicas-to-write'),
  ])
  const facts = factsOf({
    name,
    isAway: false,
    info: typeof info === 'string' ? info : undefined,
    clock,
    ...(fsync !== undefined && { fsync }),
    ...(save !== undefined && { save }),
    ...(least !== undefined && { least }),
  })
  if (!facts.isCluster) return facts
  const cluster = await told(server, 'CLUSTER', 'INFO')
  return typeof cluster === 'string' ? { ...facts, cluster: clusterOf(cluster) } : facts
}

interface Told {
  name: string
  isAway: boolean
  info: string | undefined
  clock?: ServerFacts['clock']
  /** The answer of CONFIG GET. */
  fsync?: string
  save?: string
  least?: string
}

/** Facts from the text of INFO and a few settings. Only numbers and known words are taken over. */
export function factsOf({ name, isAway, info, clock, fsync, save, least }: Told): ServerFacts {
  const field = fieldsOf(info ?? '')
  const number = (text: string) => numberOf(field(text))
  const valkey = field('valkey_version')
  const used = number('used_memory')
  return {
    name,
    isAway,
    isSilent: !isAway && info === undefined,
    product: field('server_name') === 'valkey' || valkey !== undefined ? 'Valkey' : 'Redis',
    version: /^\d{1,4}(\.\d{1,4}){1,3}/.exec(valkey ?? field('redis_version') ?? '')?.[0],
    isReplica: known(field('role'), (role) => role === 'slave'),
    evictionPolicy: EVICTION_POLICIES.find((policy) => policy === field('maxmemory_policy')),
    evictedKeys: number('evicted_keys'),
    usedBytes: used && Math.max(0, used - (number('mem_not_counted_for_evict') ?? 0)),
    maxBytes: number('maxmemory'),
    residentBytes: number('used_memory_rss'),
    machineBytes: number('total_system_memory'),
    hasAppendFile: known(field('aof_enabled'), (enabled) => enabled === '1'),
    isAppendFileBroken: field('aof_enabled') === '1' && field('aof_last_write_status') === 'err',
    appendFsync: (['always', 'everysec', 'no'] as const).find((when) => when === fsync),
    takesSnapshots: known(save, (when) => when !== ''),
    isSnapshotBroken: field('rdb_last_bgsave_status') === 'err' && save !== '',
    replicas: known(number('connected_slaves'), () => replicasOf(info ?? '')),
    leastReplicas: numberOf(least),
    clients: number('connected_clients'),
    maxClients: number('maxclients'),
    clock,
    isCluster: known(field('cluster_enabled'), (enabled) => enabled === '1'),
    cluster: undefined,
  }
}

const MOST_REPLICAS = 1_000

function replicasOf(info: string): ReplicaFacts[] {
  const lines = [...info.matchAll(/^slave\d+:(.*?)\r?$/gm)].slice(0, MOST_REPLICAS)
  return lines.map(([, text = '']) => {
    const part = (name: string) => new RegExp(`(?:^|,)${name}=([^,]*)`).exec(text)?.[1]
    return { isOnline: part('state') === 'online', lagS: numberOf(part('lag')) }
  })
}

function clusterOf(text: string): ClusterFacts {
  const field = fieldsOf(text)
  const number = (name: string) => numberOf(field(name)) ?? 0
  return {
    isOk: field('cluster_state') === 'ok',
    assignedSlots: number('cluster_slots_assigned'),
    failedSlots: number('cluster_slots_fail'),
    suspectSlots: number('cluster_slots_pfail'),
  }
}

/** The server read its clock between our question and its answer: the middle is the best guess. */
async function clockOf(server: Connection, nowMs: () => number): Promise<ServerFacts['clock']> {
  await server.ready()
  const askedAtMs = nowMs()
  const answer = await told(server, 'TIME')
  const answeredAtMs = nowMs()
  if (!Array.isArray(answer)) return undefined
  const [seconds, micros] = answer.map((part) => numberOf(typeof part === 'string' ? part : undefined))
  if (seconds === undefined || micros === undefined) return undefined
  const theirsMs = seconds * 1000 + micros / 1000
  if (!Number.isFinite(theirsMs)) return undefined
  const uncertainMs = (answeredAtMs - askedAtMs) / 2
  return { aheadMs: theirsMs - (askedAtMs + uncertainMs), uncertainMs: Math.abs(uncertainMs) }
}

async function setting(server: Connection, name: string): Promise<string | undefined> {
  const answer = await told(server, 'CONFIG', 'GET', name)
  const value: unknown = Array.isArray(answer) && answer.length === 2 ? answer[1] : undefined
  return typeof value === 'string' ? value : undefined
}

/** undefined: the server refuses. */
async function told(server: Connection, command: string, ...args: string[]): Promise<unknown> {
  try {
    return await server.call(command, ...args)
  } catch (error) {
    if (error instanceof RedisUnavailable) throw error
    return undefined
  }
}

function fieldsOf(text: string): (name: string) => string | undefined {
  const fields = new Map<string, string>()
  for (const line of text.split(/\r?\n/)) {
    const colon = line.indexOf(':')
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1))
  }
  return (name) => fields.get(name)
}

function numberOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,16}(\.\d{1,9})?$/.test(text) ? Number(text) : undefined
}

function known<T, R>(value: T | undefined, read: (value: T) => R): R | undefined {
  return value === undefined ? undefined : read(value)
}
