// What suits a queue and what does not: a row a rule.
import type { Severity } from 'millhand/doctor'
import {
  type Check,
  judgeServers,
  type ServerFacts,
  type ServerFinding,
} from '../../../worker-runtime/src/doctor/findings.ts'

const MIB = 2 ** 20
const GIB = 2 ** 30

/** A server with nothing to mend. */
const good: ServerFacts = {
  name: '10.0.0.1:6379',
  isAway: false,
  isSilent: false,
  product: 'Redis',
  version: '7.0.15',
  isReplica: false,
  evictionPolicy: 'noeviction',
  evictedKeys: 0,
  usedBytes: 100 * MIB,
  maxBytes: GIB,
  residentBytes: 120 * MIB,
  machineBytes: 4 * GIB,
  hasAppendFile: true,
  isAppendFileBroken: false,
  appendFsync: 'everysec',
  takesSnapshots: true,
  isSnapshotBroken: false,
  replicas: [],
  leastReplicas: 0,
  clients: 20,
  maxClients: 10_000,
  clock: { aheadMs: 3, uncertainMs: 2 },
  isCluster: false,
  cluster: undefined,
}
const wholeCluster = { isOk: true, assignedSlots: 16_384, failedSlots: 0, suspectSlots: 0 }
const online = { isOnline: true, lagS: 0 }

const judge = (facts: Partial<ServerFacts>, form: 'server' | 'sentinel' | 'cluster' = 'server') =>
  judgeServers([{ ...good, ...facts }], { form })
const of = (findings: readonly ServerFinding[], check: Check) =>
  findings.filter((each) => each.check === check)

test('a server with nothing to mend has nothing but ok, and no remedies', () => {
  const findings = judge({})
  expect(findings.map(({ check }) => check).sort()).toEqual(
    ['Clients', 'Clock', 'Eviction', 'Memory', 'Persistence', 'Replicas', 'Version'].sort(),
  )
  expect(findings.filter(({ severity, remedy }) => severity !== 'ok' || remedy)).toEqual([])
})

interface Row {
  facts: Partial<ServerFacts>
  form?: 'server' | 'sentinel' | 'cluster'
  check: Check
  severity: Severity
  says: RegExp
}

const rows: Row[] = [
  { facts: { version: '6.0.16' }, check: 'Version', severity: 'problem', says: /Redis 6\.0\.16 is too old/ },
  { facts: { version: '6.2.0' }, check: 'Version', severity: 'ok', says: /^Redis 6\.2\.0$/ },
  { facts: { version: '10.0' }, check: 'Version', severity: 'ok', says: /^Redis 10\.0$/ },
  {
    facts: { product: 'Valkey', version: '7.2.5' },
    check: 'Version',
    severity: 'ok',
    says: /^Valkey 7\.2\.5$/,
  },
  { facts: { product: 'Valkey', version: '7.1' }, check: 'Version', severity: 'problem', says: /too old/ },
  { facts: { version: undefined }, check: 'Version', severity: 'note', says: /unknown/ },

  { facts: { isReplica: true }, check: 'Role', severity: 'problem', says: /replica: it refuses writes/ },

  { facts: { isCluster: true }, check: 'Cluster', severity: 'problem', says: /one server of a Cluster/ },
  {
    facts: { isCluster: true, cluster: wholeCluster, replicas: [online] },
    form: 'cluster',
    check: 'Cluster',
    severity: 'ok',
    says: /all slots/,
  },
  {
    facts: { isCluster: true, cluster: { ...wholeCluster, isOk: false } },
    form: 'cluster',
    check: 'Cluster',
    severity: 'problem',
    says: /the Cluster is down/,
  },
  {
    facts: { isCluster: true, cluster: { ...wholeCluster, assignedSlots: 16_000 } },
    form: 'cluster',
    check: 'Cluster',
    severity: 'problem',
    says: /^384 of 16384 slots/,
  },
  {
    facts: { isCluster: true, cluster: { ...wholeCluster, failedSlots: 5461 } },
    form: 'cluster',
    check: 'Cluster',
    severity: 'problem',
    says: /^5461 of 16384 slots/,
  },
  {
    facts: { isCluster: true, cluster: { ...wholeCluster, suspectSlots: 5461 } },
    form: 'cluster',
    check: 'Cluster',
    severity: 'warning',
    says: /5461 slots/,
  },
  { facts: { isCluster: true }, form: 'cluster', check: 'Cluster', severity: 'note', says: /unknown/ },

  { facts: { evictionPolicy: undefined }, check: 'Eviction', severity: 'note', says: /unknown/ },
  {
    facts: { evictionPolicy: 'allkeys-lru', evictedKeys: 12 },
    check: 'Eviction',
    severity: 'problem',
    says: /jobs are evicted; it has evicted 12 keys/,
  },
  {
    facts: { evictionPolicy: 'volatile-ttl' },
    check: 'Eviction',
    severity: 'warning',
    says: /results are evicted early$/,
  },
  {
    facts: { evictionPolicy: 'allkeys-lru', maxBytes: 0 },
    check: 'Eviction',
    severity: 'note',
    says: /nothing is evicted now/,
  },
  {
    facts: { evictionPolicy: 'allkeys-lru', maxBytes: undefined },
    check: 'Eviction',
    severity: 'problem',
    says: /jobs are evicted/,
  },

  { facts: { usedBytes: 0.79 * GIB }, check: 'Memory', severity: 'ok', says: /79 % of maxmemory/ },
  {
    facts: { usedBytes: 0.8 * GIB },
    check: 'Memory',
    severity: 'warning',
    says: /80 % of maxmemory is used \(819 MiB of 1\.0 GiB\); when it is full, nothing can be enqueued/,
  },
  { facts: { usedBytes: 0.95 * GIB }, check: 'Memory', severity: 'problem', says: /95 % of maxmemory/ },
  {
    facts: { maxBytes: 0 },
    check: 'Memory',
    severity: 'note',
    says: /maxmemory is not set: .*3 % of the memory of its machine/,
  },
  {
    facts: { maxBytes: 0, residentBytes: 3.9 * GIB },
    check: 'Memory',
    severity: 'problem',
    says: /98 % of the memory of its machine .*the server is killed/,
  },
  {
    facts: { maxBytes: undefined, machineBytes: undefined },
    check: 'Memory',
    severity: 'note',
    says: /unknown/,
  },

  {
    facts: { usedBytes: GIB, residentBytes: 4 * GIB, maxBytes: 4 * GIB },
    check: 'Fragmentation',
    severity: 'warning',
    says: /4\.0 GiB of its machine for 1\.0 GiB/,
  },

  {
    facts: { appendFsync: 'always' },
    check: 'Persistence',
    severity: 'ok',
    says: /on disk before it is answered/,
  },
  ...(
    [
      ['Valkey', '9.1.2', 'note'],
      ['Valkey', '7.2.11', 'ok'],
      ['Redis', '7.4.1', 'note'],
      ['Redis', '7.2.4', 'ok'],
      ['Redis', '8.0.0', 'ok'],
    ] as const
  ).map(([product, version, severity]) => ({
    facts: { product, version },
    check: 'Persistence' as const,
    severity,
    says: severity === 'ok' ? /\(appendfsync everysec\)$/ : /durability fsync: .* confirms them too early$/,
  })),
  { facts: { appendFsync: 'no' }, check: 'Persistence', severity: 'warning', says: /half a minute/ },
  { facts: { appendFsync: undefined }, check: 'Persistence', severity: 'ok', says: /unknown/ },
  {
    facts: { isAppendFileBroken: true },
    check: 'Persistence',
    severity: 'problem',
    says: /cannot write its append-only file/,
  },
  {
    facts: { isSnapshotBroken: true },
    check: 'Persistence',
    severity: 'problem',
    says: /last snapshot failed/,
  },
  {
    facts: { hasAppendFile: false, takesSnapshots: false },
    check: 'Persistence',
    severity: 'warning',
    says: /all jobs are lost when the server ends$/,
  },
  {
    facts: { hasAppendFile: false },
    check: 'Persistence',
    severity: 'warning',
    says: /jobs since its last snapshot are lost$/,
  },
  {
    facts: { hasAppendFile: false, takesSnapshots: undefined },
    check: 'Persistence',
    severity: 'warning',
    says: /all where it takes none$/,
  },
  {
    facts: { hasAppendFile: false, replicas: [online] },
    check: 'Persistence',
    severity: 'note',
    says: /unless a replica takes over$/,
  },
  { facts: { hasAppendFile: undefined }, check: 'Persistence', severity: 'note', says: /unknown/ },

  { facts: { replicas: [online, online] }, check: 'Replicas', severity: 'ok', says: /^2 replicas, in step$/ },
  {
    facts: {},
    form: 'sentinel',
    check: 'Replicas',
    severity: 'warning',
    says: /no replica to take over/,
  },
  { facts: { replicas: undefined }, check: 'Replicas', severity: 'note', says: /unknown/ },
  {
    facts: { replicas: [online, { isOnline: true, lagS: 11 }] },
    check: 'Replicas',
    severity: 'warning',
    says: /^only 1 of 2 replicas in step \(last heard from 11 s ago\): a failover may lose/,
  },
  {
    facts: { replicas: [{ isOnline: false, lagS: 0 }] },
    check: 'Replicas',
    severity: 'warning',
    says: /^its replica is not in step: a failover/,
  },
  {
    facts: { replicas: [online], leastReplicas: 2 },
    check: 'Replicas',
    severity: 'problem',
    says: /refuses writes: 1 replica in step, and min-replicas-to-write asks for 2/,
  },

  { facts: { clients: 8_000 }, check: 'Clients', severity: 'warning', says: /8000 of 10000 connections/ },
  { facts: { clients: 9_500 }, check: 'Clients', severity: 'problem', says: /9500 of 10000 connections/ },
  { facts: { maxClients: undefined }, check: 'Clients', severity: 'ok', says: /unknown/ },

  {
    facts: { clock: { aheadMs: 3_200, uncertainMs: 100 } },
    check: 'Clock',
    severity: 'warning',
    says: /3\.1 s ahead of that of the machine that asks\. Heartbeats, delays and retries use the server's alone/,
  },
  {
    facts: { clock: { aheadMs: -60_000, uncertainMs: 0 } },
    check: 'Clock',
    severity: 'warning',
    says: /60 s behind/,
  },
  { facts: { clock: { aheadMs: 1_400, uncertainMs: 500 } }, check: 'Clock', severity: 'ok', says: /agree/ },
]

test.each(rows)('$check is $severity: $says', ({ facts, form, check, severity, says }) => {
  const [finding, ...more] = of(judge(facts, form), check)
  expect(more).toEqual([])
  expect(finding).toMatchObject({ severity, message: expect.stringMatching(says) })
  // Whoever is told that something is to be mended is told how.
  if (severity === 'warning' || severity === 'problem') expect(finding?.remedy).toBeTruthy()
  if (severity === 'ok') expect(finding).not.toHaveProperty('remedy')
})

test('the worst comes first', () => {
  const findings = judge({ evictionPolicy: 'allkeys-lru', appendFsync: 'no', maxBytes: undefined })
  const order = findings.map(({ severity }) => severity)
  expect(order).toEqual(
    [...order].sort(
      (a, b) =>
        ['problem', 'warning', 'note', 'ok'].indexOf(a) - ['problem', 'warning', 'note', 'ok'].indexOf(b),
    ),
  )
  expect(findings[0]).toMatchObject({ check: 'Eviction', severity: 'problem' })
})

test('a server that refuses INFO is not guessed about', () => {
  const silent: ServerFacts = { ...good, isSilent: true, clock: { aheadMs: 0, uncertainMs: 1 } }
  expect(judgeServers([silent], { form: 'server' }).map(({ check, severity }) => [check, severity])).toEqual([
    ['Rights', 'note'],
    ['Clock', 'ok'],
  ])
})

test('of several servers each finding says of which; one that is away is a problem', () => {
  const other: ServerFacts = { ...good, name: '10.0.0.2:6379', usedBytes: 0.97 * GIB }
  const away: ServerFacts = { ...good, name: '10.0.0.3:6379', isAway: true }
  const worst = judgeServers([good, other, away], { form: 'cluster' }).filter(
    ({ severity }) => severity === 'problem',
  )
  expect(worst).toEqual([
    expect.objectContaining({ check: 'Memory', server: '10.0.0.2:6379' }),
    expect.objectContaining({ check: 'Connection', server: '10.0.0.3:6379' }),
  ])
})

test('clocks of several servers are compared with each other, as far as they are known', () => {
  const at = (aheadMs: number, uncertainMs: number): ServerFacts => ({
    ...good,
    clock: { aheadMs, uncertainMs },
  })
  const between = (...servers: ServerFacts[]) =>
    judgeServers(servers, { form: 'cluster' }).filter(({ message }) => message.includes('differ by'))
  expect(between(at(600, 10), at(-600, 10))).toEqual([
    expect.objectContaining({
      check: 'Clock',
      severity: 'warning',
      message: expect.stringContaining('1.2 s'),
    }),
  ])
  expect(between(at(600, 150), at(-600, 150))).toEqual([])
})

describe('what is at the edge does not turn to and fro', () => {
  const memory = (share: number, before: readonly ServerFinding[]) =>
    judgeServers([{ ...good, usedBytes: share * GIB }], { form: 'server', before })

  test.each([
    [
      [0.79, 0.81, 0.79, 0.76, 0.81, 0.74],
      ['ok', 'warning', 'warning', 'warning', 'warning', 'ok'],
    ],
    [
      [0.96, 0.94, 0.91, 0.89, 0.94, 0.74],
      ['problem', 'problem', 'problem', 'warning', 'warning', 'ok'],
    ],
  ])('memory at %j is %j', (shares, severities) => {
    let before: readonly ServerFinding[] = []
    const found = shares.map((share) => {
      before = memory(share, before)
      return of(before, 'Memory')[0]?.severity
    })
    expect(found).toEqual(severities)
  })

  test('each server of a Cluster remembers its own', () => {
    const other: ServerFacts = { ...good, name: '10.0.0.2:6379', usedBytes: 0.78 * GIB }
    const full: ServerFacts = { ...good, usedBytes: 0.78 * GIB }
    const before = judgeServers([{ ...full, usedBytes: 0.82 * GIB }, other], { form: 'cluster' })
    const after = judgeServers([full, other], { form: 'cluster', before })
    expect(of(after, 'Memory').map(({ server, severity }) => [server, severity])).toEqual([
      ['10.0.0.1:6379', 'warning'],
      ['10.0.0.2:6379', 'ok'],
    ])
  })
})
